"""How do containers that compete divide the CPU, against their shares?

Needs ratios of CPU time at points whose shares differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from harness.model import Status
from harness.show.plots import style
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import BAND, LIMIT, MUTED, NO_LAW, ONE_TRIAL
from harness.show.plots.words import NBSP


def has_shares(given: Material) -> bool:
    """Whether containers of different shares competed."""
    rows = _ratios(given)
    return rows["asked"].nunique() > 1 and bool((rows["asked"] > 0).all())


def _ratios(given: Material) -> pd.DataFrame:
    """The measured ratios of CPU time, each beside the ratio of shares that was asked for."""
    shares = given.points.assign(shares=given.points["cpu_shares"].fillna(1024))
    last = shares.drop_duplicates(["run", "point"], keep="last")[["run", "point", "shares"]]
    asked = shares.merge(last, on=["run", "point"], suffixes=("", "_last"))
    asked["asked"] = asked["shares"] / asked["shares_last"]
    keys = ["run", "point", "container"]
    rows = given.of("ratio").merge(asked[[*keys, "asked"]], on=keys)
    law = given.verdicts[given.verdicts["metric"] == "ratio"]
    law = law[[*keys, "verdict", "promised", "tolerance_low", "tolerance_high"]]
    return rows.merge(law, on=keys, how="left").fillna({"verdict": NO_LAW})


def shares(given: Material) -> Picture:
    """The ratio of CPU time against the ratio of shares, both on logarithmic scales."""
    rows = _ratios(given)
    rows["at"] = rows["asked"]
    keys = ["run", "point", "container"]
    dots = given.counted("ratio").merge(rows[[*keys, "asked"]], on=keys)
    ends = [rows["asked"].min() / 1.35, rows["asked"].max() * 1.35]
    sheet = given.sheet(5.6, (1.7, 1.0))
    wide = float(rows["tolerance_high"].max())
    # Only runtimes of cgroup v2 promise something else than the ratio of the shares.
    by_weight = bool(((rows["promised"] / rows["asked"]).dropna() - 1).abs().gt(0.01).any())
    for run, panels in zip(given.runs, sheet.columns, strict=True):
        mine = rows[rows["run"] == run.info.name].sort_values("asked", kind="stable")
        _draw_shares(panels, mine, dots[dots["run"] == run.info.name], ends)
        if by_weight:
            law = mine[mine["promised"].notna()]
            panels[0].plot(law["asked"], law["promised"], zorder=2, **LIMIT)
        if not math.isnan(wide):
            least, most = (100 * math.expm1(end) for end in (-wide, wide))
            panels[1].fill_between(ends, least, most, color=BAND, lw=0, zorder=1)
    first = sheet.columns[0]
    for panels in sheet.columns:
        panels[0].set_xscale("log", base=2)
        panels[0].set_yscale("log", base=2)
        panels[0].set_xlim(*ends)
        panels[1].margins(y=0.15)
    ticks = sorted({*rows["asked"], 1.0})
    for axis in (first[1].xaxis, first[0].yaxis):
        axis.set_ticks(ticks, [_proportion(ratio) for ratio in ticks])
        axis.set_minor_locator(NullLocator())
    sheet.xlabel("Ratio of --cpu-shares that was asked for", "Ratio asked for")
    sheet.ylabel(0, "Ratio of CPU time")
    sheet.ylabel(1, "Error (%)")
    handles: list[Any] = [Line2D([], [], color=MUTED, lw=1.2, label="as asked for")]
    if by_weight:
        handles.append(Line2D([], [], label="as the runtime turns shares into weights", **LIMIT))
    if not math.isnan(wide):
        handles.append(Patch(facecolor=BAND, label="tolerance"))
    handles.append(Line2D([], [], **ONE_TRIAL))
    sheet.key(first[0], [*handles, *style.verdict_marks(rows["verdict"])])
    told = "; ".join(
        f"{given.whose(row)}{row['value']}: {row['median']:.3f}, {row['verdict']}"
        for row in rows.to_dict("records")
    )
    title = given.found(lambda one: _divided(rows[rows["run"].isin(one.names)]))
    return given.picture(
        "shares", sheet, title,
        "How two containers that both want the CPU divide it, against the ratio of their shares, "
        "on logarithmic scales; below, the error. Without a law are those that may run on several "
        "CPUs: there whole threads are moved, and the ratio is what comes of it. Large marks are "
        "medians over the trials that count, with their intervals; dots are single trials.",
        f"{told}.",
    )  # fmt: skip


def _draw_shares(
    panels: Sequence[Axes], rows: pd.DataFrame, dots: pd.DataFrame, ends: Sequence[float]
) -> None:
    upper, lower = panels
    parts = ("median", "low", "high")
    ideal = rows.dropna(subset="promised").drop_duplicates("asked").set_index("asked")["promised"]
    upper.plot(ends, ends, color=MUTED, lw=1.2, zorder=2)
    lower.axhline(0, color=MUTED, lw=1.2, zorder=2)
    style.singles(upper, dots["asked"], dots["ratio"])
    style.singles(lower, dots["asked"], (dots["ratio"] / _ideal(dots, ideal) - 1) * 100)
    shown = rows.assign(
        **{f"achieved_{part}": rows[part] for part in parts},
        **{f"error_{part}": rows[part] / _ideal(rows, ideal) - 1 for part in parts},
    )
    style.medians(upper, shown, "achieved", 1.0)
    style.medians(lower, shown, "error", 100.0)


def _divided(rows: pd.DataFrame) -> str:
    """What became of the shares of one run, in words."""
    said = []
    law, free = rows[rows["promised"].notna()], rows[rows["promised"].isna()]
    if not law.empty:
        off = _percent(float((law["median"] / law["promised"] - 1).abs().max()))
        if (law["verdict"] == Status.DEVIATES).any():
            said.append(f"On one CPU, the ratio of CPU time misses its law by up to {off}")
        else:
            said.append(f"On one CPU, CPU time is divided as the shares say, within {off}")
    if not free.empty:
        worst = free.iloc[int((free["median"] / free["asked"]).map(math.log).abs().argmax())]
        asked, came = _proportion(worst["asked"]), worst["median"]
        said.append(f"over all CPUs {asked} came to {came:.2f}:1")
    return "; ".join(said)


def _ideal(rows: pd.DataFrame, promised: pd.Series[float]) -> pd.Series[float]:
    """What the law promises for each row's ratio of shares; without a law, that ratio."""
    return rows["asked"].map(promised).fillna(rows["asked"])


def _proportion(ratio: float) -> str:
    return f"{ratio:g}:1" if ratio >= 1 else f"1:{1 / ratio:g}"


def _percent(part: float) -> str:
    return f"{math.ceil(part * 1000 - 1e-9) / 10:g}{NBSP}%"
