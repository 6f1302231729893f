"""Owns what the router adds to a call's record: attempts that did not serve it, who did, and its own timing."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from google.protobuf.message import DecodeError

from antiphon.llm.v1 import error_pb2, response_pb2, usage_pb2
from antiphon_contract.errors import Reason, call_error
from antiphon_contract.metadata import MAX_ROUTER_END_BYTES
from antiphon_kit.recorder import set_duration
from antiphon_router.core.failover import Attempt

MAX_MESSAGE_CHARS: Final = 100


def failed_attempt(
    attempt: Attempt, error: error_pb2.CallError, elapsed_s: float, end: bytes = b""
) -> response_pb2.Attempt:
    """The record of one failed attempt, without native data. `end`: the record that its adapter wrote, if it did."""
    record = response_pb2.Attempt(
        number=attempt.number,
        backend=attempt.candidate.backend.id,
        provider=attempt.candidate.backend.provider,
        model=attempt.candidate.model,
        error=error,
    )
    set_duration(record.duration, elapsed_s)
    record.error.native_body = b""
    if end:
        _account(record, end)
    return record


def _account(record: response_pb2.Attempt, end: bytes) -> None:
    try:
        told = response_pb2.ResponseEnd.FromString(end)
    except DecodeError:
        return
    record.response_id = told.response_id
    if told.usage.HasField("input_tokens") or told.usage.HasField("output_tokens"):
        record.usage.CopyFrom(told.usage)
        record.usage.native_json = ""
    if told.HasField("cost"):
        record.cost.CopyFrom(told.cost)


def lost_attempt(attempt: Attempt, winner: Attempt, elapsed_s: float, usage: usage_pb2.Usage) -> response_pb2.Attempt:
    """The record of an attempt that another one was faster than. What it used is estimated: nobody waited to hear."""
    message = f"attempt {winner.number} was faster; this one was cancelled"
    error = call_error(Reason.ERROR_REASON_CANCELLED, message, native_code="hedge")
    error.backend = attempt.candidate.backend.id
    error.attempt = attempt.number
    record = failed_attempt(attempt, error, elapsed_s)
    record.usage.CopyFrom(usage)
    return record


@lru_cache(maxsize=1024)
def plain_router_end(backend: str) -> bytes:
    """The record of a whole answer at the first attempt. Of its timing the adapter's record has all that matters."""
    return response_pb2.RouterEnd(final_attempt=1, backend=backend).SerializeToString()


def router_end(
    attempts: Sequence[response_pb2.Attempt],
    final: Attempt | None,
    total_s: float,
    first_content_s: float | None = None,
    *,
    restarts: int = 0,
) -> bytes:
    """The record as bytes within its budget: long messages go first, then limits and details, then whole attempts."""
    end = response_pb2.RouterEnd(restarts=restarts)
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
        _shorten(attempt)
    while len(packed := end.SerializeToString()) > MAX_ROUTER_END_BYTES:
        del end.attempts[0]
    return packed


def _shorten(attempt: response_pb2.Attempt) -> None:
    """Leave of `attempt` what it is accounted and understood by."""
    attempt.error.message = attempt.error.message[:MAX_MESSAGE_CHARS]
    del attempt.error.rate_limits[:]
    if attempt.HasField("usage"):
        told, usage = attempt.usage, usage_pb2.Usage(source=attempt.usage.source)
        for name in ("input_tokens", "output_tokens"):
            if told.HasField(name):
                setattr(usage, name, getattr(told, name))
        attempt.usage.CopyFrom(usage)
