"""Owns what narrows the admitted replicas before load decides: who was asked already, canaries, cost, a warm cache."""

import math
from collections.abc import Sequence
from hashlib import blake2b
from itertools import groupby
from typing import Final

from antiphon_router.core.admit import Entry
from antiphon_router.core.failover import Turn
from antiphon_router.core.values import Dice

BOUND: Final = 1.25
"""A warm cache is worth no more than this part of the mean load."""


def preferred(entries: Sequence[Entry], turn: Turn, dice: Dice, *, cheapest: bool) -> Sequence[Entry]:
    """First who was not asked in this turn; then whose turn it is to be probed, unless the call failed once already."""
    if len(entries) == 1:
        return entries
    found = [entry for entry in entries if entry.replica.key not in turn.used] or entries
    found = ([entry for entry in found if not entry.probes] or found) if turn.tried else _canary(found, dice)
    if cheapest:
        found = _cheapest(found, dice)
    if turn.tried:
        return found
    return [entry for entry in found if entry.probes] or found


def _canary(entries: Sequence[Entry], dice: Dice) -> Sequence[Entry]:
    """The entries of one canary, in exactly its percent of calls, or those that are none."""
    canaries = [entry for entry in entries if entry.candidate.canary_percent is not None]
    others = [entry for entry in entries if entry.candidate.canary_percent is None]
    if not canaries or not others:
        return entries
    drawn = dice.random() * 100.0
    for _, group in groupby(canaries, key=lambda entry: id(entry.candidate)):
        own = list(group)
        # One that is just back, or has become slow, takes its smaller share of that.
        drawn -= (own[0].candidate.canary_percent or 0.0) * min(1.0, sum(entry.share for entry in own))
        if drawn < 0.0:
            return own
    return others


def _cheapest(entries: Sequence[Entry], dice: Dice) -> Sequence[Entry]:
    """The entries of the lowest cost, as far as they take their whole share; the rest is for the next ones."""
    ordered = sorted(entries, key=_cost)
    groups = [list(group) for _, group in groupby(ordered, key=_cost)]
    for group in groups[:-1]:
        weight = sum({id(entry.candidate): entry.candidate.weight or 1 for entry in group}.values())
        if dice.random() * weight < sum(entry.share for entry in group):
            return group
    return groups[-1]


def _cost(entry: Entry) -> float:
    return entry.candidate.backend.relative_cost


def warm(entries: Sequence[Entry], affinity: str) -> int:
    """Index of the entry whose prompt cache calls of `affinity` share, unless it has far more to do than the others.

    Rendezvous hashing: when a replica goes, only its own calls move. No more than `BOUND` x the mean, and one.
    """
    bound = BOUND * sum(entry.load.in_flight for entry in entries) / len(entries)
    free = [place for place, entry in enumerate(entries) if entry.load.in_flight <= bound]
    return min(free, key=lambda place: _distance(entries[place], affinity))


def _distance(entry: Entry, affinity: str) -> float:
    name = f"{affinity}\0{entry.candidate.backend.id}\0{entry.replica.address}".encode()
    drawn = (int.from_bytes(blake2b(name, digest_size=8).digest(), "big") + 1) / 2.0**64
    return -math.log(drawn) / entry.share
