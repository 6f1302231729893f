"""Binds the parity suite to this provider: a process of its own, alone and behind a router, once for each wire."""

from antiphon_conformance.deployed import DeployedOnWire
from antiphon_conformance.program import Launch
from antiphon_conformance.suite import WireConformance
from antiphon_conformance.wires.openai_responses import OpenAIResponses

ENV = {"OPENAI_BASE_URL": "{vendor}/v1", "OPENAI_API_KEY": "{key}"}


class TestOpenAI(DeployedOnWire, WireConformance):
    provider = "openai"
    launch = Launch("antiphon_provider_openai", ENV)


class TestOpenAIResponses(DeployedOnWire, WireConformance):
    provider = "openai"
    label = "openai/responses"
    wire = OpenAIResponses()
    launch = Launch("antiphon_provider_openai", {**ENV, "OPENAI_API": "responses"})
