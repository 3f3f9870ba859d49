"""What an axis is: options become its points."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from harness import limits as rules
from harness.errors import PlanError
from harness.limits import EngineCpus
from harness.model import ContainerSpec, Limits, Load, Point, Spin


class NoSuchValueError(ValueError):
    """A value that an axis does not know; its axis adds what one looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user may set on any sweep; None = the sweep's own default."""

    values: str | None = None
    repeats: int | None = None
    until: float | None = None
    """Half of the interval, as a share of its median, up to which points are repeated."""
    most_repeats: int | None = None
    duration_s: float | None = None
    warmup_s: float | None = None
    seed: int | None = None
    threads: int | None = None
    cadence_hz: float | None = None
    quick: bool = False
    workload: Load = field(default_factory=Spin)
    """The load of the CPU axes, whose threads follow from ``threads`` and the limit."""
    ratio: float | None = None
    """Of the period axis: quota / period, in CPUs."""
    fixed: Limits = field(default_factory=Limits)
    command: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """One limit that can be varied."""

    name: str
    option: str
    summary: str
    example: str
    """Of its ``--values``."""
    make: Callable[[Options, EngineCpus], Iterable[Point]]
    metric: str
    """What it is about: a name in ``judge.metrics``. Its laws follow from a point's limits."""
    x: Callable[[Point], float | None] | None = None
    """The number of one of its points; None where its points have only names."""
    label: str = ""
    """Of a figure's axis, with the unit of ``x``; empty = the option: the points' names have it."""
    log: bool = False
    """Whether its values are steps by a factor: of its figure's axis, or of what is measured where
    its points have only names."""
    on_device: bool = False
    """Whether it is about a block device, which not every engine can be lent."""
    apart: bool = False
    """Whether ``sweep all`` leaves it out: it varies no limit of its own."""
    takes: Literal["load", "program"] | None = None
    """What may be named as its workload: any load, or a program, which then takes the place of its
    own; None = it has loads of its own alone."""
    window_s: float | None = None
    """Of its windows where nobody says, half of it with ``--quick``; None = as all others."""

    def points(self, options: Options, cpus: EngineCpus) -> Iterable[Point]:
        """Its points, one after the other; PlanError where options name none."""
        try:
            yield from self.make(options, cpus)
        except NoSuchValueError as error:
            raise PlanError(str(error), f"Write for example {self.example}.") from None


def limit(name: str) -> Callable[[Point], float | None]:
    """What gives the first container's limit of that field."""
    return lambda point: getattr(point.containers[0].limits, name)


def texts(options: Options, default: Sequence[str], separators: str = ",") -> list[str]:
    """The values that were asked for, each once, or the default ones."""
    if options.values is None:
        return list(default)
    text = options.values
    for separator in separators:
        text = text.replace(separator, " ")
    found = list(dict.fromkeys(text.split()))
    if not found:
        raise NoSuchValueError("--values names nothing.")
    return found


def number(text: str) -> float:
    """A value that is a finite number."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise NoSuchValueError(f"'{text}' is not a number.")
    return found


def whole(text: str) -> int:
    """A value that is a whole number."""
    found = number(text)
    if found != int(found):
        raise NoSuchValueError(f"'{text}' is not a whole number.")
    return int(found)


def with_limits(fixed: Limits, **varied: Any) -> Limits:
    """The fixed limits with what is varied; PlanError where one limit would be both."""
    for row in rules.LIMITS:
        if row.field in varied and getattr(fixed, row.field) is not None:
            raise PlanError(
                f"{row.option} is what this sweep varies.", "Give its values with --values."
            )
    return replace(fixed, **varied)


def point(axis: str, name: str, value: str, *containers: ContainerSpec) -> Point:
    """A point whose id is ``name=value``."""
    return Point(id=f"{name}={value}", axis=axis, value=value, containers=containers)
