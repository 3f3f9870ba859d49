"""How far a growing workload came."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from harness.model import Status
from harness.show.plots import style, words
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import BAND, BLUE, GREY, INK, LIMIT, MUTED, VERMILION, Mark
from harness.show.plots.words import NBSP
from harness.units import MIB

_KINDS: Mapping[str, Mark] = {
    "anon": Mark("o", BLUE),
    "tmpfs": Mark("s", VERMILION),
    "file": Mark("D", GREY),
    "mixed": Mark("^", GREY),
}


_PEAK: Mapping[str, Any] = {
    "ls": "", "marker": "_", "ms": 22, "mew": 1.2, "color": INK
}  # fmt: skip


_KIND_NAMES = {
    "anon": "anonymous memory",
    "tmpfs": "tmpfs",
    "file": "page cache",
    "mixed": "both by turns",
}


def has_reached(given: Material) -> bool:
    """Whether anything grew under a limit."""
    return not _reached(given).empty


def _reached(given: Material) -> pd.DataFrame:
    """How far each point came, beside the limit on memory and swap together."""
    keys = ["run", "point", "container"]
    plan = given.points[[*keys, "kind", "memory_bytes", "memory_swap_bytes"]]
    rows = given.of("reached_bytes").merge(plan, on=keys)
    rows["limit_bytes"] = rows["memory_bytes"]
    if given.axis == "swap":
        rows["limit_bytes"] = rows["memory_swap_bytes"]
    law = given.verdicts[given.verdicts["metric"] == "reached_bytes"]
    law = law[[*keys, "verdict", "promised", "tolerance_high", "error_median"]]
    rows = rows.merge(law, on=keys, how="left").fillna({"verdict": style.NO_LAW})
    for metric, name in (("oom_killed", "killed"), ("peak_bytes", "peak_bytes")):
        beside = given.of(metric)[[*keys, "median"]].rename(columns={"median": name})
        rows = rows.merge(beside, on=keys, how="left")
    return rows[rows["limit_bytes"].map(math.isfinite)]


def reached(given: Material) -> Picture:
    """Memory reached against the limit, and how far below the limit growth ended."""
    rows = _reached(given)
    dots = given.counted("reached_bytes", "oom_killed").merge(
        rows[["run", "point", "container", "limit_bytes"]], on=["run", "point", "container"]
    )
    sheet = given.sheet(5.4, (1.6, 1.0))
    ends = [rows["limit_bytes"].min() / MIB / 1.4, rows["limit_bytes"].max() / MIB * 1.4]
    for run, panels in zip(given.runs, sheet.columns, strict=True):
        mine, own = (frame[frame["run"] == run.info.name] for frame in (rows, dots))
        _draw_law(panels, mine, ends)
        _draw_reached(panels, mine, own)
        for ax in panels:
            ax.set_xscale("log", base=2)
        panels[0].set_yscale("log", base=2)
        panels[0].set_xlim(*ends)
    first = sheet.columns[0]
    limits = sorted({*(rows["limit_bytes"] / MIB)})
    sizes = limits
    if ends[1] / ends[0] > 16:
        sizes = [2.0**i for i in range(-2, 30) if ends[0] <= 2.0**i <= ends[1]][::2]
    for axis, ticks in ((first[1].xaxis, limits), (first[0].yaxis, sizes)):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_minor_locator(NullLocator())
    sheet.xlabel("Limit (MiB)")
    sheet.ylabel(0, "Memory reached (MiB)")
    sheet.ylabel(1, "Short of the limit\nat the kill (MiB)")
    handles: list[Any] = [
        Line2D([], [], label="the limit", **LIMIT),
        Patch(facecolor=BAND, label="tolerance of the law"),
        Line2D([], [], **style.ONE_TRIAL),
        Line2D([], [], label="peak by the kernel, without swap", **_PEAK),
        *(
            Line2D([], [], label=f"{_KIND_NAMES[kind]}, {ending}", **mark.style())
            for kind, ending, mark, _ in _endings(rows)
        ),
    ]
    sheet.key(first[0], handles)
    whose = given.labels if len(given.runs) > 1 else {}
    told = "; ".join(
        f"{whose.get(row['run'], '')} {row['value']}: reached {row['median'] / MIB:.2f} MiB of "
        f"{row['limit_bytes'] / MIB:g}".strip()
        for row in rows.to_dict("records")
    )
    return given.picture(
        "reached", sheet, given.found(lambda one: _came(one, rows)),
        "How much a growing workload had touched when the kernel killed it, or when it had all "
        "that it wanted, against its limit"
        + (" on memory and swap together" if given.axis == "swap" else "")
        + "; below, how far short of the limit the kill came. Short lines are the kernel's own "
        "peak of memory, without swap. Large marks are medians over the trials that count, with "
        "their intervals; hollow ones were not killed. Dots are single trials.",
        f"{told}.",
    )  # fmt: skip


def _endings(rows: pd.DataFrame) -> list[tuple[str, str, Mark, pd.DataFrame]]:
    """(kind of memory, how it ended, its mark, its rows) of all that occur."""
    out = []
    for kind, mark in _KINDS.items():
        for killed in (True, False):
            mine = rows[(rows["kind"] == kind) & (rows["killed"].ge(0.5) == killed)]
            if not mine.empty:
                own = Mark(mark.marker, mark.colour, filled=killed)
                out.append((kind, "killed" if killed else "not killed", own, mine))
    return out


def _draw_law(panels: Sequence[Axes], rows: pd.DataFrame, ends: Sequence[float]) -> None:
    """The limit in both panels, and below what the law says of how far short of it the kill is."""
    upper, lower = panels
    upper.plot(ends, ends, zorder=2, **LIMIT)
    lower.axhline(0, zorder=2, **LIMIT)
    law = rows[rows["promised"] < rows["limit_bytes"]].drop_duplicates("limit_bytes")
    law = law.sort_values("limit_bytes")
    at, short = law["limit_bytes"] / MIB, (law["limit_bytes"] - law["promised"]) / MIB
    wide = law["tolerance_high"] / MIB
    lower.fill_between(at, short - wide, short + wide, color=BAND, lw=0, zorder=1)
    lower.plot(at, short, color=MUTED, lw=1.2, zorder=2)


def _draw_reached(panels: Sequence[Axes], rows: pd.DataFrame, dots: pd.DataFrame) -> None:
    upper, lower = panels
    upper.plot(rows["limit_bytes"] / MIB, rows["peak_bytes"] / MIB, zorder=3, **_PEAK)
    style.singles(upper, dots["limit_bytes"] / MIB, dots["reached_bytes"] / MIB)
    killed = dots[dots["oom_killed"] == 1]
    short = (killed["limit_bytes"] - killed["reached_bytes"]) / MIB
    style.singles(lower, killed["limit_bytes"] / MIB, short)
    for _, ending, mark, mine in _endings(rows):
        at = mine["limit_bytes"] / MIB
        style.errorbar(upper, at, [mine[part] / MIB for part in ("median", "low", "high")], mark)
        if ending == "killed":
            # High and low change places: the more was reached, the less is missing.
            missing = [at - mine[part] / MIB for part in ("median", "high", "low")]
            style.errorbar(lower, at, missing, mark)


def _came(given: Material, rows: pd.DataFrame) -> str:
    """Where growth ended in one run, in words."""
    mine = rows[rows["run"] == given.runs[0].info.name]
    wrong = mine[mine["verdict"] == Status.DEVIATES]
    if not wrong.empty:
        worst = wrong.iloc[int(wrong["error_median"].abs().argmax())]
        way = "more" if worst["error_median"] > 0 else "less"
        off = words.size(abs(float(worst["error_median"])))
        return f"{given.name(worst['value'])}: {off} {way} than the law promises"
    said = []
    killed = mine[mine["killed"].ge(0.5)]
    if not killed.empty:
        short = (killed["limit_bytes"] - killed["median"]) / MIB
        said.append(
            f"The kill comes {short.min():.1f} to {short.max():.1f}{NBSP}MiB below the limit"
        )
    if ((mine["kind"] == "file") & mine["killed"].lt(0.5)).any():
        said.append("page cache gives way instead")
    return "; ".join(said) or "Nothing was killed"
