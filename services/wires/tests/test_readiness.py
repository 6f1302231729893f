"""How long a good answer to a probe is believed, and what a bad one says about the key."""

import pytest

from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_kit.key_ring import KeyRing
from antiphon_kit.secrets import Secret
from antiphon_wires.readiness import READY_FOR_S, Readiness


class Probe:
    def __init__(self):
        self.asked = 0
        self.error = None

    async def __call__(self, secret):
        self.asked += 1
        if self.error is not None:
            raise CallFailure(self.error)


class Changing:
    """A source whose value can be replaced."""

    def __init__(self):
        self.secret = Secret("a")

    async def current(self):
        return self.secret


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now_s = 5.0

    monkeypatch.setattr(KeyRing, "now_s", lambda _: Clock.now_s)
    return Clock


async def test_a_good_answer_is_believed_for_a_minute(clock):
    ready, probe, keys = Readiness(), Probe(), KeyRing.of(Changing())
    for later_s, asked in ((0, 1), (READY_FOR_S - 1, 1), (1, 2), (1, 2)):
        clock.now_s += later_s
        await ready.check(keys, probe)
        assert probe.asked == asked


async def test_another_key_is_tried_at_once(clock):
    ready, probe, source = Readiness(), Probe(), Changing()
    keys = KeyRing.of(source)
    for secret in (source.secret, Secret("b"), Secret("b")):
        source.secret = secret
        await ready.check(keys, probe)
    assert probe.asked == 3


async def test_a_bad_answer_is_not_kept_and_ends_what_was_believed(clock):
    ready, probe, keys = Readiness(), Probe(), KeyRing.of(Changing())
    await ready.check(keys, probe)
    clock.now_s += READY_FOR_S
    probe.error = call_error(Reason.ERROR_REASON_PROVIDER_ERROR, "no", http_status=500)
    for _ in range(2):
        with pytest.raises(CallFailure):
            await ready.check(keys, probe)
    assert probe.asked == 3


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.ERROR_REASON_RATE_LIMITED, 429),
        (Reason.ERROR_REASON_MODEL_NOT_FOUND, 404),
        (Reason.ERROR_REASON_INVALID_REQUEST, 405),
    ],
)
async def test_who_refuses_like_this_can_be_reached(clock, reason, status):
    ready, probe = Readiness(), Probe()
    probe.error = call_error(reason, "no", http_status=status)
    keys = KeyRing.of(None)
    for _ in range(2):
        await ready.check(keys, probe)
    assert probe.asked == 1


async def test_who_refuses_the_key_says_so_until_he_takes_it(clock):
    ready, probe, keys = Readiness(), Probe(), KeyRing.of(Changing())
    probe.error = call_error(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, "no", http_status=401)
    with pytest.raises(CallFailure):
        await ready.check(keys, probe)
    assert [problem.rule for problem in keys.problems] == ["refused"]
    probe.error = None
    await ready.check(keys, probe)
    assert keys.problems == []


async def test_a_look_that_sends_nothing_is_no_call_with_the_key():
    ring, probe, readiness = KeyRing.of(Changing()), Probe(), Readiness()
    for _ in range(3):
        await readiness.check(ring, probe)
    assert probe.asked == 1
    assert [version.calls for version in ring.slots[0].versions] == [1]
