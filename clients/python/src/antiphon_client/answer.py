"""Owns the whole answer as callers read it: the folded response and what the client itself measured."""

from dataclasses import dataclass
from typing import Final

from antiphon.llm.v1 import chat_pb2, content_pb2, response_pb2, usage_pb2
from antiphon_client.events import visible_text

_PREFIX: Final = "FINISH_REASON_"


@dataclass(frozen=True, slots=True)
class Answer:
    """`response` is the contract's own message; the properties read the first candidate.

    Times are in seconds on this client's monotonic clock, counted from sending; `time_to_first_content_s` is None
    for calls that do not stream.
    """

    response: chat_pb2.GenerateResponse
    request_id: str
    attempts: tuple[response_pb2.Attempt, ...]
    restarts: int
    duration_s: float
    time_to_first_content_s: float | None = None
    router_end: response_pb2.RouterEnd | None = None

    @property
    def text(self) -> str:
        """Visible text: what the model said, or its refusal."""
        return text_of(self.response)

    @property
    def message(self) -> content_pb2.Message:
        """The turn of the model; append it to the next request as it stands."""
        candidates = self.response.candidates
        return candidates[0].message if candidates else content_pb2.Message(role=content_pb2.ROLE_ASSISTANT)

    @property
    def start(self) -> response_pb2.ResponseStart:
        return self.response.start

    @property
    def end(self) -> response_pb2.ResponseEnd:
        return self.response.end

    @property
    def provider(self) -> str:
        return self.start.provider or self.end.provider

    @property
    def model(self) -> str:
        """As the provider reports it; may differ from what was asked for."""
        return self.start.model or self.end.model

    @property
    def usage(self) -> usage_pb2.Usage | None:
        """None: unknown. `usage.source` tells how much to trust it."""
        return self.end.usage if self.end.HasField("usage") else None

    @property
    def finish_reason(self) -> str:
        """Name of the FinishReason without its prefix, e.g. "STOP"; "OTHER" for values this client does not know."""
        candidates = self.response.candidates
        reason = candidates[0].end.reason if candidates else response_pb2.FINISH_REASON_UNSPECIFIED
        try:
            return response_pb2.FinishReason.Name(reason).removeprefix(_PREFIX)
        except ValueError:
            return "OTHER"


def text_of(response: chat_pb2.GenerateResponse) -> str:
    """Visible text of the first candidate."""
    if not response.candidates:
        return ""
    return "".join(visible_text(part) for part in response.candidates[0].message.parts)
