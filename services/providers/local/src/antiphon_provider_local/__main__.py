"""The local provider service: `python -m antiphon_provider_local`."""

import os
import sys

from antiphon_kit.server import run_provider
from antiphon_kit.settings import ServiceSettings
from antiphon_provider_local.provider import LocalProvider
from antiphon_provider_local.settings import LocalSettings


def make(_: ServiceSettings) -> LocalProvider:
    """Read this provider's own settings and start loading the model."""
    return LocalProvider(LocalSettings.from_env(os.environ))


if __name__ == "__main__":
    sys.exit(run_provider(make, os.environ))
