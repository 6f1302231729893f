"""The same seed gives the same schedule; what is due happens in order."""

from itertools import pairwise

from antiphon_harness.nemesis import Fault, schedule, unleash


def test_a_seed_is_a_schedule():
    one, same, other = (schedule(seed, ["kill", "freeze"], 3, duration_s=100, every_s=10) for seed in (1, 1, 2))
    assert one == same != other
    assert len(one) == 8
    assert all(0 < fault.at_s < 100 for fault in one)
    assert all(a.victim != b.victim for a, b in pairwise(one))
    assert {fault.what for fault in one} == {"kill", "freeze"}


async def test_faults_are_carried_out_in_order():
    done = []

    async def act(victim):
        done.append(victim)

    began = await unleash([Fault(0.0, "a", 2), Fault(0.01, "a", 1)], {"a": act})
    assert done == [2, 1]
    assert began[1] >= began[0] + 0.005
