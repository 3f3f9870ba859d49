"""Runs as one table of verdicts, in CSV: for a spreadsheet, or for a script.

A line a metric of a point: what was promised, what was achieved, the error, the verdict. Numbers
are not rounded. Text from outside never begins as a formula does: spreadsheets would run it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from harness.report.view import Line, Row, View

COLUMNS = (
    "run", "host", "point", "axis", "value", "container", "metric", "unit", "law", "bound_by",
    "promised", "expected", "trials", "valid", "achieved", "achieved_low", "achieved_high",
    "confidence", "scale", "error", "error_low", "error_high", "tolerance_low", "tolerance_high",
    "verdict", "reason",
)  # fmt: skip


def render(views: Sequence[View]) -> str:
    """The table of some runs, in any state."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for view in views:
        for row in view.rows:
            writer.writerows(_harmless(_cells(view, row, line)) for line in row.lines)
    return out.getvalue()


def _cells(view: View, row: Row, line: Line) -> list[object]:
    law, achieved, error, verdict = line.law, line.achieved, line.deviation, line.verdict
    point, info = row.summary.point, view.run.info
    return [
        info.name, info.host.hostname, point.id, point.axis, point.value, line.container,
        line.metric.name, line.metric.unit, law and law.law, law and law.bound,
        law and law.value, line.promised, row.summary.trials, row.summary.valid,
        achieved and achieved.median, achieved and achieved.low, achieved and achieved.high,
        achieved and achieved.confidence, law and law.scale.value, error and error.median,
        error and error.low, error and error.high, law and law.low, law and law.high,
        verdict.status.value if verdict else "no law", verdict and verdict.reason,
    ]  # fmt: skip


def _harmless(cells: Iterable[object]) -> list[object]:
    return [
        f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r")
        and not _is_number(cell) else cell
        for cell in cells
    ]  # fmt: skip


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
