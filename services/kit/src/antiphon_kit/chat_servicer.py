"""Owns antiphon.llm.v1.ChatService over a ChatProvider: three RPCs, one streaming path.

Requests arrive as bytes: size and admission are checked before anything is parsed. Generate and CountTokens are read
as StreamGenerateRequest, whose fields 1 to 4 are theirs.
"""

import asyncio
from functools import partial
from typing import Final

import grpc

from antiphon.llm.v1 import chat_pb2
from antiphon_contract.errors import Reason, failure
from antiphon_kit.call import Call, Context, Edge
from antiphon_kit.generation import Generations
from antiphon_kit.intake import model_of, parsed
from antiphon_kit.provider import ChatProvider, Turn
from antiphon_kit.request_rules import validate
from antiphon_kit.upstream import Upstream

SERVICE: Final = chat_pb2.DESCRIPTOR.services_by_name["ChatService"].full_name


class ChatServicer:
    """ChatService of one provider."""

    def __init__(self, provider: ChatProvider, upstream: Upstream, edge: Edge) -> None:
        self._provider = provider
        self._upstream = upstream
        self._edge = edge
        self._generations = Generations(upstream, "chat")

    def handler(self) -> grpc.GenericRpcHandler:
        """What to register with a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Generate": grpc.unary_unary_rpc_method_handler(self._generate),
                "StreamGenerate": grpc.unary_stream_rpc_method_handler(self._stream_generate),
                "CountTokens": grpc.unary_unary_rpc_method_handler(self._count_tokens),
            },
        )

    async def _generate(self, data: bytes, context: Context) -> bytes:
        return await self._edge.answer(f"/{SERVICE}/Generate", data, context, self._whole)

    async def _stream_generate(self, data: bytes, context: Context) -> None:
        await self._edge.answer(f"/{SERVICE}/StreamGenerate", data, context, self._stream)

    async def _count_tokens(self, data: bytes, context: Context) -> bytes:
        return await self._edge.answer(f"/{SERVICE}/CountTokens", data, context, self._count)

    async def _whole(self, call: Call, data: bytes) -> bytes:
        turn = self._turn(call, data)
        return await self._generations.whole(call, turn, partial(self._provider.generate, turn))

    async def _stream(self, call: Call, data: bytes) -> None:
        turn = self._turn(call, data)
        await self._generations.stream(call, turn, partial(self._provider.generate, turn))

    async def _count(self, call: Call, data: bytes) -> bytes:
        turn = self._turn(call, data)
        call.job = turn
        limits = self._upstream.limits(call, turn.request.options)
        limit_s = min(limits.total_s, limits.per_attempt_s or limits.total_s)
        try:
            async with asyncio.timeout(limit_s):
                counted = await self._provider.count_tokens(turn)
        except TimeoutError:
            message = f"the provider did not count within {limit_s:g} s; try again or use another backend"
            raise failure(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, message) from None
        await call.send_headers()
        return counted.SerializeToString()

    def _turn(self, call: Call, data: bytes) -> Turn:
        settings = self._upstream.settings
        request = parsed(chat_pb2.StreamGenerateRequest, data, settings.max_request_bytes)
        model = model_of(call, request.model)
        validate(request, model)
        return Turn(
            request=request,
            model=model,
            state_domain=settings.state_domain,
            max_output_tokens=settings.max_output_tokens,
        )
