"""What the engine's commands take, under each limit.

Needs a lifecycle, whose trials time each command once.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from harness.judge.lifecycle import COMMANDS
from harness.show.plots import style, words
from harness.show.plots.data import Material, Picture
from harness.show.plots.words import NBSP

_DOTS: Any = {"ls": "", "marker": "|", "ms": 5, "alpha": 0.7}


def has_lifecycle(given: Material) -> bool:
    """Whether commands were timed."""
    return not given.of("create_s").empty


def lifecycle(given: Material) -> Picture:
    """A line a command: each trial a dot, median and interval, a colour a condition."""
    names = [name for name in COMMANDS if not given.of(f"{name}_s").empty]
    points = [point for point in given.order if not given.of("create_s").empty]
    values = dict(zip(given.points["point"], given.points["value"], strict=True))
    sheet = given.sheet(0.8 + 0.29 * len(names))
    for run, (ax,) in zip(given.runs, sheet.columns, strict=True):
        for line, name in enumerate(names):
            for i, point in enumerate(points):
                at = line + (i - (len(points) - 1) / 2) * 0.7 / len(points)
                colour = style.LINES[i % len(style.LINES)]
                trials = _mine(given.counted(f"{name}_s"), run.info.name, point)
                ax.plot(trials[f"{name}_s"] * 1e3, [at] * len(trials), color=colour, **_DOTS)
                for found in _mine(given.of(f"{name}_s"), run.info.name, point).to_dict("records"):
                    ends = [found["low"] * 1e3, found["high"] * 1e3]
                    ax.plot(ends, [at, at], color=colour, lw=1.6)
                    marker = style.MARKERS[i % len(style.MARKERS)]
                    ax.plot([found["median"] * 1e3], [at], color=colour, marker=marker, ms=4.5)
        ax.set_xscale("log")
        style.plain_log_ticks(ax.xaxis)
        ax.set_yticks(range(len(names)), [COMMANDS[name] for name in names])
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.grid(visible=False, axis="y")
    sheet.xlabel("Time (ms)", "Time (ms)")
    handles = [
        Line2D([], [], ls="", marker=style.MARKERS[i % len(style.MARKERS)],
               color=style.LINES[i % len(style.LINES)], label=str(values[point]))
        for i, point in enumerate(points)
    ]  # fmt: skip
    sheet.key(sheet.columns[0][0], handles)
    slowest = given.of("create_s")
    told = "; ".join(
        f"{given.whose(row)}{row['value']}: create {words.duration(row['median'])}"
        for row in slowest.to_dict("records")
    )
    return given.picture(
        "lifecycle", sheet, given.found(_finding),
        "What each of the engine's commands takes, from the request to its answer or to what is "
        "said beside it. Every bar is a trial that counts; marks are medians with their intervals.",
        f"{told}.",
    )  # fmt: skip


def _mine(rows: pd.DataFrame, run: str, point: str) -> pd.DataFrame:
    return rows[(rows["run"] == run) & (rows["point"] == point) & (rows["container"] == 0)]


def _finding(one: Material) -> str:
    """Which command suffers most under which condition, against the first one."""
    worst: tuple[float, str] = (0.0, "")
    for name in COMMANDS:
        rows = one.of(f"{name}_s").to_dict("records")
        for base in (row for row in rows if row["point"] == one.order[0] and row["median"]):
            for row in rows:
                slower = row["median"] / base["median"]
                told = f"{slower:.1f}{NBSP}times as long under {row['value']} as {base['value']}"
                if slower > worst[0]:
                    worst = (slower, f"{name.replace('_', NBSP)} takes {told}")
    return worst[1] if worst[0] > 1 else ""
