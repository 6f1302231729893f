"""Owns how a test gets a router and a client: `async with connected(scene) as (router, client)`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from antiphon_client import AsyncClient
from antiphon_client.testing import Scene, ScriptedRouter

Connected = Callable[[Scene], AbstractAsyncContextManager[tuple[ScriptedRouter, AsyncClient]]]


@pytest.fixture
def connected() -> Connected:
    @asynccontextmanager
    async def connect(scene: Scene) -> AsyncIterator[tuple[ScriptedRouter, AsyncClient]]:
        async with ScriptedRouter(scene) as router, AsyncClient(router.address, timeout_s=20) as client:
            yield router, client

    return connect
