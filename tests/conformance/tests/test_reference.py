"""The suite is green on an adapter that is right."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import reference

from antiphon_conformance.outcome import Target
from antiphon_conformance.suite import WireConformance
from antiphon_conformance.vendor.stage import Vendor, performing
from antiphon_conformance.wires.openai_chat import OpenAIChat


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with performing(OpenAIChat()) as vendor:
        yield vendor


@pytest_asyncio.fixture(scope="class", loop_scope="class")
async def target(vendor: Vendor) -> AsyncIterator[Target]:
    async with reference.serving(vendor.url) as address:
        yield Target(address, "openai")


class TestReference(WireConformance):
    keepalive_after_s = reference.KEEPALIVE_S
