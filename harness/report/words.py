"""Numbers and points in the words of a page: what HTML and Markdown have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness import axes, check
from harness.model import Estimate, Expectation, Point, Status
from harness.report.view import Line, Row

NONE = "–"
"""What was not measured."""
SYMBOLS = {
    Status.CONFORMS: "✓",
    Status.DEVIATES: "✗",
    Status.INCONCLUSIVE: "?",
    Status.NOT_EXERCISABLE: "–",
}
"""Beside a verdict's word, never instead of it."""


def duration(seconds: float) -> str:
    """A time as people read it: ``48.2 ms``, ``1.20 s``."""
    if 0 < abs(seconds) < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


_FORMS: Mapping[str, Callable[[float], str]] = {
    "CPUs": lambda value: f"{value:.4f}",
    "s": duration,
    "bytes": lambda value: f"{value / 2**20:.2f} MiB",
    "share": lambda value: f"{value:.1%}" if 0.001 < value < 0.999 else f"{value:.0%}",
    "count": lambda value: f"{value:g}",
    "yes": lambda value: "no" if value == 0 else "yes" if value == 1 else f"{value:.0%} yes",
}


def quantity(value: float, unit: str) -> str:
    """A number in the form that its unit is read in."""
    return _FORMS[unit](value) if unit in _FORMS else f"{value:.4g}"


def interval(estimate: Estimate | None) -> str:
    """``0.4991–0.5004``; empty where there is no interval, or none that could be seen."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    low, high = (quantity(value, estimate.unit) for value in (estimate.low, estimate.high))
    if low == high:
        return "" if low == quantity(estimate.median, estimate.unit) else low
    unit = low.partition(" ")[2]
    if unit and high.endswith(f" {unit}"):
        low = low.removesuffix(f" {unit}")
    return f"{low}–{high}"


def error_interval(line: Line) -> str:
    """``-0.09% … +0.21%``; empty where there is no interval."""
    found, law = line.deviation, line.law
    if found is None or law is None or found.low is None or found.high is None:
        return ""
    low, high = check.amount(found.low, law), check.amount(found.high, law)
    return "" if low == high == check.amount(found.median, law) else f"{low} … {high}"


def tolerance(law: Expectation) -> str:
    """``±1.00%``, ``-50.00% … +1.00%``, ``none``."""
    if not law.low and not law.high:
        return "none"
    low, high = check.amount(law.low, law), check.amount(law.high, law)
    return f"±{high.lstrip('+')}" if law.low == -law.high else f"{low} … {high}"


def point_name(point: Point) -> str:
    """A point as it is asked for on Docker's command line: ``--cpus 0.5``."""
    return f"{axes.option(point.axis)} {point.value}" if point.axis in axes.AXES else point.value


def metric_name(row: Row, line: Line) -> str:
    """What a line is about, and of which container where there are several."""
    title = line.metric.title[:1].upper() + line.metric.title[1:]
    count = len(row.summary.point.containers)
    if line.metric.name == "ratio":
        return f"CPU time of container {line.container + 1} against {count}"
    return f"{title}, container {line.container + 1} of {count}" if count > 1 else title
