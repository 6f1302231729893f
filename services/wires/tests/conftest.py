"""A vendor by script for the tests of adapters."""

import pytest
from scripted_vendor import serving_vendor


@pytest.fixture
async def vendor():
    async with serving_vendor("/v1") as vendor:
        yield vendor
