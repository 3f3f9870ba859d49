"""Which limit does the goal need? Of runs that looked for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from harness import units
from harness.show.plots import across as plots_across
from harness.show.plots import style
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import BAND, BLUE, INK, LIMIT, MUTED, VERMILION, Mark
from harness.show.report import found as searches
from harness.show.report.found import Found, Tried
from harness.sizing.finding import Edge
from harness.sizing.search import LEAST_TRIALS
from harness.store.runs import Run

_HELD, _FAILED = Mark("o", BLUE), Mark("X", VERMILION)


def has_needed(given: Material) -> bool:
    """Whether a limit was looked for on this axis."""
    return any(_edge(run, given.axis) is not None for run in given.runs)


def _edge(run: Run, axis: str) -> tuple[Found, Edge] | None:
    found = searches.build(run)
    if found is None:
        return None
    for edge in found.study.edges:
        if (edge.kind.axis if not edge.fixed else "file") == axis and found.tried(edge):
            return found, edge
    return None


def needed(given: Material) -> Picture:
    """The goal's metric in every trial, the share of trials that held, and the bracket."""
    sheet = given.sheet(5.2, (1.7, 1.0))
    told: list[str] = []
    ylabel = ""
    for run, panels in zip(given.runs, sheet.columns, strict=True):
        drawn = _edge(run, given.axis)
        if drawn is None:
            continue
        found, edge = drawn
        ylabel = _draw(panels, found, edge)
        told += [
            f"{edge.kind.option} {edge.kind.write(one.value)}: {one.held} of {one.trials} held"
            for one in found.tried(edge)
        ]
        sheet.xlabel(f"{edge.kind.option} (log)" if edge.sought.relative else edge.kind.option)
    sheet.ylabel(0, ylabel)
    sheet.ylabel(1, "Trials that held")
    handles: list[Any] = [
        Line2D([], [], label="a trial that held", ls="", marker=".", color=BLUE),
        Line2D([], [], label="one that failed", ls="", marker=".", color=VERMILION),
        Line2D([], [], label="median", **_HELD.style()),
        Line2D([], [], label="the goal", **LIMIT),
        Line2D([], [], label="chance to hold", color=MUTED, lw=1.2),
        Patch(facecolor=BAND, label="bracket"),
    ]
    sheet.key(sheet.columns[0][0], handles)
    return given.picture(
        "needed", sheet, given.found(_finding),
        "Every trial of a search for the least limit at which the goal holds, against the limit "
        "that it had. Large marks are medians of limits with five trials or more, with their "
        "intervals, the dashed line is what the goal asks, the band lies between the limit that "
        "fails and the one that holds. Below, the share of each limit's trials that "
        "held, and the chance to hold as all trials together say it.",
        f"{'; '.join(told)}.",
    )  # fmt: skip


def _finding(one: Material) -> str:
    drawn = _edge(one.runs[0], one.axis)
    if drawn is None:
        return ""
    found, edge = drawn
    if edge.found is None:
        said = found.answer
        return said[0].upper() + said[1:]
    return f"{found.study.goal.text} needs {edge.kind.option} {edge.kind.write(edge.found)}"


def _draw(panels: Sequence[Axes], found: Found, edge: Edge) -> str:
    """Both panels of a run; what the upper one shows."""
    upper, lower = panels
    main = found.study.goal.main
    unit = units.of(main.metric.unit)
    tried = found.tried(edge)
    for one in tried:
        for held in (True, False):
            ys = [v * unit.factor for v, ok in zip(one.values, one.outcomes, strict=True)
                  if ok is held]  # fmt: skip
            colour = BLUE if held else VERMILION
            upper.plot([one.value] * len(ys), ys, ls="", marker=".", ms=7, mew=0, color=colour,
                       alpha=0.6, zorder=3)  # fmt: skip
    for mark, some in ((_HELD, True), (_FAILED, False)):
        mine = [one for one in tried if (2 * one.held > one.trials) is some]
        # Of fewer there is no interval to speak of: their trials are drawn, each as a dot.
        rows = [one for one in mine if one.measured and one.trials >= LEAST_TRIALS]
        if rows:
            style.errorbar(upper, pd.Series([one.value for one in rows]), _parts(rows), mark)
        lower.plot([one.value for one in mine], [one.held / one.trials for one in mine],
                   zorder=4, **mark.style(5))  # fmt: skip
    threshold = main.threshold(found.study.unlimited.of(main.metric))
    upper.axhline(threshold * unit.factor, zorder=2, **LIMIT)
    if edge.fails is not None and edge.holds is not None:
        for ax in panels:
            ax.axvspan(edge.fails, edge.holds, color=BAND, lw=0, zorder=1)
    chances = [edge.search.threshold.chance(i) for i in range(len(edge.values))]
    lower.plot(edge.values, chances, color=MUTED, lw=1.2, zorder=2)
    lower.set_ylim(-0.08, 1.08)
    lower.yaxis.set_major_formatter(PercentFormatter(1.0))
    if edge.sought.relative:
        upper.set_xscale("log")
    ticks = _ticks(edge)
    lower.xaxis.set_major_formatter(FuncFormatter(lambda value, _: edge.kind.write(value)))
    lower.set_xticks(ticks)
    lower.xaxis.set_minor_locator(NullLocator())
    values = pd.Series([v for one in tried for v in one.values], dtype=float)
    positive = values[values > 0]
    if len(positive) == len(values) and plots_across.spans_decades(positive):
        style.upright([upper], log=True)
    upper.tick_params(labelcolor=INK)
    return f"{main.metric.heading}{f' ({unit.axis})' if unit.axis else ''}"


def _parts(rows: Sequence[Tried]) -> list[pd.Series[float]]:
    """Medians, and the ends of their intervals, as they are written."""
    estimates = [one.measured for one in rows if one.measured]
    factor = units.of(estimates[0].unit).factor
    ends = [(one.median, one.low, one.high) for one in estimates]
    return [pd.Series([float("nan") if v is None else v * factor for v in part])
            for part in zip(*ends, strict=True)]  # fmt: skip


def _ticks(edge: Edge) -> list[float]:
    """The ladder's settings: few, and over the whole range."""
    return [edge.values[i] for i in edge.search.ladder]
