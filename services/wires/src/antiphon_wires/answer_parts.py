"""Owns the parts of an answer as events: numbered as they begin, said, ended, with state that only its vendor reads."""

from collections.abc import Callable, Sequence

from antiphon.llm.v1 import content_pb2, response_pb2
from antiphon_wires import json_text
from antiphon_wires.event_stream import Events, malformed

_Event = response_pb2.StreamEvent


class AnswerParts:
    """In the order in which they begin. `mint`: ids for calls of a vendor that gives none."""

    def __init__(self, provider: str, state_domain: str, mint: Callable[[], str]) -> None:
        self.parts = 0
        self.model = ""
        """As the vendor reports it."""
        self.provider = provider
        self.mint = mint
        self.state_domain = state_domain

    def start(self, part: content_pb2.Part, out: Events) -> int:
        """Begin the next part; returns its index."""
        event = _Event(part_index=self.parts)
        event.part_start.part.CopyFrom(part)
        out.append(event)
        self.parts += 1
        return self.parts - 1

    def say(
        self,
        index: int,
        field: str,
        text: str,
        out: Events,
        logprobs: Sequence[response_pb2.TokenLogprob] = (),
    ) -> None:
        """A delta of text, if there is any."""
        if not text and not logprobs:
            return
        text, lone = json_text.mend(text)
        if lone:
            out.append(malformed("half of a surrogate pair became U+FFFD"))
        event = _Event(part_index=index)
        setattr(event, field, text)
        if logprobs:
            event.logprobs.extend(logprobs)
        out.append(event)

    def end(self, index: int, tail: content_pb2.Part | None, out: Events) -> None:
        """End a part; `tail` holds what was not streamed."""
        event = _Event(part_index=index)
        event.part_end.SetInParent()
        if tail is not None:
            event.part_end.tail.CopyFrom(tail)
        out.append(event)

    def state(self, kind: str, value: str) -> content_pb2.OpaqueState:
        """State that only this vendor can read, as received."""
        data = value.encode("utf-8", "replace")
        return content_pb2.OpaqueState(
            issuer=self.provider, kind=kind, data=data, state_domain=self.state_domain, model=self.model
        )
