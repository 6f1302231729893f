"""Owns the failures that a stream of this wire can end with, beyond those of every stream of the vendor."""

from typing import Final

from antiphon_contract.errors import CallFailure, Reason
from antiphon_wires.error_body import clean
from antiphon_wires.openai_chat import failures

_MAX_BODY_CHARS: Final = 2048
# What the caller can mend with the vendor's words: which image, which policy, how to go on.
_CALLERS: Final = frozenset({Reason.ERROR_REASON_CONTENT_BLOCKED, Reason.ERROR_REASON_INVALID_REQUEST})


class Failures(failures.Failures):
    """Makes the failures of one answer."""

    def failed(self, event: bytes, response: bytes = b"") -> CallFailure:
        """The vendor sent an error within its answer: an `error` event, or `response.failed` with a `response`."""
        failure = self.refused(response or event)
        if failure.error.reason in _CALLERS:
            failure.error.native_body = clean(event.decode("utf-8", "replace"), _MAX_BODY_CHARS).encode()
        return failure
