"""The router's program: settings, routes file, serving, drain. Exits 0, or 78 for a configuration it cannot use."""

import asyncio
import functools
import os
import signal
import sys

from antiphon.config.v1 import suite_pb2
from antiphon_kit import logs, server
from antiphon_kit.config import ConfigError
from antiphon_kit.secrets import from_reference
from antiphon_kit.service import until_signalled
from antiphon_kit.settings import Env, SettingError
from antiphon_kit.telemetry import open_telemetry
from antiphon_router.settings import RouterSettings
from antiphon_router.shell import memory
from antiphon_router.shell.discovery import KUBERNETES
from antiphon_router.shell.routes import Routes
from antiphon_router.shell.routes_file import RoutesFile
from antiphon_router.shell.service import NAME, serving


def main(env: Env) -> int:
    """Be a router until SIGTERM or SIGINT; returns the exit code."""
    memory.one_heap()
    try:
        settings = RouterSettings.from_env(env)
        logs.configure(settings.service.log_level, settings.service.log_format, sys.stderr)
        file = open_routes(settings)
        server.run(_serve(settings, file, Routes(file.load()), env))
    except (SettingError, ConfigError) as error:
        sys.stderr.write(f"{error}\n")
        return server.EXIT_CONFIG
    return 0


def open_routes(settings: RouterSettings) -> RoutesFile:
    """The routes file of `settings`, not read yet."""

    def check(suite: suite_pb2.Suite) -> None:
        named = (address for backend in suite.backends for address in backend.addresses)
        if not settings.kubernetes and any(address.startswith(KUBERNETES) for address in named):
            problem = f"not set, but the routes file has {KUBERNETES} addresses; run in a pod, or use dns:/// there"
            raise SettingError("KUBERNETES_SERVICE_HOST", "", problem)

    return RoutesFile(settings.config, settings.default_llm, check=check)


async def _serve(settings: RouterSettings, file: RoutesFile, routes: Routes, env: Env) -> None:
    telemetry = open_telemetry(settings.service, NAME)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, file.look_now)
    try:
        secret = functools.partial(from_reference, env=env, name="fleet.password")
        async with serving(settings, routes, file=file, secret=secret, telemetry=telemetry) as router:
            await until_signalled(router.public, lambda: server.announce(router.public.address, env))
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        await telemetry.aclose()


if __name__ == "__main__":
    sys.exit(main(os.environ))
