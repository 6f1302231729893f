"""Owns which routes are in use: one holder that everyone reads and a reload replaces.

Running calls keep the resolution they began with; only what is resolved afterwards follows the new routes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from antiphon.config.v1 import suite_pb2
from antiphon_router.core.resolve import Catalog, Refusal, Resolution
from antiphon_router.shell.config import catalog_from


@dataclass(frozen=True, slots=True)
class Loaded:
    """One state of the routes file. `version` tells states apart; `at` is when it was read, in Unix seconds."""

    suite: suite_pb2.Suite
    catalog: Catalog
    version: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    """A later state of the file that is not in use: one line per mistake."""

    problems: tuple[str, ...]
    at: float


class Routes:
    """The routes in use."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.refused: Refused | None = None
        """Why the file as it is now is not in use; None: it is."""
        self.resolved: dict[tuple[str, str], Resolution | Refusal] = {}
        """What names were found to mean, by model and providers; for who resolves them. A swap begins a new one."""
        self._followers: list[Callable[[Loaded], None]] = []

    @classmethod
    def of(cls, suite: suite_pb2.Suite, default_llm: str = "") -> "Routes":
        """The routes of a checked `suite` that came from no file."""
        return cls(Loaded(suite, catalog_from(suite, default_llm), at=time.time()))

    @property
    def catalog(self) -> Catalog:
        """What is configured now."""
        return self.loaded.catalog

    def follow(self, follower: Callable[[Loaded], None]) -> None:
        """Have `follower` called now and after each swap."""
        self._followers.append(follower)
        follower(self.loaded)

    def swap(self, loaded: Loaded) -> None:
        """Take `loaded` into use."""
        self.loaded = loaded
        self.refused = None
        self.resolved = {}
        for follower in self._followers:
            follower(loaded)

    def refuse(self, refused: Refused) -> None:
        """Note that the file has become unusable; what is in use stays so."""
        self.refused = refused

    def accept(self) -> None:
        """Note that the file is again what is in use."""
        self.refused = None
