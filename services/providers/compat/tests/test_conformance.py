"""Binds the parity suite to this provider: one row of a routes file, as a process of its own, alone and routed."""

from antiphon_conformance.deployed import DeployedOnWire
from antiphon_conformance.program import Launch
from antiphon_conformance.suite import WireConformance

ROUTES = """
backends: [{{id: vllm, provider: vllm, addresses: ["localhost:1"]}}]
compat: [{{name: vllm, base_url: "{vendor}/v1", api_key: "env:VLLM_KEY"}}]
"""


class TestCompat(DeployedOnWire, WireConformance):
    provider = "vllm"
    launch = Launch(
        "antiphon_provider_compat",
        {"ANTIPHON_CONFIG": "routes.yaml", "ANTIPHON_COMPAT_SERVER": "vllm", "VLLM_KEY": "{key}"},
        files={"routes.yaml": ROUTES},
    )
