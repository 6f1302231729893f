"""Owns the sync face: the async client on a private event loop in a thread of its own, one code path for both."""

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, Unpack

import grpc

from antiphon.llm.v1 import chat_pb2, content_pb2, models_pb2, native_pb2
from antiphon_client.answer import Answer
from antiphon_client.client import AsyncClient
from antiphon_client.events import Event
from antiphon_client.requests import DEFAULT_TIMEOUT_S, AfterContent, CallArguments, Prompt, RouteArguments
from antiphon_client.results import Embeddings, Ranking
from antiphon_client.service_requests import (
    CompleteArguments,
    EmbedArguments,
    Input,
    NativeArguments,
    RerankArguments,
)
from antiphon_client.stream import AsyncStream, delta_of
from antiphon_contract.tls import TlsFiles

_Result = TypeVar("_Result")


_AWAKE_S: Final = 0.5
"""A signal that comes just before a wait begins does not interrupt it, so no wait is longer."""


class _Job(Generic[_Result]):
    """A coroutine for another thread's loop, known before it is handed over, so that an interrupt never loses it."""

    def __init__(self, work: Coroutine[Any, Any, _Result]) -> None:
        self._work = work
        self._task: asyncio.Task[_Result] | None = None
        self.done = threading.Event()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work)
        self._task.add_done_callback(lambda _: self.done.set())

    def wait(self) -> _Result:
        while not self.done.wait(_AWAKE_S):
            pass
        assert self._task is not None
        return self._task.result()

    def cancel(self) -> None:
        """Follows `start` in the loop's order, or comes instead of it."""
        if self._task is None:
            self._work.close()
        else:
            self._task.cancel()


class _LoopThread:
    """An event loop that runs coroutines for callers without one."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)  # leaves the caller's thread alone
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="antiphon-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Wait for `work`. An exception in the waiting thread, KeyboardInterrupt above all, cancels it."""
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("the client is closed")
        job = _Job(work)
        try:
            self._loop.call_soon_threadsafe(job.start)
            return job.wait()
        finally:
            # A call that has ended may have done so because another thread closes the client, and the loop with it.
            if not job.done.is_set():
                self._loop.call_soon_threadsafe(job.cancel)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._runner.close()


class Client:
    """AsyncClient for programs without an event loop; the same arguments. Use with `with`, or call `close()`.

    May be shared by threads. Ctrl-C during a call cancels it, at the provider too.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        default_model: str = "",
        metadata: Mapping[str, str] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        tls: TlsFiles | None = None,
    ) -> None:
        self._client = AsyncClient(
            address,
            timeout_s=timeout_s,
            default_model=default_model,
            metadata=metadata,
            credentials=credentials,
            tls=tls,
        )
        self._loop = _LoopThread()
        self._closed = False
        self._loop.run(self._client.open())

    def close(self) -> None:
        """Cancel what runs, close the channel, end the thread. A second call does nothing."""
        if not self._closed:
            self._closed = True
            self._loop.run(self._client.close())
            self._loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def generate(self, prompt: Prompt, **call: Unpack[CallArguments]) -> Answer:
        """A whole answer."""
        return self._loop.run(self._client.generate(prompt, **call))

    def stream(self, prompt: Prompt, **call: Unpack[CallArguments]) -> "Stream":
        """An answer as it comes. The call begins on entering the stream."""
        return Stream(self._loop, self._client.stream(prompt, **call))

    def stream_raw(self, request: chat_pb2.StreamGenerateRequest, **call: Unpack[RouteArguments]) -> "Stream":
        """The same for the contract's own request."""
        return Stream(self._loop, self._client.stream_raw(request, **call))

    def complete(self, prompt: str | Sequence[int], **call: Unpack[CompleteArguments]) -> Answer:
        """A text (or tokens) completed; with `suffix`, what fits in between."""
        return self._loop.run(self._client.complete(prompt, **call))

    def stream_complete(self, prompt: str | Sequence[int], **call: Unpack[CompleteArguments]) -> "Stream":
        """The same as it comes. The call begins on entering the stream."""
        return Stream(self._loop, self._client.stream_complete(prompt, **call))

    def embed(self, inputs: Sequence[Input], **call: Unpack[EmbedArguments]) -> Embeddings:
        """A vector for each text, token list or EmbedInput."""
        return self._loop.run(self._client.embed(inputs, **call))

    def rerank(
        self, query: str, documents: Sequence[str | content_pb2.Document], **call: Unpack[RerankArguments]
    ) -> Ranking:
        """The documents by how well they answer the query."""
        return self._loop.run(self._client.rerank(query, documents, **call))

    def native(self, method: str, path: str, **call: Unpack[NativeArguments]) -> native_pb2.CallNativeResponse:
        """One exchange in a provider's own HTTP API. An HTTP status from 400 on is an answer, not an error."""
        return self._loop.run(self._client.native(method, path, **call))

    def count_tokens(self, prompt: Prompt, **call: Unpack[CallArguments]) -> chat_pb2.CountTokensResponse:
        """Input tokens that `generate` with the same arguments would have."""
        return self._loop.run(self._client.count_tokens(prompt, **call))

    def models(self, provider: str = "", *, timeout_s: float | None = None) -> list[models_pb2.Model]:
        """All models, or those of one provider, ordered by id."""
        return self._loop.run(self._client.models(provider, timeout_s=timeout_s))


class Stream:
    """AsyncStream for programs without an event loop. Use with `with`: leaving it early cancels the call."""

    def __init__(self, loop: _LoopThread, stream: AsyncStream) -> None:
        self._loop = loop
        self._stream = stream
        self._pending: deque[Event] = deque()
        self.request_id = stream.request_id

    def __enter__(self) -> Self:
        self._loop.run(self._stream.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._stream.__aexit__(None, None, None))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while not self._pending:
            batch = self._loop.run(self._stream.next_events())
            if batch is None:
                raise StopIteration
            self._pending.extend(batch)
        return self._pending.popleft()

    def granted(self) -> AfterContent:
        """What the router does if the answer breaks after its first content, see AsyncStream."""
        return self._loop.run(self._stream.granted())

    def text(self) -> Iterator[str]:
        """Visible text of the first candidate as it comes."""
        self._stream.check_text_is_final()
        for event in self:
            if piece := delta_of(event):
                yield piece

    def response(self) -> Answer:
        """The whole answer; reads what is left of the stream first."""
        return self._loop.run(self._stream.response())
