"""Owns which fleet this router is in: the one that the routes in use name, joined and left as they are swapped."""

import asyncio
from collections.abc import Callable

from antiphon.config.v1 import suite_pb2
from antiphon_kit.secrets import SecretSource
from antiphon_router.shell.fleet_status import FleetStatus
from antiphon_router.shell.roster import Roster

OpenSecret = Callable[[str], SecretSource | None]


class Membership:
    """The tasks are `group`'s; `secret` opens the reference to the store's password."""

    def __init__(self, roster: Roster, status: FleetStatus, secret: OpenSecret, group: asyncio.TaskGroup) -> None:
        self._roster = roster
        self._status = status
        self._secret = secret
        self._group = group
        self._config: suite_pb2.Fleet | None = None
        self._task: asyncio.Task[None] | None = None

    def follow(self, suite: suite_pb2.Suite) -> None:
        """Be in the fleet that `suite` names, or in none."""
        config = suite.fleet if suite.HasField("fleet") else None
        if config == self._config:
            return
        self.end()
        if config is not None:
            self._config = config
            # Here, so that who runs alone does not carry a client of Redis.
            from antiphon_router.shell.sharing import Sharing

            sharing = Sharing(config, self._roster, self._status, self._secret(config.password))
            self._roster.observer = sharing.observe
            self._task = self._group.create_task(sharing.run())

    def end(self) -> None:
        """Be in none. What was learned holds until it expires."""
        self._roster.observer = self._config = None
        self._status.began("")
        if self._task is not None:
            self._task.cancel()
            self._task = None
