import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf import json_format

from antiphon.llm.v1 import chat_pb2, content_pb2, models_pb2, options_pb2, response_pb2, usage_pb2
from antiphon_contract.errors import CallFailure, Reason
from antiphon_contract.fold import Fold
from antiphon_kit.provider import Turn
from antiphon_provider_local.provider import LocalProvider
from antiphon_provider_local.settings import LocalSettings

Finish = response_pb2.FinishReason
TIMEOUT_S = 60


async def until(condition: Callable[[], bool], limit_s: float = TIMEOUT_S) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  # other threads change it
            await asyncio.sleep(0.005)


async def loaded(settings: LocalSettings) -> LocalProvider:
    provider = LocalProvider(settings)
    await until(provider._loading.done)
    return provider


@pytest.fixture(scope="module")
def provider(settings: LocalSettings) -> Iterator[LocalProvider]:
    """One for all: it belongs to no event loop."""
    provider = LocalProvider(settings)
    provider._loading.result(TIMEOUT_S)
    yield provider
    asyncio.run(provider.aclose())


def turn(text: str = "Name three colours.", **params: Any) -> Turn:
    request = chat_pb2.StreamGenerateRequest(model="local/smollm2-135m-instruct")
    request.prompt.messages.add(role=content_pb2.ROLE_USER).parts.add().text.text = text
    json_format.ParseDict({"temperature": 0, "max_output_tokens": 12} | params, request.params)
    return Turn(request=request, model="smollm2-135m-instruct")


async def fold(provider: LocalProvider, turn_: Turn) -> chat_pb2.GenerateResponse:
    folded = Fold()
    async with asyncio.timeout(TIMEOUT_S), aclosing(generator(provider, turn_)) as batches:
        async for batch in batches:
            folded.feed_events(batch)
    response = folded.response()
    if folded.usage is not None:
        response.end.usage.CopyFrom(folded.usage)
    return response


def generator(provider: LocalProvider, turn_: Turn) -> Any:
    return cast("Any", provider.generate(turn_))


def text_of(response: chat_pb2.GenerateResponse) -> str:
    return "".join(part.text.text for part in response.candidates[0].message.parts)


def slots(provider: LocalProvider) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", json.loads(provider._engine().query("/slots")))


def busy_slots(provider: LocalProvider) -> int:
    return sum(slot["is_processing"] for slot in slots(provider))


async def refusal(call: Awaitable[Any]) -> CallFailure:
    with pytest.raises(CallFailure) as raised:
        await call
    return raised.value


async def test_an_answer_streams_live_with_the_facts_of_the_contract(provider: LocalProvider) -> None:
    one = turn()
    batches = [list(batch) async for batch in provider.generate(one)]
    kinds = [event.WhichOneof("kind") for batch in batches for event in batch]
    assert kinds[0] == "start"
    assert kinds.count("candidate_end") == 1
    assert sum("text_delta" in [event.WhichOneof("kind") for event in batch] for batch in batches) > 1, "not live"
    start = batches[0][0].start
    assert start.model == "smollm2-135m-instruct"
    assert start.provider_response_id
    assert one.milestones.sent is not None
    assert one.milestones.first_byte is not None


async def test_usage_is_llama_cpps_own_and_agrees_with_counting(provider: LocalProvider) -> None:
    response = await fold(provider, turn(max_output_tokens=5))
    usage = response.end.usage
    assert usage.source == usage_pb2.Usage.SOURCE_PROVIDER
    assert usage.output_tokens == 5
    assert usage.input_tokens == (await provider.count_tokens(turn())).input_tokens


@pytest.mark.parametrize("params", [{"temperature": 0}, {"temperature": 0.9, "seed": "-1"}])
async def test_the_same_seed_gives_the_same_answer(provider: LocalProvider, params: dict[str, Any]) -> None:
    first = await fold(provider, turn(**params))
    second = await fold(provider, turn(**params))
    assert text_of(first) == text_of(second)
    assert text_of(first).strip()


async def test_another_seed_gives_another_answer(provider: LocalProvider) -> None:
    texts = {text_of(await fold(provider, turn(temperature=2, seed=str(seed)))) for seed in range(4)}
    assert len(texts) > 1


async def test_max_output_tokens_of_caller_or_operator_ends_the_answer(provider: LocalProvider) -> None:
    asked = await fold(provider, turn(max_output_tokens=3))
    operators = turn(max_output_tokens=None)
    operators.max_output_tokens = 4
    assert asked.candidates[0].end.reason == Finish.FINISH_REASON_MAX_OUTPUT_TOKENS
    assert asked.end.usage.output_tokens == 3
    assert (await fold(provider, operators)).end.usage.output_tokens == 4


async def test_a_full_context_is_told_apart_from_a_wanted_bound(settings: LocalSettings) -> None:
    provider = await loaded(replace(settings, context_tokens=256))
    try:
        endless = turn("word " * 200, max_output_tokens=None)
        endless.request.options.provider_json["local"] = '{"ignore_eos": true}'
        assert (await fold(provider, endless)).candidates[0].end.reason == Finish.FINISH_REASON_CONTEXT_WINDOW
    finally:
        await provider.aclose()


