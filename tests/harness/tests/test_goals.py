"""Goals are data that hangs together: bounds, verdicts, the pages made from them."""

import json
from itertools import pairwise

import pytest

from antiphon_harness import catalog, results
from antiphon_harness.goal import REPLICAS, Bound, Goal, Verdict, checked
from antiphon_harness.processes import HarnessError


async def nothing(_):
    return {}


GOAL = Goal(
    id="G99",
    title="a goal",
    backends=REPLICAS,
    bounds=(
        Bound("failed", most=0),
        Bound("times", least=2, most=4, short_most=9),
        Bound("calls", least=1000, full_only=True),
    ),
    run=nothing,
)


def verdict(full=True, **figures):
    return Verdict(GOAL, {"failed": 0.0, "times": 3.0, "calls": 2000.0, **figures}, full=full, rate=50.0)


def test_a_verdict_knows_what_was_missed():
    assert verdict().passed
    assert verdict(failed=1.0).missed == ["failed: 1, bound at most 0"]
    assert not verdict(times=1.0).passed
    assert not verdict(times=5.0).passed
    assert not Verdict(GOAL, error="the machine burnt down").passed


def test_the_short_tier_has_bounds_of_its_own():
    assert verdict(full=False, times=5.0).passed
    assert not verdict(full=False, times=10.0).passed
    assert verdict(full=False, calls=10.0).passed
    assert not verdict(full=True, calls=10.0).passed


def test_a_bound_without_a_figure_is_an_error():
    with pytest.raises(HarnessError, match="times, calls"):
        checked(GOAL, {"failed": 0.0})


def test_the_catalog():
    ids = [goal.id for goal in catalog.GOALS]
    assert ids == sorted(set(ids))
    assert {f"G{n:02}" for n in range(1, 26)} <= set(ids)
    assert all(goal.bounds for goal in catalog.GOALS)
    with pytest.raises(KeyError):
        catalog.named(["G00"])


def test_goals_that_share_processes_run_together():
    groups = catalog.groups(catalog.named([]))
    assert sum(map(len, groups)) == len(catalog.named([]))
    assert all(one[0].backends != other[0].backends for one, other in pairwise(groups))


def test_the_page_is_made_from_the_file():
    rows = [verdict(), verdict(failed=3.0), Verdict(GOAL, error="the machine burnt down")]
    result = results.faults(rows, [GOAL], {"rate": 50.0, "smax": 100.0}, seed=1, full=True)
    where = {"cores": 2, "cpu": "c", "memory_gb": 1.0, "system": "s", "load_before": 0.1}
    result = json.loads(json.dumps(results.provided(result, where, "make faults")))
    assert [row["pass"] for row in result["goals"]] == [True, False, False, False]
    assert {"goal", "figure", "bound", "pass"} <= result["goals"][0].keys()
    page = results.faults_page(result)
    assert "saturation 100 calls/s" in page
    assert "cannot carry" in page
    assert "burnt down" in page
    assert "Not yet" in page or "not yet" in page


def test_a_goal_that_is_run_again_replaces_its_row_and_says_so():
    whole = results.faults([verdict(failed=3.0)], [], {"rate": 500.0, "smax": 1000.0}, seed=1, full=True)
    again = results.faults([verdict()], [], {"rate": 400.0, "smax": 800.0}, seed=2, full=True)
    joined = results.joined(whole, again, "make faults ONLY=G99")
    assert [(row["pass"], row["apart"]) for row in joined["goals"]] == [(True, "make faults ONLY=G99")]
    assert joined["seed"] == 1
    where = {"cores": 2, "cpu": "c", "memory_gb": 1.0, "system": "s", "load_before": 0.1}
    assert "make faults ONLY=G99" in results.faults_page(results.provided(joined, where, "make faults"))
