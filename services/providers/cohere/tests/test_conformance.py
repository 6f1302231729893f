"""Binds the parity suite to this provider: a process of its own, alone and behind a router."""

from typing import Any

import pytest

from antiphon.llm.v1 import models_pb2
from antiphon_conformance.calling import Ask
from antiphon_conformance.cases.wire_text import EXACT, ZEROES
from antiphon_conformance.deployed import DeployedOnWire
from antiphon_conformance.program import Launch
from antiphon_conformance.suite import WireConformance
from antiphon_conformance.vendor.scenes import Scene
from antiphon_conformance.vendor.stage import Vendor
from antiphon_conformance.wires.cohere_v2 import CohereV2

NEGATIVE = {"frequency_penalty": -0.5}
OTHERS = [item for item in (*EXACT.items(), *ZEROES.items()) if item not in NEGATIVE.items()]


class TestCohere(DeployedOnWire, WireConformance):
    provider = "cohere"
    wire = CohereV2()
    launch = Launch("antiphon_provider_cohere", {"COHERE_BASE_URL": "{vendor}", "COHERE_API_KEY": "{key}"})

    @pytest.mark.xfail(strict=True, reason="penalties are 0 to 1 at Cohere: a negative one is clamped, with a warning")
    @pytest.mark.parametrize(("name", "value"), NEGATIVE.items(), ids=str)
    async def test_sends_a_parameter_as_it_is_or_says_that_it_did_not(
        self, ask: Ask, vendor: Vendor, declared: models_pb2.Model, name: str, value: float
    ) -> None:
        await self._sends(ask, vendor, declared, name=name, value=value)

    @pytest.mark.parametrize(("name", "value"), OTHERS, ids=str)
    async def test_sends_all_other_parameters_as_they_are_or_says_that_it_did_not(
        self, ask: Ask, vendor: Vendor, declared: models_pb2.Model, name: str, value: float
    ) -> None:
        await self._sends(ask, vendor, declared, name=name, value=value)

    async def _sends(self, ask: Ask, vendor: Vendor, declared: models_pb2.Model, **param: Any) -> None:
        await super().test_sends_a_parameter_as_it_is_or_says_that_it_did_not(ask, vendor, declared, **param)

    @pytest.mark.xfail(strict=True, reason="Cohere does not tell how many tokens its reasoning took")
    async def test_tells_cached_and_reasoning_tokens(self, ask: Ask, vendor: Vendor) -> None:
        await super().test_tells_cached_and_reasoning_tokens(ask, vendor)

    async def test_tells_cached_tokens(self, ask: Ask, vendor: Vendor) -> None:
        usage = (await ask(vendor.play(Scene.DETAILED_USAGE).model)).record.usage
        assert (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens) == (100, 50, 64)
        assert not usage.HasField("reasoning_output_tokens")
