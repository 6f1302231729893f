"""Owns what the cases against a scripted vendor get besides: the vendor, and a model that plays the plain scene."""

import pytest_asyncio

from antiphon.llm.v1 import models_pb2
from antiphon_conformance.cases.fixtures import Suite
from antiphon_conformance.vendor.scenes import Scene
from antiphon_conformance.vendor.stage import Vendor

SLACK_S = 1.0
"""What a loaded machine may add to a time limit before a case calls it broken."""


class Scripted(Suite):
    """Supply the fixtures `vendor` and `target`, which is configured to call that vendor."""

    @pytest_asyncio.fixture(loop_scope="class")
    async def model(self, vendor: Vendor, declared: models_pb2.Model) -> str:
        return f"{declared.provider}/{vendor.play(Scene.PLAIN).model}"
