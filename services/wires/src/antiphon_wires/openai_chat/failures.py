"""Owns the failures that a stream of this wire can end with, as CallFailure."""

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_wires import classification
from antiphon_wires.openai_chat.dialect import Dialect


class Failures:
    """Makes the failures of one answer. `request_id` is the vendor's."""

    def __init__(self, dialect: Dialect, model: str, request_id: str) -> None:
        self._dialect = dialect
        self._model = model
        self._request_id = request_id

    def cut(self, how: str) -> CallFailure:
        """The answer ended before its end; `how`: by "eof" or by the end mark, "done"."""
        reason = Reason.ERROR_REASON_PROVIDER_ERROR if how == "eof" else Reason.ERROR_REASON_UPSTREAM_PROTOCOL
        return self._failure(reason, f"{how}_without_finish_reason", "its answer ended without a finish reason")

    def protocol(self, code: str, message: str) -> CallFailure:
        """The answer cannot be read."""
        return self._failure(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, code, message)

    def refused(self, payload: bytes) -> CallFailure:
        """The vendor sent an error instead of a chunk."""
        error = classification.classify_in_stream(
            self._dialect.name, payload, model=self._model, extra=self._dialect.errors
        )
        error.provider_request_id = error.provider_request_id or self._request_id
        return CallFailure(error)

    def _failure(self, reason: error_pb2.ErrorReason, code: str, message: str) -> CallFailure:
        name = self._dialect.name
        return CallFailure(
            call_error(
                reason,
                f"{name}: {message}",
                provider=name,
                model=self._model,
                native_type="stream",
                native_code=code,
                provider_request_id=self._request_id,
            )
        )
