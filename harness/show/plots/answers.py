"""How long does a server take to answer under each limit?

Beside it, whether the quota is why: the share of throttled periods.

Needs a workload that serves.
"""

from __future__ import annotations

import functools

import pandas as pd
from matplotlib.lines import Line2D

from harness.judge.laws.cpu import standstill_s
from harness.show.plots import across as plots_across
from harness.show.plots import quantiles, style, words
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import MUTED, TYPICAL
from harness.store.runs import Run


def has_answers(given: Material) -> bool:
    """Whether a server was asked."""
    return not given.of("request_p99_s").empty


def answers(given: Material) -> Picture:
    """How long answers take from the moment a request is due, and how many periods throttle."""
    rows = half, most, longest = quantiles.frames(given, "request")
    share = given.of("throttled_share")
    across = plots_across.places(given, most)
    sheet = given.sheet(5.2, (1.4, 1.0)) if not share.empty else given.sheet(4.0)
    lawful = False
    for run, panels in zip(given.runs, sheet.columns, strict=True):
        still = {
            across.at[point]: still_s * 1e3
            for point, still_s in _standstills(run, given.axis).items()
            if point in across.at
        }
        lawful = lawful or bool(still)
        plots_across.levels(panels[0], across, still.keys(), still.values())
        quantiles.draw(panels[0], rows, run.info.name, across)
        if not share.empty:
            mine = share[share["run"] == run.info.name]
            plots_across.spread(panels[1], mine, across, 100, TYPICAL)
            panels[1].set_ylim(-5, 105)
            panels[1].set_yticks([0, 50, 100])
    sheet.ylabel(0, "Answer (ms)")
    if not share.empty:
        sheet.ylabel(1, "Throttled periods (%)")
    both = pd.concat([half["median"], longest["median"]])
    style.upright(sheet.rows[0], log=plots_across.spans_decades(both))
    across.dress(sheet)
    handles = quantiles.handles()
    if lawful:
        handles.append(Line2D([], [], color=MUTED, lw=1.6, label="period - quota/threads"))
    sheet.key(sheet.columns[0][0], handles)
    throttled = "; ".join(
        f"{given.whose(row)}{row['value']}: {words.share(row['median'])}"
        for row in share.head(words.MOST_TOLD).to_dict("records")
    )
    finding = functools.partial(quantiles.finding, metric="request", what="answers")
    return given.picture(
        "answers", sheet, given.found(finding),
        "How long an answer takes from the moment its request is due: half of them, 99 of 100, and "
        "the longest of each trial. The line is the gap law: so long threads that all want the CPU "
        "stand still in a throttled period. Below, the share of periods that were throttled. Marks "
        "are medians over the trials that count, with their intervals.",
        f"99 % of answers within: {quantiles.told(given, most)}."
        + (f" Throttled periods: {throttled}." if throttled else ""),
    )  # fmt: skip


def _standstills(run: Run, axis: str) -> dict[str, float]:
    """Point → how long a throttled period holds its first container back; of quotas alone."""
    found = {
        point.id: standstill_s(point.containers[0])
        for point in run.info.plan.points
        if point.axis == axis
    }
    return {point: still_s for point, still_s in found.items() if still_s is not None}
