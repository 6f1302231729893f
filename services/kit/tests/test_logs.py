"""Log lines: one JSON object or one readable line each, without anything that looks like a secret."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from antiphon_kit import logs

Read = Callable[[], str]
SECRETS = [
    "Authorization: Bearer abcdef123456",
    "{'authorization': 'Bearer abcdef123456'}",
    "(b'authorization', b'abcdef123456')",
    '"Authorization": "Basic abcdef123456="',
    "x-api-key: abcdef123456",
    "api_key=abcdef123456",
    "key is sk-proj-abcdef123456",
    "sk-ant-abcdef123456",
    "token hvs.abcdef123456",
    "http://user:abcdef123456@host/",
    "https://host/v1?key=abcdef123456&x=y",
]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where lines go; the process's logging is as before afterwards."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:], {name: logging.getLogger(name).level for name in logs.FOREIGN})
    yield io.StringIO()
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)


def test_a_json_line_has_time_level_logger_event_and_fields(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    logging.getLogger("antiphon_kit.server").info("serving", extra={"address": "127.0.0.1:7", "calls": 3, "tls": False})
    line = json.loads(stream.getvalue())
    assert line.pop("ts").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "antiphon_kit.server",
        "event": "serving",
        "address": "127.0.0.1:7",
        "calls": 3,
        "tls": False,
    }


def test_a_text_line_is_readable_and_stays_one(stream: io.StringIO) -> None:
    logs.configure("info", "text", stream)
    logging.getLogger("a").warning("two\nlines", extra={"why": "no\x1b[31m reason", "count": 2, "empty": ""})
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert "\x1b" not in line
    assert r"WARNING a: two\nlines" in line
    assert "count=2" in line
    assert 'empty=""' in line


def test_the_level_applies(stream: io.StringIO) -> None:
    logs.configure("warning", "json", stream)
    logging.getLogger("a").info("quiet")
    logging.getLogger("a").warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_configuring_twice_writes_each_line_once(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    logs.configure("info", "json", stream)
    logging.getLogger("a").info("once")
    assert stream.getvalue().count("once") == 1


@pytest.mark.parametrize("name", ["openai._base_client", "httpx", "httpcore.http11", "aiohttp.client", "grpc._cython"])
def test_sdks_speak_from_warning_on_even_if_they_set_their_own_level(name: str, stream: io.StringIO) -> None:
    logs.configure("debug", "json", stream)
    logger = logging.getLogger(name)
    assert not logger.isEnabledFor(logging.INFO), "the work of making the line is to be saved too"
    logger.setLevel(logging.DEBUG)
    try:
        logger.debug("Request options: prompt")
        logger.warning("retrying")
    finally:
        logger.setLevel(logging.NOTSET)
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["retrying"]


@pytest.mark.parametrize("text", SECRETS)
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_secrets_are_redacted_in_events_and_fields(text: str, log_format: str, stream: io.StringIO) -> None:
    logs.configure("info", log_format, stream)
    logger = logging.getLogger("a")
    logger.info("%s", text)
    logger.info("event", extra={"detail": text, "nested": {"list": [text]}})
    logger.info("event", extra={"headers": {"Authorization": "abcdef123456", "X-Api-Key": "abcdef123456"}})
    logger.info("event", extra={"password": "abcdef123456"})
    assert "abcdef123456" not in stream.getvalue()
    assert stream.getvalue().count("[redacted]") >= 5


@pytest.mark.parametrize(
    "text",
    ["max_tokens=100 input_tokens: 7", "the basic idea", "risk-free disk-cache", "http://host:80/v1/models", "a@b"],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert logs.redact(text) == text


def test_exceptions_show_class_and_stack_but_no_text(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    try:
        int("the prompt")
    except ValueError:
        logging.getLogger("a").exception("failed")
    line = json.loads(stream.getvalue())
    assert line["exception"] == "builtins.ValueError"
    assert "test_exceptions_show" in line["stack"][-1]
    assert "the prompt" not in stream.getvalue()


def test_what_asyncio_appends_about_a_task_is_left_out(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <Task exception=E('the prompt')>")
    assert json.loads(stream.getvalue())["event"] == "Task exception was never retrieved"


def test_objects_are_named_not_shown(stream: io.StringIO) -> None:
    class Request:
        def __repr__(self) -> str:
            return "the prompt"

    logs.configure("info", "json", stream)
    logging.getLogger("a").info("event", extra={"request": Request(), "some": [Request(), None, 1.5, {"x"}]})
    line = json.loads(stream.getvalue())
    assert "Request>" in line["request"]
    assert line["some"][1:] == [None, 1.5, ["x"]]
    assert "the prompt" not in stream.getvalue()


def test_a_line_that_cannot_be_made_raises_nothing_and_prints_nothing_else(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", "json", stream)
    logging.getLogger("a").info("one %d", "two")
    stream.close()
    logging.getLogger("a").info("nobody listens")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
