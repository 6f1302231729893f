"""Pages, tokens and single models."""

import asyncio

import grpc
import pytest

from antiphon.llm.v1 import models_pb2

LIST = "/antiphon.llm.v1.ModelService/ListModels"
GET = "/antiphon.llm.v1.ModelService/GetModel"


def model(number, provider="scripted"):
    name = f"m-{number:04}"
    return models_pb2.Model(id=f"{provider}/{name}", provider=provider, native_id=name, aliases=[f"alias-{number}"])


async def listed(caller, **fields):
    return await caller.unary(LIST, models_pb2.ListModelsRequest(**fields), models_pb2.ListModelsResponse)


async def got(caller, name):
    return await caller.unary(GET, models_pb2.GetModelRequest(model=name), models_pb2.GetModelResponse)


async def test_pages_cover_all_models_in_order(scripted, dial):
    models = [model(number) for number in range(25)]
    seen, token, sizes = [], "", []
    async with dial(scripted(models=models[::-1])) as caller:
        while True:
            response = (await listed(caller, page_size=10, page_token=token)).response
            seen += [m.id for m in response.models]
            sizes.append(len(response.models))
            token = response.next_page_token
            if not token:
                break
    assert seen == [m.id for m in models]
    assert sizes == [10, 10, 5]


@pytest.mark.parametrize(("page_size", "expected"), [(0, 100), (7, 7), (5000, 1000)])
async def test_page_size(scripted, dial, page_size, expected):
    async with dial(scripted(models=[model(number) for number in range(1001)])) as caller:
        response = (await listed(caller, page_size=page_size)).response
    assert len(response.models) == expected
    assert response.next_page_token


async def test_provider_filters(scripted, dial):
    async with dial(scripted(models=[model(1), model(2, "other")])) as caller:
        assert [m.provider for m in (await listed(caller, provider="other")).response.models] == ["other"]
        assert not (await listed(caller, provider="none")).response.models


@pytest.mark.parametrize("token", ["x", "AAAA", "!!!!", "c2NyaXB0ZWQvbS0wMDAx"])
async def test_a_bad_token_is_refused(scripted, dial, token):
    async with dial(scripted(models=[model(1)])) as caller:
        answer = await listed(caller, page_token=token)
    assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert answer.error.param == "page_token"


async def test_a_token_belongs_to_its_request(scripted, dial):
    async with dial(scripted(models=[model(1), model(2)])) as caller:
        token = (await listed(caller, page_size=1)).response.next_page_token
        answer = await listed(caller, page_size=1, page_token=token, provider="scripted")
        negative = await listed(caller, page_size=-1)
    assert answer.error.param == "page_token"
    assert negative.error.param == "page_size"


@pytest.mark.parametrize("name", ["scripted/m-0001", "m-0001", "alias-1"])
async def test_get_model_by_any_of_its_names(scripted, dial, name):
    async with dial(scripted(models=[model(0), model(1)])) as caller:
        assert (await got(caller, name)).response.model.id == "scripted/m-0001"


async def test_get_model_names_what_is_known(scripted, dial):
    async with dial(scripted(models=[model(number) for number in range(8)])) as caller:
        answer = await got(caller, "nosuch")
        empty = await got(caller, "")
    assert (answer.code, answer.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert "scripted/m-0000" in answer.message
    assert "3 more" in answer.message
    assert empty.error.param == "model"


async def test_a_provider_that_does_not_answer_is_a_typed_failure(scripted, dial):
    class Hanging(scripted):
        async def list_models(self):
            await asyncio.Event().wait()

    async with dial(Hanging(), first_event_timeout_s=0.05) as caller:
        assert (await listed(caller)).reason == (await got(caller, "m")).reason == "UPSTREAM_TIMEOUT"


@pytest.mark.parametrize("method", [LIST, GET])
async def test_bytes_that_are_no_request_are_refused(scripted, dial, method):
    async with dial(scripted()) as caller:
        answer = await caller.unary(method, b"\xff\xff", models_pb2.ListModelsResponse)
    assert answer.reason == "INVALID_REQUEST"
