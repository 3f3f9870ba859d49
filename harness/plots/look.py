"""How every figure looks: colours, marks, panels, legends, and the words on axes.

Verdicts differ by marker as well as by colour; the colours are those of Okabe and Ito, which
colour-blind readers can tell apart.
"""

from __future__ import annotations

import io
import itertools
import math
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from harness.model import Status

if TYPE_CHECKING:
    from harness.plots.material import Material

INK, MUTED, GRID, PAPER = "#1f2328", "#59636e", "#dfe3e8", "#ffffff"
BAND, SHADE = "#cfe4f4", "#fadfce"
BLUE, VERMILION, AMBER, GREY = "#0072b2", "#d55e00", "#9a6700", "#767c85"
LINES = (BLUE, VERMILION, "#009e73", "#b8568f", "#3d9bd1", "#c98a00", GREY)
MARKERS = "osD^vPX"
DASHES: Sequence[Any] = ("-", (0, (4, 2)), (0, (1, 1)))
"""Lines differ by colour, marker and dashes: one that lies on another is seen all the same."""

WIDTH_IN = 7.2
MOST_RUNS = 12
"""More than this have no room beside each other."""
_LINE = 86
"""So many characters of a legend fit between the edges of the panels."""
_MOST_TICKS = 100
_MANY = 12
"""With more points than this, marks are smaller."""
NBSP = "\N{NO-BREAK SPACE}"
_TITLE_PT, _LINE_PT, _LEGEND_PT, _PAD_PT = 11.5, 11.5 * 1.2, 15.3, 6.0
"""The title's letters and lines, a row of a legend, and the room about them."""

STYLE: Any = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9.5,
    "text.parse_math": False, "text.color": INK, "axes.labelcolor": INK, "axes.labelsize": 9.5,
    "axes.edgecolor": MUTED, "axes.linewidth": 0.8, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True, "grid.color": GRID,
    "grid.linewidth": 0.8, "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelcolor": INK,
    "ytick.labelcolor": INK, "legend.frameon": False, "legend.fontsize": 9.0,
    "legend.handletextpad": 0.5, "legend.columnspacing": 1.4, "legend.borderaxespad": 0.3,
    "legend.borderpad": 0.2, "svg.fonttype": "none", "figure.facecolor": PAPER,
    "axes.facecolor": PAPER, "savefig.facecolor": PAPER, "lines.linewidth": 1.6,
    "axes.titlesize": 9.5, "axes.titlelocation": "left", "axes.titleweight": "bold",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """How a median is drawn."""

    marker: str
    colour: str
    filled: bool = True
    shift_pt: float = 0
    """To the right, where two marks would lie on each other."""

    def style(self, size: float = 6.5) -> Any:
        """As keywords of matplotlib's lines."""
        return {
            "ls": "", "marker": self.marker, "ms": size, "color": self.colour,
            "mec": self.colour, "mfc": self.colour if self.filled else PAPER,
            "mew": 0.8 if self.filled else 1.4,
        }  # fmt: skip


NO_LAW = "no law"
MARKS: Mapping[str, Mark] = {
    Status.CONFORMS: Mark("o", BLUE),
    Status.DEVIATES: Mark("X", VERMILION),
    Status.INCONCLUSIVE: Mark("^", AMBER, filled=False),
    Status.NOT_EXERCISABLE: Mark("s", GREY, filled=False),
    NO_LAW: Mark("D", GREY, filled=False),
}
TYPICAL, LONGEST = Mark("o", BLUE), Mark("^", VERMILION, filled=False, shift_pt=6)
LAST = Mark("^", VERMILION, filled=False, shift_pt=12)
LIMIT: Any = {"color": INK, "lw": 1.2, "ls": (0, (5, 3))}


@dataclass(frozen=True, slots=True)
class Scaled:
    """How the numbers of a sweep's axis, or of a metric's unit, are written."""

    label: str
    factor: float = 1.0
    log: bool = False


AXES: Mapping[str, Scaled] = {
    "cpu": Scaled("--cpus (CPUs)"),
    "quota": Scaled("--cpu-quota (µs)"),
    "period": Scaled("--cpu-period (µs)", log=True),
    "shares": Scaled("--cpu-shares of the containers", log=True),
    "memory": Scaled("--memory"),
    "swap": Scaled("--memory-swap"),
    "reservation": Scaled("--memory-reservation"),
}
"""Axes with numbers; the points of any other stand beside each other by name."""
UNITS: Mapping[str, Scaled] = {
    "s": Scaled("ms", 1e3),
    "bytes": Scaled("MiB", 2**-20),
    "share": Scaled("%", 100.0),
    "1": Scaled(""),
}


# --- the sheet -----------------------------------------------------------------------------------


