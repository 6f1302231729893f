"""Owns what the items of one answer share: the numbering of parts, their deltas, state that goes with them."""

from collections.abc import Callable, Iterable

from antiphon.llm.v1 import content_pb2, response_pb2
from antiphon_wires import json_text
from antiphon_wires.answer_parts import AnswerParts
from antiphon_wires.event_stream import Events

_Event = response_pb2.StreamEvent


class Answer(AnswerParts):
    """The parts of one answer, and what its items say of it."""

    def __init__(self, provider: str, state_domain: str, mint: Callable[[], str]) -> None:
        super().__init__(provider, state_domain, mint)
        self.refused = False
        self.called = False
        """There is a call that the client has to answer."""
        self.stored = False
        """The vendor keeps the answer."""
        self.key = f"{provider}/responses"


class Spoken:
    """Text, refusal or reasoning that is being said. It begins with its first content, not with its announcement: until
    then nothing binds the router."""

    __slots__ = ("_answer", "_field", "_part", "cited", "held", "index", "raw_bytes", "said")

    def __init__(self, answer: Answer, part: content_pb2.Part) -> None:
        self.index = -1
        self.held = ""
        """A high surrogate whose other half may come with the next delta."""
        self.said = False
        self.cited = 0
        self.raw_bytes = False
        """Deltas told the bytes of tokens."""
        self._answer = answer
        self._part = part
        self._field = "reasoning_delta" if part.HasField("reasoning") else "text_delta"

    @property
    def is_text(self) -> bool:
        return self._part.HasField("text")

    def begin(self, out: Events) -> None:
        """Begin the part, although nothing may be in it yet."""
        if self.index < 0:
            self.index = self._answer.start(self._part, out)
            self._answer.refused |= self._part.HasField("refusal")

    def say(self, text: str, out: Events, logprobs: Iterable[response_pb2.TokenLogprob] = ()) -> None:
        """More of it."""
        tokens = list(logprobs)
        if not text and not tokens:
            return
        self.begin(out)
        self.said = True
        self.raw_bytes |= any(token.raw_bytes for token in tokens)
        text, self.held = json_text.split_high(self.held + text)
        self._answer.say(self.index, self._field, text, out, tokens)

    def cite(self, citation: content_pb2.Citation, out: Events) -> None:
        """What the text rests on."""
        self.begin(out)
        self.cited += 1
        event = _Event(part_index=self.index)
        event.part_update.citations.append(citation)
        out.append(event)

    def flush(self, out: Events) -> None:
        """No other half will come."""
        if self.held:
            held, self.held = self.held, ""
            self._answer.say(self.index, self._field, held, out)

    def end(self, tail: content_pb2.Part | None, out: Events) -> None:
        """It is complete."""
        self.begin(out)
        self.flush(out)
        self._answer.end(self.index, tail, out)
