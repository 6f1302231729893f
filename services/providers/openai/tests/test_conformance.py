"""Binds the parity suite to this provider: a process of its own, alone and behind a router."""

from antiphon_conformance.deployed import DeployedOnWire
from antiphon_conformance.program import Launch
from antiphon_conformance.suite import WireConformance


class TestOpenAI(DeployedOnWire, WireConformance):
    provider = "openai"
    launch = Launch(
        "antiphon_provider_openai",
        {"OPENAI_BASE_URL": "{vendor}/v1", "OPENAI_API_KEY": "{key}"},
    )
