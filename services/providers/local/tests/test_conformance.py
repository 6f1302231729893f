"""Binds the parity suite for any model to this provider: a real model, alone and behind a router."""

from antiphon_conformance.deployed import Deployed
from antiphon_conformance.program import Launch
from antiphon_conformance.suite import ModelConformance


class TestLocal(Deployed, ModelConformance):
    provider = "local"
    launch = Launch("antiphon_provider_local", {})
