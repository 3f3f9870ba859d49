"""What must hold, as a user says it: ``p99 < 50ms``, ``cpus > 95% of unlimited``."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness import units
from harness.errors import UsageError
from harness.judge.metrics import METRICS, Metric, metrics_of
from harness.model import Burst, Io, Point, Server, Workload

_COMPARES: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
_CLAUSE = re.compile(r"""
    (?P<name>[A-Za-z][A-Za-z0-9_.-]*) \s*
    (?P<compare><=|>=|==|<|>|=|≤|≥) \s*
    (?P<number>[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+) \s*
    (?P<unit>[%A-Za-zµμ/]*) \s*
    (?P<of>of\s+unlimited)?
""", re.VERBOSE)  # fmt: skip
_EXAMPLE = (
    "Write for example 'p99 < 50ms', 'no-kill and memory_full < 1%', 'cpus > 95% of unlimited'."
)
_NO_KILL = "no-kill"
_KILLED = "oom_killed"

_TIMES = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_SIZES = {"": 1.0, "b": 1.0, **{
    f"{letter}{end}": 1024.0**power
    for power, letter in enumerate("kmgt", 1) for end in ("", "b", "ib")
}}  # fmt: skip
_SCALES: Mapping[str, Mapping[str, float]] = {
    "s": _TIMES,
    "bytes": _SIZES,
    "bytes/s": {f"{unit}{per}": factor for unit, factor in _SIZES.items() for per in ("", "/s")},
    "share": {"": 1.0, "%": 0.01},
    "s/s": {"": 1.0, "%": 0.01},
    "CPUs": {"": 1.0, "cpu": 1.0, "cpus": 1.0},
    "1/s": {"": 1.0, "/s": 1.0},
}
"""The units in which a value may be given, by the metric's own; any other takes a bare number, or
the metric's own unit."""

_SERVED, _BURST, _OF_IO = "request", "response", "io"
_QUANTILES = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p999", "p99.9": "p999",
              "max": "max"}  # fmt: skip
_SHORT = {"errors": "request_errors", "rate": "request_rate"}


@dataclass(frozen=True, slots=True)
class Clause:
    """One metric against a number."""

    metric: Metric
    compare: str
    """``<``, ``<=``, ``>``, ``>=`` or ``=``."""
    value: float
    """In the metric's unit; with ``relative`` a share of what is reached without the limit."""
    relative: bool = False

    def holds(self, measured: float, unlimited: float | None) -> bool:
        """Whether a value is what is asked for, beside the one of no limit where that counts."""
        return _COMPARES[self.compare](measured, self.threshold(unlimited))

    def threshold(self, unlimited: float | None) -> float:
        """In the metric's unit; NaN where it is not known yet, which nothing is below or above."""
        if not self.relative:
            return self.value
        return math.nan if unlimited is None else self.value * unlimited

    @property
    def text(self) -> str:
        """As a goal says it, with the metric's full name."""
        if self.metric.name == _KILLED and (self.compare, self.value) == ("=", 0):
            return _NO_KILL
        if self.relative:
            return f"{self.metric.name} {self.compare} {self.value * 100:.10g}% of unlimited"
        return f"{self.metric.name} {self.compare} {_written(self.value, self.metric.unit)}"


@dataclass(frozen=True, slots=True)
class Goal:
    """All of its clauses must hold."""

    clauses: tuple[Clause, ...]

    @property
    def text(self) -> str:
        """In a form that ``parse`` reads again."""
        return " and ".join(clause.text for clause in self.clauses)

    @property
    def relative(self) -> bool:
        """Whether it asks what is reached without the limit."""
        return any(clause.relative for clause in self.clauses)

    @property
    def main(self) -> Clause:
        """What a curve is drawn of: the first clause that has a range to be drawn in."""
        return next((one for one in self.clauses if one.text != _NO_KILL), self.clauses[0])


def parse(text: str, point: Point) -> Goal:
    """The goal for what runs at a point. UsageError where it is none, or asks what is not there."""
    parts = [part.strip() for part in re.split(r"\band\b|,", text)]
    if not any(parts):
        raise UsageError("the goal is empty.", _EXAMPLE)
    return Goal(tuple(_clause(part, text, point) for part in parts))


def _clause(part: str, whole: str, point: Point) -> Clause:
    if part.lower() in (_NO_KILL, "no_kill"):
        return Clause(METRICS[_KILLED], "=", 0.0)
    found = _CLAUSE.fullmatch(part)
    if not found:
        what = f"'{part}' in the goal '{whole}'" if part != whole.strip() else f"the goal '{whole}'"
        raise UsageError(f"{what} cannot be read.", _EXAMPLE)
    metric = _metric(found["name"], point)
    number = float(found["number"])
    compare = {"==": "=", "≤": "<=", "≥": ">="}.get(found["compare"], found["compare"])
    relative = found["of"] is not None
    if relative:
        if found["unit"] != "%":
            raise UsageError(f"'{part}': a part of unlimited is a percentage.", _EXAMPLE)
        if number <= 0:
            raise UsageError(f"'{part}' asks for nothing: {number:g}% of it.", "Give more than 0%.")
        return Clause(metric, compare, number / 100, relative=True)
    return Clause(metric, compare, number * _factor(found["unit"], metric, part))


def _factor(unit: str, metric: Metric, part: str) -> float:
    known = _SCALES.get(metric.unit, {"": 1.0, metric.unit.lower(): 1.0})
    written = unit.lower().replace("μ", "µ")
    if written in known:
        return known[written]
    if not unit:
        raise UsageError(
            f"'{part}': {metric.name} is a time, and a bare number could be any.",
            f"Give its unit: {', '.join(_TIMES)}.",
        )
    takes = ", ".join(one for one in known if one) or "a bare number"
    raise UsageError(f"'{part}': {metric.name} is not in '{unit}'.", f"It takes {takes}.")


def _metric(name: str, point: Point) -> Metric:
    """By its own name, or by the short one that means the workload's own."""
    known, workload = metrics_of(point), point.containers[0].workload
    if name in known:
        return known[name]
    if name in _SHORT and _SHORT[name] in known:
        return known[_SHORT[name]]
    if name in _QUANTILES:
        full = f"{_family(workload)}_{_QUANTILES[name]}_s"
        if full in known:
            return known[full]
        raise UsageError(
            f"the goal asks for {name}, and {workload.name} tells no such latency.",
            "`--workload burst` does, a server, and a program whose metrics have one: name that.",
        )
    names = [*known, *_QUANTILES, *_SHORT, _NO_KILL]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"Did you mean '{near[0]}'?" if near else "docs/notebooks.md lists the metrics."
    raise UsageError(f"the goal names no metric: '{name}'.", hint)


def _family(workload: Workload) -> str:
    match workload:
        case Burst():
            return _BURST
        case Io():
            return _OF_IO
        case Server():
            return _SERVED
        case _:
            return ""


def _written(value: float, unit: str) -> str:
    """A value so that ``parse`` reads the same number again."""
    match unit:
        case "s":
            return f"{value * 1e3:.10g}ms" if abs(value) < 1 else f"{value:.10g}s"
        case "share":
            return f"{value * 100:.10g}%"
        case "bytes" | "bytes/s":
            per = "/s" if unit == "bytes/s" else ""
            whole = value >= units.MIB
            return f"{value / units.MIB:.12g}MiB{per}" if whole else f"{value:.12g}b{per}"
        case _:
            return f"{value:.10g}"
