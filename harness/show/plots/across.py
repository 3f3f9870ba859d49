"""Where points lie along a figure's axis."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from harness.plan import axes
from harness.show.plots.data import Material
from harness.show.plots.style import BAND, MUTED, Mark, Sheet, areas, errorbar
from harness.show.plots.words import shortened

_MOST_TICKS = 100


@dataclass(frozen=True, slots=True)
class Across:
    """Where the points lie from left to right, and how that axis is labelled."""

    at: Mapping[str, float]
    names: Mapping[float, str]
    label: str
    numeric: bool = True
    log: bool = False
    margin: float = 0.07
    """At both ends, as a share of the axis."""

    def boxes(self) -> dict[float, tuple[float, float]]:
        """The left and right end of each point's part of the axis, up to the middle between two."""
        return dict(zip(sorted(self.names), itertools.pairwise(self._edges()), strict=True))

    def _edges(self) -> list[float]:
        """The ends of the axis, and the middles between neighbouring points."""
        places = sorted(map(math.log, self.names) if self.log else self.names)
        gap = (places[-1] - places[0]) * self.margin if self.numeric and len(places) > 1 else 0.5
        middles = [(a + b) / 2 for a, b in itertools.pairwise(places)]
        edges = [places[0] - gap, *middles, places[-1] + gap]
        return [math.exp(edge) for edge in edges] if self.log else edges

    def dress(self, sheet: Sheet) -> None:
        """Scale, limits, label, and ticks at the points: named as far as there is room."""
        edges = self._edges()
        scaled = math.log if self.log else float
        left, right = scaled(edges[0]), scaled(edges[-1])
        kept: list[float] = []
        end = -math.inf
        for place in sorted(self.names):
            middle = (scaled(place) - left) / (right - left)
            letters = max(map(len, self.names[place].split("\n")))
            half = (0.0066 * letters + 0.006) * (sheet.across + 0.25 * (sheet.across > 1))
            if middle - half >= end:
                kept.append(place)
                end = middle + half
        for column in sheet.columns:
            ax = column[-1]
            if self.log:
                ax.set_xscale("log")
            ax.set_xlim(edges[0], edges[-1])
            minor = [place for place in self.names if place not in kept]
            ax.set_xticks(minor if len(minor) <= _MOST_TICKS else [], minor=True)
            ax.set_xticks(kept, [self.names[place] for place in kept])
            ax.xaxis.set_minor_formatter(NullFormatter())
        sheet.xlabel(self.label)


def places(given: Material, rows: pd.DataFrame) -> Across:
    """The points' places: by number where each has one of its own, else one after another."""
    points = rows.drop_duplicates("point").set_index("point")
    ordered = [point for point in given.order if point in points.index]
    axis = axes.AXES.get(given.axis)
    numbers, values = dict(points["x"]), dict(points["value"])
    x = {point: float(numbers[point]) for point in ordered}
    own = len({*x.values()}) == len(x) and all(map(math.isfinite, x.values()))
    if axis is None or axis.x is None or not own:
        names = {float(i): shortened(str(values[point])) for i, point in enumerate(ordered)}
        return Across(
            {point: float(i) for i, point in enumerate(ordered)},
            {i: textwrap.fill(name, 12, break_on_hyphens=False) for i, name in names.items()},
            given.option, numeric=False,
        )  # fmt: skip
    log = len(x) > 1 and min(x.values()) > 0 and (axis.log or spans_decades(pd.Series(x)))
    # The values as they were asked for: nobody has to convert units.
    names = {place: shortened(str(values[point])) for point, place in x.items()}
    margin = 0.07 if len(given.runs) == 1 else 0.13
    return Across(x, names, axis.label or axis.option, log=log, margin=margin)


def spans_decades(values: pd.Series[float]) -> bool:
    """Whether the values are too far apart for a linear axis."""
    known = values.dropna()
    return bool(len(known) > 1 and known.min() > 0 and known.max() / known.min() >= 20)


def boxes(
    ax: Axes,
    across: Across,
    at: pd.Series[float],
    low: pd.Series[float],
    high: pd.Series[float],
) -> None:
    """The tolerance of each point, as wide as the point's part of the axis."""
    sides = across.boxes()
    found = [(*sides[place], least, most) for place, least, most in zip(at, low, high, strict=True)]
    # The thin edge closes the seam between neighbours.
    areas(ax, found, BAND, lw=0.6, zorder=1)
    ax.update_datalim([(left, y) for left, _, *ends in found for y in ends], updatex=False)
    ax.autoscale_view(scalex=False)


def levels(ax: Axes, across: Across, at: Iterable[float], values: Iterable[float]) -> None:
    """A short level line at each point, all of them as one: in a page each would be an element."""
    sides = across.boxes()
    x, y = list[float](), list[float]()
    for place, value in zip(at, values, strict=True):
        x += [*(place + 0.8 * (edge - place) for edge in sides[place]), math.nan]
        y += [value, value, math.nan]
    ax.plot(x, y, color=MUTED, lw=1.6, zorder=2)


def spread(ax: Axes, rows: pd.DataFrame, across: Across, factor: float, mark: Mark) -> None:
    """The medians and intervals of estimates, all with the same mark."""
    if not rows.empty:
        parts = [rows[part] * factor for part in ("median", "low", "high")]
        errorbar(ax, rows["point"].map(across.at), parts, mark)
