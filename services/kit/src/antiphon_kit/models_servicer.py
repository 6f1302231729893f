"""Owns antiphon.llm.v1.ModelService over a ChatProvider: pages of its models, and one of them."""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Final

import grpc
from google.protobuf.message import DecodeError

from antiphon.llm.v1 import models_pb2
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_kit.call import Call, Context, Edge
from antiphon_kit.provider import ChatProvider

SERVICE: Final = models_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
DEFAULT_PAGE: Final = 100
LARGEST_PAGE: Final = 1000
_SHOWN: Final = 5
_DIGEST_BYTES: Final = 6


class ModelsServicer:
    """ModelService of one provider. `limit_s`: how long the provider may take to list its models."""

    def __init__(self, provider: ChatProvider, edge: Edge, *, limit_s: float) -> None:
        self._provider = provider
        self._edge = edge
        self._limit_s = limit_s

    def handler(self) -> grpc.GenericRpcHandler:
        """What to register with a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "ListModels": grpc.unary_unary_rpc_method_handler(self._list_models),
                "GetModel": grpc.unary_unary_rpc_method_handler(self._get_model),
            },
        )

    async def _list_models(self, data: bytes, context: Context) -> bytes:
        return await self._edge.answer(f"/{SERVICE}/ListModels", data, context, self._list)

    async def _get_model(self, data: bytes, context: Context) -> bytes:
        return await self._edge.answer(f"/{SERVICE}/GetModel", data, context, self._get)

    async def _list(self, call: Call, data: bytes) -> bytes:
        try:
            request = models_pb2.ListModelsRequest.FromString(data)
        except DecodeError:
            raise _invalid("", "the request is not a valid ListModelsRequest") from None
        if request.page_size < 0:
            raise _invalid("page_size", "page_size: negative; use 0 for the default")
        after = _read_token(request.page_token, request.provider) if request.page_token else ""
        size = min(request.page_size or DEFAULT_PAGE, LARGEST_PAGE)
        models = await self._models()
        wanted = [m for m in models if m.id > after and request.provider in ("", m.provider)]
        response = models_pb2.ListModelsResponse(models=wanted[:size])
        if len(wanted) > size:
            response.next_page_token = _token(wanted[size - 1].id, request.provider)
        await call.send_headers()
        return response.SerializeToString()

    async def _get(self, call: Call, data: bytes) -> bytes:
        try:
            name = models_pb2.GetModelRequest.FromString(data).model
        except DecodeError:
            raise _invalid("", "the request is not a valid GetModelRequest") from None
        if not name:
            raise _invalid("model", "model: empty; set it to an id that ListModels shows")
        models = await self._models()
        for model in models:
            if name in (model.id, model.native_id) or name in model.aliases:
                await call.send_headers()
                return models_pb2.GetModelResponse(model=model).SerializeToString()
        known = ", ".join(model.id for model in models[:_SHOWN]) or "none"
        more = f" and {len(models) - _SHOWN} more" if len(models) > _SHOWN else ""
        raise failure(
            Reason.ERROR_REASON_MODEL_NOT_FOUND,
            f"{self._provider.name} has no model of this name; it has {known}{more}",
            param="model",
        )

    async def _models(self) -> Sequence[models_pb2.Model]:
        try:
            async with asyncio.timeout(self._limit_s):
                models = await self._provider.list_models()
        except TimeoutError:
            problem = f"{self._provider.name} did not list its models within {self._limit_s:g} s; try again"
            raise failure(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, problem) from None
        return sorted(models, key=lambda model: model.id)


def _invalid(param: str, message: str) -> CallFailure:
    return failure(Reason.ERROR_REASON_INVALID_REQUEST, message, param=param)


def _token(last_id: str, provider: str) -> str:
    return base64.urlsafe_b64encode(_digest(last_id, provider) + last_id.encode()).decode()


def _read_token(token: str, provider: str) -> str:
    """The id after which to go on. The digest tells tokens of other requests and of other services apart."""
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        last_id = raw[_DIGEST_BYTES:].decode()
    except (binascii.Error, ValueError):
        raw, last_id = b"", ""
    if not last_id or raw[:_DIGEST_BYTES] != _digest(last_id, provider):
        raise _invalid(
            "page_token", "page_token: unknown; use next_page_token of the page before, with the same provider"
        )
    return last_id


def _digest(last_id: str, provider: str) -> bytes:
    return hashlib.sha256(f"{provider}\n{last_id}".encode()).digest()[:_DIGEST_BYTES]
