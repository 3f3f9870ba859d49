"""What is compared: digests of runs.

What comes of it is here too: what differs between two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness.model.asked import Point
from harness.model.concluded import Scale, Status


class Change(StrEnum):
    """The verdict of a comparison: of one metric, of a law, of a point, of two runs."""

    SAME = "same"
    IMPROVED = "improved"
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"
    INCOMPARABLE = "incomparable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What makes two runs comparable: identity, not the conditions of the moment.

    The fields' names are those of ``--allow``.
    """

    kernel: str
    tick: str
    """Its length and HZ."""
    cgroup: str
    driver: str
    engine: str
    runtime: str
    weights: str
    """What shares become: ``cpu.shares`` on v1, else the runtime's formula for cpu.weight,
    or that it is not known."""
    cpu: str
    cpus: str
    swap: str
    image: str
    probe: str
    """The sha256 of the workload's binary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric of one container of a point: its value in each trial that counts."""

    metric: str
    container: int = 0
    values: tuple[float, ...]
    error: float | None = None
    """The share that the source may miss in every trial alike; None where that is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedLaw:
    """A law's verdict on a point, as it came out of a run."""

    law: str
    metric: str
    container: int = 0
    promised: float
    status: Status
    reason: str
    bound: str = ""
    explanation: str = ""
    settles: tuple[str, ...] | None = None
    """The metrics that it makes steady (``Expectation.settled``); None in a digest of before this
    was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestedPoint:
    """What a comparison needs of a point."""

    point: Point
    trials: int
    valid: int
    rejected: str = ""
    """Why the first trial that does not count does not; empty where all count."""
    series: tuple[Series, ...]
    laws: tuple[JudgedLaw, ...] = ()
    weights: tuple[int | None, ...] = ()
    """cpu.weight of each container as the kernel held it; empty on cgroup v1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a comparison needs of a run: small enough to be committed as a baseline."""

    run: str
    created: str
    hostname: str
    sweep: str
    seed: int
    cadence_hz: float
    tick_s: float
    fingerprint: Fingerprint
    conditions: dict[str, str] = field(default_factory=dict)
    """Facts that are no identity, and worth telling where they differ."""
    points: tuple[DigestedPoint, ...]
    look: int = 0
    """Of a check that goes on by itself: how often its trials were looked at, from 1. 0 = once, by
    whoever compares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """How far a metric of a point moves between runs of which nothing differs (A/A)."""

    point_id: str
    metric: str
    container: int = 0
    scale: Scale
    """RELATIVE (a share of the median) or ABSOLUTE (in the metric's unit)."""
    change: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What moves a metric of a point where nothing differs: trials, runs, days.

    Standard deviations: shares of the level where ``scale`` is RELATIVE, else in the metric's unit.
    """

    point_id: str
    metric: str
    container: int = 0
    scale: Scale
    days: int
    """On which runs were made (UTC); and how many ``runs`` there were on all of them."""
    runs: int
    trials_deviation: float
    """Of the trials of a run."""
    runs_deviation: float | None = None
    """Of the levels of runs of one day, beside what few trials make of it; None where no day had
    two."""
    days_deviation: float | None = None
    """The same of runs of different days, so it holds the one above; None of one day alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What ``bench calibrate`` found out about a host."""

    created: str
    hostname: str
    fingerprint: Fingerprint
    runs: tuple[str, ...]
    repeats: int
    floors: tuple[Floor, ...]
    drifts: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A fact of the fingerprint that differs between two runs."""

    fact: str
    before: str
    after: str
    allowed: bool
    """Named as the thing under test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of one container of a point in two runs."""

    point_id: str
    metric: str
    container: int = 0
    status: Change
    reason: str
    decides: bool
    """Whether its being inconclusive leaves the whole check inconclusive."""
    before: float | None = None
    """The median, in the metric's unit; likewise ``after``."""
    after: float | None = None
    n: tuple[int, int] = (0, 0)
    scale: Scale = Scale.RELATIVE
    change: float | None = None
    """after / before - 1, or after - before where ``scale`` is ABSOLUTE; its interval likewise."""
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted_p: float | None = None
    effect: float = 0.0
    """The smallest change that counts here, never below the noise floor."""
    floor: float | None = None
    """The host's own A/A noise; None where it was not calibrated, and where ``drift`` is known."""
    drift: float | None = None
    """Of the interval's half width what lies between runs, or days, of which nothing differs: no
    number of trials takes it away. None where it is not known."""
    repeats: int | None = None
    """Trials on both sides that would decide, where this is inconclusive and some number would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LawChange:
    """A law's verdict on a point, then and now. ``before`` is None where there is no baseline."""

    point_id: str
    metric: str
    container: int = 0
    law: str
    status: Change
    reason: str
    before: Status | None
    after: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two runs side by side, or the laws of one alone (``before`` is then None)."""

    before: Digest | None
    after: Digest
    status: Change
    headline: str
    answer: str = ""
    """For who reads nothing else: what changed, by how much, since which fact, and what to do;
    empty for two sides of an A/B run."""
    differences: tuple[Difference, ...] = ()
    remarks: tuple[str, ...] = ()
    rows: tuple[Comparison, ...] = ()
    laws: tuple[LawChange, ...] = ()
    violations: tuple[LawChange, ...] = ()
    """The laws that deviate now, whatever they did before, unless that was allowed."""
