"""What is known of a metric: what it is called, how it is read, when a change of it matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from harness.model import TrialRecord


class Better(StrEnum):
    """Which way of two a metric should go."""

    LOWER = "lower"
    HIGHER = "higher"
    LAW = "as the law says"
    """Nearer to it is better; where no law speaks of the point, any change is for the worse."""


class Step(StrEnum):
    """The finest difference that the kernel's accounting can show at all."""

    NONE = "none"
    TICK = "one tick"
    SHARE_OF_WINDOW = "one tick of the window"
    PERIOD = "one quota period of the window"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """When a change of a metric matters. docs/decisions/011 has the figures.

    Whether it *decides* is no property of the metric: the law that binds at a point says so
    (``Expectation.settles``).
    """

    why: str
    better: Better = Better.LOWER
    relative: float = 0.0
    """The smallest share of the median that matters; 0 for metrics that are compared by
    difference."""
    absolute: float = 0.0
    """A difference below this never matters, in the metric's unit."""
    step: Step = Step.NONE
    """Nor does one below this."""
    most: float = 4.0
    """So many times that, noise may widen what counts as the same; beyond it nothing is decided."""
    of_growth: bool = False
    """Whether it is compared of a load that wants no CPU but memory or a disk, too: the CPU that
    such a one takes meanwhile is nobody's promise."""


class Beside(IntEnum):
    """Which reports show a metric beside what a law speaks of: those with so much room, or more."""

    NOWHERE = 0
    PAGE = 1
    WIDE_TERMINAL = 2
    TERMINAL = 3


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a container in a trial. ``of`` gives None where it was not measured."""

    name: str
    title: str
    unit: str
    """``CPUs``, ``s``, ``share`` (0 to 1), ``bytes``, ``1`` (a plain ratio), ``count``, …"""
    of: Callable[[TrialRecord, int], float | None]
    short: str = ""
    """Its title where a column has no room for that; empty = its name."""
    error: Callable[[TrialRecord, int], float | None] | None = None
    """The share of it that its source may miss in every repeat alike; None where that is none."""
    compared: Sensitivity | None = None
    """When a change of it matters; None where runs are not compared by it."""
    beside: Beside = Beside.NOWHERE
    of_trials: bool = False
    """Whether the list of all trials shows it."""

    @property
    def heading(self) -> str:
        """The title at the beginning of a line."""
        return self.title[:1].upper() + self.title[1:]

    @property
    def brief(self) -> str:
        """The title in few letters."""
        return self.short or self.name
