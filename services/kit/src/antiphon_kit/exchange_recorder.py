"""Owns what is remembered of a call that is no stream of events: one whole response, or the bytes of a body."""

import time
from typing import Any, Final, Generic, TypeAlias, TypeVar

from antiphon.llm.v1 import embedding_pb2, error_pb2, rerank_pb2, response_pb2, usage_pb2
from antiphon_kit.provider import Job, NativeHead, NativePiece
from antiphon_kit.recorder import (
    AdapterFault,
    complete_start,
    fill_timing,
    fill_usage,
    limits_told,
    outcome_of,
    set_duration,
)
from antiphon_kit.usage_estimate import estimate

Response: TypeAlias = embedding_pb2.EmbedResponse | rerank_pb2.RerankResponse
ResponseT = TypeVar("ResponseT", embedding_pb2.EmbedResponse, rerank_pb2.RerankResponse)

_End = response_pb2.ResponseEnd
_OF_THE_ADAPTER: Final = frozenset({"usage", "warnings", "service_tier", "native_json"})


class _Recorder:
    """What both share: ids and times."""

    events = 0

    def __init__(self, job: Job[Any], provider: str, response_id: str) -> None:
        self._job = job
        self._provider = provider
        self._response_id = response_id
        self._started = time.monotonic()
        self._content_at: float | None = None
        self.progressed = False

    @property
    def content_seen(self) -> bool:
        return self._content_at is not None

    @property
    def time_to_first_content_s(self) -> float | None:
        if self._content_at is None:
            return None
        return self._content_at - (self._job.milestones.sent or self._started)

    def _progress(self) -> None:
        self.progressed = True
        self._content_at = self._content_at or time.monotonic()

    def end(self, error: error_pb2.CallError | None, *, event_count: int, total_s: float) -> _End:
        """The terminal record."""
        end = _End(
            outcome=outcome_of(error, _End.OUTCOME_COMPLETED),
            error=error,
            response_id=self._response_id,
            provider=self._provider,
            model=self._job.model,
            event_count=event_count,
        )
        fill_timing(end.timing, self._job.milestones, self._started, total_s)
        if (first_content_s := self.time_to_first_content_s) is not None:
            set_duration(end.timing.time_to_first_content, first_content_s)
        return end

    def headroom(self) -> str:
        """Nothing: a vendor's own answer is not read."""
        return ""


class ResponseRecorder(_Recorder, Generic[ResponseT]):
    """Of one call that is answered by one response."""

    def __init__(self, job: Job[Any], provider: str, response_id: str) -> None:
        super().__init__(job, provider, response_id)
        self._response: ResponseT | None = None

    @property
    def complete(self) -> bool:
        return self._response is not None

    @property
    def time_to_first_content_s(self) -> float | None:
        """Nothing comes before the whole."""
        return None

    def observe(self, item: ResponseT) -> int:
        """Take note of the response and complete its `start`. Raises AdapterFault."""
        told = {field.name for field, _ in item.end.ListFields()}
        if not told <= _OF_THE_ADAPTER:
            raise AdapterFault(f"{', '.join(sorted(told - _OF_THE_ADAPTER))} of `end` are not the adapter's")
        self._response = item
        complete_start(item.start, self._job, self._provider, self._response_id)
        self._progress()
        return item.ByteSize()

    def end(self, error: error_pb2.CallError | None, *, event_count: int, total_s: float) -> _End:
        """The terminal record, with what the adapter told in its own."""
        end = super().end(error, event_count=event_count, total_s=total_s)
        usage: usage_pb2.Usage | None = None
        if (response := self._response) is not None:
            end.provider, end.model = response.start.provider, response.start.model
            end.MergeFrom(response.end)
            usage = response.end.usage if response.end.HasField("usage") else None
        request = self._job.request
        given = request.input if isinstance(request, rerank_pb2.RerankRequest) else request
        fill_usage(end, usage, begun=self.content_seen, guess=lambda: estimate(given, 0))
        return end

    def headroom(self) -> str:
        """What a router is told of the limits in the response's `start`; empty where enough is left."""
        start = self._response.start if self._response is not None else None
        return limits_told(start, self._job, self._content_at)


class NativeRecorder(_Recorder):
    """Of one exchange in a vendor's own words. Bodies are not read, so usage stays unknown."""

    def __init__(self, job: Job[Any], provider: str, response_id: str) -> None:
        super().__init__(job, provider, response_id)
        self.head: NativeHead | None = None

    @property
    def complete(self) -> bool:
        return self.head is not None

    def observe(self, item: NativePiece) -> int:
        """Take note of the head or of a piece of the body. Raises AdapterFault."""
        if isinstance(item, bytes) is (self.head is None):
            raise AdapterFault("a native answer is one head and then bytes")
        if isinstance(item, bytes):
            self._progress()
            return len(item)
        self.head = item
        return sum(len(name) + len(value) for name, value in item.headers)
