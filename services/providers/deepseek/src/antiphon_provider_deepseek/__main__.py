"""`python -m antiphon_provider_deepseek`: the service's composition root."""

import os
import sys

from antiphon_kit.server import run_provider
from antiphon_provider_deepseek import DEEPSEEK
from antiphon_wires.openai_chat.service import known_vendor

if __name__ == "__main__":
    sys.exit(run_provider(known_vendor(DEEPSEEK, os.environ), os.environ))
