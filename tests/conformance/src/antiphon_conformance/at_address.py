"""Owns the run against an address from the command line: the suite for any model, without a scripted vendor."""

import pytest
import pytest_asyncio

from antiphon.llm.v1 import models_pb2
from antiphon_conformance.outcome import Target
from antiphon_conformance.suite import ModelConformance


class TestAtAddress(ModelConformance):
    """The service that was named on the command line."""

    @pytest.fixture(scope="class")
    @classmethod
    def target(cls, pytestconfig: pytest.Config) -> Target:
        return Target(pytestconfig.getoption("--target"), routed=False)

    @pytest_asyncio.fixture(loop_scope="class")
    async def model(  # type: ignore[override]  # a fixture: pytest fills in what it names
        self, declared: models_pb2.Model, pytestconfig: pytest.Config
    ) -> str:
        chosen: str = pytestconfig.getoption("--model")
        return chosen or declared.id
