"""Time for each page."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.show.plots import style, words
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import LIMIT

_BINS_A_LIMIT = 24


def has_pages(given: Material) -> bool:
    """Whether a workload touched pages on both sides of its memory limit."""
    return not _pages(given).empty


def _pages(given: Material) -> pd.DataFrame:
    """The time per page of the points that grew beyond their memory limit, in parts of it."""
    rows = given.growth
    rows = rows[rows["counts"] & rows["memory_bytes"].map(math.isfinite)]
    if rows.empty:
        return rows
    rows = rows.assign(of_limit=rows["touched_bytes"] / rows["memory_bytes"])
    beyond = rows.groupby(["run", "point"])["of_limit"].transform("max") > 1.05
    return rows[beyond]


def _draw_point(ax: Axes, rows: pd.DataFrame, i: int) -> None:
    """One point, the i-th: a thin line a trial, and their median."""
    if rows.empty:
        return
    # The mean of a part, not its median: reclaim comes in bursts, and its time is meant.
    each = rows.groupby(["trial", "container", "part"])["us"].mean().reset_index()
    for _, trial in each.groupby(["trial", "container"]):
        ax.plot(trial["part"], trial["us"], color=style.LINES[i], lw=0.7, alpha=0.35)
    middle = each.groupby("part")["us"].median()
    ax.plot(
        middle.index, middle, color=style.LINES[i], marker=style.MARKERS[i], ms=4.5,
        ls=style.DASHES[i % len(style.DASHES)], markevery=max(1, _BINS_A_LIMIT // 6),
    )  # fmt: skip


def pages(given: Material) -> Picture:
    """What the first touch of a page costs, before the memory limit is reached and after."""
    rows = _pages(given)
    rows = rows.assign(
        part=(rows["of_limit"] * _BINS_A_LIMIT).map(math.ceil) / _BINS_A_LIMIT,
        us=rows["page_s"] * 1e6,
    )
    points = [point for point in given.order if point in set(rows["point"])]
    shown = words.spread_out(points, len(style.LINES))
    values = dict(zip(given.points["point"], given.points["value"], strict=True))
    sheet = given.sheet(4.2)
    for run, (ax,) in zip(given.runs, sheet.columns, strict=True):
        mine = rows[rows["run"] == run.info.name]
        for i, point in enumerate(shown):
            _draw_point(ax, mine[mine["point"] == point], i)
        ax.axvline(1.0, **LIMIT)
        ax.set_yscale("log")
        style.plain_log_ticks(ax.yaxis)
        ax.set_xlim(left=0)
    sheet.xlabel("Memory touched (1 = the limit of --memory)", "Memory touched / --memory")
    sheet.ylabel(0, "Time per page, first touch (µs)")
    handles = [
        Line2D([], [], color=style.LINES[i], marker=style.MARKERS[i], ms=4.5,
               ls=style.DASHES[i % len(style.DASHES)], label=words.shortened(str(values[point])))
        for i, point in enumerate(shown)
    ]  # fmt: skip
    handles.append(Line2D([], [], label="the memory limit", **LIMIT))
    sheet.key(sheet.columns[0][0], handles, given.option)

    def costs(one: Material) -> pd.DataFrame:
        mine = rows[rows["run"] == one.runs[0].info.name]
        near = mine[mine["of_limit"] <= 0.8].groupby("point")["us"].mean()
        far = mine[mine["of_limit"] > 1.0].groupby("point")["us"].mean()
        return pd.DataFrame({"near": near, "far": far}).dropna()

    def finding(one: Material) -> str:
        found = costs(one)
        if found.empty:
            return ""
        ratio = found["far"] / found["near"]
        worst = str(ratio.idxmax())
        return (
            f"Beyond the memory limit a new page takes {ratio.max():.0f} times as long: "
            f"{words.duration(found['far'][worst] / 1e6)} instead of "
            f"{words.duration(found['near'][worst] / 1e6)} at {one.name(str(values[worst]))}"
        )

    told = "; ".join(
        f"{values[point]}: {cost['near']:.2f} µs a page below the limit, {cost['far']:.1f} beyond"
        for _, one in given.each()
        for point, cost in costs(one).iterrows()
    )
    return given.picture(
        "pages", sheet, given.found(finding),
        "How long a page takes that is touched for the first time, while memory grows up to its "
        "limit and beyond it, where another page must go first: to swap, or from the page cache. "
        "Thin lines are single trials, thick ones their median.",
        f"{told}.",
    )  # fmt: skip
