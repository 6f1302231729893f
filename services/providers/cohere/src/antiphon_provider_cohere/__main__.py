"""`python -m antiphon_provider_cohere`: the service's composition root."""

import os
import sys

from antiphon_kit.server import run_provider
from antiphon_provider_cohere.settings import cohere_account

if __name__ == "__main__":
    sys.exit(run_provider(cohere_account(os.environ), os.environ))
