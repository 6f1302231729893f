"""Lets the self-tests import the reference adapter beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
