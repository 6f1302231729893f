"""Owns the rules that hold for every call, whatever it was about: grammar, record, status, trailers, budgets.

So each case states only what is particular to it.
"""

import grpc

from antiphon.llm.v1 import response_pb2, usage_pb2
from antiphon_conformance import grammar, names
from antiphon_conformance.outcome import Outcome, Target

_LOCAL = frozenset({grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})
_End = response_pb2.ResponseEnd
MAX_MESSAGE_CHARS = 2048


def judge(outcome: Outcome, target: Target) -> None:
    """Raises AssertionError with every complaint."""
    wrong = complaints(outcome, target)
    assert not wrong, "; ".join(wrong) + f" | {outcome.code.name} {outcome.message!r} {outcome.raw[-3:]}"


def complaints(outcome: Outcome, target: Target) -> list[str]:
    # When the caller's own limit ends a call, nothing that the service sends can be relied on to arrive.
    local = outcome.code in _LOCAL and not outcome.binary(names.DETAILS)
    wrong = []
    if outcome.streamed:
        wrong += grammar.complaints(outcome.raw, cut=local)
    if local:
        return wrong
    wrong += _trailers(outcome) + _record(outcome)
    wrong += _success(outcome) if outcome.ok else _failure(outcome)
    if target.routed and outcome.ok and not any(key == names.BACKEND for key, _ in outcome.trailers):
        wrong.append(f"a router did not tell its {names.BACKEND}")
    return wrong


def _trailers(outcome: Outcome) -> list[str]:
    wrong = []
    total = sum(len(key) + len(value) for key, value in outcome.trailers)
    if total > names.MAX_TRAILER_BYTES:
        wrong.append(f"{total} bytes of trailers")
    for name, limit in (
        (names.DETAILS, names.MAX_DETAILS_BYTES),
        (names.END, names.MAX_END_BYTES),
        (names.ROUTER_END, names.MAX_ROUTER_END_BYTES),
    ):
        if len(outcome.binary(name) or b"") > limit:
            wrong.append(f"{name} is over its budget of {limit} bytes")
    return wrong


def _record(outcome: Outcome) -> list[str]:
    raw = outcome.binary(names.END)
    if raw is None:
        return [f"no {names.END} in the trailers"]
    record = _End.FromString(raw)
    # A router that refuses a call has no adapter's record to hand on; its own says no more than the error.
    bare = not outcome.ok and not record.response_id and outcome.answer.start is None
    wrong = [] if bare and record.HasField("error") else grammar.record_complaints(record)
    if record.native_json or record.usage.native_json or record.error.native_body:
        wrong.append("native data in the trailers")
    wrong += _usage(record)
    there = outcome.answer.end
    if there is not None and there.outcome and _facts(there) != _facts(record):
        wrong.append(f"the record in the answer says {_facts(there)}, the one in the trailers {_facts(record)}")
    return wrong


def _facts(end: _End) -> dict[str, object]:
    usage = (end.usage.input_tokens, end.usage.output_tokens, end.usage.source)
    return {
        "outcome": end.outcome,
        "reason": end.error.reason,
        "usage": usage,
        "response_id": end.response_id,
        "model": end.model,
        "finish_reasons": list(end.finish_reasons),
        "event_count": end.event_count,
        "warnings": len(end.warnings),
    }


def _usage(record: _End) -> list[str]:
    usage = record.usage
    counted = {name: getattr(usage, name) for name in ("input_tokens", "output_tokens") if usage.HasField(name)}
    if usage.source == usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE and 0 in counted.values():
        return [f"an estimate of 0 as if it were a fact: {counted}"]
    return []


def _success(outcome: Outcome) -> list[str]:
    wrong = []
    answer, end = outcome.answer, outcome.answer.end
    if answer.start is None or end is None or not answer.finishes:
        return ["an answer without start, end or candidates"]
    if outcome.binary(names.DETAILS):
        wrong.append("error details on a good call")
    if end.outcome not in (_End.OUTCOME_COMPLETED, _End.OUTCOME_INCOMPLETE):
        wrong.append(f"OK with the outcome {end.outcome}")
    if not end.HasField("usage"):
        wrong.append("no usage at all")
    if not outcome.streamed and end.event_count:
        wrong.append("event_count in a unary call")
    if not (answer.start.response_id and answer.start.provider and answer.start.model):
        wrong.append("`start` names no response, provider or model")
    return wrong


def _failure(outcome: Outcome) -> list[str]:
    status, error, info = outcome.status, outcome.error, outcome.info
    if status is None:
        return ["a failure without details"]
    wrong = []
    kinds = [packed.type_url.rpartition("/")[2] for packed in status.details]
    retry = ["google.rpc.RetryInfo"] if error.HasField("retry_delay") else []
    if kinds != ["antiphon.llm.v1.CallError", "google.rpc.ErrorInfo", *retry]:
        wrong.append(f"details are {kinds}")
    if not outcome.code.value[0] == error.code == status.code:
        wrong.append(f"code {outcome.code.name}, details {status.code}, CallError {error.code}")
    if names.CODES.get(outcome.reason) is not outcome.code and outcome.reason != "PROVIDER_CREDENTIALS":
        wrong.append(f"{outcome.reason} came as {outcome.code.name}")
    if info.reason != outcome.reason or info.domain != names.DOMAIN:
        wrong.append(f"ErrorInfo says {info.domain} {info.reason}")
    if (names.PUSHBACK, "-1") not in outcome.trailers:
        wrong.append("no pushback: a generic client would try again")
    if not outcome.message or len(outcome.message) > MAX_MESSAGE_CHARS or "Traceback" in outcome.message:
        wrong.append("no message for humans")
    if outcome.streamed and outcome.answer.start is not None:
        wrong += _after_content(outcome)
    return wrong


def _after_content(outcome: Outcome) -> list[str]:
    end = outcome.answer.end
    if end is None or end.outcome not in (_End.OUTCOME_FAILED, _End.OUTCOME_CANCELLED):
        return ["content, then an error, and no failed `end` between"]
    if end.error.reason != outcome.error.reason:
        return [f"`end` says reason {end.error.reason}, the status {outcome.error.reason}"]
    return []
