"""The words of a page.

Numbers and points: what HTML and Markdown have in common.
"""

from __future__ import annotations

from harness import units
from harness.judge import verdicts
from harness.model import Estimate, Expectation, Point, Standing, Status
from harness.plan import axes
from harness.show.report.view import Line, Row

NONE = "–"
"""What was not measured."""
SYMBOLS = {
    Status.CONFORMS: "✓",
    Status.DEVIATES: "✗",
    Status.INCONCLUSIVE: "?",
    Status.NOT_EXERCISABLE: "–",
}
"""Beside a verdict's word, never instead of it."""
MARKS = {
    **{Standing(one.value): symbol for one, symbol in SYMBOLS.items()},
    Standing.APART: "↔",
    Standing.FAILED: "!",
    Standing.UNREACHABLE: "!",
    Standing.RUNNING: "…",
    Standing.WAITING: "…",
}
"""Likewise beside a host's standing."""


def interval(estimate: Estimate | None) -> str:
    """``0.4991–0.5004``; empty where there is no interval, or none that could be seen."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    unit = units.of(estimate.unit)
    said = unit.span(estimate.low, estimate.high)
    return "" if said == unit.text(estimate.median) else said


def error_interval(line: Line) -> str:
    """``-0.09 … +0.21%``; empty where there is no interval, or none that could be seen."""
    found, law = line.deviation, line.law
    if found is None or law is None or found.low is None or found.high is None:
        return ""
    low, high = verdicts.error_text(found.low, law), verdicts.error_text(found.high, law)
    said = units.from_to(low, high, " … ")
    return "" if said == verdicts.error_text(found.median, law) else said


def tolerance(law: Expectation) -> str:
    """``±1.00%``, ``-50.00 … +1.00%``, ``none``."""
    if not law.low and not law.high:
        return "none"
    low, high = verdicts.error_text(law.low, law), verdicts.error_text(law.high, law)
    if law.low == -law.high:
        return f"±{high.lstrip('+')}"
    return units.from_to(low, high, " … ")


def point_name(point: Point) -> str:
    """A point as it is asked for on Docker's command line: ``--cpus 0.5``."""
    return f"{axes.option(point.axis)} {point.value}" if point.axis in axes.AXES else point.value


def metric_name(row: Row, line: Line) -> str:
    """What a line is about, and of which container where there are several."""
    title = line.metric.heading
    count = len(row.summary.point.containers)
    if line.metric.name == "ratio":
        return f"CPU time of container {line.container + 1} against {count}"
    return f"{title}, container {line.container + 1} of {count}" if count > 1 else title


def brief_name(row: Row, line: Line) -> str:
    """The same where there is little room, with the unit that the numbers beside it are in."""
    if line.metric.name == "ratio":
        containers = len(row.summary.point.containers)
        return line.metric.brief if containers == 2 else f"CPU {line.container + 1}:{containers}"
    unit = units.of(line.metric.unit).label
    said = f"{line.metric.brief} {line.container + 1}" if line.container else line.metric.brief
    return f"{said}, {unit}" if unit else said
