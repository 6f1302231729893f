"""Owns the list of goals."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from antiphon_harness.goal import Goal
from antiphon_harness.goals import (
    canary,
    identities,
    keys,
    load,
    mutual_tls,
    outages,
    replicas,
    rotation,
    streams,
    vault_outages,
)

GOALS: Final[tuple[Goal, ...]] = (
    replicas.G01,
    replicas.G02,
    replicas.G03,
    streams.G04,
    streams.G05,
    streams.G06,
    keys.G07,
    keys.G08,
    outages.G09,
    outages.FLAP,
    keys.G10,
    keys.G11,
    keys.G12,
    outages.G13,
    load.G14,
    outages.G15,
    replicas.G16,
    load.G17,
    rotation.G18,
    rotation.G19,
    rotation.G20,
    vault_outages.G21,
    identities.G22,
    identities.G22B,
    vault_outages.G23,
    canary.G24,
    mutual_tls.G25,
)


def groups(goals: Sequence[Goal]) -> list[list[Goal]]:
    """Goals that share processes, together."""
    ordered = sorted(goals, key=lambda goal: (list(goal.backends), goal.id))
    return [list(group) for _, group in groupby(ordered, key=lambda goal: list(goal.backends))]


def named(names: Sequence[str]) -> list[Goal]:
    """Goals by id, all that are not pending for none. Raises KeyError for an unknown one."""
    by_id = {goal.id: goal for goal in GOALS}
    return [by_id[name] for name in names] if names else [goal for goal in GOALS if not goal.pending]
