"""Hosts side by side: what many of them say of the same points."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness.model.asked import Point
from harness.model.compared import Change
from harness.model.concluded import Scale, Status
from harness.model.history import Level


class Standing(StrEnum):
    """How a host stands in its fleet."""

    CONFORMS = "conforms"
    APART = "apart"
    """No law deviates there, and it lies apart from the other hosts."""
    DEVIATES = "deviates"
    INCONCLUSIVE = "inconclusive"
    NOT_EXERCISABLE = "not exercisable"
    WAITING = "waiting"
    RUNNING = "running"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Where one host lies apart from the others."""

    host: str
    point: Point
    metric: str
    container: int
    median: float
    """The host's own, in the metric's unit."""
    fleet: float
    """The median of all hosts' medians."""
    scale: Scale
    change: float
    """median / fleet - 1, or median - fleet where ``scale`` is ABSOLUTE."""
    distance: float
    """From the fleet's median, in units of its robust scatter."""
    adjusted_p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSeries:
    """One metric of one container of a point, on every host that measured it."""

    point: Point
    metric: str
    container: int
    hosts: tuple[str, ...]
    levels: tuple[Level, ...]
    """A host each, in the order of ``hosts``."""
    median: float
    scatter: float
    """Robust, of the hosts' medians, on ``scale``: a share, or in the metric's unit."""
    scale: Scale
    told_from: float
    """The least change of one host that could be told here, on ``scale``."""
    distances: tuple[float, ...]
    adjusted_ps: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRow:
    """One host of the fleet."""

    name: str
    standing: Standing
    why: str = ""
    """Of a standing that needs a reason."""
    runs: tuple[str, ...] = ()
    """The runs that its figures are from, the newest first."""
    created: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    verdicts: dict[str, Status] = field(default_factory=dict)
    """The laws' verdict on each point, by its id."""
    apart: tuple[Apart, ...] = ()
    """The furthest first."""
    change: Change | None = None
    """Of its newest run against a baseline; None where none was asked about."""
    changed: str = ""
    """The same in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """The fact that tells the hosts of a finding from all others best."""

    finding: str
    fact: str
    value: str
    same: tuple[tuple[str, str], ...]
    """Other (fact, value) that exactly the same hosts have."""
    among: int
    """So many of the hosts with that value have the finding, ..."""
    having: int
    """... of so many; likewise without it."""
    among_others: int
    others: int
    adjusted_p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """The hosts of a fleet side by side."""

    rows: tuple[HostRow, ...]
    series: tuple[HostSeries, ...]
    separations: tuple[Separation, ...]
    tests: int
    """So many times was asked whether a host lies apart: hosts and series together."""
    alpha: float
    """The stated error rate: of all that is told to lie apart, so much is so by chance."""
    left_out: tuple[tuple[str, str], ...] = ()
    """(run, why)."""
    against: str = ""
    """The baseline that each host was compared with; ``HOST`` in it is the host's name."""
