"""Owns the checks of a route: its targets, canaries, hedges, shadows and time limits."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Final

from google.protobuf.duration_pb2 import Duration

from antiphon.config.v1 import suite_pb2
from antiphon_contract.metadata import MAX_MODEL_BYTES
from antiphon_kit.config_scalars import enum_words, shown, suggestion
from antiphon_kit.config_yaml import Problem

Backends = Mapping[str, suite_pb2.Backend]

_MAX_WEIGHT: Final = 1000
_MAX_TIME_S: Final = 3600.0


def check_route(route: suite_pb2.Route, path: str, backends: Backends, problem: Problem) -> None:
    """Note every mistake in `route`, which stands at `path`. `backends` are all there are, by id."""
    if not route.model:
        problem(f"{path}.model", "missing; give the name that clients ask for")
    check_model(route.model, f"{path}.model", problem)
    if not route.targets:
        problem(f"{path}.targets", "none; add at least one with a backend")
    for index, target in enumerate(route.targets):
        _check_target(target, f"{path}.targets[{index}]", backends, problem)
    _check_canaries(route, path, problem)
    if route.targets and all(target.long_context for target in route.targets):
        what = "nothing but long_context; it is for what another target refused, so add one without it"
        problem(f"{path}.targets", what)
    _check_after_content(route, f"{path}.after_content", problem)
    if route.HasField("hedge"):
        _check_hedge(route, f"{path}.hedge", backends, problem)
    if route.HasField("first_content_timeout"):
        _check_time(route.first_content_timeout, f"{path}.first_content_timeout", problem)
    for index, shadow in enumerate(route.shadows):
        _check_shadow(shadow, f"{path}.shadows[{index}]", backends, problem)


def check_model(model: str, path: str, problem: Problem) -> None:
    """Note what is wrong with a model's name; an empty one is somebody else's matter."""
    if len(model.encode()) > MAX_MODEL_BYTES:
        problem(path, f"longer than {MAX_MODEL_BYTES} bytes; use a shorter one")
    elif not model.isprintable() or model != model.strip():
        problem(path, "begins or ends with a blank, or holds control characters; delete them")


def _check_target(target: suite_pb2.RouteTarget, path: str, backends: Backends, problem: Problem) -> None:
    _check_way(target, path, backends, problem)
    if target.tier < 0:
        problem(f"{path}.tier", f"{target.tier} is below 0; use 0 for the tier to try first")
    if target.HasField("weight") and not 0 <= target.weight <= _MAX_WEIGHT:
        problem(f"{path}.weight", f"{target.weight} is out of range; use 0 to {_MAX_WEIGHT}")
    if target.HasField("canary_percent"):
        _check_percent(target.canary_percent, f"{path}.canary_percent", problem)
        for name in ("weight", "long_context"):
            if target.HasField(name) if name == "weight" else target.long_context:
                problem(f"{path}.canary_percent", f"goes not with {name}; delete one of the two")


def _check_way(way: suite_pb2.RouteTarget | suite_pb2.Shadow, path: str, backends: Backends, problem: Problem) -> None:
    backend = backends.get(way.backend)
    if not way.backend:
        problem(f"{path}.backend", "missing; give the id of a backend")
    elif backend is None:
        problem(f"{path}.backend", f"there is no backend {shown(way.backend)}; {suggestion(way.backend, backends)}")
    elif not way.model and not backend.default_model:
        what = f"missing, and backend {way.backend} has no default_model; give one of the two"
        problem(f"{path}.model", what)
    check_model(way.model, f"{path}.model", problem)


def _check_canaries(route: suite_pb2.Route, path: str, problem: Problem) -> None:
    tiers: dict[int, list[suite_pb2.RouteTarget]] = {}
    for target in route.targets:
        if not target.long_context:
            tiers.setdefault(target.tier, []).append(target)
    for tier, targets in tiers.items():
        percents = [target.canary_percent for target in targets if target.HasField("canary_percent")]
        total = math.fsum(percents)
        if total > 100:
            problem(f"{path}.targets", f"the canaries of tier {tier} sum up to {total:g} %; leave 100 at most")
        elif len(percents) == len(targets):
            what = f"tier {tier} has canaries only, so nothing takes the rest; give one target a weight instead"
            problem(f"{path}.targets", what)


def _check_after_content(route: suite_pb2.Route, path: str, problem: Problem) -> None:
    words = {number: word for word, number in enum_words(suite_pb2.AfterContent.DESCRIPTOR).items()}
    for value, count in Counter(route.after_content).items():
        if count > 1:
            problem(path, f"{words.get(value, '?')} is here {count} times; keep one")


def _check_hedge(route: suite_pb2.Route, path: str, backends: Backends, problem: Problem) -> None:
    hedge = route.hedge
    if hedge.HasField("delay"):
        _check_time(hedge.delay, f"{path}.delay", problem)
    if hedge.HasField("max_percent"):
        _check_percent(hedge.max_percent, f"{path}.max_percent", problem)
    ways = [backends.get(target.backend) for target in route.targets if not target.long_context]
    addresses = {address for backend in ways if backend for address in backend.addresses}
    written = all(":///" not in address for address in addresses)
    if all(ways) and len(addresses) == 1 and written:
        what = "the second attempt goes to another replica, but here is only one; add an address or delete hedge"
        problem(path, what)


def _check_shadow(shadow: suite_pb2.Shadow, path: str, backends: Backends, problem: Problem) -> None:
    _check_way(shadow, path, backends, problem)
    _check_percent(shadow.percent, f"{path}.percent", problem)


def _check_percent(percent: float, path: str, problem: Problem) -> None:
    if not 0 < percent <= 100:
        problem(path, f"{percent:g} is no share; use a number above 0, at most 100")


def _check_time(time: Duration, path: str, problem: Problem) -> None:
    seconds = time.seconds + time.nanos / 1e9
    if not 0 < seconds <= _MAX_TIME_S:
        problem(path, f"{seconds:g} s is out of range; use more than 0, at most {_MAX_TIME_S:g}s")
