"""Runs as one table of verdicts, in CSV: for a spreadsheet, or for a script.

A line a metric of a point: what was promised, what was achieved, the error, the verdict. Numbers
are not rounded. Text from outside never begins as a formula does: spreadsheets would run it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from harness.show.report import columns
from harness.show.report.columns import Form, Told
from harness.show.report.view import View

_COLUMNS = [column for column in (*columns.VERDICTS, *columns.LAST) if Form.CSV in column.forms]


def render(views: Sequence[View]) -> str:
    """The table of some runs, in any state."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = (name for column in _COLUMNS for name in column.parts or (column.name,))
    writer.writerow(("run", "host", *names))
    for view in views:
        whose = (view.run.info.name, view.run.info.host.hostname)
        writer.writerows(_harmless((*whose, *_cells(told))) for told in columns.told(view.rows))
    return out.getvalue()


def _cells(told: Told) -> Iterator[object]:
    for column in _COLUMNS:
        value = column.of(told)
        if column.parts:
            yield from (value and getattr(value, part) for part in column.parts.values())
        else:
            yield value


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
