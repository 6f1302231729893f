"""Owns what is remembered of one call: it watches the events go by and writes the terminal record, ResponseEnd.

Forbids itself: keeping answers. Of text it counts bytes, for the estimate where a provider reports no usage.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from google.protobuf import duration_pb2

from antiphon.llm.v1 import error_pb2, response_pb2, usage_pb2
from antiphon_contract import headroom
from antiphon_contract.errors import Reason
from antiphon_kit.provider import Batch, Job, Milestones
from antiphon_kit.usage_estimate import estimate, utf8_length

_Usage = usage_pb2.Usage
_End = response_pb2.ResponseEnd
_Finish = response_pb2.FinishReason

_DELTAS: Final = frozenset({"text_delta", "reasoning_delta", "tool_input_delta"})
_NOT_AN_ADAPTERS: Final = frozenset({"end", "attempt", "keepalive", "restart"})
_NOT_WHOLE: Final = frozenset(
    {
        _Finish.FINISH_REASON_MAX_OUTPUT_TOKENS,
        _Finish.FINISH_REASON_CONTEXT_WINDOW,
        _Finish.FINISH_REASON_CONTENT_FILTER,
        _Finish.FINISH_REASON_PAUSE,
        _Finish.FINISH_REASON_CANCELLED,
        _Finish.FINISH_REASON_ERROR,
        _Finish.FINISH_REASON_OVERLOADED,
    }
)
_BY_THE_CALLER: Final = frozenset({Reason.ERROR_REASON_CANCELLED, Reason.ERROR_REASON_DEADLINE_EXCEEDED})
# After these a provider may have worked, and will bill, although no content came.
_MAY_HAVE_COST: Final = _BY_THE_CALLER | {
    Reason.ERROR_REASON_UPSTREAM_TIMEOUT,
    Reason.ERROR_REASON_UPSTREAM_PROTOCOL,
    Reason.ERROR_REASON_PROVIDER_ERROR,
    Reason.ERROR_REASON_STREAM_INTERRUPTED,
    Reason.ERROR_REASON_GATEWAY_DRAINING,
    Reason.ERROR_REASON_GATEWAY_INTERNAL,
}


class AdapterFault(Exception):
    """An adapter broke the rules of its port."""


class Recorder:
    """Of one call from its first upstream event to its record."""

    def __init__(self, job: Job[Any], provider: str, response_id: str) -> None:
        """`job.request` has a prompt: Recorder is for what generates."""
        self._job = job
        self._provider = provider
        self._response_id = response_id
        self._started = time.monotonic()
        self._start: response_pb2.ResponseStart | None = None
        self._usage: _Usage | None = None
        self._open: set[int] = set()
        self._finish: dict[int, _Finish] = {}
        self._warnings: list[response_pb2.Warning] = []
        self._produced_bytes = 0
        self._content_at: float | None = None
        self.events = 0
        self.progressed = False
        """Whether the last batch brought content or more usage."""

    @property
    def content_seen(self) -> bool:
        """The provider has begun to answer; a failure from here on is an interruption."""
        return self._content_at is not None

    @property
    def complete(self) -> bool:
        """Every candidate has ended, and there was one."""
        return bool(self._finish) and not self._open

    @property
    def time_to_first_content_s(self) -> float | None:
        """From sending the upstream request, where the adapter marks that, else from the begin of the call."""
        if self._content_at is None:
            return None
        return self._content_at - (self._job.milestones.sent or self._started)

    def observe(self, batch: Batch) -> int:
        """Take note of one batch and complete its `start`; returns its size in bytes. Raises AdapterFault."""
        size = 0
        self.progressed = False
        if not self.events and batch and not batch[0].HasField("start"):
            raise AdapterFault("the first event is not `start`")
        for event in batch:
            size += event.ByteSize()
            kind = event.WhichOneof("kind")
            if kind in _DELTAS:
                if text := getattr(event, kind):
                    self.progressed = True
                    self._produced_bytes += utf8_length(text)
            else:
                self._rare(kind, event)
        self.events += len(batch)
        if self.progressed and self._content_at is None and self._open:
            self._content_at = time.monotonic()
        return size

    def _rare(self, kind: str | None, event: response_pb2.StreamEvent) -> None:
        if kind == "part_start":
            self._content()
            self._open.add(event.candidate_index)
            self._produced_bytes += _whole_text_bytes(event.part_start)
        elif kind in ("part_update", "part_end"):
            self.progressed = True
        elif kind == "candidate_end":
            self._content()
            self._open.discard(event.candidate_index)
            self._finish[event.candidate_index] = event.candidate_end.reason
        elif kind == "usage":
            self.progressed = self.progressed or _grown(self._usage, event.usage)
            self._usage = event.usage
        elif kind == "warning":
            self._warnings.append(event.warning)  # type: ignore[arg-type]  # the stub takes Python's Warning
        elif kind == "start":
            self._complete(event.start)
        elif kind == "native_event":
            self._content_at = self._content_at or time.monotonic()
        elif kind in _NOT_AN_ADAPTERS:
            raise AdapterFault(f"`{kind}` is not an adapter's event")

    def _content(self) -> None:
        self.progressed = True
        if self._content_at is None:
            self._content_at = time.monotonic()

    def _complete(self, start: response_pb2.ResponseStart) -> None:
        if self._start is not None:
            raise AdapterFault("`start` came twice")
        self._start = start
        complete_start(start, self._job, self._provider, self._response_id)

    def end(self, error: error_pb2.CallError | None, *, event_count: int, total_s: float) -> _End:
        """The terminal record. `event_count`: sequence of the `end` event, 0 where none is sent."""
        start = self._start
        outcome = outcome_of(error, _End.OUTCOME_COMPLETED if self._whole else _End.OUTCOME_INCOMPLETE)
        end = _End(response_id=self._response_id, event_count=event_count, outcome=outcome)
        end.provider = self._provider if start is None else start.provider
        end.model = self._job.model if start is None else start.model
        if start is not None and start.service_tier:
            end.service_tier = start.service_tier
        if error is not None:
            end.error.CopyFrom(error)
        end.finish_reasons.extend(self._finish[candidate] for candidate in sorted(self._finish))
        if self._warnings:
            end.warnings.extend(self._warnings)  # type: ignore[arg-type]  # the stub takes Python's Warning
        prompt = self._job.request.prompt
        fill_usage(end, self._usage, begun=self.content_seen, guess=lambda: estimate(prompt, self._produced_bytes))
        fill_timing(end.timing, self._job.milestones, self._started, total_s)
        if (first_content_s := self.time_to_first_content_s) is not None:
            set_duration(end.timing.time_to_first_content, first_content_s)
        return end

    def headroom(self) -> str:
        """What a router is told of the limits that came with `start`; empty where enough is left."""
        return limits_told(self._start, self._job, self._content_at)

    @property
    def _whole(self) -> bool:
        return _NOT_WHOLE.isdisjoint(self._finish.values())


def complete_start(start: response_pb2.ResponseStart, job: Job[Any], provider: str, response_id: str) -> None:
    """Fill what the adapter left empty, and the id, which is the kit's."""
    start.response_id = response_id
    if not start.provider:
        start.provider = provider
    if not start.model:
        start.model = job.model
    if not start.state_domain:
        start.state_domain = job.state_domain
    if not start.HasField("create_time"):
        start.create_time.seconds, start.create_time.nanos = divmod(time.time_ns(), 1_000_000_000)


