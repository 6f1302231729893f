"""Owns the cases that hold for every model, real or scripted. They need an address and nothing else."""

import asyncio
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from antiphon.llm.v1 import chat_pb2, content_pb2, models_pb2, options_pb2, response_pb2
from antiphon_conformance import calling, names
from antiphon_conformance.calling import Ask, limits, say
from antiphon_conformance.cases.fixtures import Models, Suite
from antiphon_conformance.outcome import Outcome

Finish = response_pb2.FinishReason
Role = content_pb2.Role
MANY = 4


class ModelConformance(Suite):
    """What any service must do. `model`: the id to ask for; by default the first one that is listed."""

    @pytest_asyncio.fixture(loop_scope="class")
    async def model(self, declared: models_pb2.Model) -> str:
        return declared.id

    # It describes itself.

    async def test_lists_its_models(self, models: Models) -> None:
        listed = (await models.list()).models
        assert listed
        assert [model.id for model in listed] == sorted(model.id for model in listed)
        for model in listed:
            assert model.id == f"{model.provider}/{model.native_id}"
            assert "generate" in model.operations

    async def test_tells_one_model_as_it_lists_it(self, models: Models) -> None:
        for model in (await models.list()).models:
            assert await models.get(model.id) == model

    async def test_pages_through_its_models(self, models: Models) -> None:
        everything, token = (await models.list()).models, ""
        paged: list[models_pb2.Model] = []
        while len(paged) < len(everything):
            page = await models.list(page_size=1, page_token=token)
            assert len(page.models) == 1
            paged += page.models
            token = page.next_page_token
        assert token == ""
        assert paged == list(everything)

    async def test_refuses_a_strange_page_token(self, models: Models) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await models.list(page_token="no such page")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    async def test_does_not_know_an_unknown_model(self, models: Models) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await models.get("nosuch/model")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    async def test_counts_tokens_or_says_that_it_cannot(
        self, channel: grpc.aio.Channel, declared: models_pb2.Model
    ) -> None:
        read = chat_pb2.CountTokensResponse.FromString
        count: Any = channel.unary_unary(names.CHAT + "CountTokens", response_deserializer=read)
        ask = calling.request(declared.id, "How many tokens are these?").SerializeToString()
        if "count_tokens" in declared.operations:
            assert (await count(ask, timeout=30.0)).input_tokens > 0
            return
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await count(ask, timeout=30.0)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

    async def test_declares_supports_that_exist(self, models: Models) -> None:
        for model in (await models.list()).models:
            assert set(model.support.values()) <= set(models_pb2.Support.values()) - {0}
            for path in model.support:
                assert path.split(".")[0] in ("params", "prompt", "options"), path

    # It answers.

    async def test_answers(self, ask: Ask, model: str) -> None:
        outcome = await self._say(ask, model, max_output_tokens=8)
        assert outcome.ok
        assert outcome.answer.text
        assert outcome.answer.end is not None
        assert outcome.answer.end.usage.input_tokens > 0
        assert outcome.answer.end.usage.output_tokens > 0

    async def test_unary_and_stream_are_the_same_answer(self, unary: Ask, stream: Ask, model: str) -> None:
        one, other = [
            await self._say(ask, model, max_output_tokens=8, temperature=0.0, seed=7) for ask in (unary, stream)
        ]
        assert one.answer.parts == other.answer.parts
        assert one.answer.finishes == other.answer.finishes
        ends = one.answer.end, other.answer.end
        assert ends[0] is not None
        assert ends[1] is not None
        assert ends[0].usage == ends[1].usage
        assert ends[0].finish_reasons == ends[1].finish_reasons

    async def test_keeps_to_the_token_limit(self, ask: Ask, model: str) -> None:
        outcome = await self._say(ask, model, "Count from one to one hundred.", max_output_tokens=3)
        assert outcome.answer.finish.reason == Finish.FINISH_REASON_MAX_OUTPUT_TOKENS
        assert outcome.answer.end is not None
        assert outcome.answer.end.outcome == response_pb2.ResponseEnd.OUTCOME_INCOMPLETE
        assert 0 < outcome.answer.end.usage.output_tokens <= 3

    async def test_takes_a_whole_conversation(self, ask: Ask, model: str) -> None:
        request = calling.request(model, max_output_tokens=4)
        del request.prompt.messages[:]
        for role, text in (
            (Role.ROLE_SYSTEM, "Be brief."),
            (Role.ROLE_USER, "hi"),
            (Role.ROLE_ASSISTANT, "Hello."),
            (Role.ROLE_DEVELOPER, "Be polite."),
            (Role.ROLE_USER, "Who are you?"),
        ):
            say(request, role, text)
        assert (await ask.send(request)).ok

    async def test_its_answer_goes_back_as_it_stands(self, ask: Ask, model: str) -> None:
        first = await self._say(ask, model, max_output_tokens=8)
        request = calling.request(model, max_output_tokens=4)
        request.prompt.messages.add(role=Role.ROLE_ASSISTANT, parts=first.answer.parts[0])
        say(request, Role.ROLE_USER, "Go on.")
        assert (await ask.send(request)).ok

    async def test_serves_many_at_once(self, ask: Ask, model: str) -> None:
        outcomes = await asyncio.gather(*(self._say(ask, model, max_output_tokens=4) for _ in range(MANY)))
        assert all(outcome.ok for outcome in outcomes)
        assert len({outcome.record.response_id for outcome in outcomes}) == MANY

    async def test_ignores_what_it_does_not_know_in_a_request(self, ask: Ask, model: str) -> None:
        known = calling.request(model, max_output_tokens=4).SerializeToString()
        field_1999 = b"\xfa\x7c\x05later"
        assert (await ask.send(known + field_1999)).ok

    # It refuses.

    async def test_refuses_an_unknown_model(self, ask: Ask, model: str) -> None:
        provider = model.partition("/")[0]
        outcome = await self._say(ask, f"{provider}/no-such-model")
        assert outcome.reason == "MODEL_NOT_FOUND"

    @pytest.mark.parametrize("flaw", ["no message", "no role", "no part"])
    async def test_refuses_a_conversation_with_a_flaw(self, ask: Ask, model: str, flaw: str) -> None:
        request = calling.request(model)
        match flaw:
            case "no message":
                del request.prompt.messages[:]
            case "no role":
                request.prompt.messages[0].role = Role.ROLE_UNSPECIFIED
            case _:
                del request.prompt.messages[0].parts[:]
        outcome = await ask.send(request)
        assert outcome.reason == "INVALID_REQUEST"
        assert outcome.error.param.startswith("prompt"), outcome.error

    @pytest.mark.parametrize(
        ("name", "value"), [("max_output_tokens", 0), ("temperature", -1.0), ("top_p", 2.0), ("candidate_count", 0)]
    )
    async def test_refuses_a_value_out_of_range(self, ask: Ask, model: str, name: str, value: float) -> None:
        outcome = await self._say(ask, model, **{name: value})
        assert outcome.reason == "INVALID_REQUEST"
        assert outcome.error.param == f"params.{name}"

    async def test_refuses_a_time_limit_out_of_range(self, ask: Ask, model: str) -> None:
        outcome = await ask.send(limits(calling.request(model), first_event=7200.0))
        assert outcome.reason == "INVALID_REQUEST"

    async def test_refuses_a_patch_of_what_is_protected(self, ask: Ask, model: str) -> None:
        request = calling.request(model)
        provider = model.partition("/")[0]
        request.options.provider_json[provider] = '{"model": "another"}'
        assert (await ask.send(request)).reason == "INVALID_REQUEST"

    async def test_refuses_what_it_cannot_do_when_told_to_be_strict(
        self, ask: Ask, model: str, declared: models_pb2.Model
    ) -> None:
        request = calling.request(model, max_output_tokens=4)
        request.options.unsupported_policy = options_pb2.CallOptions.UNSUPPORTED_POLICY_ERROR
        for name, value in (("top_k", 5), ("min_p", 0.1), ("repetition_penalty", 1.1), ("seed", 3)):
            support = declared.support.get(f"params.{name}", models_pb2.SUPPORT_UNSPECIFIED)
            strict = chat_pb2.StreamGenerateRequest.FromString(request.SerializeToString())
            setattr(strict.params, name, value)
            outcome = await ask.send(strict)
            if support == models_pb2.SUPPORT_NATIVE:
                assert outcome.ok, name
            else:
                assert outcome.reason == "PARAM_UNSUPPORTED", name
                assert outcome.error.param == f"params.{name}"

    # It stops.

    async def test_keeps_the_callers_deadline(self, ask: Ask, model: str) -> None:
        running = ask.begin(calling.request(model, "Count to one thousand.", max_output_tokens=2000), timeout_s=0.001)
        outcome = await running.finish()
        assert outcome.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert outcome.duration_s < 1.0

    async def test_is_free_again_after_a_cancel(self, ask: Ask, model: str) -> None:
        for _ in range(MANY):
            running = ask.begin(calling.request(model, "Count to one thousand.", max_output_tokens=500))
            finishing = asyncio.ensure_future(running.finish())
            await asyncio.sleep(0.02)
            running.cancel()
            await finishing
        assert (await self._say(ask, model, max_output_tokens=2)).ok

    # It tells its health.

    @pytest.mark.parametrize("service", ["", names.CHAT_SERVICE])
    async def test_serves_standard_health(self, channel: grpc.aio.Channel, service: str) -> None:
        stub = health_pb2_grpc.HealthStub(channel)
        ask = health_pb2.HealthCheckRequest(service=service)
        assert (await stub.Check(ask, timeout=5.0)).status == health_pb2.HealthCheckResponse.SERVING
        watch = stub.Watch(ask, timeout=5.0)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()

    async def test_knows_no_health_of_strangers(self, channel: grpc.aio.Channel) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="no.such"), timeout=5.0
            )
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    async def _say(self, ask: Ask, model: str, *texts: str, **params: object) -> Outcome:
        return await ask.send(calling.request(model, *texts, **params))
