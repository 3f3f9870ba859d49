"""Which limit protects from which neighbour?

Needs victims that were measured alone and beside an aggressor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from harness import units
from harness.show.plots import words
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import INK, MUTED, PAPER, SHADE
from harness.show.plots.words import NBSP

_AGGRESSORS: Mapping[str, str] = {
    "burst": "wants CPU",
    "memory": "wants memory",
    "io": "wants the disk",
}
"""What the victim runs → what its aggressor, which is of the same kind, is."""
_COLOURS = LinearSegmentedColormap.from_list("loss", [PAPER, SHADE, "#eb9a66"])
_WORST = 30.0
"""So many times as slow is the deepest colour."""


def has_neighbour(given: Material) -> bool:
    """Whether a victim was measured beside an aggressor and alone."""
    return not _beside(given).empty


def neighbour(given: Material) -> Picture:
    """A row a protection, a column an aggressor; in each cell what is left of the victim."""
    rows = _beside(given)
    kinds = [kind for kind in _AGGRESSORS if kind in set(rows["workload"])]
    protections = list(dict.fromkeys(rows.sort_values("place")["protection"]))
    sheet = given.sheet(1.1 + 0.47 * len(protections))
    for run, (ax,) in zip(given.runs, sheet.columns, strict=True):
        mine = rows[rows["run"] == run.info.name]
        cells = {(row["protection"], row["workload"]): row for row in mine.to_dict("records")}
        shades = [
            [_shade(cells.get((protection, kind))) for kind in kinds] for protection in protections
        ]
        ax.imshow(shades, cmap=_COLOURS, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        for y, protection in enumerate(protections):
            for x, kind in enumerate(kinds):
                _write(ax, x, y, cells.get((protection, kind)), short=len(given.runs) > 1)
        _part(ax, len(protections), len(kinds))
    first = sheet.columns[0][0]
    first.set_yticks(range(len(protections)), [words.shortened(one) for one in protections])
    first.set_xticks(range(len(kinds)), [_AGGRESSORS[kind] for kind in kinds])
    sheet.ylabel(0, "Protection")
    sheet.xlabel("Neighbour on the same CPUs or disk", "Neighbour")
    told = "; ".join(_told(given, row) for row in rows.head(words.MOST_TOLD).to_dict("records"))
    return given.picture(
        "neighbour", sheet, given.found(_finding),
        "What is left of a victim beside a neighbour of its own kind, relative to itself alone: "
        "how many times as long its slowest responses take (99 % of bursts of work, or of writes "
        "with an fsync; of memory the longest touch of a page), with the interval, and how much of "
        "its work it gets done. The deeper the colour, the slower. Each ratio is of two trials of "
        "the same block; a dash is a limit that says nothing of that neighbour.",
        f"Relative to alone: {told}.",
    )  # fmt: skip


def _beside(given: Material) -> pd.DataFrame:
    """Of each point with an aggressor, what its victim came to relative to itself alone."""
    keys = ["run", "point"]
    plan = given.points[given.points["container"] == 0][[*keys, "workload"]]
    with_others = given.points[given.points["container"] == 1][keys]
    tail, done = (
        given.of(metric)[[*keys, "value", "median", "low", "high"]]
        for metric in ("tail_vs_alone", "done_vs_alone")
    )
    done = done.drop(columns="value")
    rows = tail.merge(done, on=keys, suffixes=("", "_done")).merge(plan, on=keys)
    rows = rows.merge(with_others, on=keys)
    rows["protection"] = [str(value).partition("@")[0] for value in rows["value"]]
    place = {point: i for i, point in enumerate(given.order)}
    rows["place"] = [place[point] for point in rows["point"]]
    return rows[rows["workload"].isin(_AGGRESSORS)].sort_values("place")


def _shade(row: Mapping[Any, Any] | None) -> float:
    """From nothing lost (0) to the deepest colour (1), by the factor's logarithm."""
    if row is None or row["median"] <= 1:
        return 0.0
    return min(1.0, math.log(row["median"]) / math.log(_WORST))


def _times(factor: float) -> str:
    return f"{factor:.2f}" if factor < 9.95 else f"{factor:.0f}"


def _write(ax: Axes, x: int, y: int, row: Mapping[Any, Any] | None, *, short: bool = False) -> None:
    """A cell's two lines; in short where several runs stand beside each other."""
    if row is None:
        ax.text(x, y, "–", ha="center", va="center", color=MUTED)
        return
    said = f"× {_times(row['median'])}"
    done = units.round_percent(row["median_done"])
    if not short:
        said = f"{_times(row['median'])} times as long"
        if math.isfinite(row["low"]):
            said += f"  {_times(row['low'])}–{_times(row['high'])}"
        done = f"{done} of its work"
    weight = "bold" if row["median"] > 2 else "normal"
    line: Any = {"ha": "center", "va": "center", "color": INK}
    ax.text(x, y - 0.19, said, fontsize=8.5, fontweight=weight, **line)
    ax.text(x, y + 0.2, done, fontsize=8, **line)


def _part(ax: Axes, rows: int, columns: int) -> None:
    """Cells with lines between them, and nothing around."""
    ax.grid(visible=False)
    for y in range(rows + 1):
        ax.axhline(y - 0.5, color=MUTED, lw=0.5)
    for x in range(1, columns):
        ax.axvline(x - 0.5, color=MUTED, lw=0.5)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.tick_params(length=0)


def _told(given: Material, row: Mapping[Any, Any]) -> str:
    return (
        f"{given.whose(row)}{row['protection']} where it {_AGGRESSORS[row['workload']]}: "
        f"{_times(row['median'])} times as long, {units.round_percent(row['median_done'])} of "
        "the work"
    )


def _finding(one: Material) -> str:
    """How bad it is with no protection, and what helps most, of the neighbour that hurts most."""
    rows = _beside(one)
    bare = rows[rows["protection"] == "none"]
    if bare.empty:
        return ""
    worst = bare.iloc[int(bare["median"].argmax())]
    said = (
        f"Beside a neighbour that {_AGGRESSORS[worst['workload']]} the slowest responses take "
        f"{_times(worst['median'])}{NBSP}times as long"
    )
    others = rows[(rows["workload"] == worst["workload"]) & (rows["protection"] != "none")]
    if others.empty:
        return said
    best = others.iloc[int(others["median"].argmin())]
    return (
        f"{said}; with {words.shortened(best['protection'])}, {_times(best['median'])}{NBSP}times"
    )
