"""Owns the services of the demo: started, waited for until they serve, gone with the demo."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from antiphon_embedded.health import last_words, watch
from antiphon_embedded.narrator import Narrator
from antiphon_embedded.process import Child, ChildExited, Command, spawn, tail

_READY_S: Final = 60.0


class DemoFailure(Exception):
    """Something was not as it should be; one line for people, with the log to look at."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running service of the demo."""

    name: str
    child: Child
    address: str
    log: Path
    model: str = ""
    instance: str = ""
    """What its response ids begin with."""


@dataclass(frozen=True, slots=True)
class Starting:
    """A service that was started and is not known to serve yet."""

    name: str
    child: Child
    log: Path
    began: float

    async def ready(self, tell: Narrator) -> Service:
        """Wait until it serves, and say so. Raises DemoFailure."""
        try:
            async with asyncio.timeout(_READY_S):
                address = await self.child.address()
                async with aclosing(watch(address)) as states:
                    async for serving in states:
                        if serving:
                            break
        except ChildExited as error:
            raise DemoFailure("\n".join([f"{error}:", *tail(self.log, 5)])) from None
        except TimeoutError:
            why = last_words(self.log) or "it does not say why"
            raise DemoFailure(f"{self.name} was not ready after {_READY_S:g} s: {why}") from None
        tell.good(f"{self.name:<10} serving at {address:<17} after {time.monotonic() - self.began:.1f} s")
        return Service(self.name, self.child, address, self.log)


@asynccontextmanager
async def running(command: Command, log: Path, name: str) -> AsyncIterator[Starting]:
    """A process for the body of the `with`."""
    child = await spawn(replace(command, name=name), log)
    try:
        yield Starting(name, child, log, time.monotonic())
    finally:
        child.kill()
        await child.wait()
