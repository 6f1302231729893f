"""Owns what a goal is: a question to a deployment, and the bounds of its figures as data."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from antiphon_harness.processes import HarnessError

if TYPE_CHECKING:
    from antiphon_harness.bed import Bed

Figures = dict[str, float]
Run = Callable[[Any], Awaitable[Figures]]
"""Given the bed that the goal runs on: a Bed, or what its `bed` makes."""

REPLICAS: Final[Mapping[str, int]] = {"openai": 3}
"""One backend with three processes."""
KEYS: Final[Mapping[str, int]] = {"a": 1, "b": 1, "c": 1}
"""Three backends of one provider, each with a key and a process of its own."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What one figure of a goal may be.

    `full_only`: the short tier is too short for it to mean anything. `short_most`: instead of `most` there, because it
    runs as a test on machines that are busy with other things.
    """

    what: str
    most: float | None = None
    least: float | None = None
    unit: str = ""
    full_only: bool = False
    short_most: float | None = None

    def met(self, value: float, *, full: bool) -> bool:
        """Whether `value` is within."""
        most = self.most if full or self.short_most is None else self.short_most
        return (most is None or value <= most) and (self.least is None or value >= self.least)

    def text(self) -> str:
        """For people."""
        parts = [f"at least {self.least:g}"] if self.least is not None else []
        parts += [f"at most {self.most:g}"] if self.most is not None else []
        return " and ".join(parts) + (f" {self.unit}" if self.unit else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal. `routes`: routes of the routes file beside the backends. `pending`: why it cannot be met yet."""

    id: str
    title: str
    backends: Mapping[str, int]
    bounds: tuple[Bound, ...]
    run: Run
    routes: tuple[Mapping[str, Any], ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    """Of the routes file."""
    pending: str = ""
    bed: "Callable[..., Bed] | None" = None
    """What it runs on, where that is not a Bed; the same for all goals with these backends."""
    bare: bool = False
    """It starts replicas and routers by itself. Not for a Bed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of one run. `error`: why there are none."""

    goal: Goal
    figures: Figures = field(default_factory=dict)
    error: str = ""
    took_s: float = 0.0
    full: bool = False
    rate: float = 0.0

    @property
    def missed(self) -> list[str]:
        """The bounds that were not met, with their figures."""
        return [
            f"{one.what}: {self.figures[one.what]:.4g}, bound {one.text()}"
            for one in self.goal.bounds
            if self._counts(one) and not one.met(self.figures[one.what], full=self.full)
        ]

    @property
    def passed(self) -> bool:
        """Measured, and within all bounds that count in its tier."""
        return not self.error and not self.missed

    def _counts(self, bound: Bound) -> bool:
        return bound.what in self.figures and (self.full or not bound.full_only)


def checked(goal: Goal, figures: Figures) -> Figures:
    """`figures`, if there is one for every bound. Raises HarnessError otherwise: without a figure it is no bound."""
    lacking = [one.what for one in goal.bounds if one.what not in figures]
    if lacking:
        raise HarnessError(f"{goal.id} measured nothing for: {', '.join(lacking)}")
    return figures
