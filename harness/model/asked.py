"""What is asked for: limits, points, the plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from harness.limits import Limits
from harness.model.workloads import AsStored, Spin, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """One container of a point: its limits and what runs in it."""

    limits: Limits
    workload: Annotated[Workload, AsStored()] = field(default_factory=Spin)
    runtime: str | None = None
    """``--runtime`` (``runc``, ``crun``, …); None = the engine's own default."""
    side: str = ""
    """Of an A/B run: ``a`` or ``b``, whose engine starts it."""
    cgroup_parent: str | None = None
    """``--cgroup-parent``; None = where the engine puts all. Of a point with a ``parent``, whoever
    executes it names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One setting of all limits. ``id`` is unique in the plan, e.g. ``cpus=0.5``."""

    id: str
    axis: str
    value: str
    containers: tuple[ContainerSpec, ...]
    warmup_s: float = 0.5
    duration_s: float = 3.0
    """Of the window: whole quota periods."""
    parent: Limits | None = None
    """Of a cgroup of ours that all its containers lie below, and that has these limits on memory;
    None = there is none."""

    @property
    def side(self) -> str:
        """``a`` or ``b`` in an A/B run; empty elsewhere."""
        return self.containers[0].side if self.containers else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrial:
    """One trial still to be done: repetition ``block`` of the point ``point_id``."""

    index: int
    block: int
    point_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All trials of a sweep in their seeded random order, with how each is measured."""

    sweep: str
    points: tuple[Point, ...]
    trials: tuple[PlannedTrial, ...]
    repeats: int
    seed: int
    cadence_hz: float
    quick: bool = False
    until: float | None = None
    """Points are repeated until half of their interval is no wider than this share of its median;
    None = the planned trials are all."""
    most_repeats: int | None = None
    """With ``until``: counted trials of a point at the most."""
    command: str = ""
    """The command line that makes this plan again."""

    def point(self, point_id: str) -> Point:
        """The point of that id; KeyError where there is none."""
        for point in self.points:
            if point.id == point_id:
                return point
        raise KeyError(point_id)
