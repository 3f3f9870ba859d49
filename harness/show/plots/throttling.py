"""How much do quotas throttle?

The share of periods that are throttled, and the time that threads then stand still.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.lines import Line2D

from harness.show.plots import across as plots_across
from harness.show.plots import style, words
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import LONGEST, MUTED, TYPICAL

THROTTLED = 0.9
"""A point that is throttled in this share of its periods shows throttling well."""


def has_throttling(given: Material) -> bool:
    """Whether any container had quota periods."""
    return not given.of("throttled_share").empty


def throttling(given: Material) -> Picture:
    """The share of periods that are throttled, and how long threads then stand still."""
    share, typical, longest = (given.of(name) for name in ("throttled_share", "gap_s", "gap_max_s"))
    across = plots_across.places(given, pd.concat([share, longest]))
    sheet = given.sheet(5.2, (1.0, 1.0))
    counted = given.counted("throttled_share")
    promised = given.verdicts[given.verdicts["metric"] == "gap_s"]
    for run, (upper, lower) in zip(given.runs, sheet.columns, strict=True):
        dots, part, half, most, law = (
            frame[frame["run"] == run.info.name]
            for frame in (counted, share, typical, longest, promised)
        )
        style.singles(upper, dots["point"].map(across.at), dots["throttled_share"] * 100)
        plots_across.spread(upper, part, across, 100, TYPICAL)
        law = law[law["point"].isin(across.at)]
        plots_across.levels(lower, across, law["point"].map(across.at), law["promised"] * 1e3)
        plots_across.spread(lower, most, across, 1e3, LONGEST)
        plots_across.spread(lower, half, across, 1e3, TYPICAL)
    first = sheet.columns[0]
    first[0].set_ylim(-5, 105)
    first[0].set_yticks([0, 25, 50, 75, 100])
    sheet.ylabel(0, "Throttled periods (%)")
    sheet.ylabel(1, "Off the CPU at a time (ms)")
    both = pd.concat([longest["median"], typical["median"]])
    style.upright(sheet.rows[1], log=plots_across.spans_decades(both))
    across.dress(sheet)
    handles = [
        Line2D([], [], label="typical", **TYPICAL.style()),
        Line2D([], [], label="longest", **LONGEST.style()),
    ]
    if not promised.empty:
        handles.append(Line2D([], [], color=MUTED, lw=1.6, label="typical, as promised"))
    sheet.key(first[1], handles)

    told = "; ".join(
        f"{given.whose(row)}{row['value']}: {words.share(row['median'])}"
        for row in share.head(words.MOST_TOLD).to_dict("records")
    )
    return given.picture(
        "throttling", sheet, given.found(_finding),
        "Above, the share of quota periods in which the kernel stopped the container. Below, how "
        "long its threads were off the CPU at a time: the typical gap splits the time off the CPU "
        "in half, the longest is the longest of each trial. Marks are medians over the trials that "
        "count, with their intervals.",
        f"Throttled periods: {told}.",
    )  # fmt: skip


def _finding(one: Material) -> str:
    """How often limits throttled, and how long threads stood still."""
    part, most = one.of("throttled_share")["median"], one.of("gap_max_s")
    if part.empty:
        return ""
    if part.max() < 0.005:
        return "No limit throttled its container"
    said = f"Throttled in up to {words.share(float(part.max()))} of the periods"
    if not most.empty:
        worst = most.iloc[int(most["median"].argmax())]
        said += (
            f"; at {one.name(worst['value'])} threads stand still for up to "
            f"{words.duration(worst['median'])}"
        )
    return said
