"""What gave way where memory was short: page cache beside a neighbour, or a program's own memory?

Needs a container that a neighbour pressed, or one that met its limit under a swappiness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness import units
from harness.plan.axes.reclaim import PRESSED, SPARED_BYTES, WANTED
from harness.show.plots import style, words
from harness.show.plots.data import Material, Picture
from harness.units import MIB

_TRIAL: Any = {"ls": "", "marker": ".", "ms": 5, "mew": 0, "color": style.INK, "alpha": 0.45}


@dataclass(frozen=True, slots=True)
class _Told:
    """What is measured on an axis, and how it is told."""

    metric: str
    label: str
    caption: str
    finding: Callable[[pd.DataFrame], str]


def has_reclaimed(given: Material) -> bool:
    """Whether a neighbour pressed a container, or its own limit did under a swappiness."""
    return given.axis in _AXES and not _rows(given).empty


def _rows(given: Material) -> pd.DataFrame:
    """A row a point: what was measured there, with its law where there is one."""
    keys = ["run", "point", "container"]
    metric = _AXES[given.axis].metric
    rows = given.of(metric)
    if given.axis == "reservation":
        rows = rows[rows["value"].str.endswith(f" {PRESSED}")]
    rows = rows[rows["container"] == 0]
    laws = given.verdicts[given.verdicts["metric"] == metric][[*keys, "verdict", "promised"]]
    return rows.merge(laws, on=keys, how="left").fillna({"verdict": style.NO_LAW})


def reclaimed(given: Material) -> Picture:
    """A line a point: the trials, the median with its interval, and what is promised."""
    told, rows = _AXES[given.axis], _rows(given)
    points = [point for point in given.order if point in set(rows["point"])]
    sheet = given.sheet(1.1 + 0.42 * len(points))
    dots = given.counted(told.metric)
    for run, (ax,) in zip(given.runs, sheet.columns, strict=True):
        for row in rows[rows["run"] == run.info.name].to_dict("records"):
            mine = dots[(dots["run"] == row["run"]) & (dots["point"] == row["point"])]
            one = mine[mine["container"] == 0][told.metric]
            _draw(ax, points.index(row["point"]), row, one / MIB)
        names = dict(zip(rows["point"], rows["value"].map(_name), strict=True))
        ax.set_yticks(range(len(points)), [given.name(names[point]) for point in points])
        ax.set_ylim(len(points) - 0.4, -0.6)
        ax.set_xlim(left=-0.02 * _most(rows), right=1.15 * _most(rows))
        ax.grid(visible=False, axis="y")
    sheet.xlabel(told.label)
    handles = [Line2D([], [], **style.ONE_TRIAL), *style.verdict_marks(rows["verdict"])]
    if rows["promised"].notna().any():
        handles.insert(0, Line2D([], [], label="promised", **_PROMISE))
    sheet.key(sheet.columns[0][0], handles)
    said = "; ".join(
        f"{given.whose(row)}{_name(row['value'])}: {units.size(row['median'])}"
        for row in rows.head(words.MOST_TOLD).to_dict("records")
    )
    return given.picture(
        "reclaimed", sheet, given.found(lambda one: told.finding(_rows(one))),
        f"{told.caption} Large marks are medians over the trials that count, with their "
        "intervals; dots are single trials.",
        f"{said}.",
    )  # fmt: skip


_PROMISE: Any = {"ls": "", "marker": "|", "ms": 16, "mew": 1.6, "color": style.INK}


def _name(value: Any) -> str:
    return str(value).removesuffix(f" {PRESSED}")


def _most(rows: pd.DataFrame) -> float:
    """The largest number of the figure, in MiB; never nothing, where nothing gave way."""
    return max(1.0, float(rows[["median", "high", "promised"]].max().max()) / MIB)


def _draw(ax: Axes, line: int, row: Mapping[Any, Any], trials: pd.Series[float]) -> None:
    ax.plot(trials, [line + 0.22] * len(trials), **_TRIAL)
    mark = style.MARKS[row["verdict"]].style()
    ax.plot([row["low"] / MIB, row["high"] / MIB], [line, line], color=mark["color"], lw=1.6)
    ax.plot([row["median"] / MIB], [line], **mark)
    if pd.notna(row["promised"]):
        ax.plot([row["promised"] / MIB], [line], **_PROMISE)


def _spared(rows: pd.DataFrame) -> str:
    """How much more a reservation left than none."""
    bare = rows[rows["value"] == f"none {PRESSED}"]
    others = rows[rows["value"] != f"none {PRESSED}"]
    held = units.size(SPARED_BYTES)
    if bare.empty or others.empty:
        left = units.size(rows.iloc[0]["median"])
        return f"Of {held} of page cache beside a neighbour {left} were left"
    best = others.iloc[int(others["median"].argmax())]
    return (
        f"Of {held} of page cache a neighbour left {units.size(bare.iloc[0]['median'])}; with a "
        f"reservation of {_name(best['value'])}, {units.size(best['median'])}"
    )


def _swapped(rows: pd.DataFrame) -> str:
    """What the least and the most swappiness came to."""
    said = [f"{row['value']}: {units.size(row['median'])}" for row in rows.to_dict("records")]
    return f"Swapped out by --memory-swappiness {', '.join(said)}"


_AXES: Mapping[str, _Told] = {
    "reservation": _Told(
        "kept_bytes", "Page cache left (MiB)",
        f"What was left of {units.size(SPARED_BYTES)} of page cache of a container while a "
        "neighbour below the same limit wanted all of it, by the first one's "
        "--memory-reservation.",
        _spared,
    ),
    "swappiness": _Told(
        "peak_swap_bytes", "Most that was swapped out (MiB)",
        f"How much a container had in swap at the most that touched {WANTED:g} times its memory "
        "limit, half of it its own and half of it page cache, which it read again: by "
        "--memory-swappiness.",
        _swapped,
    ),
}  # fmt: skip