async def test_a_stop_text_ends_the_answer_and_is_not_part_of_it(provider: LocalProvider) -> None:
    whole = text_of(await fold(provider, turn(max_output_tokens=12)))
    stop = whole[len(whole) // 2 :][:4]
    response = await fold(provider, turn(max_output_tokens=12, stop=[stop]))
    assert text_of(response) == whole[: whole.index(stop)]
    assert response.candidates[0].end.reason == Finish.FINISH_REASON_STOP


async def test_unicode_survives_both_ways(provider: LocalProvider) -> None:
    grammar = {"grammar": {"syntax": "gbnf", "definition": 'root ::= "Grüße 🎉 日本"'}}
    response = await fold(provider, turn("Ça va? 🎉 \u202e日本", max_output_tokens=40, output_format=grammar))
    assert text_of(response) == "Grüße 🎉 日本"


async def test_json_schema_is_enforced(provider: LocalProvider) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [7]}}, "required": ["n"], "additionalProperties": False}
    output = {"json_schema": {"name": "answer", "schema_json": json.dumps(schema)}}
    response = await fold(provider, turn(max_output_tokens=40, output_format=output))
    assert json.loads(text_of(response)) == {"n": 7}


async def test_logprobs_come_with_their_tokens(provider: LocalProvider) -> None:
    response = await fold(provider, turn(max_output_tokens=3, top_logprobs=2))
    tokens = response.candidates[0].logprobs[0].tokens
    assert len(tokens) == 3
    assert "".join(token.token for token in tokens) == text_of(response)
    assert all(token.logprob <= 0 and len(token.top) == 2 for token in tokens)


async def test_a_prefilled_answer_is_continued(provider: LocalProvider) -> None:
    begun = turn("What is the capital of France?", max_output_tokens=6)
    message = begun.request.prompt.messages.add(role=content_pb2.ROLE_ASSISTANT, prefill=True)
    message.parts.add().text.text = "The capital of France is"
    assert "Paris" in text_of(await fold(provider, begun))


async def test_closing_the_stream_stops_decoding(provider: LocalProvider) -> None:
    endless = turn("Tell a very long story.", max_output_tokens=400)
    endless.request.options.provider_json["local"] = '{"ignore_eos": true}'
    batches = generator(provider, endless)
    await anext(batches)
    await asyncio.wait_for(batches.aclose(), 1)
    await until(lambda: busy_slots(provider) == 0)
    assert max(slot.get("n_prompt_tokens", 0) for slot in slots(provider)) < 400, "it decoded to the end"
    assert not provider._passages


