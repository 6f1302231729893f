"""Owns the routes file while the router runs: looks at it once a second, swaps the routes when its content changed.

A file that cannot be used changes nothing: the last good one stays in use, one alarm names all its mistakes, and
`antiphon status` shows them until the file is mended. Replace the file by rename.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from antiphon.config.v1 import suite_pb2
from antiphon_kit.config import ConfigError, parse_suite, read_suite
from antiphon_kit.settings import SettingError
from antiphon_router.core.resolve import check_default
from antiphon_router.shell.config import catalog_from
from antiphon_router.shell.routes import Loaded, Refused, Routes

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
_VERSION_DIGITS: Final = 12

Stamp = tuple[int, int, int] | None


class RoutesFile:
    """The file at `path`. `default_llm` wins over its own; `check` raises SettingError for what this host cannot do."""

    def __init__(
        self,
        path: str,
        default_llm: str = "",
        *,
        check: Callable[[suite_pb2.Suite], None] = lambda suite: None,
        every_s: float = EVERY_S,
    ) -> None:
        self._path = path
        self._default_llm = default_llm
        self._check = check
        self._every_s = every_s
        self._wake = asyncio.Event()
        self._stamp: Stamp = None
        self._seen = ""

    def load(self) -> Loaded:
        """What the file says now. Raises ConfigError or SettingError."""
        self._stamp = _stamp(self._path)
        self._seen = ""
        raw = read_suite(self._path)
        self._seen = _version(raw)
        suite = parse_suite(raw, self._path)
        catalog = catalog_from(suite, self._default_llm)
        refusal = check_default(catalog)
        if refusal is not None:
            raise SettingError("DEFAULT_LLM", catalog.default, f"{refusal.message}; or unset it")
        self._check(suite)
        return Loaded(suite, catalog, self._seen, time.time())

    def look_now(self) -> None:
        """Look at the file at once, whatever it seems to be."""
        self._stamp = None
        self._wake.set()

    async def follow(self, routes: Routes) -> None:
        """Keep `routes` what the file says, for ever; ends by cancellation only."""
        while True:
            try:
                async with asyncio.timeout(self._every_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._look(routes)

    async def _look(self, routes: Routes) -> None:
        # In a thread: mounts can hang, and a large file takes a while to parse.
        if self._stamp is not None and await asyncio.to_thread(_stamp, self._path) == self._stamp:
            return
        seen = self._seen
        try:
            loaded = await asyncio.to_thread(self.load)
        except (ConfigError, SettingError) as error:
            problems = getattr(error, "problems", (str(error),))
            if routes.refused is None or routes.refused.problems != problems:
                routes.refuse(Refused(problems, time.time()))
                kept = routes.loaded.version
                log.error("routes_refused", extra={"file": self._path, "problems": problems, "kept_version": kept})  # noqa: TRY400 - what is wrong is in the problems
            return
        if loaded.version == routes.loaded.version:
            if seen != loaded.version:
                log.info("routes_restored", extra={"file": self._path, "version": loaded.version})
            routes.accept()
            return
        routes.swap(loaded)
        log.info("routes_loaded", extra={"file": self._path, "version": loaded.version})


def _stamp(path: str) -> Stamp:
    try:
        stat = Path(path).stat()
    except (OSError, ValueError):
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def _version(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:_VERSION_DIGITS]
