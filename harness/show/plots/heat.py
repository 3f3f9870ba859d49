"""Where in the period nothing runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D

from harness.show.plots import words
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import AMBER, BLUE, PAPER

_BINS = 100


_HEAT = LinearSegmentedColormap.from_list("off", [(BLUE, 0.0), (BLUE, 1.0)])


_SHORTEST_PERIOD_US = 8_000
"""Two ticks of 4 ms: in shorter periods the tick decides when threads stand still."""


_MOST_STRIPS = 12


def has_heat(given: Material) -> bool:
    """Whether any point with a quota has gaps whose moments are known."""
    return bool(_strips(given))


def _strips(given: Material) -> list[str]:
    """The points whose gaps can be laid over their period."""
    with_gaps = set(given.points_with_gaps())
    points = given.points[
        (given.points["period_us"] >= _SHORTEST_PERIOD_US)
        & (given.points["quota_us"] > 0)
        & given.points["point"].isin(with_gaps)
    ]
    throttled = given.of("throttled_share")
    throttled = throttled[throttled["median"] > 0.5]
    found = set(points["point"]) & set(throttled["point"])
    return words.spread_out([point for point in given.order if point in found], _MOST_STRIPS)


def heat(given: Material) -> Picture:
    """When in the quota period threads stand still: all periods of all trials over each other."""
    points = _strips(given)
    rows = given.gaps(points)
    rows = rows[rows["start_s"].notna()]
    plan = {
        (row["run"], row["point"]): row
        for row in given.points.drop_duplicates(["run", "point"]).to_dict("records")
    }
    sheet = given.sheet(1.4 + 0.42 * len(points))
    image = None
    begins: dict[str, list[float]] = {point: [] for point in points}
    for (_, one), (ax,) in zip(given.each(), sheet.columns, strict=True):
        name = one.runs[0].info.name
        grid = [[math.nan] * _BINS for _ in points]
        for i, point in enumerate(points):
            mine = rows[(rows["run"] == name) & (rows["point"] == point)]
            if mine.empty:
                continue
            spec = plan[name, point]
            period_s = spec["period_us"] / 1e6
            grid[i] = _folded(mine, period_s)
            threads = min(spec["threads"], one.runs[0].info.engine.cpus)
            law = spec["quota_us"] / spec["period_us"] / threads
            if law < 1:
                ax.plot([law * 100] * 2, [i - 0.5, i + 0.5], color=AMBER, lw=2.2, zorder=3)
            begins[point].append(law)
        image = ax.imshow(
            [[100 * cell for cell in row] for row in grid], aspect="auto", cmap=_HEAT, vmin=0,
            vmax=100, extent=(0, 100, len(points) - 0.5, -0.5), interpolation="nearest",
        )  # fmt: skip
        _part(ax, len(points))
    values = dict(zip(given.points["point"], given.points["value"], strict=True))
    sheet.columns[0][0].set_yticks(
        range(len(points)), [words.shortened(str(values[point])) for point in points]
    )
    sheet.ylabel(0, given.option)
    sheet.xlabel("Time since the period began (% of the period)", "Time (% of the period)")
    assert image is not None
    bar = sheet.colorbar(
        image, ax=[ax for (ax,) in sheet.columns], orientation="vertical", fraction=0.035, pad=0.02
    )
    bar.set_label("Threads off the CPU (%)")
    bar.outline.set_visible(False)
    sheet.key(sheet.columns[0][0], [
        Line2D([], [], color=AMBER, lw=2.2, label="quota used up, as promised: quota / threads")
    ])  # fmt: skip
    return given.picture(
        "heat", sheet, _heat_title(given, points, begins),
        "When in its quota period a container stands still: all periods of all trials that count, "
        "laid over each other so that each ends where the kernel lets the threads go on. Blue is "
        "off the CPU. Threads run until the quota is used up, and stand still for the rest.",
        "; ".join(
            f"{values[point]}: runs for {words.share(sum(law) / len(law))} of the period"
            for point, law in begins.items() if law
        ) + ".",
    )  # fmt: skip


def _part(ax: Axes, strips: int) -> None:
    """Strips with paper between them, and nothing around."""
    ax.grid(visible=False)
    for i in range(1, strips):
        ax.axhline(i - 0.5, color=PAPER, lw=3)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.tick_params(length=0, axis="y")


def _folded(rows: pd.DataFrame, period_s: float) -> list[float]:
    """The share of the threads' time off the CPU in each part of the period."""
    off = [0.0] * _BINS
    total = 0.0
    for _, trial in rows.groupby(["trial", "container"], sort=False):
        stands_for = float(trial["stands_for"].iloc[0])
        begin = _period_begins(trial, period_s)
        total += float(trial["thread_time_s"].iloc[0])
        for start, length in zip(trial["start_s"], trial["length_s"], strict=True):
            _add(off, ((start - begin) / period_s) % 1.0, length / period_s, stands_for)
    scale = period_s / _BINS / (total / _BINS)
    return [min(1.0, part * scale) for part in off]


def _add(off: list[float], start: float, length: float, weight: float) -> None:
    """Add a gap, in periods, to the parts of the period that it lies in, part by part."""
    at, end = start * _BINS, (start + length) * _BINS
    while at < end:
        edge = min(math.floor(at) + 1.0, end)
        off[math.floor(at) % _BINS] += (edge - at) * weight
        at = edge if edge > at else at + 1e-9


def _period_begins(rows: pd.DataFrame, period_s: float) -> float:
    """Where the periods of a trial begin: threads that were throttled go on at that moment.

    The circular mean of the ends of gaps, each weighed by its length.
    """
    turns = (rows["start_s"] + rows["length_s"]) / period_s * math.tau
    x = sum(length * math.cos(turn) for turn, length in zip(turns, rows["length_s"], strict=True))
    y = sum(length * math.sin(turn) for turn, length in zip(turns, rows["length_s"], strict=True))
    return math.atan2(y, x) / math.tau * period_s


def _heat_title(given: Material, points: Sequence[str], begins: dict[str, list[float]]) -> str:
    values = dict(zip(given.points["point"], given.points["value"], strict=True))
    known = [(law[0], point) for point in points if (law := begins[point])]
    share, point = min(known, default=(0.0, points[0]))
    return (
        "Threads run at the beginning of each period and stand still for the rest: "
        f"{given.name(str(values[point]))} for {words.share(1 - share)} of it"
    )
