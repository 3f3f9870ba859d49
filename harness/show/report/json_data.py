"""A run as plain data with stable names, as JSON has it; numbers are not rounded."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from harness.judge import surroundings
from harness.show.report import columns
from harness.show.report.columns import Form, Told, plain
from harness.show.report.view import Row, View


def as_json(view: View) -> dict[str, Any]:
    """The view of a run in any state."""
    info = view.run.info
    sampling = surroundings.sampling(view.run.trials)
    return {
        "run": info.name,
        "path": str(view.run.path),
        "state": info.status,
        "gaps": [asdict(gap) for gap in info.gaps],
        "verdict": view.status.value,
        "headline": view.headline,
        "points": [_row_json(row) for row in view.rows],
        "rejected": list(view.rejected),
        "warnings": [
            {"text": w.text, "remedy": w.remedy, "trials": w.trials} for w in view.warnings
        ],
        "remarks": list(view.remarks),
        "sampler": sampling and asdict(sampling),
    }


def _row_json(row: Row) -> dict[str, Any]:
    summary = row.summary
    told = columns.told([row])
    return {
        **_fields(told[0], shared=True),
        "verdict": row.status and row.status.value,
        "rejected": list(summary.rejected),
        "docker_stats_frames": summary.stats_frames,
        "limits": [
            {
                "option": readback.option,
                "container": readback.container,
                "requested": readback.requested,
                "engine": readback.engine,
                "kernel": readback.kernel,
                "agrees": readback.agrees,
            }
            for readback in row.readbacks
        ],
        "laws": [_fields(one, shared=False) for one in told if one.line.law],
        "metrics": [
            {"metric": name, "container": container, **plain(estimate)}
            for (name, container), estimate in summary.estimates.items()
        ],
    }


def _fields(told: Told, *, shared: bool) -> dict[str, Any]:
    """What the columns have of a law, or of the point that its laws share."""
    return {
        column.name: plain(column.of(told))
        for column in (*columns.VERDICTS, *columns.LAST)
        if Form.JSON in column.forms and column.shared is shared
    }
