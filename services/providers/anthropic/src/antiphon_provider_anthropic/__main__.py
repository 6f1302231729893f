"""`python -m antiphon_provider_anthropic`: the service's composition root."""

import os
import sys

from antiphon_kit.server import run_provider
from antiphon_provider_anthropic.settings import configured

if __name__ == "__main__":
    sys.exit(run_provider(configured(os.environ), os.environ))
