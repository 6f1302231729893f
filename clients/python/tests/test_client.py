"""Unary calls, lists, what is sent as metadata, and what is never sent."""

import grpc
import pytest

from antiphon.llm.v1 import content_pb2, models_pb2, params_pb2, response_pb2
from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_client import AdminClient, AsyncClient, Conversation, errors
from antiphon_client.connection import CHANNEL_OPTIONS
from antiphon_client.requests import MAX_REQUEST_BYTES
from antiphon_client.testing import ScriptedRouter, answering, failing
from antiphon_contract.errors import Reason, failure


async def test_generate_gives_the_folded_answer(connected):
    async with connected(answering("Hel", "lo")) as (router, client):
        answer = await client.generate("hi", model="local/m", provider="local", system="be brief", max_output_tokens=7)
    assert (answer.text, answer.finish_reason, answer.usage.output_tokens) == ("Hello", "STOP", 5)
    call = await router.calls.get()
    assert [message.role for message in call.request.prompt.messages] == [
        content_pb2.ROLE_SYSTEM,
        content_pb2.ROLE_USER,
    ]
    assert (call.request.model, call.request.params.max_output_tokens) == ("local/m", 7)
    assert (call.metadata["antiphon-model"], call.metadata["antiphon-provider"]) == ("local/m", "local")
    assert call.metadata["antiphon-request-id"] == answer.request_id


async def test_defaults_of_the_client_fill_what_a_call_leaves_open():
    async with (
        ScriptedRouter(answering("a")) as router,
        AsyncClient(router.address, default_model="local", metadata={"x-team": "blue"}) as client,
    ):
        await client.generate("hi")
        await client.generate("hi", provider="other")
    first, second = await router.calls.get(), await router.calls.get()
    assert (first.request.model, first.metadata["x-team"]) == ("local", "blue")
    assert (second.request.model, second.metadata["antiphon-provider"]) == ("", "other")
    assert "antiphon-after-content" not in first.metadata


async def test_a_model_id_that_is_no_metadata_travels_in_the_body_alone(connected):
    async with connected(answering("a")) as (router, client):
        await client.generate("hi", model="modèle")
    call = await router.calls.get()
    assert call.request.model == "modèle"
    assert "antiphon-model" not in call.metadata


async def test_params_of_the_caller_are_copied_not_changed(connected):
    params = params_pb2.GenerateParams(temperature=0.1)
    async with connected(answering("a")) as (router, client):
        await client.generate("hi", params=params, max_output_tokens=3)
    call = await router.calls.get()
    assert (call.request.params.temperature, call.request.params.max_output_tokens) == (0.1, 3)
    assert not params.HasField("max_output_tokens")


async def test_typed_errors_of_unary_calls(connected):
    refused = failure(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, "openai refuses the key; set OPENAI_API_KEY")
    refused.error.provider, refused.error.backend = "openai", "openai-a"
    async with connected(failing(refused)) as (_, client):
        with pytest.raises(errors.CredentialsRefused) as caught:
            await client.generate("hi")
    assert (caught.value.reason, caught.value.code) == (
        "PROVIDER_CREDENTIALS",
        grpc.StatusCode.FAILED_PRECONDITION,
    )
    assert (caught.value.provider, caught.value.backend, caught.value.param) == ("openai", "openai-a", "")
    assert caught.value.request_id


async def test_usage_of_a_failed_call_comes_from_its_trailers(connected):
    end = response_pb2.ResponseEnd(outcome=response_pb2.ResponseEnd.OUTCOME_FAILED, usage={"input_tokens": 9})

    async def scene(call):
        call.trailers.append(("antiphon-end-bin", end.SerializeToString()))
        for nothing in ():
            yield nothing
        raise failure(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "unreadable")

    async with connected(scene) as (_, client):
        with pytest.raises(errors.ProviderUnavailable) as caught:
            await client.generate("hi")
    assert caught.value.usage.input_tokens == 9


async def test_attempts_come_from_the_routers_record(connected):
    record = response_pb2.RouterEnd(attempts=[response_pb2.Attempt(number=1, backend="a")], final_attempt=2)
    plain = answering("x")

    async def scene(call):
        call.trailers.append(("antiphon-router-end-bin", record.SerializeToString()))
        async for each in plain(call):
            yield each

    async with connected(scene) as (_, client):
        unary = await client.generate("hi")
        async with client.stream("hi") as stream:
            streamed = await stream.response()
    for answer in (unary, streamed):
        assert [attempt.backend for attempt in answer.attempts] == ["a"]
        assert answer.router_end.final_attempt == 2


async def test_count_tokens(connected):
    async with connected(answering()) as (_, client):
        assert (await client.count_tokens("one two three")).input_tokens == 3


