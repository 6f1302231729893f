"""Owns the fixtures that put a provider before the suite as a real process, alone and behind a real router."""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import pytest

from antiphon_conformance.canary import search
from antiphon_conformance.cases.fixtures import Suite
from antiphon_conformance.outcome import Target
from antiphon_conformance.program import Launch, Program, routed, started
from antiphon_conformance.vendor.stage import Vendor, performing
from antiphon_conformance.wires import Wire
from antiphon_conformance.wires.openai_chat import OpenAIChat

KEY = "sk-canary/0c5c7e+9b41d24b6f=="
"""What the provider is given as its key; it must not be found anywhere but at the vendor, in whatever form."""

KEEPALIVE_S = 2.0
SHARED = {
    "ANTIPHON_STATE_DOMAIN": "judged",
    "ANTIPHON_LOG_LEVEL": "debug",
    "ANTIPHON_KEEPALIVE_S": f"{KEEPALIVE_S:g}",
}
SPARES = 250
"""More than calls fail in one run of the suite."""


class Deployed(Suite):
    """Name the program and the provider's name; every case then runs directly and through a router."""

    launch: ClassVar[Launch]
    provider: ClassVar[str]
    label: ClassVar[str] = ""
    """Its column of the matrix, where a provider is bound more than once."""

    @pytest.fixture(scope="class")
    @classmethod
    def program(cls) -> Iterator[Program]:
        with started(replace(cls.launch, env={**SHARED, **cls.launch.env})) as program:
            program.until_serving()
            yield program

    @pytest.fixture(scope="class", params=["direct", "routed"])
    @classmethod
    def target(cls, request: pytest.FixtureRequest, program: Program) -> Iterator[Target]:
        if request.param == "direct":
            yield Target(program.address, cls.provider)
            return
        spares = [f"spare-{number}" for number in range(SPARES)]
        backends = {name: [program.address] for name in (cls.provider, *spares)}
        with routed(backends, ANTIPHON_LOG_LEVEL="debug") as router:
            yield Target(router.address, cls.provider, routed=True, spares=iter(spares))
            _check(router)


class DeployedOnWire(Deployed):
    """The same for a provider whose vendor is scripted. In the values of `launch.env`, `{vendor}` is its base URL."""

    wire: ClassVar[Wire] = OpenAIChat()
    keepalive_after_s: ClassVar[float] = KEEPALIVE_S

    @pytest.fixture(scope="class")
    @classmethod
    def vendor(cls) -> Iterator[Vendor]:
        with performing(cls.wire) as vendor:
            yield vendor

    @pytest.fixture(scope="class")
    @classmethod
    def program(cls, vendor: Vendor) -> Iterator[Program]:
        launch = replace(cls.launch, env={**SHARED, **cls.launch.env})
        with started(launch, vendor=vendor.url, key=KEY) as program:
            program.until_serving()
            yield program
            _check(program)


def _check(program: Program) -> None:
    assert search(KEY, {"command line": program.command_line().encode(), "log": program.log().encode()}) == []
