"""Owns the edge of every RPC: admission, ids, the terminal record, and that nothing but a status leaves.

Whatever a handler raises ends here, as status, details and record in one. A cancelled RPC is raised on after its
record was written; a CancelledError that nobody asked for is an error like any other, because one that escapes
leaves the client waiting for ever (grpc/grpc issue 29248).
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

import grpc

from antiphon.llm.v1 import error_pb2, response_pb2, usage_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import (
    CODE_BY_NUMBER,
    CallFailure,
    Reason,
    call_error,
    end_trailer,
    failure,
    reason_name,
    to_status,
)
from antiphon_kit.admission import Admission
from antiphon_kit.provider import Job
from antiphon_kit.recorder import outcome_of, set_duration
from antiphon_kit.telemetry import CallSpan, Telemetry

log = logging.getLogger(__name__)

T = TypeVar("T")
Context = grpc.aio.ServicerContext[bytes, bytes]

_ATTEMPT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REQUEST_ID: Final = re.compile(rf"[\x21-\x7e]{{1,{metadata.MAX_REQUEST_ID_CHARS}}}")
_CONTRACT: Final = (metadata.CONTRACT, metadata.CONTRACT_VERSION)
_OUTCOME_PREFIX: Final = "OUTCOME_"
_SOURCE_PREFIX: Final = "SOURCE_"


class Record(Protocol):
    """What a recorder knows of the answer when the call ends."""

    events: int

    @property
    def time_to_first_content_s(self) -> float | None:
        """None: there was none."""
        ...

    def end(self, error: error_pb2.CallError | None, *, event_count: int, total_s: float) -> response_pb2.ResponseEnd:
        """The terminal record."""
        ...

    def headroom(self) -> str:
        """What a router is told of the vendor's limits, see antiphon_contract.headroom; empty: nothing."""
        ...


class Call:
    """One RPC from its arrival to its record."""

    def __init__(self, method: str, context: Context, provider: str, telemetry: Telemetry) -> None:
        self.context = context
        self.method = method
        self.provider = provider
        self.started = time.monotonic()
        received = context.invocation_metadata() or ()
        self.metadata: Mapping[str, str | bytes] = dict(received)
        self.span: CallSpan = telemetry.start_call(method, received)
        self.request_id = ""
        self.response_id = ""
        self.labels: Mapping[str, str] = {}
        self.recorder: Record | None = None
        self.job: Job[Any] | None = None
        self.end: response_pb2.ResponseEnd | None = None
        self._routed = metadata.ATTEMPT_ID in self.metadata
        self._echo = metadata.REQUEST_ID in self.metadata and not self._routed
        self._headers_sent = False

    def identify(self, instance: str) -> None:
        """Take the ids from the metadata or make them. Raises CallFailure for ids that cannot be used."""
        attempt_id = self.metadata.get(metadata.ATTEMPT_ID) or secrets.token_hex(8)
        self.request_id = request_id = str(self.metadata.get(metadata.REQUEST_ID) or attempt_id)
        if not isinstance(attempt_id, str) or not _ATTEMPT_ID.fullmatch(attempt_id):
            raise _bad_metadata(metadata.ATTEMPT_ID, "use 1 to 64 letters, digits, '_' or '-'")
        self.response_id = f"{instance}.{attempt_id}"
        if not _REQUEST_ID.fullmatch(request_id):
            self.request_id = attempt_id
            raise _bad_metadata(metadata.REQUEST_ID, "use 1 to 128 printable ASCII characters without spaces")

    async def send_headers(self) -> None:
        """Send the response headers, once; to be called with the first message in hand, never before.

        They are a write of their own, which costs a quarter of a unary call (measured, grpcio 1.85). So they go only
        to a caller that sent a request id to be echoed; a router, known by its attempt id, echoes by itself. The
        contract version is in the trailers for everybody.
        """
        if self._echo and not self._headers_sent:
            self._headers_sent = True
            await self.context.send_initial_metadata((_CONTRACT, (metadata.REQUEST_ID, self.request_id)))

    def finish(
        self, error: error_pb2.CallError | None, *, numbered: bool = False, code: grpc.StatusCode | None = None
    ) -> response_pb2.ResponseEnd:
        """Write the record, once: log it and hand it to telemetry.

        `numbered`: it is sent as the `end` of a stream. `code`: the status of the RPC, if not that of `error`.
        """
        if self.end is not None:
            return self.end
        total_s = time.monotonic() - self.started
        if self.recorder is not None:
            event_count = self.recorder.events + 1 if numbered else 0
            self.end = end = self.recorder.end(error, event_count=event_count, total_s=total_s)
        else:
            self.end = end = response_pb2.ResponseEnd(
                outcome=outcome_of(error, response_pb2.ResponseEnd.OUTCOME_COMPLETED),
                error=error,
                response_id=self.response_id,
                provider=self.provider,
            )
            set_duration(end.timing.total_duration, total_s)
        if code is None:
            code = grpc.StatusCode.OK if error is None else CODE_BY_NUMBER[error.code]
        for name, value in (key := self._key()).items():
            self.span.attribute(f"antiphon.{name}", value)
        self._log(end, code, total_s, key)
        self.span.finish(end, code)
        return end

    def trailers(self) -> tuple[tuple[str, str | bytes], ...]:
        """Of an answer; writes the record."""
        trailers = (end_trailer(self.finish(None)), _CONTRACT)
        # Only a router has another place to go.
        if not self._routed or self.recorder is None or not (headroom := self.recorder.headroom()):
            return trailers
        return (*trailers, (metadata.HEADROOM, headroom))

    def _key(self) -> dict[str, str | int]:
        """Which key was used, for log and trace. Callers are not told: that is the operator's business."""
        key = None if self.job is None else self.job.key
        if key is None or not key.fingerprint:
            return {}
        return {"key_slot": key.slot, "key_version": key.number, "key_fingerprint": key.fingerprint}

    def _log(
        self, end: response_pb2.ResponseEnd, code: grpc.StatusCode, total_s: float, key: Mapping[str, str | int]
    ) -> None:
        # A healthy call is worth a line to who asks for it; writing one costs as much as carrying out the call.
        level = logging.INFO if end.HasField("error") else logging.DEBUG
        if not log.isEnabledFor(level):
            return
        fields: dict[str, object] = {
            "method": self.method,
            "provider": end.provider,
            "model": end.model,
            "outcome": response_pb2.ResponseEnd.Outcome.Name(end.outcome).removeprefix(_OUTCOME_PREFIX),
            "code": code.name,
            "duration_s": round(total_s, 6),
            "request_id": self.request_id,
            "response_id": end.response_id,
            **key,
        }
        if end.HasField("error"):
            fields["reason"] = reason_name(end.error.reason)
            fields["detail"] = end.error.message
        if end.HasField("usage"):
            usage = end.usage
            fields["input_tokens"] = usage.input_tokens if usage.HasField("input_tokens") else None
            fields["output_tokens"] = usage.output_tokens if usage.HasField("output_tokens") else None
            fields["usage_source"] = usage_pb2.Usage.Source.Name(usage.source).removeprefix(_SOURCE_PREFIX)
        if self.recorder is not None and (first_s := self.recorder.time_to_first_content_s) is not None:
            fields["time_to_first_content_s"] = round(first_s, 6)
        if self.labels:
            fields["labels"] = dict(self.labels)
        log.log(level, "call", extra=fields)

    def time_left_s(self) -> float | None:
        """Until the caller's deadline, in seconds; None without one, which the stubs do not know."""
        return self.context.time_remaining()

    def unexpected(self, raised: BaseException) -> error_pb2.CallError:
        """The error for a bug: tells the caller nothing but an id under which the log tells all."""
        log.error(
            "internal_error",
            exc_info=(type(raised), raised, raised.__traceback__),
            extra={"method": self.method, "request_id": self.request_id},
        )
        return call_error(
            Reason.ERROR_REASON_GATEWAY_INTERNAL,
            f"the service failed to carry out the call; tell its operator the request id {self.request_id}",
        )

    def abandoned(self) -> error_pb2.CallError:
        """The error of an RPC that its caller ended, by cancel or by deadline."""
        remaining_s = self.time_left_s()
        if remaining_s is not None and remaining_s <= 0:
            return call_error(Reason.ERROR_REASON_DEADLINE_EXCEEDED, "the caller's deadline passed")
        return call_error(Reason.ERROR_REASON_CANCELLED, "the caller cancelled the call")


