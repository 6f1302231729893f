"""The coordinator's program: settings, serving, drain. Exits 0, or 78 for a configuration it cannot use."""

import os
import sys

from antiphon_keys.places import Places
from antiphon_keys.service import NAME, serving
from antiphon_keys.settings import KeysSettings
from antiphon_kit import logs, server
from antiphon_kit.config import ConfigError
from antiphon_kit.process_hygiene import forbid_dumps
from antiphon_kit.service import until_signalled
from antiphon_kit.settings import Env, SettingError
from antiphon_kit.telemetry import open_telemetry
from antiphon_kit.transport import connected


def main(env: Env) -> int:
    """Be the coordinator until SIGTERM or SIGINT; returns the exit code."""
    forbid_dumps()
    try:
        settings = KeysSettings.from_env(env)
        logs.configure(settings.service.log_level, settings.service.log_format, sys.stderr)
        places = Places(settings.watch, settings.config)
        places.load()
        server.run(_serve(settings, places, env))
    except (SettingError, ConfigError) as error:
        sys.stderr.write(f"{error}\n")
        return server.EXIT_CONFIG
    return 0


async def _serve(settings: KeysSettings, places: Places, env: Env) -> None:
    telemetry = open_telemetry(settings.service, NAME)
    try:
        async with (
            connected(settings.tls) as transport,
            serving(settings, places, telemetry=telemetry, transport=transport) as service,
        ):
            await until_signalled(service, lambda: server.announce(service.address, env))
    finally:
        await telemetry.aclose()


if __name__ == "__main__":
    sys.exit(main(os.environ))
