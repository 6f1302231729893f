"""Owns the terminal: live text on stdout, notes and the summary line on stderr."""

import json
import sys
from typing import Any, Literal, TextIO

from antiphon.llm.v1 import usage_pb2
from antiphon_client import Answer

_DELETE_CONTROLS = {code: "�" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


class Screen:
    """Text of a model is written as it comes and flushed; on a terminal without characters that it would obey."""

    def __init__(self, *, verbose: bool = False, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._safe = self._out.isatty()
        self._notes = verbose or self._err.isatty()
        self._open_line = False

    def text(self, piece: str) -> None:
        """Raises BrokenPipeError when the reader is gone."""
        self._out.write(piece.translate(_DELETE_CONTROLS) if self._safe else piece)
        self._out.flush()
        if piece:
            self._open_line = not piece.endswith("\n")

    @property
    def is_terminal(self) -> bool:
        """Whether people read what `text` writes."""
        return self._safe

    def close_line(self) -> None:
        """Begin a new line unless one has just begun."""
        if self._open_line:
            self.text("\n")

    def json(self, value: Any) -> None:
        self.text(json.dumps(value, ensure_ascii=False) + "\n")

    def summary(self, answer: Answer) -> None:
        """One line on stderr, for people only."""
        if self._notes:
            print(f"[{summary_of(answer)}]", file=self._err, flush=True)

    def note(self, text: str) -> None:
        """A remark on stderr, for people only."""
        if self._notes:
            print(text, file=self._err, flush=True)


def summary_of(answer: Answer) -> str:
    """Provider, model, tokens, time to first token, tokens per second; what is unknown is left out."""
    facts = [f"{answer.provider} {answer.model}"]
    usage = answer.usage
    if usage is not None:
        facts.append(f"{_count(usage, 'input_tokens')} in, {_count(usage, 'output_tokens')} out tokens")
    if (first_s := first_token_s(answer)) is not None:
        facts.append(f"first token {first_s:.2f} s")
    if (speed := tokens_per_second(answer)) is not None:
        facts.append(f"{speed:.1f} tokens/s")
    if answer.restarts:
        facts.append("began anew" if answer.restarts == 1 else f"began anew {answer.restarts} times")
    if answer.attempts:
        facts.append(f"{len(answer.attempts) + 1} attempts")
    if answer.finish_reason not in ("STOP", "UNSPECIFIED"):
        facts.append(f"ended by {answer.finish_reason.lower()}")
    return " | ".join(facts)


def _count(usage: usage_pb2.Usage, name: Literal["input_tokens", "output_tokens"]) -> str:
    if not usage.HasField(name):
        return "?"
    estimated = usage.source == usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE
    return f"{'~' if estimated else ''}{getattr(usage, name)}"


def first_token_s(answer: Answer) -> float | None:
    """As seen here while streaming, else as the adapter reports it."""
    if answer.time_to_first_content_s is not None:
        return answer.time_to_first_content_s
    timing = answer.end.timing
    reported = timing.HasField("time_to_first_content")
    return timing.time_to_first_content.ToTimedelta().total_seconds() if reported else None


def tokens_per_second(answer: Answer) -> float | None:
    """Output tokens over the time from the first content to the end; None where that is too short to tell."""
    generating_s = answer.duration_s - (first_token_s(answer) or 0.0)
    if answer.usage is None or answer.usage.output_tokens < 2 or generating_s < 0.001:
        return None
    return answer.usage.output_tokens / generating_s
