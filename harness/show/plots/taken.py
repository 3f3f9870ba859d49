"""What was taken until it was refused, against what the limit promises.

Needs a workload that takes; tasks, bytes and seconds stand in one figure, each as a share of its
own promise.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from harness import units
from harness.judge.metrics import METRICS
from harness.model import Status
from harness.show.plots import style, words
from harness.show.plots.data import Material, Picture
from harness.show.plots.words import NBSP

_METRICS = ("taken", "taken_together", "taken_bytes", "taken_cpu_s")
_DOTS: Any = {"ls": "", "marker": ".", "ms": 5, "mew": 0, "color": style.INK, "alpha": 0.45}


def has_taken(given: Material) -> bool:
    """Whether anything was taken until it was refused, under a limit that promises how much."""
    return not _taken(given).empty


def _taken(given: Material) -> pd.DataFrame:
    """The rows of ``frames.verdicts`` on how much was taken, with what refused it."""
    laws = given.verdicts
    rows = laws[laws["metric"].isin(_METRICS) & laws["promised"].gt(0)]
    rows = rows.dropna(subset="achieved_median")
    keys = ["run", "point"]
    refused = laws[(laws["metric"] == "refusal") & (laws["container"] == 0)]
    names = {"achieved_median": "refusal", "promised": "due", "verdict": "refusal_verdict"}
    return rows.merge(refused[[*keys, *names]].rename(columns=names), on=keys, how="left")


def taken(given: Material) -> Picture:
    """A line a point: the trials, the median and its interval as shares of the promise."""
    rows = _taken(given)
    points = [point for point in given.order if point in set(rows["point"])]
    sheet = given.sheet(1.1 + 0.42 * len(points))
    for run, (ax,) in zip(given.runs, sheet.columns, strict=True):
        mine = rows[rows["run"] == run.info.name]
        ax.axvline(100, zorder=2, **style.LIMIT)
        for row in mine.to_dict("records"):
            _draw(ax, points.index(row["point"]), row, _trials(given, row))
        values = dict(zip(rows["point"], rows["value"], strict=True))
        ax.set_yticks(range(len(points)), [words.shortened(values[point]) for point in points])
        ax.set_ylim(len(points) - 0.4, -0.6)
        ax.grid(visible=False, axis="y")
        low, high = (100 * side for side in _ends(rows))
        ax.set_xlim(min(50, 0.9 * low), max(150, 1.4 * high))
    sheet.xlabel("Taken, as a share of what is promised (%)", "Taken (% of promised)")
    promise = Line2D([], [], label="the limit", **style.LIMIT)
    one = Line2D([], [], **style.ONE_TRIAL)
    sheet.key(sheet.columns[0][0], [promise, one, *style.verdict_marks(rows["verdict"])])
    told = "; ".join(f"{given.whose(row)}{row['value']}: {_said(row)}" for row in _records(rows))
    return given.picture(
        "taken", sheet, given.found(lambda one: _finding(_taken(one))),
        "How much a workload took until the next was refused, as a share of what its limit "
        "promises; beside it the number, and what refused. Large marks are medians over the "
        "trials that count, with their intervals; dots are single trials.",
        f"{told}.",
    )  # fmt: skip


def _ends(rows: pd.DataFrame) -> tuple[float, float]:
    """The least and the most that any interval reaches, as shares of the promise."""
    shares = rows[["achieved_low", "achieved_median", "achieved_high"]].div(
        rows["promised"], axis=0
    )
    return float(shares.min().min()), float(shares.max().max())


def _records(rows: pd.DataFrame) -> list[dict[Any, Any]]:
    return rows.head(words.MOST_TOLD).to_dict("records")


def _trials(given: Material, row: dict[Any, Any]) -> pd.Series[float]:
    one = given.errors
    mine = (one["run"] == row["run"]) & (one["point"] == row["point"])
    measured: pd.Series[float] = one.loc[mine & (one["metric"] == row["metric"]), "measured"]
    return measured


def _draw(ax: Any, line: int, row: dict[Any, Any], trials: pd.Series[float]) -> None:
    by = 100 / row["promised"]
    ax.plot(trials * by, [line + 0.22] * len(trials), **_DOTS)
    mark = style.MARKS[row["verdict"]].style()
    ax.plot([row["achieved_low"] * by, row["achieved_high"] * by], [line, line],
            color=mark["color"], lw=1.6)  # fmt: skip
    ax.plot([row["achieved_median"] * by], [line], **mark)
    ax.annotate(_said(row), (row["achieved_median"] * by, line), (8, 3),
                textcoords="offset points", va="bottom", fontsize="small",
                color=style.MUTED)  # fmt: skip


def _said(row: dict[Any, Any]) -> str:
    """``64 of 64, then EAGAIN``."""
    unit = METRICS[row["metric"]].unit
    text = units.size if unit == "bytes" else units.of(unit).text
    got = f"{text(row['achieved_median'])} of {text(row['promised'])}"
    refusal = row["refusal"]
    then = "" if pd.isna(refusal) else f", then {units.refusal(refusal)}"
    wrong = row["refusal_verdict"] == Status.DEVIATES
    return f"{got}{then} and not {units.refusal(row['due'])}" if wrong else f"{got}{then}"


def _finding(rows: pd.DataFrame) -> str:
    wrong = rows[
        (rows["verdict"] == Status.DEVIATES) | (rows["refusal_verdict"] == Status.DEVIATES)
    ]
    if not wrong.empty:
        row = wrong.iloc[0].to_dict()
        return f"{row['value']}: {_said(row)}".replace(" ", NBSP, 1)
    held = rows[(rows["verdict"] == Status.CONFORMS)]
    if len(held) == len(rows):
        return f"Each of {len(rows)} limits refused at its value" if len(rows) > 1 else (
            "The limit refused at its value"
        )  # fmt: skip
    return f"{len(held)} of {len(rows)} limits refused at their value; the others are not judged"
