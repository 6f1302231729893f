"""Embeddings, rerank, text completion and the tunnel: what is sent, and how answers read."""

import asyncio
import struct
from contextlib import asynccontextmanager

import grpc
import pytest

from antiphon.llm.v1 import chat_pb2, completion_pb2, content_pb2, embedding_pb2, native_pb2, rerank_pb2
from antiphon_client import AsyncClient, Client, errors
from antiphon_client.testing import begin, delta, finish, frame
from antiphon_contract.errors import Reason, failure, to_status

KINDS = {
    "Embed": embedding_pb2.EmbedRequest,
    "Rerank": rerank_pb2.RerankRequest,
    "Complete": completion_pb2.CompleteRequest,
    "StreamComplete": completion_pb2.StreamCompleteRequest,
    "CallNative": native_pb2.CallNativeRequest,
}


class Router(grpc.GenericRpcHandler):
    """Answers every method with `answer`; `calls` are (method, request, metadata)."""

    def __init__(self, *answer):
        self.answer = answer
        self.calls = []

    def service(self, details):
        name = details.method.rpartition("/")[2]

        async def unary(data, context):
            self.calls.append((details.method, KINDS[name].FromString(data), dict(context.invocation_metadata())))
            if isinstance(self.answer[0], Exception):
                await context.abort_with_status(to_status(self.answer[0].error))
            return self.answer[0].SerializeToString()

        async def stream(data, context):
            self.calls.append((details.method, KINDS[name].FromString(data), dict(context.invocation_metadata())))
            for each in self.answer:
                await context.write(each.SerializeToString())

        if name.startswith("Stream"):
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)