def _bad_metadata(key: str, remedy: str) -> CallFailure:
    return failure(Reason.ERROR_REASON_INVALID_REQUEST, f"metadata {key}: not usable; {remedy}", param=key)


class Edge:
    """What all RPCs of one process share on their way in and out."""

    def __init__(self, provider: str, admission: Admission, telemetry: Telemetry) -> None:
        self._provider = provider
        self._admission = admission
        self._telemetry = telemetry
        self._instance = secrets.token_hex(6)
        self._idle = asyncio.Event()
        self._idle.set()
        self._open = 0

    @property
    def instance(self) -> str:
        """Id of this process; response ids begin with it."""
        return self._instance

    async def idle(self) -> None:
        """Wait until no handler runs."""
        await self._idle.wait()

    async def answer(
        self, method: str, data: bytes, context: Context, work: Callable[[Call, bytes], Awaitable[T]]
    ) -> T:
        """Run `work` as one call. It raises CallFailure for what the caller is to be told."""
        call = Call(method, context, self._provider, self._telemetry)
        error: error_pb2.CallError | None = None
        self._open += 1
        self._idle.clear()
        try:
            with self._admission.slot(len(data)):
                call.identify(self._instance)
                result = await work(call, data)
            context.set_trailing_metadata(call.trailers())
            return result  # noqa: TRY300 - the record belongs to what may fail
        except CallFailure as raised:
            error = raised.error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                error = call.abandoned()
                raise
            error = call_error(
                Reason.ERROR_REASON_PROVIDER_ERROR, "the call was cancelled inside the service; try again"
            )
        except Exception as raised:  # noqa: BLE001 - the servicer's edge: nothing but a status leaves
            error = call.unexpected(raised)
        finally:
            call.finish(error)
            self._open -= 1
            if not self._open:
                self._idle.set()
        return await context.abort_with_status(to_status(error, end_trailer(call.finish(error)), _CONTRACT))
