"""Owns how many calls a router runs at once, and who is turned away first when there are too many.

The limit is that of a pipe: what is being answered, and of what waits for its first content as many as the upstream
answers in a usual wait. It is cut to that when calls wait much longer than is usual, which is what a queue upstream
looks like from here, and grows again while it is used. A cut that costs answers and shortens no wait was no queue: it
is taken back, and such waits are the norm from then on. The router's own work coming late cuts too.

Only calls as good or better count against the limit, so that worse ones are shed before a better one is; once a better
one was shed, no worse one is let in for a while. Of the bound that never moves, room that better calls had lately is
kept for them.
"""

from typing import Final, NamedTuple

BEST: Final = 0
WORST: Final = 9
DEFAULT: Final = 5

LATE_S: Final = 0.1
"""So late is a router that drowns, not one on a busy machine."""
SLOW: Final = 1.5
"""So many times the norm is a long wait."""
ENOUGH: Final = 10
"""Fewer calls tell nothing."""
LONG_S: Final = 1.0
"""No span lasts longer."""
LEAST: Final = 16
"""The limit never falls below this."""
CUT_TO: Final = 0.8
NORM_AT_MOST: Final = 3.0
"""However slow calls are without a queue, longer waits than SLOW times that are one."""
SMALL_CUT: Final = 0.7
"""To more than this part of what ran: whether it cost answers shows in no count."""
NO_SHORTER: Final = 0.9
"""Waits of this part of what they were are as long as they were."""
PIPE_KEEPS: Final = 0.95
PACE_RATE: Final = 0.25
SETTLES_S: Final = 0.5
SETTLES_AT_MOST_S: Final = 10.0
KEPT_FOR_S: Final = 5.0
CLOSED_FOR_S: Final = 1.0
_NOBODY: Final = WORST + 1


class Seen(NamedTuple):
    """What a router saw in the `over_s` seconds up to now."""

    over_s: float
    running: int
    """Calls inside now."""
    answering: int = 0
    """Those of them that have their first content."""
    late_s: float = 0.0
    """How late the router's own work came."""
    calls: int = 0
    """Calls that got their first content meanwhile."""
    waited_s: float = 0.0
    """How long they waited for it, together."""
    usual_s: float = 0.0
    """How long they would have, as is usual at their pools."""


class Cut(NamedTuple):
    """A cut whose effect is still to be seen, or several that followed one another."""

    settles_at: float
    """When all that was inside at the last one has been answered."""
    running: int
    """Calls inside before the first one."""
    pace: float
    """That of the limit before the first one, on average."""
    wall: int
    """While more run than may, the best priority comes in below this. It falls by one for every four answers."""
    stretch: float = 0.0
    """How many times the usual waits were before the first one."""


class Limit(NamedTuple):
    """How many calls may run: `now` of at most `most`."""

    most: int
    now: int
    norm: float = 1.0
    """How many times the usual a wait is while nobody queues."""
    pipe: float = 0.0
    """How many calls wait at once at the pace of the best of the last spans, if each waits as long as is usual."""
    cut: Cut | None = None
    pace: float = 0.0
    """As `pipe`, on average of the last spans: answers come in bursts, and the best span may have had one too many."""


def tells(limit: Limit, seen: Seen) -> bool:
    """Whether `seen` is enough to go by. In less than a usual wait answers come in bursts, but long waits are news."""
    if seen.calls < ENOUGH:
        return seen.over_s >= LONG_S
    return _is_whole(seen) or (limit.cut is None and _stretch(seen) > SLOW * limit.norm)


