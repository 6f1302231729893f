"""Owns the invariants: what client log, witness log and terminal records must say together. Pure.

Each function gives back the violations, in words; none of them is good.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from antiphon.llm.v1 import response_pb2
from antiphon_harness.fakellm.answers import text
from antiphon_harness.loadgen import Shot
from antiphon_harness.witness import Accepted

_FAILED: Final = response_pb2.ResponseEnd.OUTCOME_FAILED
_COMPLETED: Final = response_pb2.ResponseEnd.OUTCOME_COMPLETED


def failed(shots: Iterable[Shot]) -> list[str]:
    """Calls that did not end OK."""
    return [f"{shot.prompt}: {shot.code} {shot.reason} {shot.message}" for shot in shots if not shot.ok]


def wrong_text(shots: Iterable[Shot], tokens: int) -> list[str]:
    """Text that was lost, repeated or reordered: OK means all of it, anything else a beginning of it."""
    whole = text(tokens)
    return [
        f"{shot.prompt}: {shot.code} with {shot.text[-40:]!r}"
        for shot in shots
        if (shot.text != whole if shot.ok else not whole.startswith(shot.text))
    ]


def silent(shots: Iterable[Shot], tokens: int) -> list[str]:
    """Answers that are reported whole and are not, or that break the grammar of a stream."""
    found = []
    for shot in shots:
        if shot.ok and (shot.text != text(tokens) or shot.ends != 1 or shot.outcome != _COMPLETED):
            found.append(
                f"{shot.prompt}: OK with {shot.ends} ends, outcome {shot.outcome}, {len(shot.text)} characters"
            )
        if shot.grammar:
            found.append(f"{shot.prompt}: {shot.grammar}")
    return found


def untyped_losses(shots: Iterable[Shot]) -> list[str]:
    """Streams cut after content without exactly one `end` that says so, a usage and the id of the answer."""
    return [
        f"{shot.prompt}: {shot.code} {shot.reason}, {shot.ends} ends, outcome {shot.outcome}, usage {shot.usage_source}"
        for shot in shots
        if not shot.ok
        and shot.first is not None
        and not (
            shot.ends == 1
            and shot.outcome == _FAILED
            and shot.reason == "STREAM_INTERRUPTED"
            and shot.usage_source
            and shot.response_id
        )
    ]


def unaccounted(shots: Iterable[Shot], seen: Iterable[Accepted]) -> list[str]:
    """Calls about which the upstream saw more attempts than their records tell."""
    attempts = Counter(one.prompt for one in seen)
    return [
        f"{shot.prompt}: {attempts[shot.prompt]} attempts upstream, {len(shot.attempts) + 1} told"
        for shot in shots
        if attempts[shot.prompt] > len(shot.attempts) + 1
    ]


def orphans(shots: Iterable[Shot], seen: Iterable[Accepted], grace_s: float) -> list[str]:
    """Upstream calls that went on for longer than `grace_s` after their client's call had ended."""
    ended = {shot.prompt: shot.ended for shot in shots}
    return [
        f"{one.prompt}: {(one.ended or float('inf')) - ended[one.prompt]:.2f} s on, last token "
        f"{one.last_token - ended[one.prompt]:.2f} s after the end"
        for one in seen
        if one.prompt in ended
        and (not one.ended or one.ended > ended[one.prompt] + grace_s or one.last_token > ended[one.prompt] + grace_s)
    ]


def uses_after(seen: Iterable[Accepted], key_mark: str, since: float) -> list[str]:
    """Uses of a key after it was not to be used any more."""
    return [f"{one.prompt}: {one.at - since:.2f} s after" for one in seen if one.key == key_mark and one.at > since]


def percentile(values: Sequence[float], percent: float) -> float:
    """By linear interpolation; 0 of nothing."""
    if len(values) < 2:
        return values[0] if values else 0.0
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)


def median(values: Sequence[float]) -> float:
    """0 of nothing."""
    return statistics.median(values) if values else 0.0
