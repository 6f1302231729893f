"""What each caller may take, and who it is."""

import pytest

from antiphon.config.v1 import suite_pb2
from antiphon_contract.errors import CallFailure, Reason
from antiphon_router.shell import callers
from antiphon_router.shell.callers import Caller, Callers, identity


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Peer:
    def __init__(self, address: str = "ipv4:10.0.0.7:5000", **proven: list[bytes]) -> None:
        self._address = address
        self._proven = proven

    def peer(self) -> str:
        return self._address

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._proven


def caller(**limits: int) -> tuple[Caller, Clock]:
    clock = Clock()
    return Caller("ci", suite_pb2.CallerLimit(**limits), clock), clock


def test_calls_at_once() -> None:
    one, _ = caller(max_in_flight=1)
    drawn = one.enter(10)
    with pytest.raises(CallFailure, match="1 calls at once") as caught:
        one.enter(10)
    assert caught.value.error.reason == Reason.ERROR_REASON_GATEWAY_RATE_LIMITED
    one.leave(drawn, None)
    one.enter(10)


def test_requests_per_minute_tell_when_the_next_one_may_come() -> None:
    one, clock = caller(requests_per_minute=2)
    one.leave(one.enter(1), (1, 1))
    one.leave(one.enter(1), None)
    with pytest.raises(CallFailure, match=r"2 requests per minute; try again in 30\.0 s") as caught:
        one.enter(1)
    assert caught.value.error.retry_delay.ToTimedelta().total_seconds() == pytest.approx(30.0)
    assert not one.is_idle
    clock.now += 30.1
    one.leave(one.enter(1), None)
    clock.now += 60.1
    assert one.is_idle


def test_tokens_per_minute_are_put_right_by_what_was_used() -> None:
    one, clock = caller(tokens_per_minute=1000)
    one.leave(one.enter(400), (100, 900))
    with pytest.raises(CallFailure, match="1000 tokens per minute"):
        one.enter(4)
    clock.now += 60
    one.leave(one.enter(400), (0, 0))
    one.leave(one.enter(400), (0, 0))
    one.enter(4)


def test_an_answer_without_known_usage_costs_what_was_estimated() -> None:
    one, _ = caller(tokens_per_minute=600)
    one.leave(one.enter(1200), None)
    with pytest.raises(CallFailure):
        one.enter(400)


def test_a_refused_call_draws_nothing() -> None:
    one, _ = caller(requests_per_minute=10, tokens_per_minute=100)
    one.leave(one.enter(4), (100, 100))
    for _ in range(20):
        with pytest.raises(CallFailure, match="tokens"):
            one.enter(4)
    assert one.running == 0


def test_a_priority_is_no_better_than_the_limit_says() -> None:
    one, _ = caller(best_priority=4)
    assert (one.priority(0), one.priority(7)) == (4, 7)


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        (Peer(), "ipv4:10.0.0.7"),
        (Peer("ipv6:%5B::1%5D:5000"), "ipv6:%5B::1%5D"),
        (Peer("unix:/run/x"), "unix:/run/x"),
        (Peer(x509_common_name=[b"ci"]), "ci"),
        (
            Peer(x509_common_name=[b"ci"], x509_subject_alternative_name=[b"localhost", b"spiffe://a/ci"]),
            "spiffe://a/ci",
        ),
        (Peer(x509_common_name=[b"ci"], x509_subject_alternative_name=[b"localhost"]), "ci"),
    ],
)
def test_who_it_is(peer: Peer, name: str) -> None:
    assert identity(peer) == name


def test_without_certificates_a_caller_is_where_it_calls_from() -> None:
    limits = suite_pb2.Limits(default_caller=suite_pb2.CallerLimit(max_in_flight=1))
    pretender = Peer(x509_common_name=[b"ci"])
    assert Callers(limits, certified=False).find({}, pretender).name == "ipv4:10.0.0.7"
    assert Callers(limits).find({}, pretender).name == "ci"


def test_a_claimed_name_counts_only_where_it_is_trusted() -> None:
    limits = suite_pb2.Limits(callers=[suite_pb2.CallerLimit(caller="ci", best_priority=3)])
    incoming = {"antiphon-caller": "ci"}
    assert Callers(limits).find(incoming, Peer()).name == "ipv4:10.0.0.7"
    limits.trust_caller_metadata = True
    trusting = Callers(limits)
    assert trusting.find(incoming, Peer()).priority(0) == 3
    assert trusting.find({}, Peer()).priority(0) == 0
    for unusable in ("", "x" * 129, b"ci"):
        with pytest.raises(CallFailure, match="antiphon-caller"):
            trusting.find({"antiphon-caller": unusable}, Peer())


def test_without_any_limit_there_is_nothing_to_watch() -> None:
    assert Callers(suite_pb2.Limits()).unlimited
    assert not Callers(suite_pb2.Limits(default_caller=suite_pb2.CallerLimit(max_in_flight=1))).unlimited
    assert not Callers(suite_pb2.Limits(callers=[suite_pb2.CallerLimit(caller="a")])).unlimited


def test_idle_callers_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "MAX_CALLERS", 2)
    clock = Clock()
    limits = suite_pb2.Limits(default_caller=suite_pb2.CallerLimit(requests_per_minute=1))
    everyone = Callers(limits, clock=clock)
    busy = everyone.find({}, Peer("ipv4:1:1"))
    busy.enter(1)
    idle = everyone.find({}, Peer("ipv4:2:1"))
    everyone.find({}, Peer("ipv4:3:1"))
    assert everyone.find({}, Peer("ipv4:1:2")) is busy
    assert everyone.find({}, Peer("ipv4:2:2")) is not idle
