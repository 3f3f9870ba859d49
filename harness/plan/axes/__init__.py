"""The axes: each one limit that a sweep varies, with values that tell most on a host of its size.

An axis turns options into points; ``plan`` orders them into trials. What is fixed for a sweep
(``Options.fixed``) stands in every container's limits beside what is varied. A family is a file.
"""

from __future__ import annotations

import difflib
import math

from harness.errors import PlanError
from harness.model import Point
from harness.plan.axes import (
    cpu,
    io,
    lifecycle,
    memory,
    neighbour,
    oom,
    rare,
    reclaim,
    storage,
    taking,
)
from harness.plan.axes.axis import Axis, Options
from harness.plan.axes.cpu import MAX_THREADS, load_on_every_cpu

__all__ = [
    "AXES",
    "MAX_THREADS",
    "Axis",
    "Options",
    "find",
    "load_on_every_cpu",
    "option",
    "x_of",
]


_FAMILIES = (cpu, memory, oom, reclaim, taking, io, rare, lifecycle, storage, neighbour)
AXES: dict[str, Axis] = {axis.name: axis for family in _FAMILIES for axis in family.AXES}


def find(name: str) -> Axis:
    """The axis of that name; PlanError names the nearest where there is none."""
    if name in AXES:
        return AXES[name]
    near = difflib.get_close_matches(name, AXES, n=1, cutoff=0.5)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(AXES)}."
    raise PlanError(f"unknown axis '{name}'.", hint)


def option(sweep: str) -> str:
    """Docker's option that a sweep varies; ``limits`` where it varies several."""
    return AXES[sweep].option if sweep in AXES else "limits"


def x_of(point: Point) -> float:
    """The number that a point has on its axis; NaN where it has none (a cpuset, no limit).

    CPUs on ``cpu``, µs on ``quota`` and ``period``, bytes on the axes of memory, and on
    ``shares`` those of the first container over those of the last (1024 where they are not set).
    """
    axis = AXES.get(point.axis)
    if axis is not None and axis.x is not None:
        found = axis.x(point)
        return math.nan if found is None or found < 0 else float(found)
    try:
        return float(point.value)
    except ValueError:
        return math.nan
