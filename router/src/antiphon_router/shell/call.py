"""Owns one call of a client across its attempts: ids, deadline, what is passed on, what it ends with.

opened ─> begin ─> attempt ─┬─> content: answered with the trailers of `served`
             ^              ├─> `attempt_failed`: the core says go on ──┐   or it says stop: raises Answer
             │              └─> `broken`, after content: begin anew? ───┤   or `answer_of` the attempt
             └──────────────────────────────────────────────────────────┘
"""

import math
from typing import Final, NoReturn

import grpc

from antiphon.llm.v1 import error_pb2, response_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import CODE_BY_NUMBER, RpcStatus, end_trailer, to_status
from antiphon_kit.telemetry import CallSpan
from antiphon_router.core import failover
from antiphon_router.core.failover import MAX_FAILURES, NEW_TURN, Attempt, Tried
from antiphon_router.core.faults import Failure
from antiphon_router.core.resolve import Refusal, Resolution
from antiphon_router.core.values import AfterContent
from antiphon_router.shell.ask import NONE, Wishes
from antiphon_router.shell.effects import has_effects
from antiphon_router.shell.failures import Wreck, failure_of, placed, refused
from antiphon_router.shell.record import failed_attempt, lost_attempt, plain_router_end, router_end
from antiphon_router.shell.replica_call import Pairs
from antiphon_router.shell.roster import Roster, Running
from antiphon_router.shell.wire import end_of, estimated_usage

Trailer = tuple[str, str | bytes]
Context = grpc.aio.ServicerContext[bytes, bytes]

DEADLINE_MARGIN_S: Final = 0.05
"""How much earlier than the caller's a call's own deadline is, so that the answer about it still arrives."""

_SILENT: Final = frozenset({"/antiphon.llm.v1.ChatService/CountTokens", "/antiphon.llm.v1.NativeService/CallNative"})
"""Whose answers never tell of limits, so that their saying nothing means nothing."""

_TUNNEL: Final = "/antiphon.llm.v1.NativeService/"


class Answer(Exception):
    """The call is over with this status; raised to the edge, the one place that ends calls."""

    def __init__(self, status: RpcStatus) -> None:
        super().__init__(status.code.name)
        self.status = status


