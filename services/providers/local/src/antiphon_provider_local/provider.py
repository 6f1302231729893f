"""Owns the local provider: calls on their way between the event loop and the threads that decode.

    generate ── body ──> decode thread (one per slot) ── chunks ──> Passage ──> ChatStream ── events ──>
    close of the generator ─────────────────────────── stop <─────┘

All threads are this module's: `parallel` for decoding, one for everything else that blocks (load, count, unload).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from antiphon.llm.v1 import chat_pb2, models_pb2, options_pb2, response_pb2, usage_pb2
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_kit.provider import Batch, Turn
from antiphon_provider_local.engine import Engine, Facts
from antiphon_provider_local.models import LLAMA_CPP, catalogue_entry
from antiphon_provider_local.passage import Passage
from antiphon_provider_local.refusals import PROVIDER, is_refusal, refused
from antiphon_provider_local.requests import Prepared, prepare
from antiphon_provider_local.settings import LocalSettings
from antiphon_wires.openai_chat.codec import ChatStream

_Finish = response_pb2.FinishReason
# Ends every progress chunk. In the text of an answer its quotes would be escaped.
_PROGRESS: Final = b'"prompt_progress":{'


class LocalProvider:
    """A ChatProvider over llama.cpp in this process. The model is loaded in the background, see `ready`."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._decoding = ThreadPoolExecutor(settings.parallel, thread_name_prefix="decode")
        self._engine_thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._loading: Future[Engine] = self._engine_thread.submit(Engine, settings)
        self._passages: set[Passage] = set()

    @property
    def name(self) -> str:
        return PROVIDER

    async def ready(self) -> None:
        """Raises CallFailure while the model is being loaded, or if it cannot be."""
        self._engine()

    def _engine(self) -> Engine:
        if not self._loading.done():
            raise failure(
                Reason.ERROR_REASON_UPSTREAM_UNREACHABLE,
                f"{self._settings.model_path.name} is still being loaded; wait until the service says SERVING",
            )
        return self._loading.result()

    async def generate(self, turn: Turn) -> AsyncIterator[Batch]:
        """Decode one answer; closing the generator stops it at the next token or step of the prompt."""
        engine = self._engine()
        self._refuse_crowd()
        prepared = prepare(turn, self._settings.model_name, engine.facts)
        passage = Passage(asyncio.get_running_loop())
        self._passages.add(passage)
        decoding = self._decoding.submit(_decode, engine, prepared.body, passage, turn)
        try:
            stream = self._stream(turn, prepared)
            usage = usage_pb2.Usage()
            while chunks := await passage.take():
                turn.milestones.mark_first_byte()
                events = _events(stream, chunks, self._settings.model_name)
                for event in events:
                    if event.HasField("usage"):
                        usage = event.usage
                if events:
                    yield events
                stream.check()
            last = stream.close()
            _tell_full_context(last, usage.input_tokens + usage.output_tokens, engine.facts)
            yield last
        finally:
            passage.close()
            self._passages.discard(passage)
            # What waits for a slot gives up its place; what decodes is told by the passage.
            decoding.cancel()

    def _refuse_crowd(self) -> None:
        if len(self._passages) >= self._settings.parallel + self._settings.waiting:
            raise failure(
                Reason.ERROR_REASON_PROVIDER_OVERLOADED,
                f"all {self._settings.parallel} slots decode and {self._settings.waiting} calls wait; try another "
                "replica, or raise LOCAL_PARALLEL or LOCAL_WAITING",
            )

    def _stream(self, turn: Turn, prepared: Prepared) -> ChatStream:
        return ChatStream(
            LLAMA_CPP,
            native=turn.request.options.native_mode == options_pb2.CallOptions.NATIVE_MODE_ATTACH,
            warnings=prepared.warnings,
            state_domain=turn.state_domain,
            model=self._settings.model_name,
        )

    async def count_tokens(self, turn: Turn) -> chat_pb2.CountTokensResponse:
        """Count with the model's own tokenizer, chat template included."""
        engine = self._engine()
        prepared = prepare(turn, self._settings.model_name, engine.facts)
        answer = await asyncio.wrap_future(self._engine_thread.submit(engine.count_tokens, prepared.body))
        return chat_pb2.CountTokensResponse(
            input_tokens=json.loads(answer)["input_tokens"], native_json=answer.decode("utf-8", "replace")
        )

    async def list_models(self) -> Sequence[models_pb2.Model]:
        """The one model; its limits are those of the settings until it is loaded."""
        loaded = self._loading.done() and self._loading.exception() is None
        facts = self._loading.result().facts if loaded else Facts(self._settings.context_tokens, takes_tools=False)
        return [catalogue_entry(self._settings.model_name, facts)]

    async def aclose(self) -> None:
        """Stop what decodes, unload the model, end the threads."""
        for passage in self._passages:
            passage.end(failure(Reason.ERROR_REASON_GATEWAY_DRAINING, "this process is stopping; try another replica"))
            passage.close()
        await asyncio.wrap_future(self._engine_thread.submit(self._unload))
        self._engine_thread.shutdown()

    def _unload(self) -> None:
        self._decoding.shutdown(cancel_futures=True)
        if self._loading.exception() is None:
            self._loading.result().close()


def _decode(engine: Engine, body: bytes, passage: Passage, turn: Turn) -> None:
    """Runs in a thread of its own for one call; whatever happens, the reader is told the end."""
    failed: CallFailure | None = failure(Reason.ERROR_REASON_GATEWAY_INTERNAL, "the decoding thread broke off")
    try:
        turn.milestones.mark_sent()
        engine.chat(body, passage.put)
        failed = None
    except CallFailure as raised:
        failed = raised
    finally:
        passage.end(failed)


def _events(stream: ChatStream, chunks: Sequence[bytes], model: str) -> list[response_pb2.StreamEvent]:
    events: list[response_pb2.StreamEvent] = []
    for chunk in chunks:
        if _PROGRESS in chunk:
            continue
        if is_refusal(chunk):
            raise refused(chunk, model)
        events += stream.feed_chunk(chunk)
    return events


def _tell_full_context(last: Sequence[response_pb2.StreamEvent], used_tokens: int, facts: Facts) -> None:
    """llama.cpp says `length` for both bounds; the one that was not asked for is the context."""
    for event in last:
        end = event.candidate_end
        if end.reason == _Finish.FINISH_REASON_MAX_OUTPUT_TOKENS and used_tokens >= facts.context_tokens:
            end.reason = _Finish.FINISH_REASON_CONTEXT_WINDOW