@asynccontextmanager
async def served(*answer):
    router = Router(*answer)
    server = grpc.aio.server(handlers=(router,), options=(("grpc.so_reuseport", 0),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with AsyncClient(f"127.0.0.1:{port}", timeout_s=10, default_model="local") as client:
            yield router, client, f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


VECTORS = embedding_pb2.EmbedResponse(
    start={"model": "e"},
    sets=[
        {"encoding": "int8", "rows": 2, "dimensions": 2, "data": b"abcd"},
        {"encoding": "float32", "rows": 2, "dimensions": 2, "data": struct.pack("<4f", 1, 2, 3, 4)},
    ],
    end={"usage": {"input_tokens": 3}},
)
ORDER = rerank_pb2.RerankResponse(results=[{"index": 1, "score": 0.5}, {"index": 0, "score": 0.25}])


async def test_embed():
    async with served(VECTORS) as (router, client, _):
        answer = await client.embed(
            ["a", [1, 2], embedding_pb2.EmbedInput(text="c")],
            model="openai/e",
            dimensions=2,
            encodings=["int8", "float32"],
            input_type="query",
            truncate="end",
            provider="openai",
        )
    assert answer.vectors == [(1.0, 2.0), (3.0, 4.0)]
    assert (answer.model, answer.usage.input_tokens) == ("e", 3)
    [(method, request, metadata)] = router.calls
    assert method == "/antiphon.llm.v1.EmbeddingService/Embed"
    assert [each.WhichOneof("kind") for each in request.inputs] == ["text", "tokens", "text"]
    assert (request.params.dimensions, list(request.params.encodings)) == (2, ["int8", "float32"])
    assert (request.params.input_type, request.params.truncate) == ("query", "end")
    assert (metadata["antiphon-model"], metadata["antiphon-provider"]) == ("openai/e", "openai")
    assert metadata["antiphon-request-id"] == answer.request_id


async def test_vectors_in_other_formats_are_not_guessed():
    other = embedding_pb2.EmbedResponse(sets=[{"encoding": "int8", "rows": 1, "dimensions": 1, "data": b"a"}])
    async with served(other) as (router, client, _):
        answer = await client.embed(["a"])
    with pytest.raises(ValueError, match=r"response\.sets"):
        _ = answer.vectors
    assert answer.usage is None
    assert router.calls[0][1].model == "local"
    assert not router.calls[0][1].params.HasField("dimensions")


async def test_rerank():
    async with served(ORDER) as (router, client, _):
        answer = await client.rerank("which", ["a", content_pb2.Document(id="d", text="b")], top_n=2)
    assert answer.order == [(1, 0.5), (0, 0.25)]
    assert (answer.model, answer.usage) == ("", None)
    [(method, request, _)] = router.calls
    assert method == "/antiphon.llm.v1.RerankService/Rerank"
    assert (request.input.query, [document.text for document in request.input.documents]) == ("which", ["a", "b"])
    assert request.params.top_n == 2
    assert not request.params.HasField("max_tokens_per_document")


async def test_complete():
    whole = chat_pb2.GenerateResponse(candidates=[{"message": {"parts": [{"text": {"text": "in between"}}]}}])
    async with served(whole) as (router, client, _):
        answer = await client.complete("before", suffix="after", echo=False, max_output_tokens=5)
        await client.complete([1, 2])
    assert answer.text == "in between"
    (_, request, _), (_, tokens, _) = router.calls
    assert (request.prompt.text, request.prompt.suffix, request.prompt.echo) == ("before", "after", False)
    assert request.params.max_output_tokens == 5
    assert list(tokens.prompt.tokens.ids) == [1, 2]
    assert not tokens.prompt.HasField("echo")


async def test_stream_complete():
    frames = [frame(1, *begin("Hel")), frame(4, delta("lo")), frame(5, *finish(event_count=7))]
    async with served(*frames) as (router, client, _), client.stream_complete("before") as stream:
        assert [piece async for piece in stream.text()] == ["Hel", "lo"]
        assert (await stream.response()).usage.output_tokens == 5
    assert router.calls[0][0] == "/antiphon.llm.v1.CompletionService/StreamComplete"


async def test_native():
    told = native_pb2.CallNativeResponse(http_status=429, headers=[{"name": "a", "value": "b"}], body=b"\xff")
    async with served(told) as (router, client, _):
        answer = await client.native(
            "POST", "/responses", dialect="openai/responses", headers={"X-A": "1"}, body=b"\x00{}", model="openai/x"
        )
        await client.native("GET", "/models", headers=[("a", "1"), ("a", "2")])
    assert answer == told
    (_, request, metadata), (_, repeated, _) = router.calls
    assert (request.request.method, request.request.path, request.request.body) == ("POST", "/responses", b"\x00{}")
    assert [(header.name, header.value) for header in request.request.headers] == [("x-a", "1")]
    assert (request.dialect, metadata["antiphon-model"]) == ("openai/responses", "openai/x")
    assert [header.value for header in repeated.request.headers] == ["1", "2"]


async def test_typed_errors():
    refused = failure(Reason.ERROR_REASON_OPERATION_UNSUPPORTED, "it has no Embed; ask another provider")
    async with served(refused) as (_, client, _):
        with pytest.raises(errors.Unsupported, match="no Embed"):
            await client.embed(["a"])


@pytest.mark.parametrize(
    ("method", "arguments", "param"),
    [
        ("embed", ["text"], "inputs"),
        ("embed", [[]], "inputs"),
        ("embed", [["a", "\ud800"]], "inputs[1]"),
        ("rerank", ["", ["a"]], "query"),
        ("rerank", ["q", []], "documents"),
        ("rerank", ["q", ["\ud800"]], "documents[0]"),
        ("complete", ["\ud800"], "prompt"),
    ],
)
async def test_what_cannot_be_sent_names_the_argument(method, arguments, param):
    async with AsyncClient("127.0.0.1:9") as client:
        with pytest.raises(errors.InvalidRequest) as caught:
            await getattr(client, method)(*arguments)
    assert caught.value.param == param


async def test_a_model_id_too_long_is_refused_here():
    async with AsyncClient("127.0.0.1:9") as client:
        with pytest.raises(errors.InvalidRequest, match="256"):
            await client.embed(["a"], model="m" * 257)


async def test_the_sync_face_has_them_too():
    frames = [frame(1, *begin("Hi")), frame(4, *finish(event_count=6))]

    def calls(address):
        with Client(address) as client:
            with client.stream_complete("a") as stream:
                text = "".join(stream.text())
            router.answer = (VECTORS,)
            vectors = client.embed(["a", "b"]).vectors
            router.answer = (ORDER,)
            order = client.rerank("q", ["a"]).order
            router.answer = (chat_pb2.GenerateResponse(),)
            completed = client.complete("a").text
            router.answer = (native_pb2.CallNativeResponse(http_status=204),)
            return text, vectors, order, completed, client.native("GET", "/models").http_status

    async with served(*frames) as (router, _, address):
        found = await asyncio.to_thread(calls, address)
    assert found == ("Hi", [(1.0, 2.0), (3.0, 4.0)], [(1, 0.5), (0, 0.25)], "", 204)
