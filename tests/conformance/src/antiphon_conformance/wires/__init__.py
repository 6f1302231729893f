"""What each vendor's wire must be able to say. A wire spells words; scenes put them together, once for all wires."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from antiphon.llm.v1 import response_pb2
from antiphon_conformance.vendor.script import Head, Request, Script, Step

SSE = Head(200, {"content-type": "text/event-stream; charset=utf-8", "x-request-id": "req_scripted"})


Reader: TypeAlias = Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event before it is put on the wire."""

    data: str
    name: str = ""

    def encode(self) -> bytes:
        name = f"event: {self.name}\n" if self.name else ""
        return f"{name}data: {self.data}\n\n".encode()


def encoded(events: Sequence[Event]) -> tuple[bytes, ...]:
    """Each event as a write of its own."""
    return tuple(event.encode() for event in events)


def streamed(events: Sequence[Event]) -> tuple[Step, ...]:
    """A whole good answer: head, then each event as a write of its own."""
    return (SSE, *encoded(events))


@dataclass(frozen=True, slots=True)
class Counts:
    """What the vendor says it used."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool call that the vendor streams in `fragments`."""

    id: str
    name: str
    fragments: Sequence[str]

    @property
    def input(self) -> str:
        return "".join(self.fragments)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer other than 200, and what the contract makes of it.

    `retry_s`: the RetryInfo that must come with it, None when there must be none; ANY_DELAY where either is right.
    """

    status: int
    body: bytes
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_s: float | None = None
    param: str = ""
    native_code: str = ""

    def script(self) -> Script:
        return (Head(self.status, {"content-type": "application/json", **self.headers}), self.body)


ANY_DELAY = -1.0


class Wire(Protocol):
    """A vendor's way to say things. Words are events; nothing here decides when they are sent."""

    @property
    def name(self) -> str: ...

    # Reading what the adapter sent.
    def model(self, request: Request) -> str: ...
    def output_limit(self, request: Request) -> int | None: ...
    def conversation(self, request: Request) -> list[tuple[str, str]]:
        """(role in the vendor's word, text) of every message, in order."""
        ...

    def key(self, request: Request) -> str:
        """The credential that came with the request."""
        ...

    # Saying things.
    def catalogue(self, request: Request) -> Script:
        """The answer to anything that is not a chat: lists of models, probes."""
        ...

    def count(self, request: Request) -> Script | None:
        """The answer to a request that only counts tokens; None for every other one."""
        ...

    def unknown_model(self, model: str) -> Script: ...
    def begin(self) -> list[Event]:
        """What comes before any content."""
        ...

    def tokens(self, tokens: Sequence[str]) -> list[Event]:
        """One event or more per token; the first call opens the text."""
        ...

    def empty_delta(self) -> list[Event]:
        """An event that brings nothing: no content, no usage, no finish."""
        ...

    def tools(self, tools: Sequence[Tool], *, interleaved: bool = False) -> list[Event]: ...
    def end(self, finish: str | None = None, usage: Counts | None = None) -> list[Event]:
        """Finish (None: the plain stop), usage if given, and the terminator."""
        ...

    def finish(self, finish: str | None = None, usage: Counts | None = None) -> list[Event]:
        """As `end`, without the terminator."""
        ...

    def terminator(self) -> list[Event]: ...
    def usage_variants(self, usage: Counts) -> Mapping[str, list[Event]]:
        """Every order in which this vendor's dialects end a text with a finish and this usage."""
        ...

    def error_event(self) -> list[Event]:
        """The vendor reports an overload inside a stream that began with 200."""
        ...

    def split_surrogates(self, before: str, after: str) -> list[Event]:
        """Text `before` + U+1F600 + `after`, its two UTF-16 halves escaped in different events."""
        ...

    def lone_surrogate(self, before: str, after: str) -> list[Event]:
        """Text with a high surrogate between that no low one follows."""
        ...

    # Tables.
    @property
    def truncated(self) -> str:
        """The word for: the token limit was reached."""
        ...

    @property
    def called_tools(self) -> str:
        """The word for: tools were called."""
        ...

    @property
    def finishes(self) -> Mapping[str, "response_pb2.FinishReason"]: ...
    @property
    def refusals(self) -> Mapping[str, Refusal]: ...
    def echoing(self, key: str) -> Mapping[str, Script]:
        """Failures whose bodies repeat the caller's key."""
        ...

    def retry_hints(self, now: Callable[[], float]) -> Mapping[str, tuple[Mapping[str, str], float]]:
        """Headers of a 429 to the delay they ask for, in seconds, or ANY_DELAY. `now`: Unix time."""
        ...

    @property
    def parameters(self) -> Mapping[str, str | Reader]:
        """Path of a request field ("params.top_k") to the member of the vendor's body it becomes, or to what reads
        its value from a body that spells it in another way."""
        ...

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """Names of parameters to the least and the greatest value that the vendor takes, where others take more."""
        ...

    @property
    def untold(self) -> frozenset[str]:
        """Members of Counts that this vendor never tells."""
        ...
