"""Owns one call of a client across its attempts: ids, deadline, what is passed on, what it ends with.

opened ─> begin ─> attempt ─┬─> content: answered with the trailers of `served`
             ^              └─> `attempt_failed`: the core says go on ──┐   or it says stop: raises Answer
             └──────────────────────────────────────────────────────────┘
"""

from collections.abc import Sequence
from typing import Final, NoReturn

import grpc

from antiphon.llm.v1 import error_pb2, response_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import CODE_BY_NUMBER, RpcStatus, end_trailer, to_status
from antiphon_kit.telemetry import CallSpan
from antiphon_router.core import failover
from antiphon_router.core.failover import MAX_FAILURES, NEW_TURN, Attempt, Stop, Tried
from antiphon_router.core.resolve import Refusal, Resolution
from antiphon_router.shell.failures import Wreck, failure_of, placed, refused
from antiphon_router.shell.record import failed_attempt, plain_router_end, router_end
from antiphon_router.shell.roster import Roster, Running
from antiphon_router.shell.wire import end_of

Trailer = tuple[str, str | bytes]
Context = grpc.aio.ServicerContext[bytes, bytes]

DEADLINE_MARGIN_S: Final = 0.05
"""How much earlier than the caller's a call's own deadline is, so that the answer about it still arrives."""


class Answer(Exception):
    """The call is over with this status; raised to the edge, the one place that ends calls."""

    def __init__(self, status: RpcStatus) -> None:
        super().__init__(status.code.name)
        self.status = status


class Call:
    """One call of a client.

    `own_id` names it to adapters, `request_id` is the caller's name for it (empty: the same); `left_s` is until its
    deadline.
    """

    def __init__(
        self,
        roster: Roster,
        resolution: Resolution,
        *,
        method: str,
        own_id: str,
        request_id: str,
        left_s: float,
        span: CallSpan,
    ) -> None:
        self._roster = roster
        self._span = span
        self._attempt_span: CallSpan | None = None
        self._turn = NEW_TURN
        self._wrecks: list[Wreck] = []
        self._started = roster.clock()
        self._deadline = self._started + left_s
        self.resolution = resolution
        self.method = method
        self._id = own_id
        self.request_id = request_id or own_id
        self.headers_sent = False
        self.attempts: list[response_pb2.Attempt] = []
        """The failed ones so far."""

    def begin(self) -> Running:
        """The next attempt. Raises Answer where there is none."""
        running = self._roster.begin(self.resolution, self._turn)
        if not isinstance(running, Running):
            self._end(failover.answer(self._turn.tried, running))
        self._attempt_span = self._span.start_attempt(self.method, running.attempt.candidate.backend.id)
        return running

    def elapsed_s(self) -> float:
        """Since the call arrived."""
        return self._roster.clock() - self._started

    def left_s(self) -> float:
        """Until the deadline."""
        return self._deadline - self._roster.clock()

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The response headers. Nothing about the backend is in them."""
        return ((metadata.CONTRACT, metadata.CONTRACT_VERSION), (metadata.REQUEST_ID, self.request_id))

    def outgoing(self, attempt: Attempt) -> Sequence[tuple[str, str]]:
        """Metadata for the adapter. Nothing of the caller's but its trace and request id is passed on."""
        return (
            (metadata.MODEL_NATIVE, attempt.candidate.model),
            (metadata.ATTEMPT, f"{attempt.number}/{MAX_FAILURES}"),
            (metadata.ATTEMPT_ID, f"{self._id}-{attempt.number}"),
            (metadata.REQUEST_ID, self.request_id),
            *(self._attempt_span or self._span).propagation(),
        )

    def served(self, attempt: Attempt, end: bytes, first_content_s: float | None = None) -> tuple[Trailer, ...]:
        """The trailers of an answer. `end`: the adapter's record as received."""
        self._end_attempt(grpc.StatusCode.OK)
        if self.attempts or first_content_s is not None:
            record = router_end(self.attempts, attempt, self._roster.clock() - self._started, first_content_s)
        else:
            record = plain_router_end(attempt.candidate.backend.id)
        # Not in the headers: for a unary call those would take a message of their own.
        mine = (
            (metadata.ROUTER_END, record),
            (metadata.BACKEND, attempt.candidate.backend.id),
            (metadata.REQUEST_ID, self.request_id),
        )
        return ((metadata.END, end), *mine) if end else mine

    def close_attempt(self, running: Running) -> None:
        """Nothing of the attempt runs any more, however it ended; to be called after its outcome is told."""
        running.close()
        self._end_attempt(grpc.StatusCode.CANCELLED)

    def _end_attempt(self, code: grpc.StatusCode) -> None:
        if self._attempt_span is not None:
            self._attempt_span.finish(None, code)
            self._attempt_span = None

    def attempt_failed(self, running: Running, wreck: Wreck, *, committed: bool = False) -> None:
        """Returns if the call goes on with another attempt, else raises Answer."""
        attempt, elapsed_s = running.attempt, running.elapsed_s()
        error = placed(wreck.error, attempt)
        failure = failure_of(wreck, elapsed_s)
        running.failed(failure, error)
        self._end_attempt(CODE_BY_NUMBER[error.code])
        self._turn = failover.failed(self._turn, attempt, failure)
        self._wrecks.append(wreck)
        self.attempts.append(failed_attempt(attempt, error, elapsed_s))
        by_route = self.resolution.by_route
        stop = failover.stop(self._turn, committed=committed, by_route=by_route, left_s=self.left_s())
        if stop is Stop.COMMITTED:
            self._end(self._turn.tried[-1])
        if stop is not None or not self._roster.may_retry():
            self._end(failover.answer(self._turn.tried))

    def _end(self, last: Tried | Refusal) -> NoReturn:
        if isinstance(last, Refusal):
            raise Answer(self.status(refused(last).error))
        number = last.attempt.number
        wreck = self._wrecks[number - 1]
        # The status and the adapter's record tell of the attempt that ended the call; it is not counted twice.
        del self.attempts[number - 1]
        raise Answer(self.status(wreck.error, end=wreck.end, final=last.attempt))

    def status(self, error: error_pb2.CallError, *, end: bytes = b"", final: Attempt | None = None) -> RpcStatus:
        """The status of this call for `error`, with everything that its trailers carry."""
        record = router_end(self.attempts, final, self._roster.clock() - self._started)
        extra: list[Trailer] = [
            (metadata.END, end) if end else end_trailer(end_of(error)),
            (metadata.ROUTER_END, record),
            (metadata.REQUEST_ID, self.request_id),
        ]
        if final is not None:
            extra.append((metadata.BACKEND, final.candidate.backend.id))
        return to_status(error, *extra)
