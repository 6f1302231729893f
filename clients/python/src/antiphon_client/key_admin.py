"""Owns the client of the coordinator that rotates provider keys, which has an address of its own."""

from types import TracebackType
from typing import Any, Self

from antiphon.router.v1 import keys_pb2, keys_pb2_grpc
from antiphon_client.connection import Connection
from antiphon_client.requests import Defaults, route
from antiphon_contract.tls import TlsFiles


class KeyAdminClient:
    """Use with `async with`. Every method raises AntiphonError."""

    def __init__(self, address: str, *, timeout_s: float = 10.0, tls: TlsFiles | None = None) -> None:
        self._connection = Connection(address, None, tls)
        self._defaults = Defaults(timeout_s=timeout_s)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(None, None, None)

    async def versions(self, slot: str = "") -> keys_pb2.ListKeyVersionsResponse:
        """The versions of a slot, or of all, and what is wrong now. Raises NotFound for a slot that is none."""
        request = keys_pb2.ListKeyVersionsRequest(slot=slot)
        answer: keys_pb2.ListKeyVersionsResponse = await self._ask(
            "ListKeyVersions", request, keys_pb2.ListKeyVersionsResponse
        )
        return answer

    async def rotate(self, slot: str, version: int = 0) -> keys_pb2.KeyVersion:
        """Put a version on its way, 0: the newest. Raises NotFound, InvalidRequest."""
        request = keys_pb2.RotateKeyRequest(slot=slot, version=version)
        answer: keys_pb2.RotateKeyResponse = await self._ask("RotateKey", request, keys_pb2.RotateKeyResponse)
        return answer.version

    async def promote(self, slot: str, version: int = 0) -> keys_pb2.KeyVersion:
        """Put a version in service at once, 0: the newest. Raises NotFound, InvalidRequest."""
        request = keys_pb2.PromoteKeyRequest(slot=slot, version=version)
        answer: keys_pb2.PromoteKeyResponse = await self._ask("PromoteKey", request, keys_pb2.PromoteKeyResponse)
        return answer.version

    async def revoke(self, slot: str, version: int, *, force: bool = False) -> keys_pb2.KeyVersion:
        """Take a version out for good; `force`: also the last one. Raises NotFound, InvalidRequest."""
        request = keys_pb2.RevokeKeyRequest(slot=slot, version=version, force=force)
        answer: keys_pb2.RevokeKeyResponse = await self._ask("RevokeKey", request, keys_pb2.RevokeKeyResponse)
        return answer.version

    async def _ask(self, method: str, request: Any, answer: Any) -> Any:
        stub = keys_pb2_grpc.KeyAdminServiceStub(self._connection.channel)
        found, _ = await self._connection.unary(getattr(stub, method), request, route({}, self._defaults), answer)
        return found