async def test_lists_turn_pages():
    models = [models_pb2.Model(id=f"p{index % 2}/m{index}", provider=f"p{index % 2}") for index in range(6)]
    backends = [router_pb2.Backend(id=f"b{index}") for index in range(5)]
    async with ScriptedRouter(answering(), models=models, backends=backends) as router:
        async with AsyncClient(router.address) as client:
            assert await client.models() == models
            assert await client.models("p1") == models[1::2]
        async with AdminClient(router.address) as admin:
            assert await admin.backends() == backends


async def test_what_is_mended_is_enabled():
    key, replica = health_pb2.Target(scope="SCOPE_KEY", id="b"), health_pb2.Target(scope="SCOPE_REPLICA", id="h:1")
    backends = [router_pb2.Backend(id="b", targets=[replica, key]), router_pb2.Backend(id="c", targets=[replica])]
    async with ScriptedRouter(answering(), backends=backends) as router, AdminClient(router.address) as admin:
        assert await admin.enable("b") == [replica, key]
        with pytest.raises(errors.NotFound, match="no target and no backend"):
            await admin.enable("nosuch")
    assert router.enabled == ["b", "nosuch"]


async def test_a_conversation_keeps_turns_and_affinity(connected):
    talk = Conversation("be brief")
    async with connected(answering("Hello")) as (router, client):
        talk.add("hi", await client.generate(talk.prompt("hi"), affinity=talk.state_domain))
        await client.generate(talk.prompt("and?"), affinity=talk.state_domain)
    await router.calls.get()
    call = await router.calls.get()
    assert [message.parts[0].text.text for message in call.request.prompt.messages] == [
        "be brief",
        "hi",
        "Hello",
        "and?",
    ]
    assert call.metadata["antiphon-affinity"] == "scripted-a"
    talk.clear()
    assert (len(talk.messages), talk.state_domain) == (1, "")


@pytest.mark.parametrize(
    ("prompt", "call", "complaint"),
    [
        ("", {}, "prompt is empty"),
        (" \n", {}, "prompt is empty"),
        ([], {}, "prompt is empty"),
        ([], {"system": "s"}, "prompt is empty"),
        ([content_pb2.Message(role=content_pb2.ROLE_USER)], {}, "message is empty"),
        ([("wizard", "hi")], {}, "unknown role 'wizard'; known are system, developer, user, assistant"),
        ("half \ud83d", {}, "lone surrogate. at position 5"),
        ("hi", {"system": "\udcff"}, "lone surrogate"),
        ("hi", {"model": "\udcff"}, "lone surrogate"),
        ("hi", {"model": "m" * 257}, "longer than 256 bytes"),
        ("hi", {"provider": "größe"}, "provider name"),
        ("hi", {"max_output_tokens": 0}, "from 1 to"),
        ("hi", {"timeout_s": 0}, "greater than 0"),
        ("hi", {"after_content": "maybe"}, "fail, restart or hold"),
        ("hi", {"request_id": "r" * 129}, "request id"),
        ("hi", {"metadata": {"X-Team": "a"}}, "lower-case keys"),
        ("hi", {"metadata": {"x-team": "a\nb"}}, "printable ASCII"),
    ],
)
async def test_what_cannot_succeed_is_refused_before_it_is_sent(connected, prompt, call, complaint):
    async with connected(answering("a")) as (router, client):
        with pytest.raises(errors.InvalidRequest, match=complaint):
            await client.generate(prompt, **call)
        assert router.calls.empty()


async def test_20_mb_pass_and_more_than_the_limit_is_refused_here(connected):
    async with connected(answering("a")) as (router, client):
        await client.generate("x" * 20_000_000, timeout_s=100)
        assert len((await router.calls.get()).prompt) == 20_000_000
        with pytest.raises(errors.RequestTooLarge, match="the limit is 67,108,864"):
            await client.generate("x" * (MAX_REQUEST_BYTES + 1))
        with pytest.raises(errors.RequestTooLarge):
            await client.generate("x" * MAX_REQUEST_BYTES)
        assert router.calls.empty()


async def test_calls_are_not_retried(connected):
    async with connected(failing(failure(Reason.ERROR_REASON_PROVIDER_ERROR, "no"))) as (router, client):
        with pytest.raises(errors.ProviderUnavailable):
            await client.generate("hi")
        assert router.calls.qsize() == 1
    assert ("grpc.enable_retries", 0) in CHANNEL_OPTIONS


async def test_a_client_that_is_not_open_says_so():
    with pytest.raises(RuntimeError, match="async with"):
        AsyncClient("127.0.0.1:1").stream("hi")


async def test_closing_the_client_ends_running_calls_with_a_typed_error(connected):
    async def scene(call):
        await call.done.wait()
        for nothing in ():
            yield nothing

    async with connected(scene) as (router, client), client.stream("hi") as stream:
        await router.calls.get()
        await client.close()
        with pytest.raises(errors.Cancelled):
            await stream.response()
