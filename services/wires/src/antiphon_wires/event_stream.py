"""Owns what the decoders of all streaming wires share: events from bytes, the short way, what waits for content.

    for data in reads:                 # SSE bytes, cut anywhere
        yield stream.feed(data)
        stream.check()                 # raises what went wrong after that batch
    yield stream.close()

Forbids itself: I/O, tasks, and what an event of a vendor means.
"""

from abc import ABC, abstractmethod
from typing import TypeAlias

from antiphon.llm.v1 import response_pb2
from antiphon_contract.errors import CallFailure
from antiphon_wires.plain_delta import PlainDelta
from antiphon_wires.sse import ONE_LINE, SseDecoder

Events: TypeAlias = list[response_pb2.StreamEvent]
_Event = response_pb2.StreamEvent


class EventStream(ABC):
    """One answer. After `check` or `close` has raised, it is of no more use."""

    def __init__(self) -> None:
        self.done = False
        """The vendor said that this was all."""
        self._sse = SseDecoder()
        self._out: Events = []
        self._early: Events = []
        self._content = False
        """There was content; what waited for it has been let go."""
        self._failure: CallFailure | None = None
        self._block = b""
        """The event that is being read, as it came."""

    @property
    def finished(self) -> bool:
        """The vendor told why it stopped; only its last word may be missing."""
        return self.done

    def feed(self, data: bytes) -> Events:
        """The events that a piece of the body made."""
        try:
            self._cut_up(self._sse.whole(data))
        except CallFailure as failure:
            self._failure = failure
        return self._take()

    def _cut_up(self, data: bytes) -> None:
        at, end = 0, len(data)
        while at < end:
            if (plain := self._plain_delta()) is not None:
                text, at = plain.text(data, at)
                # What came in one read is one delta: it cannot be shown earlier, and an event costs more than its text.
                if text:
                    self._extend(text)
                if at == end:
                    break
            if (one := ONE_LINE.match(data, at)) is not None:
                name, payload = one.groups()
                self._block, at = one[0], one.end()
                self._dispatch("" if name is None else name.decode("utf-8", "replace"), payload)
            else:
                at = self._read_other(data, at)

    def _read_other(self, data: bytes, at: int) -> int:
        """Read an event of another form; where the next one begins."""
        # Extra blank lines may leave a last piece without one.
        blank = data.find(b"\n\n", at)
        after = len(data) if blank < 0 else blank + 2
        self._block = data[at:after]
        for name, payload in self._sse.events(self._block):
            self._dispatch(name, payload)
        return after

    def check(self) -> None:
        """Raise what cut the stream after the events that were handed out."""
        if self._failure is not None:
            raise self._failure

    @abstractmethod
    def close(self) -> Events:
        """The last events, at the end of the body. Raises CallFailure when the answer is not whole."""

    @abstractmethod
    def _dispatch(self, name: str, payload: bytes) -> None:
        """Read one event: its name and its data."""

    @abstractmethod
    def _plain_delta(self) -> PlainDelta | None:
        """What further text of the open part looks like, if that has been learned and holds now."""

    @abstractmethod
    def _extend(self, text: str) -> None:
        """More text for the open part."""

    # -- the batch that is being made

    def _take(self) -> Events:
        out, self._out = self._out, []
        return out

    def _aside(self, event: response_pb2.StreamEvent) -> None:
        """What is not content waits for it: it must not bind the router to this backend."""
        (self._out if self._content else self._early).append(event)

    def _tell(self, name: str, payload: bytes) -> None:
        """An event without a meaning here goes out as it came."""
        event = _Event()
        event.native_event.name = name
        event.native_event.data = payload
        self._aside(event)

    def _attach(self, before: int, name: str, payload: bytes) -> None:
        """Native bytes go with the first event that they made, of those after `before`."""
        if len(self._out) == before:
            self._tell(name, payload)
        else:
            self._out[before].native = payload

    def _release(self) -> None:
        """There is content; what waited for it follows."""
        self._content = True
        self._out += self._early
        self._early.clear()


def malformed(message: str) -> response_pb2.StreamEvent:
    """The warning that the vendor sent something that was repaired or skipped."""
    return _Event(warning=response_pb2.Warning(kind=response_pb2.Warning.KIND_UPSTREAM_MALFORMED, message=message))
