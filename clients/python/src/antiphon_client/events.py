"""Owns the typed events of a stream: one small value per kind of the contract's StreamEvent.

Forbids itself: knowledge of frames and sequences; those are checked before an event is made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from antiphon.llm.v1 import content_pb2, response_pb2, usage_pb2


@dataclass(frozen=True, slots=True)
class Started:
    """The response begins: ids, provider, model as reported."""

    start: response_pb2.ResponseStart


@dataclass(frozen=True, slots=True)
class PartStarted:
    """A part begins. It usually is empty and deltas follow; it may also be known as a whole at once."""

    part: content_pb2.Part
    part_index: int
    candidate_index: int

    @property
    def text(self) -> str:
        """Visible text that this event already brings."""
        return visible_text(self.part)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Visible text, appended to the open text or refusal part."""

    text: str
    part_index: int
    candidate_index: int
    logprobs: tuple[response_pb2.TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Text of the model's reasoning."""

    text: str
    part_index: int
    candidate_index: int


@dataclass(frozen=True, slots=True)
class ToolInputDelta:
    """A fragment of a tool call's input; need not be valid JSON by itself."""

    text: str
    part_index: int
    candidate_index: int


@dataclass(frozen=True, slots=True)
class PartUpdated:
    """Something other than text was added to an open part."""

    update: response_pb2.PartUpdate
    part_index: int
    candidate_index: int


@dataclass(frozen=True, slots=True)
class PartEnded:
    """A part is complete; `tail` holds what was not streamed."""

    tail: content_pb2.Part
    part_index: int
    candidate_index: int


@dataclass(frozen=True, slots=True)
class CandidateEnded:
    """A candidate is complete, and why."""

    end: response_pb2.CandidateEnd
    candidate_index: int


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Cumulative usage; replaces the one before."""

    usage: usage_pb2.Usage


@dataclass(frozen=True, slots=True)
class WarningReported:
    """Something was dropped, changed or emulated."""

    warning: response_pb2.Warning


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """The router tried a backend without success and goes on with another."""

    attempt: response_pb2.Attempt


@dataclass(frozen=True, slots=True)
class NativeReceived:
    """An upstream event without a typed equivalent."""

    event: response_pb2.NativeEvent


@dataclass(frozen=True, slots=True)
class KeptAlive:
    """The upstream is silent, the connection is alive."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """Everything so far is void and another attempt follows: take back `voided_text`.

    `voided_text` is the visible text of the first candidate that had been delivered.
    """

    restart: response_pb2.Restart
    voided_text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The terminal record of an answer that is whole or ended by a limit; failures are raised instead."""

    end: response_pb2.ResponseEnd


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """A kind that this client does not know. Safe to skip."""

    event: response_pb2.StreamEvent


Event = (
    Started
    | PartStarted
    | TextDelta
    | ReasoningDelta
    | ToolInputDelta
    | PartUpdated
    | PartEnded
    | CandidateEnded
    | UsageReported
    | WarningReported
    | AttemptFailed
    | NativeReceived
    | KeptAlive
    | Restarted
    | Ended
    | UnknownEvent
)

_E = response_pb2.StreamEvent
_MAKERS: Final[dict[str, Callable[[_E], Event]]] = {
    "text_delta": lambda e: TextDelta(e.text_delta, e.part_index, e.candidate_index, tuple(e.logprobs)),
    "reasoning_delta": lambda e: ReasoningDelta(e.reasoning_delta, e.part_index, e.candidate_index),
    "tool_input_delta": lambda e: ToolInputDelta(e.tool_input_delta, e.part_index, e.candidate_index),
    "part_start": lambda e: PartStarted(e.part_start.part, e.part_index, e.candidate_index),
    "part_end": lambda e: PartEnded(e.part_end.tail, e.part_index, e.candidate_index),
    "part_update": lambda e: PartUpdated(e.part_update, e.part_index, e.candidate_index),
    "start": lambda e: Started(e.start),
    "candidate_end": lambda e: CandidateEnded(e.candidate_end, e.candidate_index),
    "usage": lambda e: UsageReported(e.usage),
    "end": lambda e: Ended(e.end),
    "warning": lambda e: WarningReported(e.warning),  # type: ignore[arg-type]  # the stub means its own Warning
    "attempt": lambda e: AttemptFailed(e.attempt),
    "native_event": lambda e: NativeReceived(e.native_event),
    "keepalive": lambda _: KeptAlive(),
}


def decode(event: response_pb2.StreamEvent, voided_text: str) -> Event:
    """The typed event; `voided_text` is what a restart takes back."""
    kind = event.WhichOneof("kind")
    if kind == "restart":
        return Restarted(event.restart, voided_text)
    maker = _MAKERS.get(kind or "")
    return maker(event) if maker else UnknownEvent(event)


def visible_text(part: content_pb2.Part) -> str:
    """The text of a part that is meant for the user; "" for other kinds."""
    kind = part.WhichOneof("kind")
    if kind == "text":
        return part.text.text
    return part.refusal.text if kind == "refusal" else ""
