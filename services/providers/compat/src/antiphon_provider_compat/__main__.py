"""`python -m antiphon_provider_compat`: the service's composition root."""

import os
import sys

from antiphon_kit.server import run_provider
from antiphon_provider_compat.settings import CompatSettings

if __name__ == "__main__":
    sys.exit(run_provider(lambda settings: CompatSettings.from_env(os.environ).adapter(settings), os.environ))