def limits_told(start: response_pb2.ResponseStart | None, job: Job[Any], content_at: float | None) -> str:
    """What a router is told of the limits in `start`, which came with the first byte, at the latest with content."""
    if start is None or not start.rate_limits:
        return ""
    now = time.monotonic()
    return headroom.told(start.rate_limits, now - (job.milestones.first_byte or content_at or now))


def outcome_of(error: error_pb2.CallError | None, otherwise: _End.Outcome) -> _End.Outcome:
    """How a call with `error` ended; `otherwise` without one."""
    if error is None:
        return otherwise
    return _End.OUTCOME_CANCELLED if error.reason in _BY_THE_CALLER else _End.OUTCOME_FAILED


def fill_usage(end: _End, told: _Usage | None, *, begun: bool, guess: Callable[[], _Usage]) -> None:
    """What the provider told, else a guess where it may have worked. `begun`: it has begun to answer."""
    error = end.error if end.HasField("error") else None
    if told is not None:
        end.usage.CopyFrom(told)
        if end.usage.source != _Usage.SOURCE_GATEWAY_ESTIMATE:
            end.usage.source = _Usage.SOURCE_PROVIDER if error is None else _Usage.SOURCE_PROVIDER_PARTIAL
        return
    refused = error is not None and (error.reason not in _MAY_HAVE_COST or error.http_status >= 400)
    if begun or not refused:
        end.usage.CopyFrom(guess())


def fill_timing(timing: usage_pb2.Timing, milestones: Milestones, started: float, total_s: float) -> None:
    """The times that every call has. `started`: where the adapter did not mark when it sent."""
    sent = milestones.sent or started
    set_duration(timing.total_duration, total_s)
    if milestones.connected is not None:
        set_duration(timing.connect_duration, milestones.connected - sent)
    if milestones.first_byte is not None:
        set_duration(timing.time_to_first_byte, milestones.first_byte - sent)


def _grown(before: _Usage | None, now: _Usage) -> bool:
    if before is None:
        return True
    return now.output_tokens > before.output_tokens or now.input_tokens > before.input_tokens


def _whole_text_bytes(start: response_pb2.PartStart) -> int:
    kind = start.part.WhichOneof("kind")
    if kind in ("text", "reasoning", "refusal"):
        return utf8_length(getattr(start.part, kind).text)
    return utf8_length(start.part.tool_call.input) if kind == "tool_call" else 0


def set_duration(duration: duration_pb2.Duration, seconds: float) -> None:
    """Fill `duration` without the detour over timedelta; negative readings become 0."""
    duration.seconds, duration.nanos = divmod(max(int(seconds * 1e9), 0), 1_000_000_000)