class Sheet(Figure):
    """A figure with its words: the title above, the facts of its runs below. Shows itself.

    One column of panels for one run, as many columns as there are runs for several, with the same
    axes in all of them.
    """

    def __init__(self, height: float, ratios: Sequence[float], labels: Sequence[str]) -> None:
        runs = len(labels)
        across = 2 if runs in (2, 4) else min(runs, 3)
        bands = math.ceil(runs / across)
        tall = height if runs == 1 else (height * 0.78 * bands + 0.6)
        layout = ConstrainedLayoutEngine(h_pad=0.07, w_pad=0.07)
        super().__init__(figsize=(WIDTH_IN, tall), layout=layout)
        self.words = ""
        """The figure in words and numbers, for those who do not see it."""
        self.across = across
        self._title: list[str] = []
        self._handles: list[Any] = []
        self._heading = ""
        grid = self.add_gridspec(bands * len(ratios), across, height_ratios=[*ratios] * bands)
        self.columns: list[list[Axes]] = []
        for i, label in enumerate(labels):
            band, column = divmod(i, across)
            own: list[Axes] = []
            for k in range(len(ratios)):
                same = self.columns[0][k] if self.columns else None
                above = own[0] if own else same
                ax = self.add_subplot(
                    grid[band * len(ratios) + k, column], sharex=above, sharey=same
                )
                ax.tick_params(labelbottom=k == len(ratios) - 1, labelleft=column == 0)
                own.append(ax)
            if runs > 1:
                own[0].set_title(textwrap.fill(plain(label), 78 // across))
            self.columns.append(own)

    @property
    def rows(self) -> list[list[Axes]]:
        """The panels of one kind, of all runs, together."""
        return [list(row) for row in zip(*self.columns, strict=True)]

    def ylabel(self, row: int, text: str) -> None:
        """Name the vertical axis of all panels of a kind, at those on the left."""
        if len(self.columns) > 1:
            text = textwrap.fill(text, 18)
        for i, column in enumerate(self.columns):
            if i % self.across == 0:
                column[row].set_ylabel(text)

    def xlabel(self, text: str, short: str = "") -> None:
        """Name the horizontal axis below every column; in short where there are several."""
        for column in self.columns:
            column[-1].set_xlabel((short or text) if self.across > 1 else text)

    def key(
        self, ax: Axes, handles: Sequence[Any], heading: str = "", *, short: bool = False
    ) -> None:
        """A legend: above a panel, where it covers nothing; of several runs, above all."""
        if len(self.columns) > 1:
            known = {handle.get_label() for handle in self._handles}
            self._handles += [one for one in handles if one.get_label() not in known]
            self._heading = self._heading or heading
            return
        columns = _columns([handle.get_label() for handle in handles], _LINE // (1 + short))
        ax.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0), title=heading or None,
            ncols=columns, alignment="left", title_fontsize=9.0,
        )  # fmt: skip

    def finish(self, title: str, facts: str) -> None:
        """Write the title above, and the facts of the runs below."""
        self._title = textwrap.wrap(plain(title), 72, break_on_hyphens=False)[:4]
        short = textwrap.shorten(plain(facts), 125, placeholder="…")
        self._words = (
            self.suptitle("", x=0.012, y=1, ha="left", fontsize=_TITLE_PT, fontweight="bold"),
            self.supxlabel(short, x=0.012, ha="left", fontsize=7.5, color=MUTED),
        )
        self._words[0].set_in_layout(False)
        if self._handles:
            columns = _columns([handle.get_label() for handle in self._handles])
            self.legend(
                handles=self._handles, loc="upper left", ncols=columns, alignment="left",
                title=self._heading or None, title_fontsize=9.0, bbox_to_anchor=(0.005, 1.0),
            ).set_in_layout(False)  # fmt: skip
        self.bare(on=False)

    def bare(self, *, on: bool) -> None:
        """Without title and facts, for a page that tells both itself; or with them again."""
        title = [] if on else self._title
        height_pt = self.get_figheight() * 72
        down_pt = len(title) * _LINE_PT + (_PAD_PT if title else 0)
        above, below = self._words
        above.set_text("\n".join(title))
        above.set_position((0.012, 1 - _PAD_PT / height_pt))
        below.set_visible(not on)
        below.set_in_layout(not on)
        for legend in self.legends:
            legend.set_bbox_to_anchor((0.005, 1 - down_pt / height_pt), transform=self.transFigure)
            labels = [text.get_text() for text in legend.get_texts()]
            rows = math.ceil(len(labels) / _columns(labels)) + bool(self._heading)
            down_pt += rows * _LEGEND_PT + _PAD_PT / 2
        layout = self.get_layout_engine()
        assert isinstance(layout, ConstrainedLayoutEngine)
        layout.set(rect=(0, 0, 1, 1 - down_pt / height_pt))

    def png(self, dpi: int = 160) -> bytes:
        """The figure as a PNG."""
        out = io.BytesIO()
        with mpl.rc_context(STYLE):
            save(self, out, format="png", dpi=dpi, metadata={"Software": None})
        return out.getvalue()

    def _repr_mimebundle_(self, **_kwargs: Any) -> Any:
        """What a notebook shows: the figure in twice the pixels, for screens that have them."""
        dpi, scale = 96, 2
        width, height = (round(inches * dpi) for inches in self.get_size_inches())
        data = {"image/png": self.png(dpi * scale), "text/plain": self.words or "a figure"}
        return data, {"image/png": {"width": width, "height": height, "alt": self.words}}


def save(figure: Figure, out: Any, **how: Any) -> None:
    """Save a figure; what the font lacks is drawn as a box."""
    with warnings.catch_warnings():
        # A host's name may hold characters that the font lacks; a box in their place will do.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(out, **how)


def _columns(labels: Sequence[str], line: int = _LINE) -> int:
    """The number of columns in which a legend fits between the edges, its rows about as long."""
    count = len(labels)
    for rows in range(1, count + 1):
        columns = math.ceil(count / rows)
        # matplotlib fills column by column, the first ones with one more.
        short, longer = divmod(count, columns)
        ends = itertools.accumulate([short + (i < longer) for i in range(columns)], initial=0)
        widths = [max(map(len, labels[a:b])) for a, b in itertools.pairwise(ends)]
        if sum(widths) + 7 * columns <= line:  # 7: for the mark, and for the space between
            return columns
    return 1


# --- across a figure -----------------------------------------------------------------------------


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

    def room(self, place: float) -> list[float]:
        """The left and right end of a point's own part of the axis."""
        places = sorted(self.names)
        edges, i = self._edges(), places.index(place)
        return [place + 0.8 * (edge - place) for edge in (edges[i], edges[i + 1])]

    def boxes(self) -> dict[float, tuple[float, float]]:
        """The same of every point, up to the middle between neighbours."""
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
    axis = AXES.get(given.axis, Scaled(given.option))
    numbers, values = dict(points["x"]), dict(points["value"])
    x = {point: float(numbers[point]) for point in ordered}
    own = len({*x.values()}) == len(x) and all(map(math.isfinite, x.values()))
    if given.axis not in AXES or not own:
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
    return Across(x, names, axis.label, log=log, margin=margin)


def spans_decades(values: pd.Series[float]) -> bool:
    """Whether the values are too far apart for a linear axis."""
    known = values.dropna()
    return bool(len(known) > 1 and known.min() > 0 and known.max() / known.min() >= 20)


def upright(panels: Sequence[Axes], *, log: bool) -> None:
    """A vertical axis of measured sizes: from 0, or logarithmic; the same in all panels."""
    if log:
        for ax in panels:
            ax.set_yscale("log")
            ax.margins(y=0.08)
            plain_log_ticks(ax.yaxis)
    else:
        top = max(ax.dataLim.y1 for ax in panels)
        panels[0].set_ylim(0, (top if math.isfinite(top) and top > 0 else 1e-9) * 1.08)


def plain_log_ticks(axis: Axis, *, narrow: bool = False) -> None:
    """1, 10, 100 instead of powers of ten, with 2 and 5 between where there is room for them."""
    low, high = axis.get_view_interval()
    few = not narrow and high / max(low, 1e-12) < 2e3
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


# --- marks ---------------------------------------------------------------------------------------


def boxes(
    ax: Axes,
    across: Across,
    at: pd.Series[float],
    low: pd.Series[float],
    high: pd.Series[float],
) -> None:
    """The tolerance of each point, as wide as the point's part of the axis."""
    sides = across.boxes()
    corners = [
        [(left, least), (right, least), (right, most), (left, most)]
        for place, least, most in zip(at, low, high, strict=True)
        for left, right in (sides[place],)
    ]
    # The thin edge closes the seam between neighbours.
    ax.add_collection(PolyCollection(corners, facecolor=BAND, edgecolor=BAND, lw=0.6, zorder=1))
    ax.update_datalim([corner for box in corners for corner in box], updatex=False)
    ax.autoscale_view(scalex=False)


def singles(ax: Axes, at: pd.Series[float], y: pd.Series[float]) -> None:
    """A faint dot a trial, a little to the left of its point's median."""
    known = at.notna() & y.notna()
    ax.plot(at[known], y[known], ls="", marker=".", ms=5, mew=0, color=INK, alpha=0.45, zorder=3,
            transform=shifted(ax, -7))  # fmt: skip
    # What is shifted does not count for the limits of the axes by itself.
    ax.update_datalim(list(zip(at[known], y[known], strict=True)), updatex=False)


def shifted(ax: Axes, points: float) -> Any:
    """The data's transform, so many points (1/72 inch) to the right."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return ax.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def medians(ax: Axes, rows: pd.DataFrame, what: str, factor: float) -> None:
    """The medians and intervals of ``what`` at ``at``, marked by verdict."""
    for status, mark in MARKS.items():
        mine = rows[(rows["verdict"] == status) & rows[f"{what}_median"].map(math.isfinite)]
        if not mine.empty:
            parts = [mine[f"{what}_{part}"] * factor for part in ("median", "low", "high")]
            errorbar(ax, mine["at"], parts, mark)


def spread(ax: Axes, rows: pd.DataFrame, across: Across, factor: float, mark: Mark) -> None:
    """The medians and intervals of estimates, all with the same mark."""
    if not rows.empty:
        parts = [rows[part] * factor for part in ("median", "low", "high")]
        errorbar(ax, rows["point"].map(across.at), parts, mark)


def errorbar(ax: Axes, at: pd.Series[float], parts: Sequence[pd.Series[float]], mark: Mark) -> None:
    """Medians with their intervals; a median without an interval is a mark alone."""
    median, low, high = parts
    # Student's interval lies about the mean: it need not hold the median.
    reach = [(median - low).clip(lower=0).fillna(0), (high - median).clip(lower=0).fillna(0)]
    size = 4.0 if len(at) > _MANY else 6.5
    ax.errorbar(at, median, yerr=reach, elinewidth=1.6, capsize=size * 0.55, zorder=4,
                transform=shifted(ax, mark.shift_pt), **mark.style(size))  # fmt: skip
    ends = [
        (place, end) for part in parts for place, end in zip(at, part.fillna(median), strict=True)
    ]
    ax.update_datalim(ends, updatex=False)
    ax.autoscale_view(scalex=False)


def verdict_marks(verdicts: pd.Series[str]) -> list[Line2D]:
    """A legend's marks of the verdicts that occur, and how often."""
    counts = {status: int((verdicts == status).sum()) for status in MARKS}
    return [
        Line2D([], [], label=f"{status} ({counts[status]})", **mark.style())
        for status, mark in MARKS.items()
        if counts[status]
    ]


ONE_TRIAL: Any = {"ls": "", "marker": ".", "color": INK, "alpha": 0.45, "label": "one trial"}


# --- words ---------------------------------------------------------------------------------------

MOST_TOLD = 60
"""More points than this nobody listens to; the table has them all."""


def titled(text: str, unit: str = "") -> str:
    """A label with its unit, unless the unit stands in the label already."""
    label = text[:1].upper() + text[1:]
    return f"{label} ({unit})" if unit and unit not in text else label


def share(part: float) -> str:
    """``98 %``, ``0.4 %``, ``< 0.1 %``, ``0 %``."""
    percent = part * 100
    if 0 < percent < 0.1:
        return f"<{NBSP}0.1{NBSP}%"
    return f"{percent:.0f}{NBSP}%" if percent >= 9.95 or not percent else f"{percent:.1f}{NBSP}%"


def duration(seconds: float) -> str:
    """A time in two or three digits: ``40 µs``, ``1.4 ms``, ``75 ms``, ``1.05 s``."""
    ms = seconds * 1e3
    if ms >= 999.5:
        return f"{seconds:.3g}{NBSP}s"
    if ms < 0.0995:
        return f"{ms * 1e3:.0f}{NBSP}µs" if ms >= 0.00995 else f"{ms * 1e3:.1f}{NBSP}µs"
    return f"{ms:.0f}{NBSP}ms" if ms >= 9.95 else f"{ms:.1f}{NBSP}ms"


def size(size_bytes: float) -> str:
    """A size in MiB, in two or three digits."""
    mib = size_bytes / 2**20
    return f"{mib:.0f}{NBSP}MiB" if mib >= 99.5 else f"{mib:.3g}{NBSP}MiB"


def plain(text: str) -> str:
    """Outside text in one line of characters that can be drawn."""
    return "".join(c if c.isprintable() or c == NBSP else " " for c in text)


def shortened(text: str) -> str:
    """Outside text, short enough for a tick or a legend."""
    return textwrap.shorten(plain(text), 24, placeholder="…") or "?"


def spread_out(points: Sequence[str], most: int) -> list[str]:
    """At most so many of them, evenly spaced, both ends among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def told(parts: Iterable[str]) -> str:
    """Findings of several runs in one: the same one once."""
    return "; ".join(dict.fromkeys(parts))
