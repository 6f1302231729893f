"""The core speaks the contract's words."""

import pytest

from antiphon.router.v1 import health_pb2
from antiphon_router.core.values import Cause, Scope, State


@pytest.mark.parametrize(
    ("core", "wire", "prefix"),
    [
        (State, health_pb2.HealthState, "HEALTH_STATE_"),
        (Cause, health_pb2.HealthReason, "HEALTH_REASON_"),
    ],
)
def test_states_and_causes_are_those_of_the_contract(core, wire, prefix):
    assert [f"{prefix}{word}" for word in core] == list(wire.keys())


def test_scopes_are_those_of_the_contract():
    assert [f"SCOPE_{scope}" for scope in Scope] == list(health_pb2.Scope.keys())[1:]
