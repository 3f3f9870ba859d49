"""Half of what was timed, 99 of 100, the longest: what figures of it share."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.show.plots import words
from harness.show.plots.across import Across, spread
from harness.show.plots.data import Material
from harness.show.plots.style import AMBER, LAST, TYPICAL, Mark
from harness.show.plots.words import NBSP

MARKS = {"median": TYPICAL, "99 %": Mark("D", AMBER, shift_pt=6), "longest": LAST}


def frames(given: Material, metric: str) -> tuple[pd.DataFrame, ...]:
    """Those of ``METRIC_p50_s``, ``METRIC_p99_s`` and ``METRIC_max_s``."""
    return tuple(given.of(f"{metric}_{which}_s") for which in ("p50", "p99", "max"))


def draw(ax: Axes, rows: tuple[pd.DataFrame, ...], run: str, across: Across) -> None:
    """The three of a run, in ms."""
    for one, mark in zip(rows, MARKS.values(), strict=True):
        spread(ax, one[one["run"] == run], across, 1e3, mark)


def handles() -> list[Line2D]:
    """Their entries in a key."""
    return [Line2D([], [], label=label, **mark.style()) for label, mark in MARKS.items()]


def told(given: Material, most: pd.DataFrame) -> str:
    """Each point's 99 % in words."""
    return "; ".join(
        f"{given.whose(row)}{row['value']}: {words.duration(row['median'])}"
        for row in most.head(words.MOST_TOLD).to_dict("records")
    )


def finding(one: Material, metric: str, what: str) -> str:
    """Within which time 99 of 100 come, at worst and at best."""
    mine = one.of(f"{metric}_p99_s")
    if mine.empty:
        return ""
    worst = mine.iloc[int(mine["median"].argmax())]
    best = mine.iloc[int(mine["median"].argmin())]
    said = f"99{NBSP}% of {what} come within {words.duration(worst['median'])}"
    if best["point"] != worst["point"]:
        said += (
            f" ({one.name(worst['value'])}), {words.duration(best['median'])} "
            f"({one.name(best['value'])})"
        )
    return said
