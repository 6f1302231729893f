"""Owns antiphon.router.v1.KeyUseService: what this process tells of its keys, once a second at most.

Forbids itself: keys. What goes out is numbers, times and fingerprints.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from antiphon.router.v1 import health_pb2, keys_pb2
from antiphon_contract.errors import Reason, call_error
from antiphon_kit.key_ring import KeyRing, Problem
from antiphon_kit.key_versions import KeySlot, KeyVersion, Stage

SERVICE: Final = keys_pb2.DESCRIPTOR.services_by_name["KeyUseService"].full_name
EVERY_S: Final = 1.0
STAGES_EVERY_S: Final = 0.2
"""A stage that changed is told sooner than counts and times: others are to stop using a refused candidate."""
_Context = grpc.aio.ServicerContext[bytes, bytes]

_WHY: Final[dict[int, health_pb2.HealthReason]] = {
    Reason.ERROR_REASON_PROVIDER_CREDENTIALS: health_pb2.HEALTH_REASON_AUTH,
    Reason.ERROR_REASON_QUOTA_EXHAUSTED: health_pb2.HEALTH_REASON_BILLING,
    Reason.ERROR_REASON_RATE_LIMITED: health_pb2.HEALTH_REASON_RATE_LIMIT,
    Reason.ERROR_REASON_MODEL_NOT_FOUND: health_pb2.HEALTH_REASON_PERMISSION,
}


class KeyUseServicer:
    """The keys of one process. `instance`: its id. `stop()` ends the watches, because a server waits for them."""

    def __init__(self, ring: KeyRing | None, instance: str, *, every_s: float = EVERY_S) -> None:
        self._ring = ring
        self._instance = instance
        self._every_s = every_s
        self._stopping = asyncio.Event()

    def handler(self) -> grpc.GenericRpcHandler:
        """What to register with a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "WatchKeyUse": grpc.unary_stream_rpc_method_handler(self._watch),
                "RefreshKeys": grpc.unary_unary_rpc_method_handler(self._refresh),
            },
        )

    def stop(self) -> None:
        """End what runs."""
        self._stopping.set()

    async def _watch(self, data: bytes, context: _Context) -> None:
        told: bytes | None = None
        stages: list[tuple[int, Stage]] | None = None
        due_s = 0.0
        while not self._stopping.is_set():
            now_s = time.monotonic()
            if now_s >= due_s or self._stages() != stages:
                stages, due_s = self._stages(), now_s + self._every_s
                state = self.state()
                known = _without_age(state)
                if known != told:
                    told = known
                    await context.write(state.SerializeToString())
            try:
                async with asyncio.timeout(min(self._every_s, STAGES_EVERY_S)):
                    await self._stopping.wait()
            except TimeoutError:
                continue
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the service is stopping")

    async def _refresh(self, data: bytes, context: _Context) -> bytes:
        if self._ring is not None:
            await self._ring.poll()
        state = self.state()
        return keys_pb2.RefreshKeysResponse(uses=state.uses, problems=state.problems).SerializeToString()

    def _stages(self) -> list[tuple[int, Stage]]:
        slots = self._ring.slots if self._ring is not None else ()
        return [(each.number, each.stage) for slot in slots for each in slot.versions]

    def state(self) -> keys_pb2.WatchKeyUseResponse:
        """All there is to tell now."""
        if self._ring is None:
            return keys_pb2.WatchKeyUseResponse()
        now_s = self._ring.now_s()
        return keys_pb2.WatchKeyUseResponse(
            uses=[_use(slot, version, self._instance, now_s) for slot in self._ring.slots for version in slot.versions],
            problems=[_problem(each) for each in self._ring.problems],
        )


def _without_age(state: keys_pb2.WatchKeyUseResponse) -> bytes:
    """What of `state` is worth a message of its own."""
    bare = keys_pb2.WatchKeyUseResponse.FromString(state.SerializeToString())
    for use in bare.uses:
        use.ClearField("staleness")
    return bare.SerializeToString()


def _use(slot: KeySlot, version: KeyVersion, instance: str, now_s: float) -> keys_pb2.KeyUse:
    use = keys_pb2.KeyUse(
        instance=instance,
        slot=slot.name,
        version=version.number,
        fingerprint=version.fingerprint,
        in_flight=version.in_flight,
        load_time=_time(version.load_time_s),
        last_success_time=_time(version.success_time_s),
        last_use_time=_time(version.use_time_s),
        check_time=_time(version.check_time_s),
        calls=version.calls,
        successes=version.successes,
        status=version.stage.value,  # type: ignore[arg-type]
        targets=_targets(slot, version, now_s),
    )
    use.staleness.FromNanoseconds(int(slot.staleness_s(now_s) * 1e9))
    return use


def _targets(slot: KeySlot, version: KeyVersion, now_s: float) -> Sequence[health_pb2.Target]:
    name = f"{slot.name}/{version.number}"
    target = health_pb2.Target(
        scope=health_pb2.SCOPE_KEY,
        id=name,
        state=health_pb2.HEALTH_STATE_HEALTHY,
        in_flight=version.in_flight,
        since_time=_time(version.stage_time_s),
    )
    if version.stage in (Stage.BAD, Stage.REVOKED):
        target.state = health_pb2.HEALTH_STATE_DISABLED
        target.reason = health_pb2.HEALTH_REASON_REVOKED
    if (refusal := version.refusal) is not None:
        limited = refusal.reason == Reason.ERROR_REASON_RATE_LIMITED
        target.state = health_pb2.HEALTH_STATE_RATE_LIMITED if limited else health_pb2.HEALTH_STATE_DISABLED
        target.reason = _WHY.get(refusal.reason, health_pb2.HEALTH_REASON_AUTH)
        message = "the provider did not take this version of the key"
        target.MergeFrom(
            health_pb2.Target(
                since_time=_time(refusal.since_s),
                last_error_time=_time(refusal.since_s),
                last_error=call_error(refusal.reason, message, http_status=refusal.http_status),
                next_try_time=None if version.stage is Stage.BAD else _time(time.time() + refusal.until_s - now_s),
            )
        )
    doubts = [
        health_pb2.Target(
            scope=health_pb2.SCOPE_KEY_MODEL,
            id=f"{name}/{model}",
            state=health_pb2.HEALTH_STATE_DISABLED,
            reason=health_pb2.HEALTH_REASON_PERMISSION,
        )
        for model in sorted(version.doubted)
    ]
    return [target, *doubts]


def _problem(problem: Problem) -> keys_pb2.KeyProblem:
    return keys_pb2.KeyProblem(
        slot=problem.slot,
        version=problem.version,
        rule=problem.rule,
        message=problem.message,
        since_time=_time(problem.since_s),
    )


def _time(wall_s: float) -> Timestamp | None:
    """None for never."""
    if not wall_s:
        return None
    stamp = Timestamp()
    stamp.FromNanoseconds(int(wall_s * 1e9))
    return stamp
