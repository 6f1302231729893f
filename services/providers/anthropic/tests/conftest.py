"""Lets the tests import what lies beside them, and a vendor by script."""

import sys
from pathlib import Path

import pytest
from scripted_vendor import serving_vendor

from antiphon_kit.secrets import EnvSecret
from antiphon_provider_anthropic.adapter import AnthropicAdapter

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
async def vendor():
    async with serving_vendor() as vendor:
        yield vendor


@pytest.fixture
async def provider(vendor):
    made = AnthropicAdapter(vendor.url, EnvSecret({"K": "sk-ant-test-0123456789abcdef"}, "K"))
    yield made
    await made.aclose()
