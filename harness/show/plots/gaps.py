"""What is the time off the CPU made of: many short gaps, few long ones?

Needs gaps that threads noted in trials that count.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.show.plots import style, words
from harness.show.plots.data import THROTTLED, Material, Picture
from harness.wording import agreeing, counted


def has_gaps(given: Material) -> bool:
    """Whether threads noted when they were off the CPU."""
    return bool(given.points_with_gaps())


def gaps(given: Material) -> Picture:
    """What the time off the CPU is made of: its distribution over the lengths of gaps."""
    points = given.points_with_gaps()
    shown = words.spread_out(points, len(style.LINES))
    rows = given.gaps(shown)
    sheet = given.sheet(4.2)
    left, right = rows["length_s"].min() * 1e3 / 1.3, rows["length_s"].max() * 1e3 * 1.3
    handles, told = [], []
    for i, point in enumerate(shown):
        line: Any = {
            "color": style.LINES[i], "marker": style.MARKERS[i], "ms": 5.5,
            "ls": style.DASHES[i % len(style.DASHES)],
        }  # fmt: skip
        ends = []
        for (label, one), (ax,) in zip(given.each(), sheet.columns, strict=True):
            mine = rows[(rows["point"] == point) & rows["run"].isin(one.names)]
            if mine.empty:
                continue
            ends.append(_draw_gaps(ax, mine, left, right, line))
            whose = f"{label}, " if len(given.runs) > 1 else ""
            told.append(f"{whose}{mine['value'].iloc[0]}: off the CPU for {ends[-1]} of the time")
        value = str(rows.loc[rows["point"] == point, "value"].iloc[0])
        text = words.shortened(value) + (f": {ends[0]}" if len(given.runs) == 1 else "")
        handles.append(Line2D([], [], label=text, **line))
    top = max(ax.dataLim.y1 for (ax,) in sheet.columns)
    for (ax,) in sheet.columns:
        ax.set_ylim(0, top * 1.05)
        ax.set_xscale("log")
        ax.set_xlim(left, right)
        style.plain_log_ticks(ax.xaxis, narrow=sheet.across > 1)
    sheet.xlabel("Length of a gap (ms)")
    sheet.ylabel(0, "Time in gaps up to this length\n(% of all threads' time)")
    heading = f"{given.option}, and the time off the CPU in all"
    sheet.key(sheet.columns[0][0], handles, heading if len(given.runs) == 1 else given.option)
    caption = (
        "What the time off the CPU is made of, over all threads and all trials that count: a line "
        "climbs at the lengths of gap that take much time, and ends at the right at the time off "
        "the CPU in all."
    )
    if len(shown) < len(points):
        verb = agreeing(len(shown), "is", "are")
        caption += f" {len(shown)} of {counted(len(points), 'point')} {verb} drawn."
    longest = words.duration(float(rows["length_s"].max()))
    title = given.found(_typical) or f"No thread was off the CPU for more than {longest}"
    return given.picture("gaps", sheet, title, caption, f"{'; '.join(told)}.")


def _draw_gaps(ax: Axes, rows: pd.DataFrame, left: float, right: float, line: Any) -> str:
    """One line; returns the share of all time that was off the CPU, in words."""
    mine = rows.sort_values("length_s", kind="stable")
    once = mine.drop_duplicates(["run", "trial", "container"])
    off = (mine["length_s"] * mine["stands_for"]).cumsum() / once["thread_time_s"].sum() * 100
    x = [left, *(mine["length_s"] * 1e3), right]
    y = [0.0, *off, off.iloc[-1]]
    # Two marks a line: half way up, and at its end.
    half = next(k for k, part in enumerate(y) if part >= y[-1] / 2)
    ax.step(x, y, where="post", markevery=[half, len(x) - 1], clip_on=False, **line)
    return words.share(y[-1] / 100)


def _typical(given: Material) -> str:
    """How long threads stand still at the points that are throttled; empty where none is."""
    share, typical = given.of("throttled_share"), given.of("gap_s")
    throttled = share.loc[share["median"] >= THROTTLED, "point"]
    typical = typical[typical["point"].isin(throttled)]
    if typical.empty:
        return ""
    low = typical.iloc[int(typical["median"].argmin())]
    high = typical.iloc[int(typical["median"].argmax())]
    if high["median"] < 1.1 * low["median"]:
        middle = float(typical["median"].median())
        return (
            f"Throttled threads typically stand still for about {words.duration(middle)} at a time"
        )
    return (
        f"Throttled threads typically stand still for {words.duration(low['median'])} "
        f"({given.name(low['value'])}) to {words.duration(high['median'])} "
        f"({given.name(high['value'])})"
    )
