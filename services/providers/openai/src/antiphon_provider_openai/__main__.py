"""`python -m antiphon_provider_openai`: the service's composition root."""

import os
import sys

from antiphon_kit.server import run_provider
from antiphon_provider_openai.settings import make_adapter

if __name__ == "__main__":
    sys.exit(run_provider(make_adapter(os.environ), os.environ))