def adapted(limit: Limit, seen: Seen, now: float) -> Limit:
    """The limit after what was `seen`."""
    cut = limit.cut
    if cut is not None:
        cut = cut._replace(wall=max(limit.now, cut.wall - seen.calls // 4))
        limit = limit._replace(cut=cut)
        if now - seen.over_s < cut.settles_at:
            return limit
    if seen.late_s > LATE_S:
        # From what runs, not from a limit that nobody came near: otherwise it falls for seconds without an effect.
        return _cut(limit, seen, now, min(limit.now, seen.running) * CUT_TO)
    if seen.calls >= ENOUGH:
        stretch = _stretch(seen)
        if _is_whole(seen):
            limit = _paced(limit, _pace(seen))
        limit = limit._replace(norm=max(1.0, min(limit.norm, stretch)))
        if stretch > SLOW * limit.norm:
            if cut is not None and _was_in_vain(cut, limit, seen):
                return limit._replace(
                    now=min(limit.most, max(limit.now, cut.running)), norm=min(stretch, NORM_AT_MOST), cut=None
                )
            return _cut(limit, seen, now, seen.answering + limit.norm * limit.pipe)
    limit = limit._replace(cut=None)
    if limit.now < limit.most and seen.running * 5 >= limit.now * 4:
        return limit._replace(now=min(limit.most, limit.now + max(1, limit.now // 20)))
    return limit


def _paced(limit: Limit, latest: float) -> Limit:
    pace = limit.pace + PACE_RATE * (latest - limit.pace) if limit.pace else latest
    return limit._replace(pipe=max(latest, limit.pipe * PIPE_KEEPS), pace=pace)


def _is_whole(seen: Seen) -> bool:
    return seen.over_s >= LONG_S or seen.over_s * seen.calls >= seen.usual_s


def _pace(seen: Seen) -> float:
    return seen.usual_s / seen.over_s


def _stretch(seen: Seen) -> float:
    return seen.waited_s / seen.usual_s


def _cut(limit: Limit, seen: Seen, now: float, to: float) -> Limit:
    usual_s = seen.usual_s / seen.calls if seen.calls else 0.0
    drained_s = (seen.running - seen.answering) / limit.pipe * usual_s if limit.pipe else 0.0
    settles_at = now + min(max(drained_s, SETTLES_S), SETTLES_AT_MOST_S)
    fallen = max(min(LEAST, limit.most), min(limit.now, int(to)))
    stretch = _stretch(seen) if seen.calls else 0.0
    first = limit.cut or Cut(settles_at, seen.running, limit.pace, seen.running * 5 // 4, stretch)
    return limit._replace(now=fallen, cut=first._replace(settles_at=settles_at))


def _was_in_vain(cut: Cut, limit: Limit, seen: Seen) -> bool:
    """Whether answers became fewer rather than waits shorter. Of a small cut nobody can tell."""
    kept = limit.now / max(1, cut.running)
    slower = _pace(seen) < cut.pace * (1.0 + kept) / 2
    return kept < SMALL_CUT and slower and _stretch(seen) >= NO_SHORTER * cut.stretch


class Crowd(NamedTuple):
    """What runs, by priority, and what ran lately. Times on the caller's clock."""

    running: tuple[int, ...] = (0,) * (WORST + 1)
    peak: tuple[int, ...] = (0,) * (WORST + 1)
    """Most calls better than the priority at its index, since `peak_since`."""
    peak_before: tuple[int, ...] = (0,) * (WORST + 1)
    """The same in the `KEPT_FOR_S` before that."""
    peak_since: float = 0.0
    shed: int = _NOBODY
    """Best priority that was turned away at or after `shed_at` - `CLOSED_FOR_S`."""
    shed_at: float = 0.0


def noticed(crowd: Crowd, running: tuple[int, ...], now: float) -> Crowd:
    """`crowd` with what runs now."""
    better, total = [], 0
    for calls in running:
        better.append(total)
        total += calls
    peak, before, since = crowd.peak, crowd.peak_before, crowd.peak_since
    if now - since > KEPT_FOR_S:
        before = peak if now - since <= 2 * KEPT_FOR_S else tuple(better)
        peak, since = tuple(better), now
    else:
        peak = tuple(map(max, peak, better))
    shed = crowd.shed if now - crowd.shed_at <= CLOSED_FOR_S else _NOBODY
    return crowd._replace(running=running, peak=peak, peak_before=before, peak_since=since, shed=shed)


def admits(crowd: Crowd, priority: int, limit: Limit) -> bool:
    """Whether a call of `priority` may come in now."""
    total = sum(crowd.running)
    if priority > crowd.shed or total >= limit.most:
        return False
    if priority == BEST and limit.cut is not None and total < limit.cut.wall:
        return True
    same, better = crowd.running[priority], sum(crowd.running[:priority])
    # A limit that moves is not a wall: better calls come in beside the worse ones that are inside already.
    kept = max(crowd.peak[priority], crowd.peak_before[priority], better)
    return better + same < limit.now and kept + same < limit.most


def turned_away(crowd: Crowd, priority: int, now: float) -> Crowd:
    """`crowd` after a call of `priority` was not let in."""
    if priority >= crowd.shed:
        return crowd
    return crowd._replace(shed=priority, shed_at=now)