class Call:
    """One call of a client.

    `own_id` names it to adapters, `request_id` is the caller's name for it (empty: the same); `left_s` is until its
    deadline. `after_content`: what was granted of the caller's wishes.
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
        wishes: Wishes = NONE,
    ) -> None:
        self._roster = roster
        self._span = span
        self._turn = NEW_TURN
        self._begun = 0
        self._wrecks: dict[int, Wreck] = {}
        self._started = roster.clock()
        self._deadline = self._started + left_s
        self._ask = wishes.ask
        self._native = method.startswith(_TUNNEL)
        self.resolution = resolution
        self.policy = resolution.policy
        self.after_content = AfterContent.FAIL
        if wishes.after_content in self.policy.after_content and "/Stream" in method and not self._native:
            self.after_content = wishes.after_content
        self.method = method
        self.own_id = own_id
        self.request_id = request_id or own_id
        self.headers_sent = False
        self.end = b""
        """The terminal record that the caller got, once it has one."""
        self.restarts = 0
        self.attempts: dict[int, response_pb2.Attempt] = {}
        """Those that ended without having served the call, by number."""

    def begin(self) -> Running:
        """The next attempt. Raises Answer where there is none."""
        left_s = math.inf if self._turn is NEW_TURN else self.left_s()
        running = self._roster.begin(self.resolution, self._turn, self._ask, left_s)
        if not isinstance(running, Running):
            self._end(failover.answer(self._turn.tried, running))
        return self._opened(running)

    def _opened(self, running: Running) -> Running:
        self._begun += 1
        if running.attempt.number != self._begun:
            # Attempts that lost a hedge have numbers too.
            running.attempt = running.attempt._replace(number=self._begun)
        running.span = self._span.start_attempt(self.method, running.attempt.candidate.backend.id)
        return running

    def hedge_delay_s(self, first: Running) -> float | None:
        """When a second attempt beside `first` is due, after its start; None: never."""
        if self.policy.hedge is None or self._turn is not NEW_TURN:
            return None
        return self._roster.hedge_delay_s(self.resolution, first.attempt, self._ask)

    def hedge(self, first: Running, request: bytes) -> Running | None:
        """The second attempt beside `first`; None: there is to be none."""
        if has_effects(self.method, request):
            return None
        running = self._roster.hedge(self.resolution, self._turn, first.attempt, self._ask, self.left_s())
        return None if running is None else self._opened(running)

    def elapsed_s(self) -> float:
        """Since the call arrived."""
        return self._roster.clock() - self._started

    def left_s(self) -> float:
        """Until the deadline."""
        return self._deadline - self._roster.clock()

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The response headers. Nothing about the backend is in them."""
        headers = ((metadata.CONTRACT, metadata.CONTRACT_VERSION), (metadata.REQUEST_ID, self.request_id))
        if self.after_content is AfterContent.FAIL:
            return headers
        return (*headers, (metadata.AFTER_CONTENT, self.after_content.lower()))

    def outgoing(self, running: Running) -> Pairs:
        """Metadata for the adapter. Nothing of the caller's but its trace and request id is passed on."""
        attempt = running.attempt
        pairs = (
            (metadata.MODEL_NATIVE, attempt.candidate.model),
            (metadata.ATTEMPT, f"{attempt.number}/{self._most(attempt) if self._native else MAX_FAILURES}"),
            (metadata.ATTEMPT_ID, f"{self.own_id}-{attempt.number}"),
            (metadata.REQUEST_ID, self.request_id),
            *(running.span or self._span).propagation(),
        )
        limit_s = self.policy.first_content_timeout_s
        if limit_s is None:
            return pairs
        return (*pairs, (metadata.FIRST_CONTENT, str(round(limit_s * 1000))))

    def _most(self, attempt: Attempt) -> int:
        """The number of the last attempt there can be: what that ends in, an adapter of native calls passes on."""
        has_other = self._roster.has_other(self.resolution, self._turn, attempt, self._ask)
        return MAX_FAILURES if has_other else attempt.number

    def served(self, running: Running, end: bytes, first_content_s: float | None = None) -> tuple[Trailer, ...]:
        """The trailers of an answer. `end`: the adapter's record as received."""
        attempt = running.attempt
        self.end = running.end = end
        if running.headroom or (running.headroom is not None and self._roster.fleet.quotas):
            self._limits_told(running, running.headroom)
        _end_span(running, grpc.StatusCode.OK)
        if self.attempts or first_content_s is not None:
            record = self._record(attempt, first_content_s)
        else:
            record = plain_router_end(attempt.candidate.backend.id)
        # Not in the headers: for a unary call those would take a message of their own.
        mine = (
            (metadata.ROUTER_END, record),
            (metadata.BACKEND, attempt.candidate.backend.id),
            (metadata.REQUEST_ID, self.request_id),
        )
        return ((metadata.END, end), *mine) if end else mine

    def _limits_told(self, running: Running, headroom: str) -> None:
        if headroom or self.method not in _SILENT:
            self._roster.limits_told(running.attempt, headroom, running.started)

    def _record(self, final: Attempt | None, first_content_s: float | None = None) -> bytes:
        attempts = [record for number, record in sorted(self.attempts.items()) if not final or number != final.number]
        return router_end(attempts, final, self.elapsed_s(), first_content_s, restarts=self.restarts)

    def close_attempt(self, running: Running) -> None:
        """Nothing of the attempt runs any more, however it ended; to be called after its outcome is told."""
        running.close()
        _end_span(running, grpc.StatusCode.CANCELLED)

    def lost(self, running: Running, winner: Running) -> None:
        """`winner` had content first; `running` is about to be closed."""
        number = running.attempt.number
        usage = estimated_usage(running.size)
        self.attempts[number] = lost_attempt(running.attempt, winner.attempt, running.elapsed_s(), usage)
        self._turn = failover.outrun(self._turn, running.attempt)

    def note(self, running: Running, wreck: Wreck) -> Failure:
        """The attempt failed while another one still runs."""
        failure = self._noted(running, wreck)
        self._turn = failover.failed(self._turn, running.attempt, failure)
        return failure

    def attempt_failed(self, running: Running, wreck: Wreck) -> None:
        """It failed before content: returns if the call goes on with another attempt, else raises Answer."""
        self.note(running, wreck)
        resolution = self.resolution
        stop = failover.stop(
            self._turn,
            committed=False,
            by_route=resolution.by_route,
            left_s=self.left_s(),
            has_larger=resolution.has_larger,
        )
        if stop is not None or not self._roster.may_retry(self._turn):
            self._end(failover.answer(self._turn.tried))

    def broken(self, running: Running, wreck: Wreck, *, delivered_tools: bool) -> bool:
        """It failed after content: whether the call begins anew, by what its caller asked for and was granted."""
        failure = self._noted(running, wreck)
        decided = failover.after_content(
            self._turn,
            failure,
            self.policy,
            asked=self.after_content,
            delivered_tools=delivered_tools,
            left_s=self.left_s(),
        )
        elsewhere = self._roster.has_other(self.resolution, self._turn, running.attempt, self._ask)
        self._turn = failover.restarted(self._turn, running.attempt, failure, elsewhere=elsewhere)
        return decided is AfterContent.RESTART and self._roster.may_retry()

    def _noted(self, running: Running, wreck: Wreck) -> Failure:
        attempt, elapsed_s = running.attempt, running.elapsed_s()
        error = placed(wreck.error, attempt)
        failure = failure_of(wreck, elapsed_s)
        running.end = wreck.end
        running.failed(failure, error)
        _end_span(running, CODE_BY_NUMBER[error.code])
        self._wrecks[attempt.number] = wreck
        self.attempts[attempt.number] = failed_attempt(attempt, error, elapsed_s, wreck.end)
        return failure

    def give_up(self) -> NoReturn:
        """No attempt follows those that failed. Raises Answer."""
        self._end(failover.answer(self._turn.tried))

    def _end(self, last: Tried | Refusal) -> NoReturn:
        if isinstance(last, Refusal):
            raise Answer(self.status(refused(last).error))
        raise self.answer_of(last.attempt)

    def answer_of(self, attempt: Attempt) -> Answer:
        """The end of a call that is told as `attempt`, which failed, ended."""
        wreck = self._wrecks[attempt.number]
        return Answer(self.status(wreck.error, end=wreck.end, final=attempt))

    def status(self, error: error_pb2.CallError, *, end: bytes = b"", final: Attempt | None = None) -> RpcStatus:
        """The status of this call for `error`, with everything that its trailers carry.

        Status and adapter's record tell of the attempt that ended the call; it is not counted twice.
        """
        self.end = end
        extra: list[Trailer] = [
            (metadata.END, end) if end else end_trailer(end_of(error)),
            (metadata.ROUTER_END, self._record(final)),
            (metadata.REQUEST_ID, self.request_id),
        ]
        if final is not None:
            extra.append((metadata.BACKEND, final.candidate.backend.id))
        return to_status(error, *extra)


def _end_span(running: Running, code: grpc.StatusCode) -> None:
    if running.span is not None:
        running.span.finish(None, code)
        running.span = None
