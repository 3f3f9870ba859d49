"""What is concluded: estimates, laws, their verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The verdict of a law on a point."""

    CONFORMS = "conforms"
    DEVIATES = "deviates"
    INCONCLUSIVE = "inconclusive"
    NOT_EXERCISABLE = "not exercisable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A metric of a point over its valid trials: median and interval, in ``unit``."""

    metric: str
    unit: str
    n: int
    median: float
    low: float | None
    high: float | None
    confidence: float | None
    """The coverage that the interval really has at this n; None where there is no interval."""
    method: str
    error: float = 0.0
    """So much of the interval, to each side, is what the source may miss in every trial alike."""


class Scale(StrEnum):
    """How far a measurement lies from its law."""

    RELATIVE = "relative"
    """measured / expected - 1"""
    LOG = "log"
    """ln(measured / expected): symmetric for a ratio and its inverse"""
    ABSOLUTE = "absolute"
    """measured - expected, in the metric's unit"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the documented semantics predict for one metric of one container of a point."""

    metric: str
    """A name in ``analysis.METRICS``."""
    container: int = 0
    value: float
    """In the metric's unit."""
    low: float
    """The deviation that still conforms lies in [low, high], on ``scale``."""
    high: float
    scale: Scale = Scale.RELATIVE
    law: str
    text: str
    source: str
    bound: str = ""
    """Which limit binds: ``quota``, ``threads``, ``cpuset``, ``host``, an ancestor's path, …"""
    capacity_cpus: float | None = None
    """Set where the promise leaves no CPU to others: it is then capacity less foreign CPU."""
    explanation: str = ""
    """Why the plain law does not hold here, where that is known."""
    not_exercisable: str = ""
    """Why this host cannot put the law to the test; empty where it can."""
    settles: tuple[str, ...] | None = None
    """The metrics of the container that the law makes as steady as its promise: those decide a
    comparison. None = its own metric alone."""

    @property
    def settled(self) -> tuple[str, ...]:
        """``settles``, by default the law's own metric; a ceiling settles nothing."""
        if self.is_ceiling or self.not_exercisable:
            return ()
        return (self.metric,) if self.settles is None else self.settles

    @property
    def is_ceiling(self) -> bool:
        """True for a promise of "no more than": any use below it conforms."""
        return self.scale is Scale.RELATIVE and self.low <= -1

    def expected(self, foreign_cpus: float | None) -> float:
        """What the promise comes to in one window, given what others used of the CPUs.

        Where foreign CPU could not be measured, the bare promise.
        """
        if self.capacity_cpus is None or foreign_cpus is None:
            return self.value
        return min(self.value, self.capacity_cpus - foreign_cpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a law says of a metric of a point, with the reason in words."""

    point_id: str
    metric: str
    container: int = 0
    status: Status
    reason: str
