"""Owns `up`: the whole suite in the foreground, from checking what was configured to the last process gone."""

import asyncio
import importlib.util
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from antiphon.config.v1 import suite_pb2
from antiphon_embedded import ports
from antiphon_embedded.board import Board
from antiphon_embedded.plan import KeyStore, Plan, make_plan
from antiphon_embedded.process import tail
from antiphon_embedded.settings import DEFAULT_LISTEN, LauncherSettings
from antiphon_embedded.supervisor import EXIT_CONFIG, GaveUp, State, Status, Supervisor
from antiphon_kit.config import ConfigError, load_suite
from antiphon_kit.settings import Env, ServiceSettings
from antiphon_kit.tls_settings import TlsSettings

EXIT_KILLED: Final = 130
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EXTRA_GRACE_S: Final = 5.0
_PATIENCE_S: Final = 10.0
_OTHERS_S: Final = 5.0


class Refused(Exception):
    """Nothing was started, and why: each line says what, where and how to mend it."""


def routes_of(settings: LauncherSettings) -> suite_pb2.Suite:
    """The routes file. Raises Refused."""
    try:
        return load_suite(settings.routes)
    except ConfigError as error:
        raise Refused(str(error)) from None


def prepare(suite: suite_pb2.Suite, settings: LauncherSettings, env: Env, store: KeyStore | None = None) -> Plan:
    """Check everything that can be checked without starting anything. Raises Refused, SettingError."""
    plan = make_plan(suite, settings, env, _installed, store)
    for service in plan.services:
        ServiceSettings.from_env(service.command.env)
        if TlsSettings.from_env(service.command.env).issuer is not None:
            raise Refused(
                "ANTIPHON_TLS_ISSUER: each service has a role of its own there; use ANTIPHON_TLS_CERT_FILE here"
            )
    if not plan.providers and not any(skipped.elsewhere for skipped in plan.skipped):
        raise Refused("\n".join(f"{skipped.name}: {skipped.why}" for skipped in plan.skipped))
    problems = list(_port_problems(plan, settings))
    if problems:
        raise Refused("\n".join(problems))
    return plan


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _port_problems(plan: Plan, settings: LauncherSettings) -> Iterator[str]:
    places = [(service.listen, service.command.name) for service in plan.providers]
    mend_by_name = {name: f"change its address in {settings.routes}" for _, name in places}
    if plan.keys is not None:
        places += [(settings.keys, "keys"), (settings.vault, "vault")]
        mend_by_name |= {"keys": "set ANTIPHON_KEYS_LISTEN", "vault": "set ANTIPHON_DEV_VAULT_LISTEN"}
    places += [(settings.listen, "router"), (settings.admin, "router, for operators")]
    mend_by_name |= {"router": "set ANTIPHON_LISTEN", "router, for operators": "set ANTIPHON_ADMIN_LISTEN"}
    twice = ports.duplicates(address for address, _ in places)
    for address, name in places:
        problem = "given to two services" if address in twice else ports.problem(address)
        if problem:
            stop = "stop that program (is the suite running already?), or " if "in use" in problem else ""
            yield f"{address} ({name}): {problem}; {stop}{mend_by_name[name]}"


def fresh_log(directory: Path, name: str) -> Path:
    """A new log file for this run; the one before is kept as `.log.1`."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / f"{name}.log"
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    log.touch()
    return log


class Suite:
    """The running suite: supervisors of all services, and what is said about them."""

    def __init__(self, plan: Plan, board: Board, logs: Path | None) -> None:
        self._board = board
        self._statuses: dict[str, Status] = {}
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._killed = False
        made = [
            Supervisor(one.command, fresh_log(logs, one.command.name) if logs else None, self._on_change)
            for one in plan.services
        ]
        self._providers, self._router = made[:-1], made[-1]
        self._grace_s = {
            made.status.name: _grace_s(service.command.env) for made, service in zip(made, plan.services, strict=True)
        }

    async def run(self) -> int:
        """Serve until a signal asks to stop. Raises GaveUp. Returns the exit code."""
        try:
            with self._signals():
                async with asyncio.TaskGroup() as tasks:
                    for supervisor in (*self._providers, self._router):
                        tasks.create_task(supervisor.run())
                    news = tasks.create_task(self._announce())
                    await self._stop.wait()
                    news.cancel()
                    await self._drain()
        except* GaveUp as group:
            raise next(iter(_leaves(group))) from None
        return EXIT_KILLED if self._killed else 0

    async def _drain(self) -> None:
        self._board.say("", "draining: running calls finish, then every service ends (Ctrl-C again: at once)")
        await self._router.drain(self._grace_s[self._router.status.name])
        async with asyncio.TaskGroup() as tasks:
            for provider in self._providers:
                tasks.create_task(provider.drain(self._grace_s[provider.status.name]))

    def _on_change(self, status: Status) -> None:
        self._statuses[status.name] = status
        self._board.show(status)
        self._changed.set()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._killed = True
            for supervisor in (self._router, *self._providers):
                supervisor.kill()
        self._stop.set()

    async def _announce(self) -> None:
        while self._router.status.state is not State.SERVING:
            if not await self._wait_for_change(_PATIENCE_S):
                self._board.say(f"still waiting for {'; '.join(self._not_serving())}")
        loop = asyncio.get_running_loop()
        until = loop.time() + _OTHERS_S
        while self._not_serving() and loop.time() < until:
            await self._wait_for_change(until - loop.time())
        address = self._router.status.address
        where = "" if address == DEFAULT_LISTEN else f" --address {address}"
        self._board.say(
            "",
            f"Antiphon serves on {address}. In another terminal:",
            f'  .venv/bin/antiphon ask "Why is the sky blue?"{where}',
            "  .venv/bin/antiphon status",
            "Ctrl-C here drains and ends it.",
            "",
        )

    async def _wait_for_change(self, timeout_s: float) -> bool:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), max(timeout_s, 0))
        except TimeoutError:
            return False
        return True

    def _not_serving(self) -> list[str]:
        return [
            f"{one.name} ({one.detail or one.state.value})"
            for one in self._statuses.values()
            if one.state is not State.SERVING
        ]


def _grace_s(env: Env) -> float:
    settings = ServiceSettings.from_env(env)
    return settings.drain_lameduck_s + settings.drain_grace_s + _EXTRA_GRACE_S


def _leaves(group: BaseExceptionGroup[GaveUp]) -> Iterator[GaveUp]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def explain(failure: GaveUp) -> list[str]:
    """What to print when a service could not be started: its own last words, and where the rest is."""
    if failure.log is None:
        return [f"error: {failure}; its output is above"]
    # A wrong setting is one clear line of the service itself; what else went wrong takes a few.
    words = [line for line in tail(failure.log, 1 if failure.code == EXIT_CONFIG else 8) if line.strip()]
    return [f"error: {failure}" + (":" if words else " and said nothing"), *words, f"whole log: {failure.log}"]
