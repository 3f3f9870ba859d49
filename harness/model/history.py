"""A history: what many runs say of the same point, one after another.

A run's ``RunLevels`` are what a history needs of it, and no more: they are kept beside the run, so
that ten thousand runs are read without their trials.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from harness.model.asked import Point
from harness.model.concluded import Scale, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One metric of one container of a point in one run: the median of its trials that count."""

    metric: str
    container: int = 0
    n: int
    median: float
    low: float | None
    """Of the median's interval, 90 % or more; likewise ``high``. None where there is none."""
    high: float | None
    deviation: float
    """Of the median from run to run, as far as the scatter of its trials alone explains it."""
    matters: float
    """The smallest change that counts, in the metric's unit."""
    relative: bool
    """Whether a change of it can be told as a share: every trial is above 0."""
    promised: float | None = None
    """What a law gives as its target; None where none does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointLevels:
    """A point in one run, and its metrics."""

    point: Point
    valid: int
    rejected: str = ""
    """Why the first trial that does not count does not; empty where all count."""
    levels: tuple[Level, ...]
    verdict: Status | None = None
    """Of all its laws together; None where it has none."""
    why: str = ""
    """The reason of the first law with that verdict, where it is not that all conform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLevels:
    """What a history needs of a run."""

    run: str
    created: str
    hostname: str
    sweep: str
    check: bool
    """Whether `bench check` measured it."""
    facts: dict[str, str] = field(default_factory=dict)
    """Of host, kernel, engine, runtime, workload and limitbench: what may explain a change."""
    points: tuple[PointLevels, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactChange:
    """A fact that is another one than in the run before."""

    run: str
    """The first run that has it."""
    fact: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run's place in a series."""

    run: str
    created: str
    level: Level
    changed: tuple[FactChange, ...] = ()
    """Which facts are others than in the series' run before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """Where a series' level moved. Places are indices of the series' entries."""

    at: int
    """The first run of the new level."""
    first: int
    """It is this run or a later one, up to ``last``, in 95 of 100 cases."""
    last: int
    before: float
    """The mean level since the change before, or the beginning; in the metric's unit."""
    after: float
    """The mean level up to the next change, or the end."""
    scale: Scale
    change: float
    """after / before - 1, or after - before where ``scale`` is ABSOLUTE; 95 % interval likewise."""
    low: float
    high: float
    better: bool | None
    """None where nothing says which way is better."""
    facts: tuple[FactChange, ...] = ()
    """What else changed there: those at ``at`` first, then those as far as the change may lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSeries:
    """One metric of one container of a point on one host, in every run that can be compared."""

    host: str
    point: Point
    metric: str
    container: int
    entries: tuple[Entry, ...]
    changes: tuple[ChangePoint, ...] = ()

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """(first, end) of each level's entries."""
        edges = [0, *(one.at for one in self.changes), len(self.entries)]
        return tuple(itertools.pairwise(edges))


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedChange:
    """One metric of one container of a point whose level moved the same way on several hosts."""

    moved: tuple[tuple[RunSeries, ChangePoint], ...]
    """A host each, by its name."""
    asked: tuple[str, ...]
    """The hosts that have runs enough for a change to be told."""
    adjusted_p: float
    """Of so many hosts having a false alarm that way, adjusted over all that was asked."""
    by_chance: float
    """How likely as many would meet there, had each host moved at a time of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFact:
    """A fact that changed alike on several hosts, where their levels moved."""

    fact: str
    before: str
    after: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedEvent:
    """What moved on several hosts at the same time, or where the same fact changed."""

    changes: tuple[SharedChange, ...]
    """Those of most hosts first, and of these the largest share of what matters."""
    hosts: tuple[str, ...]
    still: tuple[str, ...]
    """Hosts of which none of it is told, though the fact changed there alike as well; or that have
    runs before it and after it, where no fact changed on all of ``hosts``."""
    facts: tuple[SharedFact, ...]
    """Those of most hosts first."""
    at_once: bool
    """Whether one moment lies within every host's interval; else the fact is what they share."""
    after: str
    """It lies between these times: of one moment, else of all hosts'."""
    until: str

    @property
    def common(self) -> tuple[SharedFact, ...]:
        """The facts that changed alike on all of its hosts."""
        return tuple(one for one in self.facts if len(one.hosts) == len(self.hosts))


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All series of some results folders, and what is in none of them."""

    runs: int
    """So many are in at least one series."""
    series: tuple[RunSeries, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    """(run or point of one, why)."""
    shared: tuple[SharedEvent, ...] = ()
    """What several hosts have in common, the newest first."""
