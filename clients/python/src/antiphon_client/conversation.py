"""Owns the memory of a talk over several turns: messages in order, and where opaque state of the model is valid."""

from collections.abc import Sequence

from antiphon.llm.v1 import content_pb2
from antiphon_client.answer import Answer
from antiphon_client.requests import text_message


class Conversation:
    """Ask with `prompt(text)`, keep with `add(text, answer)`; a turn that failed is simply not added.

    async with client.stream(talk.prompt(text), affinity=talk.state_domain) as stream: ...
    """

    def __init__(self, system: str | None = None) -> None:
        self._system = [text_message("system", system)] if system else []
        self._turns: list[content_pb2.Message] = []
        self.state_domain = ""

    @property
    def messages(self) -> Sequence[content_pb2.Message]:
        return (*self._system, *self._turns)

    def prompt(self, text: str) -> list[content_pb2.Message]:
        """The conversation with one more turn of the user. Raises InvalidRequest for an empty text."""
        return [*self.messages, text_message("user", text)]

    def add(self, text: str, answer: Answer) -> None:
        """Keep a turn of the user and what the model answered."""
        self._turns += [text_message("user", text), answer.message]
        self.state_domain = answer.start.state_domain

    def clear(self) -> None:
        """Forget all turns; the system text stays."""
        self._turns.clear()
        self.state_domain = ""
