"""The suite cannot be thinned out: a case is passed, or excused by a strict xfail with a reason."""

from typing import Any

import pytest

from antiphon_conformance.cases.fixtures import quietly_overridden
from antiphon_conformance.deployed import DeployedOnWire
from antiphon_conformance.suite import WireConformance


class _Bound(DeployedOnWire, WireConformance):
    pass


class _Excused(_Bound):
    @pytest.mark.xfail(strict=True, reason="the vendor has no such thing")
    async def test_follows_no_redirect(self, *_: Any) -> None: ...


class _Quiet(_Bound):
    async def test_follows_no_redirect(self, *_: Any) -> None: ...


class _Dropped(_Bound):
    test_follows_no_redirect = None  # type: ignore[assignment]


class _Lax(_Bound):
    @pytest.mark.xfail(reason="flaky")
    async def test_follows_no_redirect(self, *_: Any) -> None: ...


def test_a_plain_binding_and_an_excused_case_are_fine() -> None:
    assert quietly_overridden(_Bound) == []
    assert quietly_overridden(_Excused) == []


@pytest.mark.parametrize("bound", [_Quiet, _Dropped, _Lax])
def test_a_case_that_is_quietly_gone_is_named(bound: type) -> None:
    assert quietly_overridden(bound) == ["test_follows_no_redirect"]
