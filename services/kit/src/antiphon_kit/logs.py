"""Owns what log lines look like and what may be in them.

A line is an event and its fields: `logger.info("serving", extra={"address": "127.0.0.1:7000"})`. Exceptions are
logged as class and stack, without their text: the text of a foreign exception can hold prompts, keys and URLs.

Forbids itself: headers, bodies, prompts. Redaction is the second line of defence, not a licence.
"""

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, TextIO

# They log requests, headers or the repr of exceptions, most of it below WARNING.
FOREIGN: Final = (
    "aiohttp",
    "anthropic",
    "asyncio",
    "cohere",
    "grpc",
    "httpcore",
    "httpx",
    "httpx2",
    "openai",
    "opentelemetry",
    "urllib3",
)
_REDACTED: Final = "[redacted]"
_SENSITIVE_FIELD: Final = re.compile(
    r"authorization|cookie|api[-_]?key|password|passwd|secret|credential|(^|[-_])token$", re.IGNORECASE
)
_PATTERNS: Final = (
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {_REDACTED}"),
    (re.compile(r"\b(?:sk|pk|rk|gsk|xai|hvs|hvb|ghp|glpat)[-_.][A-Za-z0-9_.-]{8,}|\bAIza[\w-]{20,}"), _REDACTED),
    (
        re.compile(
            r"""((?:authorization|x-api-key|api[-_]?key|password|secret|access[-_]?token)["']?\s*[:=,]\s*b?["']?)"""
            r"""(?!bearer\b|basic\b|\[redacted)[^\s"',;}\])]{4,}""",
            re.IGNORECASE,
        ),
        rf"\1{_REDACTED}",
    ),
    (re.compile(r"://[^/\s@]+@"), f"://{_REDACTED}@"),
    (re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']+", re.IGNORECASE), rf"\1?{_REDACTED}"),
)
_RECORD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(level: str, log_format: str, stream: TextIO) -> None:
    """Send every log line of this process to `stream`. `level`: debug to error; `log_format`: json or text."""
    handler = _LineHandler(stream)
    handler.addFilter(_foreign_is_warning)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in FOREIGN:
        logging.getLogger(name).setLevel(logging.WARNING)


def redact(text: str) -> str:
    """`text` without what looks like a key, a password, an authorization header or the query of a URL."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class JsonLines(logging.Formatter):
    """One JSON object per line: ts, level, logger, event and the record's extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
        }
        return json.dumps(line | _fields(record))


class TextLines(logging.Formatter):
    """For people: time, level, logger, event, `field=value`. Control characters are escaped, a line stays one."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        head = f"{moment}.{record.msecs:03.0f} {record.levelname:<7} {record.name}: {_one_line(_event(record))}"
        fields = (f"{name}={_one_line(_word(value))}" for name, value in _fields(record).items())
        return " ".join((head, *fields))


class _LineHandler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop the line: logging's own way prints the record, unredacted, to stderr."""


def _is_foreign(name: str) -> bool:
    return name.partition(".")[0] in FOREIGN


def _foreign_is_warning(record: logging.LogRecord) -> bool:
    # SDKs set their loggers' levels from variables such as OPENAI_LOG when they are imported, after `configure`.
    return record.levelno >= logging.WARNING or not _is_foreign(record.name)


def _event(record: logging.LogRecord) -> str:
    try:
        event = record.getMessage()
    except (TypeError, ValueError, KeyError):
        event = str(record.msg)
    if _is_foreign(record.name):
        # asyncio appends the repr of the task and its exception on further lines.
        event = event.partition("\n")[0]
    return redact(event)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = {name: _value(name, value) for name, value in vars(record).items() if name not in _RECORD_FIELDS}
    if record.exc_info and record.exc_info[0] is not None:
        kind, _, stack = record.exc_info
        fields["exception"] = f"{kind.__module__}.{kind.__qualname__}"
        fields["stack"] = _stack(stack)
    return fields


def _value(name: str, value: object) -> object:
    if _SENSITIVE_FIELD.search(name):
        return _REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {str(key): _value(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value("", item) for item in value]
    return f"<{type(value).__qualname__}>"


def _stack(stack: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(stack)[-12:]
    return [f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno} {frame.name}" for frame in frames]


def _word(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if text and " " not in text else json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
