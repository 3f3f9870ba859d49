"""How long does one I/O take under each limit?

Needs loads on a disk. Storage has a figure of its own.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.lines import Line2D

from harness.plan import axes
from harness.show.plots import across as plots_across
from harness.show.plots import style, words
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import AMBER, LAST, TYPICAL, Mark
from harness.show.plots.words import NBSP

_SLICE_MS = 100.0
"""DFL_THROTL_SLICE of block/blk-throttle.c, HZ/10."""


def has_latencies(given: Material) -> bool:
    """Whether I/Os of a device were timed."""
    axis = axes.AXES.get(given.axis)
    return axis is not None and axis.on_device and not given.of("io_p99_s").empty


def latencies(given: Material) -> Picture:
    """Half of the I/Os, 99 of 100, and the longest, beside a slice of the throttle."""
    half, most, longest = (given.of(f"io_{which}_s") for which in ("p50", "p99", "max"))
    across = plots_across.places(given, most)
    sheet = given.sheet(4.0)
    marks = {"median": TYPICAL, "99 %": Mark("D", AMBER, shift_pt=6), "longest": LAST}
    for run, (ax,) in zip(given.runs, sheet.columns, strict=True):
        for rows, mark in zip((half, most, longest), marks.values(), strict=True):
            plots_across.spread(ax, rows[rows["run"] == run.info.name], across, 1e3, mark)
        ax.axhline(_SLICE_MS, color=style.MUTED, lw=1.0, ls=":")
    sheet.ylabel(0, "Time of an I/O (ms)")
    both = pd.concat([half["median"], longest["median"]])
    style.upright(sheet.rows[0], log=plots_across.spans_decades(both))
    across.dress(sheet)
    handles = [Line2D([], [], label=label, **mark.style()) for label, mark in marks.items()]
    handles.append(Line2D([], [], color=style.MUTED, lw=1.0, ls=":", label="slice"))
    sheet.key(sheet.columns[0][0], handles)
    told = "; ".join(
        f"{given.whose(row)}{row['value']}: {words.duration(row['median'])}"
        for row in most.head(words.MOST_TOLD).to_dict("records")
    )
    return given.picture(
        "latencies", sheet, given.found(_finding),
        "How long an I/O takes under a limit: half of them, 99 of 100, and the longest of each "
        "trial. The throttle lets a slice's budget pass at once and holds the rest for the next; "
        "so many that wait make it as many slices. Marks are medians over the trials that count, "
        "with their intervals.",
        f"99 % of I/Os within: {told}.",
    )  # fmt: skip


def _finding(one: Material) -> str:
    mine = one.of("io_p99_s")
    worst = mine.iloc[int(mine["median"].argmax())]
    best = mine.iloc[int(mine["median"].argmin())]
    said = f"99{NBSP}% of I/Os are done within {words.duration(worst['median'])}"
    if len(mine) > 1:
        said += f" ({worst['value']}), {words.duration(best['median'])} ({best['value']})"
    return said
