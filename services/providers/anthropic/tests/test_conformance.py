"""Binds the parity suite to this provider: a process of its own, alone and behind a router."""

from antiphon_conformance.deployed import DeployedOnWire
from antiphon_conformance.program import Launch
from antiphon_conformance.suite import WireConformance
from antiphon_conformance.wires.anthropic_messages import AnthropicMessages


class TestAnthropic(DeployedOnWire, WireConformance):
    provider = "anthropic"
    wire = AnthropicMessages()
    launch = Launch(
        "antiphon_provider_anthropic",
        {"ANTHROPIC_BASE_URL": "{vendor}", "ANTHROPIC_API_KEY": "{key}"},
    )
