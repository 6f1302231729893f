"""Lets the tests import the fleet and the load beside them, and gives them a vendor."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon_conformance.vendor.stage import Vendor, performing
from antiphon_conformance.wires.openai_chat import OpenAIChat

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with performing(OpenAIChat()) as vendor:
        yield vendor
