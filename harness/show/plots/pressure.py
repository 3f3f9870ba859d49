"""For which share of its time did a container wait: for a CPU, for memory, for a disk?

Needs the pressure (PSI) that the kernel keeps on cgroup v2.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from harness.show.plots import across as plots_across
from harness.show.plots import words
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import AMBER, BLUE, VERMILION, Mark

_WAITED: dict[str, tuple[str, str, Mark]] = {
    "cpu_some": ("a task", "a CPU", Mark("o", BLUE)),
    "memory_full": ("all tasks", "memory", Mark("^", VERMILION, filled=False, shift_pt=6)),
    "io_full": ("all tasks", "a disk", Mark("s", AMBER, filled=False, shift_pt=12)),
}
"""Those that a comparison watches: what hinders at all for the CPU, what stops all for the rest."""


def has_pressure(given: Material) -> bool:
    """Whether the kernel kept the pressure (PSI) of any container."""
    return not _rows(given).empty


def _rows(given: Material) -> pd.DataFrame:
    return given.estimates[given.estimates["metric"].isin(_WAITED)]


def pressure(given: Material) -> Picture:
    """The share of the time that was waited for a CPU, for memory and for a disk."""
    rows = _rows(given)
    across = plots_across.places(given, rows)
    sheet = given.sheet(3.6)
    for run, (ax,) in zip(given.runs, sheet.columns, strict=True):
        mine = rows[rows["run"] == run.info.name]
        for metric, (_, _, mark) in _WAITED.items():
            plots_across.spread(ax, mine[mine["metric"] == metric], across, 100, mark)
    sheet.columns[0][0].set_ylim(-5, 105)
    sheet.columns[0][0].set_yticks([0, 25, 50, 75, 100])
    sheet.ylabel(0, "Waited (% of the time)")
    across.dress(sheet)
    sheet.key(
        sheet.columns[0][0],
        [
            Line2D([], [], label=f"{who} waited for {what}", **mark.style())
            for who, what, mark in _WAITED.values()
        ],
    )
    told = "; ".join(_told(given, row) for row in rows.head(words.MOST_TOLD).to_dict("records"))
    return given.picture(
        "pressure", sheet, given.found(_finding),
        "Pressure (PSI) as the kernel keeps it for each container: the share of the window in "
        "which at least one of its tasks wanted a CPU and had none, and in which all of its tasks "
        "waited for memory or for a disk. A throttled task waits for a CPU. Marks are medians over "
        "the trials that count, with their intervals.",
        f"Waited: {told}.",
    )  # fmt: skip


def _told(given: Material, row: dict[Any, Any]) -> str:
    _, what, _ = _WAITED[row["metric"]]
    return f"{given.whose(row)}{row['value']}, for {what}: {words.share(row['median'])}"


def _finding(one: Material) -> str:
    rows = _rows(one)
    if rows.empty:
        return ""
    most = rows.iloc[int(rows["median"].argmax())]
    if most["median"] < 0.005:
        return "Nothing waited for a CPU, for memory or for a disk"
    who, what, _ = _WAITED[most["metric"]]
    part = words.share(float(most["median"]))
    return f"At {one.name(most['value'])} {who} waited for {what} {part} of the time"
