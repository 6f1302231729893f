"""Owns the failures that an answer can end with, as CallFailure."""

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_provider_anthropic.codec.errors import refusal_in_stream
from antiphon_provider_anthropic.codec.scope import NAME


class Failures:
    """Makes the failures of one answer. `request_id` is the vendor's."""

    def __init__(self, model: str, request_id: str) -> None:
        self._model = model
        self._request_id = request_id

    def cut(self, how: str) -> CallFailure:
        """The answer ended before its end; `how`: by "eof" or by "message_stop"."""
        reason = Reason.ERROR_REASON_PROVIDER_ERROR if how == "eof" else Reason.ERROR_REASON_UPSTREAM_PROTOCOL
        return self._failure(reason, f"{how}_without_stop_reason", "its answer ended without a stop reason")

    def protocol(self, code: str, message: str) -> CallFailure:
        """The answer cannot be read."""
        return self._failure(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, code, message)

    def refused(self, payload: bytes) -> CallFailure:
        """The vendor sent an error as an event."""
        error = refusal_in_stream(payload, self._model)
        error.provider_request_id = error.provider_request_id or self._request_id
        return CallFailure(error)

    def _failure(self, reason: error_pb2.ErrorReason, code: str, message: str) -> CallFailure:
        return CallFailure(
            call_error(
                reason,
                f"{NAME}: {message}",
                provider=NAME,
                model=self._model,
                native_type="stream",
                native_code=code,
                provider_request_id=self._request_id,
            )
        )
