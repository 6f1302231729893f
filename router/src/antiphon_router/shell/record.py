"""Owns what the router adds to a call's record: its failed attempts, who served it, and the router's own timing."""

from functools import lru_cache
from typing import Final

from antiphon.llm.v1 import error_pb2, response_pb2
from antiphon_contract.metadata import MAX_ROUTER_END_BYTES
from antiphon_kit.recorder import set_duration
from antiphon_router.core.failover import Attempt

MAX_MESSAGE_CHARS: Final = 100


def failed_attempt(attempt: Attempt, error: error_pb2.CallError, elapsed_s: float) -> response_pb2.Attempt:
    """The record of one failed attempt, without native data."""
    record = response_pb2.Attempt(
        number=attempt.number,
        backend=attempt.candidate.backend.id,
        provider=attempt.candidate.backend.provider,
        model=attempt.candidate.model,
        error=error,
    )
    set_duration(record.duration, elapsed_s)
    record.error.native_body = b""
    return record


@lru_cache(maxsize=1024)
def plain_router_end(backend: str) -> bytes:
    """The record of a whole answer at the first attempt. Of its timing the adapter's record has all that matters."""
    return response_pb2.RouterEnd(final_attempt=1, backend=backend).SerializeToString()


def router_end(
    attempts: list[response_pb2.Attempt], final: Attempt | None, total_s: float, first_content_s: float | None = None
) -> bytes:
    """The record as bytes within its budget: long messages go first, then limits, then whole attempts."""
    end = response_pb2.RouterEnd()
    if final is not None:
        end.final_attempt = final.number
        end.backend = final.candidate.backend.id
    set_duration(end.timing.total_duration, total_s)
    if first_content_s is not None:
        set_duration(end.timing.time_to_first_content, first_content_s)
    if not attempts:
        return end.SerializeToString()
    end.attempts.extend(attempts)
    packed = end.SerializeToString()
    if len(packed) <= MAX_ROUTER_END_BYTES:
        return packed
    for attempt in end.attempts:
        attempt.error.message = attempt.error.message[:MAX_MESSAGE_CHARS]
        del attempt.error.rate_limits[:]
    while len(packed := end.SerializeToString()) > MAX_ROUTER_END_BYTES:
        del end.attempts[0]
    return packed
