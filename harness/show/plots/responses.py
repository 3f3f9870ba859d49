"""How long do bursts of work take under each limit?

Needs a workload of bursts, which tells its response times.
"""

from __future__ import annotations

import functools

import pandas as pd

from harness.show.plots import across as plots_across
from harness.show.plots import quantiles, style
from harness.show.plots.data import Material, Picture


def has_responses(given: Material) -> bool:
    """Whether bursts of work were measured."""
    return not given.of("response_p99_s").empty


def responses(given: Material) -> Picture:
    """How long bursts of work take from the moment at which they are due."""
    rows = half, most, longest = quantiles.frames(given, "response")
    across = plots_across.places(given, most)
    sheet = given.sheet(4.0)
    for run, (ax,) in zip(given.runs, sheet.columns, strict=True):
        quantiles.draw(ax, rows, run.info.name, across)
    sheet.ylabel(0, "Response time (ms)")
    both = pd.concat([half["median"], longest["median"]])
    style.upright(sheet.rows[0], log=plots_across.spans_decades(both))
    across.dress(sheet)
    sheet.key(sheet.columns[0][0], quantiles.handles())
    finding = functools.partial(quantiles.finding, metric="response", what="responses")
    return given.picture(
        "responses", sheet, given.found(finding),
        "How long a burst of work takes from the moment it is due: half of the responses, 99 of "
        "100, and the longest of each trial. Marks are medians over the trials that count, with "
        "their intervals.",
        f"99 % of responses within: {quantiles.told(given, most)}.",
    )  # fmt: skip
