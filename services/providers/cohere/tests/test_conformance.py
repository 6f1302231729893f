"""Binds the parity suite to this provider: a process of its own, alone and behind a router."""

from antiphon_conformance.deployed import DeployedOnWire
from antiphon_conformance.program import Launch
from antiphon_conformance.suite import WireConformance
from antiphon_conformance.wires.cohere_v2 import CohereV2


class TestCohere(DeployedOnWire, WireConformance):
    provider = "cohere"
    wire = CohereV2()
    launch = Launch("antiphon_provider_cohere", {"COHERE_BASE_URL": "{vendor}", "COHERE_API_KEY": "{key}"})
