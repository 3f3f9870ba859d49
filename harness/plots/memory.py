"""Figures of memory: where growth ends, what each page costs on the way, and how it fills up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from harness import frames
from harness.errors import ResultsError
from harness.model import Status
from harness.plots import look
from harness.plots.look import BAND, BLUE, GREY, INK, LIMIT, MUTED, NBSP, VERMILION, Mark
from harness.plots.material import Material, Picture

MIB = 2**20
_KINDS: Mapping[str, Mark] = {
    "anon": Mark("o", BLUE),
    "tmpfs": Mark("s", VERMILION),
    "file": Mark("D", GREY),
}
_PEAK: Mapping[str, Any] = {
    "ls": "", "marker": "_", "ms": 22, "mew": 1.2, "color": INK
}  # fmt: skip
_KIND_NAMES = {"anon": "anonymous memory", "tmpfs": "tmpfs", "file": "page cache"}


# --- reached -------------------------------------------------------------------------------------


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
    rows = rows.merge(law, on=keys, how="left").fillna({"verdict": look.NO_LAW})
    for metric, name in (("oom_killed", "killed"), ("peak_bytes", "peak_bytes")):
        beside = given.of(metric)[[*keys, "median"]].rename(columns={"median": name})
        rows = rows.merge(beside, on=keys, how="left")
    return rows[rows["limit_bytes"].map(math.isfinite)]


def reached(given: Material) -> Picture:
    """Memory reached against the limit, and how far below the limit growth ended."""
    rows = _reached(given)
    dots = given.counted("reached_bytes").merge(
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
        Line2D([], [], **look.ONE_TRIAL),
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
    look.singles(upper, dots["limit_bytes"] / MIB, dots["reached_bytes"] / MIB)
    killed = dots[dots["oom_killed"] == 1]
    short = (killed["limit_bytes"] - killed["reached_bytes"]) / MIB
    look.singles(lower, killed["limit_bytes"] / MIB, short)
    for _, ending, mark, mine in _endings(rows):
        at = mine["limit_bytes"] / MIB
        look.errorbar(upper, at, [mine[part] / MIB for part in ("median", "low", "high")], mark)
        if ending == "killed":
            # High and low change places: the more was reached, the less is missing.
            missing = [at - mine[part] / MIB for part in ("median", "high", "low")]
            look.errorbar(lower, at, missing, mark)


def _came(given: Material, rows: pd.DataFrame) -> str:
    """Where growth ended in one run, in words."""
    mine = rows[rows["run"] == given.runs[0].info.name]
    wrong = mine[mine["verdict"] == Status.DEVIATES]
    if not wrong.empty:
        worst = wrong.iloc[int(wrong["error_median"].abs().argmax())]
        way = "more" if worst["error_median"] > 0 else "less"
        off = look.size(abs(float(worst["error_median"])))
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


# --- time per page -------------------------------------------------------------------------------

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


def pages(given: Material) -> Picture:
    """What the first touch of a page costs, before the memory limit is reached and after."""
    rows = _pages(given)
    rows = rows.assign(
        part=(rows["of_limit"] * _BINS_A_LIMIT).map(math.ceil) / _BINS_A_LIMIT,
        us=rows["page_s"] * 1e6,
    )
    points = [point for point in given.order if point in set(rows["point"])]
    shown = look.spread_out(points, len(look.LINES))
    values = dict(zip(given.points["point"], given.points["value"], strict=True))
    sheet = given.sheet(4.2)
    for run, (ax,) in zip(given.runs, sheet.columns, strict=True):
        mine = rows[rows["run"] == run.info.name]
        for i, point in enumerate(shown):
            own = mine[mine["point"] == point]
            if own.empty:
                continue
            # The mean of a part, not its median: reclaim comes in bursts, and its time is meant.
            each = own.groupby(["trial", "container", "part"])["us"].mean().reset_index()
            for _, trial in each.groupby(["trial", "container"]):
                ax.plot(trial["part"], trial["us"], color=look.LINES[i], lw=0.7, alpha=0.35)
            middle = each.groupby("part")["us"].median()
            ax.plot(
                middle.index, middle, color=look.LINES[i], marker=look.MARKERS[i], ms=4.5,
                ls=look.DASHES[i % len(look.DASHES)], markevery=max(1, _BINS_A_LIMIT // 6),
            )  # fmt: skip
        ax.axvline(1.0, **LIMIT)
        ax.set_yscale("log")
        look.plain_log_ticks(ax.yaxis)
        ax.set_xlim(left=0)
    sheet.xlabel("Memory touched (1 = the limit of --memory)", "Memory touched / --memory")
    sheet.ylabel(0, "Time per page, first touch (µs)")
    handles = [
        Line2D([], [], color=look.LINES[i], marker=look.MARKERS[i], ms=4.5,
               ls=look.DASHES[i % len(look.DASHES)], label=look.shortened(str(values[point])))
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
            f"{look.duration(found['far'][worst] / 1e6)} instead of "
            f"{look.duration(found['near'][worst] / 1e6)} at {one.name(str(values[worst]))}"
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


# --- growth --------------------------------------------------------------------------------------


def has_growth(given: Material) -> bool:
    """Whether there is a trial whose growth can be followed."""
    return any(_followed(one) is not None for _, one in given.each())


def _followed(given: Material) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """(steps, samples) of the trial that tells most: one that swaps, else the largest limit."""
    rows = given.growth
    rows = rows[rows["counts"] & rows["memory_bytes"].map(math.isfinite)]
    rows = rows[rows["kind"] != "file"] if (rows["kind"] != "file").any() else rows
    if rows.empty:
        return None
    last = rows.groupby(["point", "trial"], sort=False).tail(1)
    beyond = last["touched_bytes"] / last["memory_bytes"] > 1.05
    best = last[beyond] if beyond.any() else last
    widest = best[best["touched_bytes"] == best["touched_bytes"].max()].iloc[0]
    steps = rows[rows["trial"] == widest["trial"]]
    (run,) = given.runs
    try:
        samples = frames.timeline(run, int(widest["trial"]))
    except ResultsError:
        samples = frames.timeline(run, -1)
    return steps, samples


def growth(given: Material) -> Picture:
    """One trial from its first page to its end, between the lines of its limits."""
    found = {
        one.runs[0].info.name: (one, followed)
        for _, one in given.each()
        if (followed := _followed(one)) is not None
    }
    shown = given.only(found)
    sheet = shown.sheet(4.4)
    longest = max(float(steps["t_s"].max()) for _, (steps, _) in found.values())
    unit, label = (1e3, "ms") if longest < 2 else (1.0, "s")
    counted = False
    for run, (ax,) in zip(shown.runs, sheet.columns, strict=True):
        one, (steps, samples) = found[run.info.name]
        start = steps.iloc[0]
        end = float(steps["t_s"].max()) * unit
        ax.plot([0, *(steps["t_s"] * unit)], [0, *(steps["touched_bytes"] / MIB)], color=INK,
                lw=1.6, zorder=4)  # fmt: skip
        if not samples.empty:
            counted = True
            clock = _since_growth(one, int(start["trial"]), samples) * unit
            _draw_counters(ax, clock.where((clock >= 0) & (clock <= end * 1.02)), samples)
        limits = [(start["memory_bytes"], "--memory")]
        total = start["memory_swap_bytes"]
        if math.isfinite(total) and total > start["memory_bytes"]:
            limits.append((total, "--memory-swap"))
        for limit, text in limits:
            ax.axhline(limit / MIB, **LIMIT)
            ax.annotate(
                f"{text} {look.size(limit)}", (0, limit / MIB), xytext=(4, 3),
                textcoords="offset points", fontsize=8.5, color=INK, zorder=5,
            )  # fmt: skip
        ax.set_xlim(0, longest * unit * 1.02)
    look.upright([ax for (ax,) in sheet.columns], log=False)
    bottom, top = sheet.columns[0][0].get_ylim()
    sheet.columns[0][0].set_ylim(bottom, top * 1.06)
    sheet.xlabel(f"Time since growth began ({label})")
    sheet.ylabel(0, "Memory (MiB)")
    handles = [Line2D([], [], color=INK, lw=1.6, label="touched by the workload")]
    if counted:
        handles += [
            Line2D([], [], color=BLUE, marker="o", ms=3.5, label="memory, by the kernel"),
            Line2D([], [], color=VERMILION, marker="^", ms=3.5, mfc="none", ls=(0, (4, 2)),
                   label="memory and swap, by the kernel"),
        ]  # fmt: skip
    sheet.key(sheet.columns[0][0], [*handles, Line2D([], [], label="limits", **LIMIT)])

    def finding(one: Material) -> str:
        _, (steps, _) = found[one.runs[0].info.name]
        last = steps.iloc[-1]
        beyond = steps[steps["touched_bytes"] > steps["memory_bytes"]]
        said = f"{one.name(last['value'])}: "
        if beyond.empty:
            return said + (
                f"{look.size(last['touched_bytes'])} are touched in {look.duration(last['t_s'])}"
            )
        turn = float(steps.loc[steps["touched_bytes"] <= steps["memory_bytes"], "t_s"].max())
        return said + (
            f"the memory limit is met after {look.duration(turn)}, and what lies beyond takes "
            f"{look.duration(last['t_s'] - turn)}"
        )

    told = "; ".join(
        f"trial {steps['trial'].iloc[0]}: {look.size(steps['touched_bytes'].iloc[-1])} touched in "
        f"{look.duration(steps['t_s'].iloc[-1])}"
        for _, (steps, _) in found.values()
    )
    return shown.picture(
        "growth", sheet, shown.found(finding),
        "One trial from its first page to its end: what the workload had touched, by its own "
        "clock, and what the kernel counted for its cgroup at the moments that were sampled. "
        "Dashed lines are the limits.",
        f"{told}.",
    )  # fmt: skip


def _since_growth(given: Material, trial: int, samples: pd.DataFrame) -> pd.Series[float]:
    """The samples' times on the workload's clock, in seconds since it began to grow."""
    (run,) = given.runs
    container = next(t for t in run.trials if t.index == trial).containers[0]
    shift = 0.0
    if container.first and container.memory and container.memory.t_start_ns:
        shift = (container.memory.t_start_ns - container.first.t_mono_ns) / 1e9
    return samples["t_s"] - shift


def _draw_counters(ax: Axes, at: pd.Series[float], samples: pd.DataFrame) -> None:
    """The kernel's own count of memory, and of memory and swap."""
    every = max(1, int(at.notna().sum()) // 25)
    ax.plot(at, samples["memory_bytes"] / MIB, color=BLUE, marker="o", ms=3.5, lw=1.2,
            markevery=every)  # fmt: skip
    ax.plot(at, samples["total_bytes"] / MIB, color=VERMILION, marker="^", ms=3.5, mfc="none",
            lw=1.2, ls=(0, (4, 2)), markevery=every)  # fmt: skip