async def test_cancelling_during_the_prompt_stops_it(provider: LocalProvider) -> None:
    reading = asyncio.create_task(fold(provider, turn("word " * 450)))
    await until(lambda: busy_slots(provider) == 1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until(lambda: busy_slots(provider) == 0)
    assert max(slot.get("n_prompt_tokens", 0) for slot in slots(provider)) < 450, "the whole prompt was processed"


async def test_a_reader_that_stops_reading_can_still_close(
    provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon_provider_local.passage.Passage.__init__.__kwdefaults__", {"limit_bytes": 1})
    batches = generator(provider, turn(max_output_tokens=50))
    await anext(batches)
    (passage,) = provider._passages
    await until(lambda: passage._bytes >= 1)
    await batches.aclose()
    await until(lambda: busy_slots(provider) == 0)
    assert text_of(await fold(provider, turn()))


async def test_more_calls_than_slots_all_get_their_answer(provider: LocalProvider) -> None:
    answers = await asyncio.gather(*(fold(provider, turn(f"Say {word}.")) for word in ("one", "two", "three", "four")))
    assert all(text_of(answer).strip() for answer in answers)


async def test_a_call_that_waits_for_a_slot_can_be_cancelled(provider: LocalProvider) -> None:
    long = [asyncio.create_task(fold(provider, turn(max_output_tokens=40))) for _ in range(2)]
    await until(lambda: len(provider._passages) == 2)
    abandoned = turn()
    waiting = asyncio.create_task(fold(provider, abandoned))
    await until(lambda: len(provider._passages) == 3)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert all(text_of(answer) for answer in await asyncio.gather(*long))
    assert text_of(await fold(provider, turn()))
    assert abandoned.milestones.sent is None, "it was decoded although nobody waits for it"


async def test_too_many_waiting_calls_are_sent_elsewhere(settings: LocalSettings) -> None:
    provider = await loaded(replace(settings, parallel=1, waiting=0))
    try:
        first = asyncio.create_task(fold(provider, turn()))
        await until(lambda: len(provider._passages) == 1)
        failed = await refusal(fold(provider, turn()))
        assert failed.error.reason == Reason.ERROR_REASON_PROVIDER_OVERLOADED
        assert failed.error.retry_other_backend
        assert text_of(await first)
    finally:
        await provider.aclose()


@pytest.mark.parametrize(("words", "told"), [(600, "tokens, the context 512 tokens"), (100_000, "bytes, the context")])
async def test_a_prompt_longer_than_the_context_is_refused_with_the_sizes(
    provider: LocalProvider, words: int, told: str
) -> None:
    failed = await refusal(fold(provider, turn("word " * words)))
    assert failed.error.reason == Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED
    assert told in failed.error.message


@pytest.mark.parametrize("text", ["", " \n\t"])
async def test_an_empty_prompt_is_refused(provider: LocalProvider, text: str) -> None:
    for call in (fold(provider, turn(text)), provider.count_tokens(turn(text))):
        failed = await refusal(call)
        assert failed.error.reason == Reason.ERROR_REASON_INVALID_REQUEST
        assert failed.error.param == "prompt.messages"


async def test_another_model_is_not_found(provider: LocalProvider) -> None:
    other = turn()
    other.model = "gpt-9"
    failed = await refusal(fold(provider, other))
    assert failed.error.reason == Reason.ERROR_REASON_MODEL_NOT_FOUND
    assert "smollm2-135m-instruct" in failed.error.message


def with_tool(one: Turn) -> None:
    one.request.prompt.tools.add().function.name = "clock"


def with_tool_choice(one: Turn) -> None:
    one.request.params.tool_choice.mode = 3


def with_image(one: Turn) -> None:
    media = one.request.prompt.messages[0].parts.add().media
    media.mime_type, media.data = "image/png", b"\x89PNG"


def with_candidates(one: Turn) -> None:
    one.request.params.candidate_count = 2


def with_lark(one: Turn) -> None:
    one.request.params.output_format.grammar.syntax = "lark"


@pytest.mark.parametrize(
    ("ask", "param"),
    [
        (with_tool, "prompt.tools"),
        (with_tool_choice, "params.tool_choice"),
        (with_image, "prompt.messages[0].parts[1].media"),
        (with_candidates, "params.candidate_count"),
        (with_lark, "params.output_format.grammar"),
    ],
)
async def test_what_the_model_cannot_do_is_refused_or_left_out_with_a_warning(
    provider: LocalProvider, ask: Callable[[Turn], None], param: str
) -> None:
    asking = turn(max_output_tokens=2)
    ask(asking)
    failed = await refusal(fold(provider, asking))
    assert (failed.error.reason, failed.error.param) == (Reason.ERROR_REASON_PARAM_UNSUPPORTED, param)
    asking.request.options.unsupported_policy = options_pb2.CallOptions.UNSUPPORTED_POLICY_WARN
    batches = [list(batch) async for batch in provider.generate(asking)]
    warned = [event.warning.path for batch in batches for event in batch if event.HasField("warning")]
    assert param in warned


async def test_one_candidate_is_no_departure(provider: LocalProvider) -> None:
    assert text_of(await fold(provider, turn(candidate_count=1)))


async def test_a_grammar_that_cannot_be_read_is_the_callers_fault(provider: LocalProvider) -> None:
    output = {"grammar": {"syntax": "gbnf", "definition": "root ::= (("}}
    failed = await refusal(fold(provider, turn(output_format=output)))
    assert failed.error.reason == Reason.ERROR_REASON_INVALID_REQUEST


async def test_the_catalogue_entry_says_what_the_adapter_does(provider: LocalProvider) -> None:
    (model,) = await provider.list_models()
    assert (model.id, model.native_id) == ("local/smollm2-135m-instruct", "smollm2-135m-instruct")
    assert model.max_input_tokens == 512
    assert list(model.operations) == ["generate", "count_tokens"]
    assert model.support["params.top_k"] == models_pb2.SUPPORT_NATIVE
    assert model.support["params.output_format.grammar"] == models_pb2.SUPPORT_NATIVE
    assert model.support["params.store"] == models_pb2.SUPPORT_IGNORED
    assert model.support["prompt.tools.function"] == models_pb2.SUPPORT_REJECTED


async def test_it_is_ready_only_once_the_model_is_loaded(settings: LocalSettings) -> None:
    provider = LocalProvider(settings)
    try:
        for call in (provider.ready(), fold(provider, turn()), provider.count_tokens(turn())):
            failed = await refusal(call)
            assert failed.error.reason == Reason.ERROR_REASON_UPSTREAM_UNREACHABLE
        assert (await provider.list_models())[0].id == "local/smollm2-135m-instruct"
        await until(provider._loading.done)
        await provider.ready()
    finally:
        await provider.aclose()


async def test_a_model_that_cannot_be_loaded_is_told_by_ready(settings: LocalSettings, tmp_path: Path) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(b"GGUF")
    provider = await loaded(replace(settings, model_path=path))
    failed = await refusal(provider.ready())
    assert "damaged.gguf" in failed.error.message
    await provider.aclose()


async def test_closing_ends_running_calls_and_all_threads(settings: LocalSettings) -> None:
    before = threading.active_count()
    provider = await loaded(settings)
    calls = [asyncio.create_task(fold(provider, turn(max_output_tokens=400))) for _ in range(3)]
    await until(lambda: busy_slots(provider) == 2)
    await provider.aclose()
    for failed in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(failed, CallFailure)
    assert threading.active_count() == before
