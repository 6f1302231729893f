"""Lets the tests import what lies beside them, and a vendor by script."""

import sys
from pathlib import Path

import pytest
from scripted_vendor import serving_vendor

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
async def vendor():
    async with serving_vendor() as vendor:
        yield vendor
