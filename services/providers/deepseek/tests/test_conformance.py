"""Binds the parity suite to this provider: a process of its own, alone and behind a router."""

from antiphon_conformance.deployed import DeployedOnWire
from antiphon_conformance.program import Launch
from antiphon_conformance.suite import WireConformance
from antiphon_conformance.wires.deepseek_chat import DeepSeekChat


class TestDeepSeek(DeployedOnWire, WireConformance):
    provider = "deepseek"
    wire = DeepSeekChat()
    launch = Launch("antiphon_provider_deepseek", {"DEEPSEEK_BASE_URL": "{vendor}", "DEEPSEEK_API_KEY": "{key}"})
