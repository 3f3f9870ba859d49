"""How figures look."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from harness.model import Status
from harness.show.plots.words import plain

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


_MANY = 12
"""With more points than this, marks are smaller."""


_CROWD = 400
"""More marks of a kind than this are pixels in an SVG too: where they lie close is told by their
density, and a page with an element for each is slow to write, to open and to scroll."""


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


def styled(**more: Any) -> contextlib.AbstractContextManager[None]:
    """In its block figures look like ours, whatever the user's matplotlibrc or style says.

    From matplotlib's own defaults on: what our style does not name (``text.usetex``, ``savefig.*``)
    would be the user's otherwise. What is drawn, and what is saved, has to be in such a block.
    """
    return matplotlib.style.context(["default", {**STYLE, **more}])


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

    def draw(self, renderer: Any) -> None:
        """Draw, but for the first of the two times that ``savefig`` does, which is for the layout.

        All that it draws then goes nowhere, and takes as long as the second time.
        """
        layout = self.get_layout_engine()
        if self.canvas.is_saving() and isinstance(layout, ConstrainedLayoutEngine):
            layout.execute(self)  # none is left the second time
        else:
            super().draw(renderer)

    def png(self, dpi: int = 160) -> bytes:
        """The figure as a PNG."""
        out = io.BytesIO()
        with styled():
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


def areas(
    ax: Axes, boxes: Sequence[tuple[float, float, float, float]], colour: str, **how: Any
) -> None:
    """Boxes of (left, right, low, high) as one shape: in a page each would be an element.

    ``how`` is as of matplotlib's patches. The limits of the axes do not follow them.
    """
    corners = [
        corner
        for left, right, low, high in boxes
        for corner in ((left, low), (right, low), (right, high), (left, high), (left, low))
    ]
    codes = [Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY] * len(boxes)
    shape = Path(corners, codes) if boxes else Path([(0, 0)])
    how = {"transform": ax.transData, "lw": 0, **how}
    ax.add_artist(PathPatch(shape, facecolor=colour, edgecolor=colour, **how))


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
    # As people count: what "g" writes from a million on is 1e+06.
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:.0f}" if value >= 1e5 else f"{value:g}")
    )
    axis.set_minor_formatter(NullFormatter())


def singles(ax: Axes, at: pd.Series[float], y: pd.Series[float]) -> None:
    """A faint dot a trial, a little to the left of its point's median."""
    known = at.notna() & y.notna()
    crowd = int(known.sum()) > _CROWD
    # Pixels keep their colour on a dark page: one that is seen on both.
    colour = GREY if crowd else INK
    ax.plot(at[known], y[known], ls="", marker=".", ms=5, mew=0, color=colour, alpha=0.45, zorder=3,
            transform=shifted(ax, -7), rasterized=crowd)  # fmt: skip
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


def errorbar(ax: Axes, at: pd.Series[float], parts: Sequence[pd.Series[float]], mark: Mark) -> None:
    """Medians with their intervals; a median without an interval is a mark alone."""
    median, low, high = parts
    # Student's interval lies about the mean: it need not hold the median.
    reach = [(median - low).clip(lower=0).fillna(0), (high - median).clip(lower=0).fillna(0)]
    size = 4.0 if len(at) > _MANY else 6.5
    ax.errorbar(at, median, yerr=reach, elinewidth=1.6, capsize=size * 0.55, zorder=4,
                transform=shifted(ax, mark.shift_pt), rasterized=len(at) > _CROWD,
                **mark.style(size))  # fmt: skip
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
