"""Leases: counted, reported, and never the refused version twice while another one lives."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_kit import key_ring
from antiphon_kit.key_ring import KeyRing, OneKey, Problems, Prove
from antiphon_kit.key_versions import KeySlot, KeyVersion, Stage
from antiphon_kit.secrets import EnvSecret, Secret


class Held:
    """A source that was given what it has."""

    def __init__(self, *slots: KeySlot) -> None:
        self.slots: Sequence[KeySlot] = slots
        self.problems = Problems()
        self.polls = 0
        self.running = asyncio.Event()
        self.closed = False

    async def refresh(self) -> None:
        pass

    async def poll(self) -> None:
        self.polls += 1

    async def run(self, prove: Prove | None) -> None:
        self.running.set()
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


def version(number: int, stage: Stage, share: float = 0.0) -> KeyVersion:
    return KeyVersion("p/s", number, Secret(f"k{number}"), f"f{number}", stage, share, proven=True)


def ring(*versions: KeyVersion, roll: float = 0.5, more: Sequence[KeySlot] = ()) -> KeyRing:
    return KeyRing(Held(KeySlot("p/s", versions=list(versions)), *more), roll=lambda: roll)


def error(reason: "error_pb2.ErrorReason", status: int = 401) -> error_pb2.CallError:
    return call_error(reason, "no", http_status=status)


REFUSED = Reason.ERROR_REASON_PROVIDER_CREDENTIALS


async def used(keys: KeyRing, model: str = "m") -> int:
    async with keys.lease(model) as key:
        return key.version


async def test_a_lease_is_counted_while_it_lasts() -> None:
    one = version(1, Stage.CURRENT)
    keys = ring(one)
    async with keys.lease() as key, keys.lease():
        assert one.in_flight == 2
        assert (key.version, key.fingerprint, key.secret.reveal()) == (1, "f1", "k1")
        assert one.use_time_s > 0
        key.close()
        key.close()
        assert one.in_flight == 1
    assert one.in_flight == 0
    with pytest.raises(RuntimeError, match="inside"):
        _ = key.secret


async def test_a_cancelled_call_gives_its_lease_back() -> None:
    one = version(1, Stage.CURRENT)
    keys = ring(one)
    entered = asyncio.Event()

    async def call() -> None:
        async with keys.lease():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await entered.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert one.in_flight == 0


async def test_the_refused_version_is_left_for_the_one_that_lives() -> None:
    current, grace = version(2, Stage.CURRENT), version(1, Stage.GRACE)
    keys = ring(current, grace)
    async with keys.lease() as key:
        told = key.refused(error(REFUSED))
    assert told.retry_same_backend
    assert await used(keys) == 1
    assert [(each.rule, each.version) for each in keys.problems] == [("refused", 2)]


async def test_with_nothing_else_left_the_same_backend_is_not_asked_again() -> None:
    keys = ring(version(1, Stage.CURRENT))
    async with keys.lease() as key:
        assert not key.refused(error(REFUSED)).retry_same_backend
    assert await used(keys) == 1
    two = ring(version(2, Stage.CURRENT), version(1, Stage.GRACE))
    for expected in (True, False):
        async with two.lease() as key:
            assert key.refused(error(REFUSED)).retry_same_backend is expected


async def test_one_call_tries_a_refused_version_again(monkeypatch: pytest.MonkeyPatch) -> None:
    current = version(2, Stage.CURRENT)
    keys = ring(current, version(1, Stage.GRACE))
    clock = [100.0]
    monkeypatch.setattr(key_ring.time, "monotonic", lambda: clock[0])
    async with keys.lease() as key:
        key.refused(error(REFUSED))
    clock[0] += 299.0
    assert await used(keys) == 1
    clock[0] += 1.0
    assert [await used(keys), await used(keys)] == [2, 1]
    clock[0] += 300.0
    async with keys.lease() as key:
        key.accepted()
    assert [await used(keys), await used(keys)] == [2, 2]
    assert keys.problems == []
    assert current.successes == 1


@pytest.mark.parametrize("reason", [REFUSED, Reason.ERROR_REASON_QUOTA_EXHAUSTED])
async def test_a_refused_candidate_is_rolled_back_at_once(reason: "error_pb2.ErrorReason") -> None:
    candidate = version(2, Stage.CANDIDATE, share=1.0)
    keys = ring(candidate, version(1, Stage.CURRENT))
    async with keys.lease() as key:
        assert key.version == 2
        assert key.refused(error(reason)).retry_same_backend
    assert (candidate.stage, candidate.bad_here) == (Stage.BAD, True)
    assert await used(keys) == 1
    (problem,) = keys.problems
    assert (problem.rule, problem.version) == ("rolled_back", 2)
    assert "k2" not in problem.message


async def test_a_late_refusal_of_a_version_that_is_out_changes_nothing() -> None:
    candidate = version(2, Stage.CANDIDATE, share=1.0)
    keys = ring(candidate, version(1, Stage.CURRENT))
    async with keys.lease() as first, keys.lease() as second:
        first.refused(error(REFUSED))
        assert second.refused(error(REFUSED)).retry_same_backend
    assert [problem.rule for problem in keys.problems] == ["rolled_back"]


async def test_a_candidate_without_a_right_that_the_current_version_has_is_bad() -> None:
    candidate = version(2, Stage.CANDIDATE, share=1.0)
    keys = ring(candidate, version(1, Stage.CURRENT))
    for model in ("m", "typo"):
        async with keys.lease(model) as key:
            assert key.version == 2
            assert key.refused(error(Reason.ERROR_REASON_MODEL_NOT_FOUND, 404)).retry_same_backend
    async with keys.lease("typo") as key:
        assert key.version == 1
        assert not key.refused(error(Reason.ERROR_REASON_MODEL_NOT_FOUND, 404)).retry_same_backend
    assert candidate.stage is Stage.CANDIDATE, "a caller's typo is no fault of the key"
    async with keys.lease("m") as key:
        assert key.version == 1
        key.accepted()
    assert candidate.stage is Stage.BAD
    assert "no access to m" in keys.problems[0].message


async def test_a_limited_account_is_left_for_another_slot_only() -> None:
    quota, rate = Reason.ERROR_REASON_QUOTA_EXHAUSTED, Reason.ERROR_REASON_RATE_LIMITED
    alone = ring(version(1, Stage.CURRENT))
    async with alone.lease() as key:
        assert not key.refused(error(quota, 402)).retry_same_backend
    assert alone.problems == []
    for reason in (quota, rate):
        keys = ring(version(1, Stage.CURRENT), roll=0.1, more=[KeySlot("p/t", versions=[version(7, Stage.CURRENT)])])
        assert await used(keys) == 1
        async with keys.lease() as key:
            limited = error(reason, 429)
            if reason == rate:
                limited.retry_delay.FromSeconds(9)
            assert key.refused(limited).retry_same_backend
        assert await used(keys) == 7


@pytest.mark.parametrize("told", [error(Reason.ERROR_REASON_PROVIDER_ERROR, 500), error(REFUSED, 0)])
async def test_other_errors_say_nothing_about_the_key(told: error_pb2.CallError) -> None:
    current = version(2, Stage.CURRENT)
    keys = ring(current, version(1, Stage.GRACE))
    before = told.retry_same_backend
    async with keys.lease() as key:
        assert key.refused(told).retry_same_backend is before
    assert current.refusal is None


async def test_without_a_key_the_failure_says_why() -> None:
    keys = KeyRing(Held(KeySlot("p/s")))
    with pytest.raises(CallFailure, match="p/s: not read yet"):
        await used(keys)
    source = Held(KeySlot("p/s", versions=[version(1, Stage.CURRENT)], max_staleness_s=1.0, confirmed_s=-1e9))
    with pytest.raises(CallFailure, match="did not confirm p/s"):
        await used(KeyRing(source))
    source = Held(KeySlot("p/s"))
    source.problems.report("p/s", "sealed", "it is sealed", now_s=0.0)
    with pytest.raises(CallFailure, match="it is sealed") as caught:
        await used(KeyRing(source))
    assert caught.value.error.reason == REFUSED
    assert caught.value.error.http_status == 0, "or health would call it the vendor's doing"


async def test_the_source_lives_as_long_as_the_ring_runs() -> None:
    source = Held()
    async with KeyRing(source).running():
        await source.running.wait()
    assert source.closed


async def test_one_value_is_a_ring_of_one_version_that_follows_it() -> None:
    class Source:
        secret = Secret("first")

        async def current(self) -> Secret:
            return self.secret

    source = Source()
    keys = KeyRing.of(source)
    assert KeyRing.of(keys) is keys
    async with keys.lease() as old:
        assert (old.version, old.secret.reveal()) == (1, "first")
        source.secret = Secret("second")
        async with keys.lease() as new:
            assert (new.version, new.secret.reveal()) == (2, "second")
        # The vendor stopped taking the old one while this call ran.
        assert old.refused(error(REFUSED)).retry_same_backend
    assert keys.problems == []
    async with keys.running():
        await keys.poll()


async def test_one_value_that_is_not_there_is_told_to_who_leases() -> None:
    source = OneKey(EnvSecret({}, "NAME"))
    await source.poll()
    with pytest.raises(CallFailure, match="NAME"):
        await used(KeyRing(source))


async def test_a_server_that_takes_no_key_gets_an_empty_one() -> None:
    async with KeyRing.of(None).lease() as key:
        assert not key.secret
        assert key.fingerprint == ""


def test_a_problem_is_said_when_it_begins_changes_lasts_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="antiphon_kit.key_ring")
    problems = Problems()
    problems.report("p/s", "sealed", "one", now_s=0.0)
    problems.report("p/s", "sealed", "one", now_s=59.0)
    assert len(caplog.records) == 1
    problems.report("p/s", "sealed", "one", now_s=60.0)
    problems.report("p/s", "sealed", "two", now_s=61.0)
    since_s = problems.all()[0].since_s
    problems.report("p/s", "sealed", "two", now_s=62.0, version=2)
    assert problems.all()[0].since_s >= since_s
    problems.report("p/a", "denied", "three", now_s=62.0)
    assert [(each.slot, each.message) for each in problems.all()] == [("p/a", "three"), ("p/s", "two")]
    problems.settle("p/s", "denied")
    assert len(problems.all()) == 2
    problems.settle("p/s")
    assert [record.getMessage() for record in caplog.records] == ["key_problem"] * 5 + ["key_problem_over"]


async def test_a_call_under_way_while_its_candidate_is_rolled_back_is_sent_again_too() -> None:
    candidate, current = version(2, Stage.CANDIDATE, 1.0), version(1, Stage.CURRENT)
    keys = ring(candidate, current)
    async with keys.lease("m") as first, keys.lease("m") as second:
        assert (first.version, second.version) == (2, 2)
        assert first.refused(error(Reason.ERROR_REASON_MODEL_NOT_FOUND, 404)).retry_same_backend
        async with keys.lease("m") as again:
            assert again.version == 1
            again.accepted()
        assert candidate.stage is Stage.BAD
        assert second.refused(error(Reason.ERROR_REASON_MODEL_NOT_FOUND, 404)).retry_same_backend
    assert candidate.doubted == set()
    assert not keys._doubted, "or every call pays for it from now on"


async def test_a_lease_with_which_nothing_was_sent_is_no_call() -> None:
    current = version(1, Stage.CURRENT)
    keys = ring(current)
    async with keys.lease("m"):
        assert (current.calls, current.in_flight) == (1, 1)
    used_s = current.use_time_s
    assert used_s > 0
    async with keys.lease("m") as key:
        key.unsent()
        assert current.in_flight == 1
    assert (current.calls, current.in_flight, current.use_time_s) == (1, 0, used_s)
