"""The router's program: settings, routes file, serving, drain. Exits 0, or 78 for a configuration it cannot use."""

import os
import sys

from antiphon_kit import logs, server
from antiphon_kit.config import ConfigError, load_suite
from antiphon_kit.service import until_signalled
from antiphon_kit.settings import Env, SettingError
from antiphon_kit.telemetry import open_telemetry
from antiphon_router.core.resolve import Catalog, check_default
from antiphon_router.settings import RouterSettings
from antiphon_router.shell.config import catalog_from
from antiphon_router.shell.service import NAME, serving


def main(env: Env) -> int:
    """Be a router until SIGTERM or SIGINT; returns the exit code."""
    try:
        settings = RouterSettings.from_env(env)
        logs.configure(settings.service.log_level, settings.service.log_format, sys.stderr)
        catalog = read_catalog(settings)
        server.run(_serve(settings, catalog, env))
    except (SettingError, ConfigError) as error:
        sys.stderr.write(f"{error}\n")
        return server.EXIT_CONFIG
    return 0


def read_catalog(settings: RouterSettings) -> Catalog:
    """The catalog in the routes file. Raises ConfigError or SettingError for what cannot be used."""
    catalog = catalog_from(load_suite(settings.config), settings.default_llm)
    refusal = check_default(catalog)
    if refusal is not None:
        raise SettingError("DEFAULT_LLM", catalog.default, f"{refusal.message}; or unset it")
    return catalog


async def _serve(settings: RouterSettings, catalog: Catalog, env: Env) -> None:
    telemetry = open_telemetry(settings.service, NAME)
    try:
        async with serving(settings, catalog, telemetry=telemetry) as router:
            await until_signalled(router.public, lambda: server.announce(router.public.address, env))
    finally:
        await telemetry.aclose()


if __name__ == "__main__":
    sys.exit(main(os.environ))
