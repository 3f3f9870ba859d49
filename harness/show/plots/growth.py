"""Memory as it grows."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.errors import ResultsError
from harness.show import frames
from harness.show.plots import style, words
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import BLUE, INK, LIMIT, VERMILION
from harness.units import MIB


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
        _draw_limits(ax, start["memory_bytes"], start["memory_swap_bytes"])
        ax.set_xlim(0, longest * unit * 1.02)
    style.upright([ax for (ax,) in sheet.columns], log=False)
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

    told = "; ".join(
        f"trial {steps['trial'].iloc[0]}: {words.size(steps['touched_bytes'].iloc[-1])} touched in "
        f"{words.duration(steps['t_s'].iloc[-1])}"
        for _, (steps, _) in found.values()
    )
    return shown.picture(
        "growth", sheet, shown.found(lambda one: _finding(one, found[one.runs[0].info.name][1][0])),
        "One trial from its first page to its end: what the workload had touched, by its own "
        "clock, and what the kernel counted for its cgroup at the moments that were sampled. "
        "Dashed lines are the limits.",
        f"{told}.",
    )  # fmt: skip


def _finding(one: Material, steps: pd.DataFrame) -> str:
    """How long the trial took to its memory limit, and beyond."""
    last = steps.iloc[-1]
    beyond = steps[steps["touched_bytes"] > steps["memory_bytes"]]
    said = f"{one.name(last['value'])}: "
    if beyond.empty:
        return said + (
            f"{words.size(last['touched_bytes'])} are touched in {words.duration(last['t_s'])}"
        )
    turn = float(steps.loc[steps["touched_bytes"] <= steps["memory_bytes"], "t_s"].max())
    return said + (
        f"the memory limit is met after {words.duration(turn)}, and what lies beyond takes "
        f"{words.duration(last['t_s'] - turn)}"
    )


def _since_growth(given: Material, trial: int, samples: pd.DataFrame) -> pd.Series[float]:
    """The samples' times on the workload's clock, in seconds since it began to grow."""
    (run,) = given.runs
    container = next(t for t in run.trials if t.index == trial).containers[0]
    shift = 0.0
    if container.first and container.memory and container.memory.t_start_ns:
        shift = (container.memory.t_start_ns - container.first.t_mono_ns) / 1e9
    return samples["t_s"] - shift


def _draw_limits(ax: Axes, memory_bytes: float, total_bytes: float) -> None:
    """The limit on memory, and the one on memory and swap where that is another."""
    limits = [(memory_bytes, "--memory")]
    if math.isfinite(total_bytes) and total_bytes > memory_bytes:
        limits.append((total_bytes, "--memory-swap"))
    for limit, text in limits:
        ax.axhline(limit / MIB, **LIMIT)
        ax.annotate(
            f"{text} {words.size(limit)}", (0, limit / MIB), xytext=(4, 3),
            textcoords="offset points", fontsize=8.5, color=INK, zorder=5,
        )  # fmt: skip


def _draw_counters(ax: Axes, at: pd.Series[float], samples: pd.DataFrame) -> None:
    """The kernel's own count of memory, and of memory and swap."""
    every = max(1, int(at.notna().sum()) // 25)
    ax.plot(at, samples["memory_bytes"] / MIB, color=BLUE, marker="o", ms=3.5, lw=1.2,
            markevery=every)  # fmt: skip
    ax.plot(at, samples["total_bytes"] / MIB, color=VERMILION, marker="^", ms=3.5, mfc="none",
            lw=1.2, ls=(0, (4, 2)), markevery=every)  # fmt: skip
