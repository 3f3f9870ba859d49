"""From frames to figures: what a run found, to be seen at a glance and checked point by point.

``available`` names the figures that a run has data for, ``pictures`` draws them, ``svg`` and
``png`` turn one into a file. Each title states the finding. Nothing here keeps state: no pyplot,
no current figure, and the same run gives the same bytes.

Verdicts differ by marker as well as by colour; the colours are those of Okabe and Ito, which
colour-blind readers can tell apart.
"""

from __future__ import annotations

import io
import itertools
import math
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from harness import axes, frames
from harness import limits as rules
from harness.analysis import METRICS
from harness.model import Scale, Status
from harness.store import Run

INK, MUTED, GRID, PAPER = "#1f2328", "#59636e", "#dfe3e8", "#ffffff"
BAND, SHADE = "#cfe4f4", "#fadfce"
BLUE, VERMILION, AMBER, GREY = "#0072b2", "#d55e00", "#9a6700", "#767c85"
LINES = (BLUE, VERMILION, "#009e73", "#b8568f", "#3d9bd1", "#c98a00", GREY)
_MARKERS = "osD^vPX"
_DASHES: Sequence[Any] = ("-", (0, (4, 2)), (0, (1, 1)))
"""Lines differ by colour, marker and dashes: one that lies on another is seen all the same."""

WIDTH_IN = 7.2
_LINE = 86
"""So many characters of a legend fit between the edges of the panels."""
_MANY = 12
"""With more points than this, marks are smaller."""
_THROTTLED = 0.9
"""A point that is throttled in this share of its periods shows throttling well."""
_NBSP = "\N{NO-BREAK SPACE}"

_STYLE: Any = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9.5,
    "text.parse_math": False, "text.color": INK, "axes.labelcolor": INK, "axes.labelsize": 9.5,
    "axes.edgecolor": MUTED, "axes.linewidth": 0.8, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True, "grid.color": GRID,
    "grid.linewidth": 0.8, "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelcolor": INK,
    "ytick.labelcolor": INK, "legend.frameon": False, "legend.fontsize": 9.0,
    "legend.handletextpad": 0.5, "legend.columnspacing": 1.4, "legend.borderaxespad": 0.3,
    "legend.borderpad": 0.2, "svg.fonttype": "none", "figure.facecolor": PAPER,
    "axes.facecolor": PAPER, "savefig.facecolor": PAPER, "lines.linewidth": 1.6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Mark:
    """How a median is drawn."""

    marker: str
    colour: str
    filled: bool = True
    shift_pt: float = 0
    """To the right, where two marks would lie on each other."""

    def style(self, size: float = 6.5) -> Any:
        return {
            "ls": "", "marker": self.marker, "ms": size, "color": self.colour,
            "mec": self.colour, "mfc": self.colour if self.filled else PAPER,
            "mew": 0.8 if self.filled else 1.4,
        }  # fmt: skip


_NO_LAW = "no law"
_MARKS: Mapping[str, _Mark] = {
    Status.CONFORMS: _Mark("o", BLUE),
    Status.DEVIATES: _Mark("X", VERMILION),
    Status.INCONCLUSIVE: _Mark("^", AMBER, filled=False),
    Status.NOT_EXERCISABLE: _Mark("s", GREY, filled=False),
    _NO_LAW: _Mark("D", GREY, filled=False),
}
_TYPICAL, _LONGEST = _Mark("o", BLUE), _Mark("^", VERMILION, filled=False, shift_pt=6)
_LAST = _Mark("^", VERMILION, filled=False, shift_pt=12)
_LIMIT: Any = {"color": INK, "lw": 1.2, "ls": (0, (5, 3))}


@dataclass(frozen=True, slots=True)
class _Scaled:
    """How the numbers of a sweep's axis, or of a metric's unit, are written."""

    label: str
    factor: float = 1.0
    log: bool = False


_AXES: Mapping[str, _Scaled] = {
    "cpu": _Scaled("--cpus (CPUs)"),
    "quota": _Scaled("--cpu-quota (µs)"),
    "period": _Scaled("--cpu-period (µs)", log=True),
    "shares": _Scaled("--cpu-shares of the containers", log=True),
    "memory": _Scaled("--memory"),
    "swap": _Scaled("--memory-swap"),
    "reservation": _Scaled("--memory-reservation"),
}
"""Axes with numbers; the points of any other stand beside each other by name."""
_UNITS: Mapping[str, _Scaled] = {
    "s": _Scaled("ms", 1e3),
    "bytes": _Scaled("MiB", 2**-20),
    "share": _Scaled("%", 100.0),
    "1": _Scaled(""),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure with what must stand beside it."""

    name: str
    title: str
    """The finding, in one sentence without a full stop."""
    caption: str
    """What is drawn, and how to read it."""
    alt: str
    """The figure in words and numbers, for those who do not see it."""
    figure: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One trial, chosen because throttling is to be seen in it."""

    value: str
    trial: int
    threads: int
    limit_cpus: float
    period_s: float
    timeline: pd.DataFrame
    spans: pd.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the figures of one axis of a run are drawn from; the frames are ``harness.frames``'."""

    axis: str
    prefix: str
    """Before the figures' names: empty where the run has one axis only."""
    facts: str
    """Run, host, engine and kernel in a line: a figure must be told apart when it travels alone."""
    order: tuple[str, ...]
    """The points in the plan's order."""
    trials: pd.DataFrame
    estimates: pd.DataFrame
    verdicts: pd.DataFrame
    errors: pd.DataFrame
    gaps: pd.DataFrame
    moment: Moment | None

    @property
    def option(self) -> str:
        """Docker's option that the axis varies; ``limits`` where it is several."""
        return axes.option(self.axis)

    def name(self, value: str) -> str:
        """A point as it is asked for on Docker's command line: ``--cpus 0.5``."""
        said = f"{self.option} {value}" if self.axis in axes.AXES else value
        return said.replace(" ", _NBSP)


def materials(run: Run) -> list[Material]:
    """Everything that the figures of a run need, axis by axis, in any state of the run."""
    info = run.info
    state = "" if info.status == "finished" else f" ({info.status})"
    facts = (
        f"{info.name}{state} · {info.host.hostname} · Docker {info.engine.version} · "
        f"kernel {info.host.kernel} · cgroup v{info.engine.cgroup_version}"
    )
    every: dict[str, pd.DataFrame] = {
        "trials": frames.trials(run), "estimates": frames.estimates(run),
        "verdicts": frames.verdicts(run), "errors": frames.errors(run), "gaps": frames.gaps(run),
    }  # fmt: skip
    found = list(dict.fromkeys(point.axis for point in info.plan.points))
    out = []
    for axis in found:
        own = {name: frame[frame["axis"] == axis] for name, frame in every.items()}
        out.append(
            Material(
                axis=axis,
                prefix=f"{axis}-" if len(found) > 1 else "",
                facts=facts,
                order=tuple(point.id for point in info.plan.points if point.axis == axis),
                moment=_moment(run, own["trials"]),
                **own,
            )
        )
    return out


def available(run: Run) -> tuple[str, ...]:
    """The names of the figures that the run has data for; empty where no trial counts.

    A run of several axes has figures of each: ``cpu-achieved``, ``period-achieved``.
    """
    return tuple(name for name, _, _ in _offered(run))


def pictures(run: Run, names: Iterable[str] | None = None) -> list[Picture]:
    """The figures of these names that the run has data for; without names, all of them.

    ``achieved`` is the figure of that kind of every axis.
    """
    wanted = None if names is None else set(names)
    with mpl.rc_context(_STYLE):
        return [
            replace(FIGURES[kind][1](given), name=name)
            for name, kind, given in _offered(run)
            if wanted is None or {name, kind} & wanted
        ]


def _offered(run: Run) -> list[tuple[str, str, Material]]:
    return [
        (given.prefix + kind, kind, given)
        for given in materials(run)
        for kind, (has, _) in FIGURES.items()
        if has(given)
    ]


def svg(picture: Picture, *, embedded: bool = False) -> str:
    """The picture as an SVG document: no date, no random ids, text as text.

    Embedded, it is the ``svg`` element alone, without the title and the facts of the run, which
    the page around it tells, and with ids that begin with the picture's name: several can stand
    in one page.
    """
    out = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": picture.name}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        _show(picture.figure.texts, shown=not embedded)
        _save(picture.figure, out, format="svg", metadata=nothing)
        _show(picture.figure.texts, shown=True)
    text = out.getvalue()
    if embedded:
        text = text[text.index("<svg") :]
        # HTML knows the namespaces of SVG by itself, and the page names no address at all.
        text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
        text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{picture.name}-", text)
    return text


def _show(texts: Iterable[Text], *, shown: bool) -> None:
    for text in texts:
        text.set_visible(shown)
        text.set_in_layout(shown)


def png(picture: Picture, dpi: int = 160) -> bytes:
    """The picture as a PNG."""
    out = io.BytesIO()
    with mpl.rc_context(_STYLE):
        _save(picture.figure, out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


def _save(figure: Figure, out: Any, **how: Any) -> None:
    with warnings.catch_warnings():
        # A host's name may hold characters that the font lacks; a box in their place will do.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(out, **how)


# --- achieved ----------------------------------------------------------------------------------


def _has_achieved(given: Material) -> bool:
    return not _main(given).empty


def _main(given: Material) -> pd.DataFrame:
    """What the sweep is about: the metric that most points' first law speaks of.

    Rows as in ``frames.verdicts``, in the plan's order; points of the metric without a law have
    ``no law`` as their verdict, and neither promise nor error.
    """
    first = given.verdicts.drop_duplicates("point")
    ratios = given.estimates["metric"] == "ratio"
    metric = (
        str(first["metric"].mode().iloc[0]) if len(first) else "ratio" if any(ratios) else "cpus"
    )
    judged = given.verdicts[given.verdicts["metric"] == metric].dropna(subset="achieved_median")
    others = given.estimates[
        (given.estimates["metric"] == metric)
        & ~given.estimates["point"].isin(
            given.verdicts.loc[given.verdicts["metric"] == metric, "point"]
        )
    ]
    if metric == "cpus":
        # Every container has CPUs achieved; they are the point of the sweep for a lone one.
        alone = given.trials.groupby("point")["container"].max().eq(0)
        others = others[others["point"].map(alone)]
    if others.empty:
        return judged
    names = {part: f"achieved_{part}" for part in ("median", "low", "high")}
    rows = [judged, others.rename(columns=names).assign(verdict=_NO_LAW)]
    both = pd.concat([part for part in rows if not part.empty])
    places = {point: i for i, point in enumerate(given.order)}
    return both.sort_values("point", key=lambda points: points.map(places), kind="stable")


def _achieved(given: Material) -> Picture:
    rows = _main(given)
    singles = given.errors[given.errors["metric"] == rows["metric"].iloc[0]]
    if (rows["scale"] == Scale.LOG).any():
        singles = singles.assign(error=singles["error"].map(math.expm1))
        rows = _as_shares(rows)
    metric = METRICS[rows["metric"].iloc[0]]
    unit = _UNITS.get(metric.unit, _Scaled(metric.unit))
    across = _across(given, rows)
    rows = rows.assign(at=rows["point"].map(across.at)).sort_values("at", kind="stable")
    law = rows[rows["verdict"] != _NO_LAW]
    if law.empty:
        figure, (upper,) = _panels(1, height=3.8)
        lower = None
    else:
        figure, (upper, lower) = _panels(2, height=5.2, ratios=(1.7, 1.0))

    _promises(upper, across, law, unit.factor)
    counted = given.trials[given.trials["counts"] & given.trials[metric.name].notna()]
    _singles(upper, counted["point"].map(across.at), counted[metric.name] * unit.factor)
    _medians(upper, rows, "achieved", unit.factor)
    seen = pd.concat([law["promised"], rows["achieved_median"]])
    _upright(upper, log=across.log and _spans_decades(seen))
    upper.set_ylabel(textwrap.fill(_titled(metric.title, unit.label), 26))
    handles: list[Any] = [
        Line2D([], [], ls="", marker=".", color=INK, alpha=0.45, label="one trial")
    ]
    if lower is not None:
        scale = law["scale"].iloc[0]
        by = unit.factor if scale == Scale.ABSOLUTE else 100.0
        lower.axhline(0, color=MUTED, lw=1.2, zorder=2)
        _boxes(lower, across, law["at"], law["tolerance_low"] * by, law["tolerance_high"] * by)
        finite = singles[singles["error"].map(math.isfinite)]
        _singles(lower, finite["point"].map(across.at), finite["error"] * by)
        _medians(lower, law, "error", by)
        lower.set_ylabel(_titled("Error", unit.label if scale == Scale.ABSOLUTE else "%"))
        lower.margins(y=0.15)
        handles = [
            Line2D([], [], color=MUTED, lw=1.2, label="promised"),
            Patch(facecolor=BAND, label="tolerance"),
            *handles,
        ]
    across.dress(lower or upper)
    title = _finding(given, law)
    _legend(upper, [*handles, *_verdict_marks(rows["verdict"])])
    _finish(figure, given, title)

    caption = (
        f"{_titled(metric.title)} against what each limit promises; below, the error on a scale "
        "of its own. Large marks are medians over the trials that count, with their intervals; "
        "dots are single trials."
    )
    left_out = [point for point in given.order if point not in set(given.estimates["point"])]
    if left_out:
        caption += f" Not shown, for want of a trial that counts: {', '.join(left_out)}."
    told = "; ".join(
        f"{row['value']}: "
        + ("" if row["verdict"] == _NO_LAW else f"promised {row['promised'] * unit.factor:.4g}, ")
        + f"achieved {row['achieved_median'] * unit.factor:.4g} {unit.label}".rstrip()
        + f", {row['verdict']}"
        for row in rows.to_dict("records")
    )
    return Picture("achieved", title, caption, f"{title}. {told}.", figure)


def _as_shares(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with errors on the log scale as shares of the promise, which people read."""
    log = rows["scale"] == Scale.LOG
    columns = ["error_median", "error_low", "error_high", "tolerance_low", "tolerance_high"]
    shares = rows.loc[log, columns].map(math.expm1)
    return rows.assign(scale=rows["scale"].mask(log, Scale.RELATIVE.value), **shares)


def _promises(ax: Axes, across: _Across, law: pd.DataFrame, factor: float) -> None:
    """The promised values, and the tolerance about what they came to in the windows."""
    if law.empty:
        return
    low, high = _tolerated(law)
    promised = law["promised"] * factor
    varied = law["promised"].nunique() > 1 and not law["point"].duplicated().any()
    if across.numeric and varied:
        ax.plot(law["at"], promised, color=MUTED, lw=1.2, zorder=2)
        ax.fill_between(law["at"], low * factor, high * factor, color=BAND, lw=0, zorder=1)
        return
    _boxes(ax, across, law["at"], low * factor, high * factor)
    for at, value in zip(law["at"], promised, strict=True):
        ax.plot(across.room(at), [value, value], color=MUTED, lw=1.6, zorder=2)


def _tolerated(law: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """The least and the most that still conform, in the metric's unit."""
    low, high, expected = law["tolerance_low"], law["tolerance_high"], law["expected"]
    match law["scale"].iloc[0]:
        case Scale.RELATIVE:
            return expected * (1 + low), expected * (1 + high)
        case _:
            return expected + low, expected + high


def _finding(given: Material, law: pd.DataFrame) -> str:
    total = len(law)
    if not total:
        return "Measured, without a law to judge by"
    wrong = law[law["verdict"] == Status.DEVIATES]
    held = law[law["verdict"] == Status.CONFORMS]
    things = "ratios" if law["metric"].iloc[0] == "ratio" else "limits"
    everything = {1: given.name(law["value"].iloc[0]), 2: f"Both {things}"}.get(
        total, f"All {total} {things}"
    )
    if not wrong.empty:
        worst = wrong.iloc[int(wrong["error_median"].abs().argmax())]
        error = float(worst["error_median"])
        verb = " got" if worst["metric"] == "cpus" else ":"
        more = len(wrong) - 1
        rest = f"; {more} more of {total} deviate{'s' * (more == 1)}" if more else ""
        return (
            f"{given.name(worst['value'])}{verb} {_amount(worst, abs(error))} "
            f"{'more' if error > 0 else 'less'} than promised{rest}"
        )
    if len(held) == total:
        ends = held[["error_low", "error_high"]].abs().max(axis=1)
        worst = held.iloc[int(ends.argmax())]
        return f"{everything} held within {_amount(worst, float(ends.max()), up=True)}"
    if held.empty:
        return "No limit could be judged" if total > 1 else f"{everything} could not be judged"
    return f"{len(held)} of {total} {things} held; {total - len(held)} could not be judged"


def _amount(row: pd.Series[Any], error: float, *, up: bool = False) -> str:
    """An error without its sign, in two digits: ``0.14 %``, ``1.3 MiB``; rounded up on demand."""
    unit = _UNITS.get(row["unit"], _Scaled(row["unit"]))
    by = unit if row["scale"] == Scale.ABSOLUTE else _UNITS["share"]
    shown = error * by.factor
    if not math.isfinite(shown):
        return "infinitely much"
    digits = min(2, max(0, 1 - math.floor(math.log10(shown)))) if shown > 0 else 0
    step = 10.0**-digits
    rounded = math.ceil(shown / step - 1e-9) * step if up else shown
    return f"{rounded:.{digits}f} {by.label}".strip().replace(" ", _NBSP)


# --- throttling --------------------------------------------------------------------------------


def _has_throttling(given: Material) -> bool:
    return not _of(given, "throttled_share").empty


def _of(given: Material, metric: str) -> pd.DataFrame:
    """The estimates of one metric."""
    return given.estimates[given.estimates["metric"] == metric]


def _throttling(given: Material) -> Picture:
    share, typical, longest = (
        _of(given, name) for name in ("throttled_share", "gap_s", "gap_max_s")
    )
    across = _across(given, pd.concat([share, longest]))
    figure, (upper, lower) = _panels(2, height=5.2, ratios=(1.0, 1.0))
    counted = given.trials[given.trials["counts"] & given.trials["throttled_share"].notna()]

    _singles(upper, counted["point"].map(across.at), counted["throttled_share"] * 100)
    _spread(upper, share, across, 100, _TYPICAL)
    upper.set_ylim(-5, 105)
    upper.set_yticks([0, 25, 50, 75, 100])
    upper.set_ylabel("Throttled periods (%)")

    promised = given.verdicts[given.verdicts["metric"] == "gap_s"]
    for point, value in zip(promised["point"], promised["promised"] * 1e3, strict=True):
        if point in across.at:
            lower.plot(across.room(across.at[point]), [value, value], color=MUTED, lw=1.6, zorder=2)
    _spread(lower, longest, across, 1e3, _LONGEST)
    _spread(lower, typical, across, 1e3, _TYPICAL)
    lower.set_ylabel("Off the CPU at a time (ms)")
    _upright(lower, log=_spans_decades(pd.concat([longest["median"], typical["median"]])))
    across.dress(lower)

    most = float(share["median"].max())
    title = f"Throttled in up to {_share(most)} of the periods"
    if most < 0.005:
        title = "No limit throttled its container"
    elif not longest.empty:
        worst = longest.iloc[int(longest["median"].argmax())]
        title += (
            f"; at {given.name(worst['value'])} threads stand still for up to "
            f"{_duration(worst['median'])}"
        )
    handles = [
        Line2D([], [], label="typical", **_TYPICAL.style()),
        Line2D([], [], label="longest", **_LONGEST.style()),
    ]
    if not promised.empty:
        handles.append(Line2D([], [], color=MUTED, lw=1.6, label="typical, as promised"))
    _legend(lower, handles)
    _finish(figure, given, title)
    told = "; ".join(f"{row['value']}: {_share(row['median'])}" for row in share.to_dict("records"))
    return Picture(
        "throttling", title,
        "Above, the share of quota periods in which the kernel stopped the container. Below, how "
        "long its threads were off the CPU at a time: the typical gap splits the time off the CPU "
        "in half, the longest is the longest of each trial. Marks are medians over the trials that "
        "count, with their intervals.",
        f"{title}. Throttled periods: {told}.", figure,
    )  # fmt: skip


# --- timeline ----------------------------------------------------------------------------------


def _moment(run: Run, trials: pd.DataFrame) -> Moment | None:
    """The trial in which throttling is best to be seen; None where there is none.

    One of a point that is throttled in nearly every period, that is on and off for about as long,
    in periods that the samples resolve.
    """
    plan, best, best_rank = run.info.plan, None, math.inf
    mine = trials[trials["counts"] & (trials["throttled_share"] >= _THROTTLED)]
    for trial, point_id, cpus in zip(mine["trial"], mine["point"], mine["cpus"], strict=True):
        point = plan.point(point_id)
        spec = point.containers[0]
        quota = rules.quota_and_period_us(spec.limits)
        if quota is None or len(point.containers) > 1:
            continue
        threads = min(spec.workload.threads, run.info.engine.cpus)
        steps_a_period = quota[1] / 1e6 * plan.cadence_hz
        rank = (
            abs(cpus / threads - 0.5)
            + 0.2 * abs(math.log(steps_a_period / 5))
            - 0.1 * (threads > 1)
        )
        if rank < best_rank:
            best, best_rank = (int(trial), point.value, spec.workload.threads, quota), rank
    if best is None:
        return None
    trial, value, threads, quota = best
    timeline = frames.timeline(run, trial)
    if timeline["cpus"].count() < 2:
        return None
    return Moment(
        value=value, trial=trial, threads=threads, limit_cpus=quota[0] / quota[1],
        period_s=quota[1] / 1e6, timeline=timeline, spans=frames.throttled_spans(run, trial),
    )  # fmt: skip


def _timeline(given: Material) -> Picture:
    moment = given.moment
    assert moment is not None
    line = moment.timeline
    step_s = float(line["step_s"].median())
    end_s = min(float(line["t_s"].max()), max(10 * moment.period_s, 25 * step_s))
    line = line[line["t_s"] <= end_s + step_s]
    unit, label = (1e3, "ms") if end_s < 2 else (1.0, "s")
    spans = moment.spans[moment.spans["start_s"] < end_s]
    from_probe = not spans.empty
    if not from_probe:
        counted = line[line["throttled"]]
        spans = pd.DataFrame(
            {"start_s": counted["t_s"] - counted["step_s"], "end_s": counted["t_s"]}
        )
    figure, (upper, lower) = _panels(2, height=5.0, ratios=(1.0, 1.0))
    for ax in (upper, lower):
        ax.grid(visible=False, axis="x")
        for start, end in zip(spans["start_s"], spans["end_s"], strict=True):
            ax.axvspan(max(0.0, start) * unit, min(end, end_s) * unit, color=SHADE, lw=0, zorder=0)
    steps = line.dropna(subset="cpus")
    edges = [*(steps["t_s"] - steps["step_s"]), steps["t_s"].iloc[-1]]
    rates = [*steps["cpus"], steps["cpus"].iloc[-1]]
    upper.step([edge * unit for edge in edges], rates, where="post", color=BLUE)
    upper.axhline(moment.limit_cpus, **_LIMIT)
    upper.set_ylim(bottom=0, top=max(*rates, moment.limit_cpus) * 1.08)
    upper.set_ylabel("CPUs in use")
    lower.plot(line["t_s"] * unit, line["used_s"] * unit, color=BLUE, marker=".", ms=4)
    lower.plot([0, end_s * unit], [0, moment.limit_cpus * end_s * unit], **_LIMIT)
    lower.set_ylim(bottom=0)
    lower.set_ylabel(f"CPU time used ({label})")
    lower.set_xlabel(f"Time in the window ({label})")
    lower.set_xlim(0, end_s * unit)

    period = _duration(moment.period_s)
    title = f"{given.name(moment.value)}: throttled in each period of {period}"
    shaded = "Shaded: the kernel counted a throttled period in this step."
    if from_probe:
        lengths = spans["end_s"] - spans["start_s"]
        still = float(lengths[lengths > lengths.max() / 2].median())
        threads = {1: "the thread stands", 2: "both threads stand"}.get(
            moment.threads, f"all {moment.threads} threads stand"
        )
        title = (
            f"{given.name(moment.value)}: {threads} still for {_duration(still)} of each {period}"
        )
        shaded = (
            "Shaded: every thread of the workload off the CPU, as they noted it themselves, to the "
            "microsecond."
        )
    _finish(figure, given, title)
    _legend(upper, [
        Line2D([], [], color=BLUE, label="measured"),
        Line2D([], [], label="limit", **_LIMIT),
        Patch(facecolor=SHADE, label="all threads off the CPU" if from_probe else "throttled"),
    ])  # fmt: skip
    return Picture(
        "timeline", title,
        f"The first {_duration(round(end_s, 2))} of trial {moment.trial}, by the kernel's counters "
        f"every {_duration(step_s)}. Above, the CPUs used in each step; below, the CPU time used "
        f"since the window began, which a quota lets grow in stairs along the limit. {shaded}",
        f"{title}. The CPU time used climbs in stairs along the line of {moment.limit_cpus:g} "
        "CPUs.",
        figure,
    )  # fmt: skip


# --- gaps --------------------------------------------------------------------------------------


def _has_gaps(given: Material) -> bool:
    return bool(given.gaps["counts"].any())


def _gaps(given: Material) -> Picture:
    rows = given.gaps[given.gaps["counts"]]
    points = [point for point in given.order if point in set(rows["point"])]
    shown = _spread_out(points, len(LINES))
    figure, (ax,) = _panels(1, height=4.2)
    left, right = rows["length_s"].min() * 1e3 / 1.3, rows["length_s"].max() * 1e3 * 1.3
    handles, told = [], []
    for i, point in enumerate(shown):
        mine = rows[rows["point"] == point].sort_values("length_s", kind="stable")
        once = mine.drop_duplicates(["run", "trial", "container"])
        off = (mine["length_s"] * mine["stands_for"]).cumsum() / once["thread_time_s"].sum() * 100
        x = [left, *(mine["length_s"] * 1e3), right]
        y = [0.0, *off, off.iloc[-1]]
        style: Any = {
            "color": LINES[i], "marker": _MARKERS[i], "ms": 5.5, "ls": _DASHES[i % len(_DASHES)],
        }  # fmt: skip
        # Two marks a line: half way up, and at its end.
        half = next(k for k, share in enumerate(y) if share >= y[-1] / 2)
        ax.step(x, y, where="post", markevery=[half, len(x) - 1], clip_on=False, **style)
        value, share = str(mine["value"].iloc[0]), _share(y[-1] / 100)
        handles.append(Line2D([], [], label=f"{_shortened(value)}: {share}", **style))
        told.append(f"{value}: off the CPU for {share} of the time")
    ax.set_ylim(0, ax.dataLim.y1 * 1.05)
    ax.set_xscale("log")
    ax.set_xlim(left, right)
    _plain_log_ticks(ax.xaxis)
    ax.set_xlabel("Length of a gap (ms)")
    ax.set_ylabel("Time in gaps up to this length\n(% of all threads' time)")
    title = (
        _typical(given)
        or f"No thread was off the CPU for more than {_duration(rows['length_s'].max())}"
    )
    _legend(ax, handles, heading=f"{given.option}, and the time off the CPU in all")
    _finish(figure, given, title)
    caption = (
        "What the time off the CPU is made of, over all threads and all trials that count: a line "
        "climbs at the lengths of gap that take much time, and ends at the right at the time off "
        "the CPU in all."
    )
    if len(shown) < len(points):
        caption += f" {len(shown)} of {len(points)} points are drawn."
    return Picture("gaps", title, caption, f"{title}. {'; '.join(told)}.", figure)


def _typical(given: Material) -> str:
    """How long threads stand still at the points that are throttled; empty where none is."""
    share, typical = _of(given, "throttled_share"), _of(given, "gap_s")
    throttled = share.loc[share["median"] >= _THROTTLED, "point"]
    typical = typical[typical["point"].isin(throttled)]
    if typical.empty:
        return ""
    low = typical.iloc[int(typical["median"].argmin())]
    high = typical.iloc[int(typical["median"].argmax())]
    if high["median"] < 1.1 * low["median"]:
        middle = typical["median"].median()
        return f"Throttled threads typically stand still for about {_duration(middle)} at a time"
    return (
        f"Throttled threads typically stand still for {_duration(low['median'])} "
        f"({given.name(low['value'])}) to {_duration(high['median'])} "
        f"({given.name(high['value'])})"
    )


def _spread_out(points: Sequence[str], most: int) -> list[str]:
    """At most so many of them, evenly spaced, both ends among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


# --- responses ---------------------------------------------------------------------------------


def _has_responses(given: Material) -> bool:
    return not _of(given, "response_p99_s").empty


def _responses(given: Material) -> Picture:
    half, most, longest = (_of(given, f"response_{which}_s") for which in ("p50", "p99", "max"))
    across = _across(given, most)
    figure, (ax,) = _panels(1, height=4.0)
    marks = {"median": _TYPICAL, "99 %": _Mark("D", AMBER, shift_pt=6), "longest": _LAST}
    for rows, mark in zip((half, most, longest), marks.values(), strict=True):
        _spread(ax, rows, across, 1e3, mark)
    ax.set_ylabel("Response time (ms)")
    _upright(ax, log=_spans_decades(pd.concat([half["median"], longest["median"]])))
    across.dress(ax)
    worst = most.iloc[int(most["median"].argmax())]
    best = most.iloc[int(most["median"].argmin())]
    title = f"99{_NBSP}% of responses come within {_duration(worst['median'])}"
    if len(most) > 1:
        title += (
            f" at {given.name(worst['value'])}, within {_duration(best['median'])} at "
            f"{given.name(best['value'])}"
        )
    _legend(ax, [Line2D([], [], label=label, **mark.style()) for label, mark in marks.items()])
    _finish(figure, given, title)
    told = "; ".join(
        f"{row['value']}: {_duration(row['median'])}" for row in most.to_dict("records")
    )
    return Picture(
        "responses", title,
        "How long a burst of work takes from the moment it is due: half of the responses, 99 of "
        "100, and the longest of each trial. Marks are medians over the trials that count, with "
        "their intervals.",
        f"{title}. 99 % of responses within: {told}.", figure,
    )  # fmt: skip


FIGURES: Mapping[str, tuple[Callable[[Material], bool], Callable[[Material], Picture]]] = {
    "achieved": (_has_achieved, _achieved),
    "throttling": (_has_throttling, _throttling),
    "timeline": (lambda given: given.moment is not None, _timeline),
    "gaps": (_has_gaps, _gaps),
    "responses": (_has_responses, _responses),
}
"""Kind → (is there data for it, draw it), in the order in which a report shows them."""


# --- below: across a figure ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Across:
    """Where the points lie from left to right, and how that axis is labelled."""

    at: Mapping[str, float]
    names: Mapping[float, str]
    label: str
    numeric: bool = True
    log: bool = False

    def room(self, place: float) -> list[float]:
        """The left and right end of a point's own part of the axis."""
        places = sorted(self.names)
        edges, i = self._edges(), places.index(place)
        return [place + 0.8 * (edge - place) for edge in (edges[i], edges[i + 1])]

    def box(self, place: float) -> list[float]:
        """The same up to the middle between neighbours."""
        edges, i = self._edges(), sorted(self.names).index(place)
        return [edges[i], edges[i + 1]]

    def _edges(self) -> list[float]:
        """The ends of the axis, and the middles between neighbouring points."""
        places = sorted(map(math.log, self.names) if self.log else self.names)
        gap = (places[-1] - places[0]) * 0.07 if self.numeric and len(places) > 1 else 0.5
        middles = [(a + b) / 2 for a, b in itertools.pairwise(places)]
        edges = [places[0] - gap, *middles, places[-1] + gap]
        return [math.exp(edge) for edge in edges] if self.log else edges

    def dress(self, ax: Axes) -> None:
        """Scale, limits, label, and ticks at the points: named as far as there is room."""
        if self.log:
            ax.set_xscale("log")
        edges = self._edges()
        scaled = math.log if self.log else float
        left, right = scaled(edges[0]), scaled(edges[-1])
        kept: list[float] = []
        end = -math.inf
        for place in sorted(self.names):
            middle = (scaled(place) - left) / (right - left)
            half = 0.0066 * max(map(len, self.names[place].split("\n"))) + 0.006
            if middle - half >= end:
                kept.append(place)
                end = middle + half
        ax.set_xlim(edges[0], edges[-1])
        ax.set_xlabel(self.label)
        ax.set_xticks([place for place in self.names if place not in kept], minor=True)
        ax.set_xticks(kept, [self.names[place] for place in kept])
        ax.xaxis.set_minor_formatter(NullFormatter())


def _across(given: Material, rows: pd.DataFrame) -> _Across:
    """The points' places: by number where each has one of its own, else one after another."""
    points = rows.drop_duplicates("point").set_index("point")
    ordered = [point for point in given.order if point in points.index]
    axis = _AXES.get(given.axis, _Scaled(given.option))
    numbers, values = dict(points["x"]), dict(points["value"])
    x = {point: float(numbers[point]) for point in ordered}
    own = len({*x.values()}) == len(x) and all(map(math.isfinite, x.values()))
    if given.axis not in _AXES or not own:
        names = {float(i): _shortened(str(values[point])) for i, point in enumerate(ordered)}
        return _Across(
            {point: float(i) for i, point in enumerate(ordered)},
            {i: textwrap.fill(name, 12, break_on_hyphens=False) for i, name in names.items()},
            given.option, numeric=False,
        )  # fmt: skip
    log = len(x) > 1 and min(x.values()) > 0 and (axis.log or _spans_decades(pd.Series(x)))
    # The values as they were asked for: nobody has to convert units.
    names = {place: _shortened(str(values[point])) for point, place in x.items()}
    return _Across(x, names, axis.label, log=log)


def _spans_decades(values: pd.Series[float]) -> bool:
    """Whether the values are too far apart for a linear axis."""
    known = values.dropna()
    return bool(len(known) > 1 and known.min() > 0 and known.max() / known.min() >= 20)


def _upright(ax: Axes, *, log: bool) -> None:
    """A vertical axis of measured sizes: from 0, or logarithmic."""
    if log:
        ax.set_yscale("log")
        ax.margins(y=0.08)
        _plain_log_ticks(ax.yaxis)
    else:
        ax.set_ylim(0, max(ax.dataLim.y1, 1e-9) * 1.08)


def _plain_log_ticks(axis: Axis) -> None:
    """1, 10, 100 instead of powers of ten, with 2 and 5 between where there are few of them."""
    low, high = axis.get_view_interval()
    few = high / max(low, 1e-12) < 2e3
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


# --- below: marks --------------------------------------------------------------------------------


def _panels(
    count: int, *, height: float, ratios: Sequence[float] = (1.0,)
) -> tuple[Figure, list[Axes]]:
    layout = ConstrainedLayoutEngine(h_pad=0.07, w_pad=0.07)
    figure = Figure(figsize=(WIDTH_IN, height), layout=layout)
    panels = figure.subplots(count, 1, sharex=True, squeeze=False, height_ratios=ratios)
    return figure, list(panels[:, 0])


def _finish(figure: Figure, given: Material, title: str) -> None:
    """The title above, and the facts of the run below."""
    wrapped = textwrap.fill(_plain(title), 76, break_on_hyphens=False)
    figure.suptitle(wrapped, x=0.012, ha="left", fontsize=11.5, fontweight="bold")
    facts = textwrap.shorten(_plain(given.facts), 125, placeholder="…")
    figure.supxlabel(facts, x=0.012, ha="left", fontsize=7.5, color=MUTED)


def _legend(ax: Axes, handles: Sequence[Any], *, heading: str | None = None) -> None:
    """A legend above a panel, where it covers nothing."""
    columns = _columns([handle.get_label() for handle in handles])
    ax.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0), title=heading,
        ncols=columns, alignment="left",
        title_fontsize=9.0,
    )  # fmt: skip


def _columns(labels: Sequence[str]) -> int:
    """The number of columns in which a legend fits between the edges, its rows about as long."""
    count = len(labels)
    for rows in range(1, count + 1):
        columns = math.ceil(count / rows)
        # matplotlib fills column by column, the first ones with one more.
        short, longer = divmod(count, columns)
        ends = itertools.accumulate([short + (i < longer) for i in range(columns)], initial=0)
        widths = [max(map(len, labels[a:b])) for a, b in itertools.pairwise(ends)]
        if sum(widths) + 7 * columns <= _LINE:  # 7: for the mark, and for the space between
            return columns
    return 1


def _boxes(
    ax: Axes,
    across: _Across,
    at: pd.Series[float],
    low: pd.Series[float],
    high: pd.Series[float],
) -> None:
    """The tolerance of each point, as wide as the point's part of the axis."""
    for place, least, most in zip(at, low, high, strict=True):
        # The thin edge closes the seam between neighbours.
        ax.fill_between(across.box(place), least, most, color=BAND, lw=0.6, zorder=1)


def _singles(ax: Axes, at: pd.Series[float], y: pd.Series[float]) -> None:
    """A faint dot a trial, a little to the left of its point's median."""
    known = at.notna() & y.notna()
    ax.plot(at[known], y[known], ls="", marker=".", ms=5, mew=0, color=INK, alpha=0.45, zorder=3,
            transform=_shifted(ax, -7))  # fmt: skip
    # What is shifted does not count for the limits of the axes by itself.
    ax.update_datalim(list(zip(at[known], y[known], strict=True)), updatex=False)


def _shifted(ax: Axes, points: float) -> Any:
    """The data's transform, so many points (1/72 inch) to the right."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return ax.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def _medians(ax: Axes, rows: pd.DataFrame, what: str, factor: float) -> None:
    for status, mark in _MARKS.items():
        mine = rows[(rows["verdict"] == status) & rows[f"{what}_median"].map(math.isfinite)]
        if not mine.empty:
            parts = [mine[f"{what}_{part}"] * factor for part in ("median", "low", "high")]
            _errorbar(ax, mine["at"], parts, mark)


def _spread(ax: Axes, rows: pd.DataFrame, across: _Across, factor: float, mark: _Mark) -> None:
    if not rows.empty:
        parts = [rows[part] * factor for part in ("median", "low", "high")]
        _errorbar(ax, rows["point"].map(across.at), parts, mark)


def _errorbar(
    ax: Axes, at: pd.Series[float], parts: Sequence[pd.Series[float]], mark: _Mark
) -> None:
    """Medians with their intervals; a median without an interval is a mark alone."""
    median, low, high = parts
    # Student's interval lies about the mean: it need not hold the median.
    reach = [(median - low).clip(lower=0).fillna(0), (high - median).clip(lower=0).fillna(0)]
    size = 4.0 if len(at) > _MANY else 6.5
    ax.errorbar(at, median, yerr=reach, elinewidth=1.6, capsize=size * 0.55, zorder=4,
                transform=_shifted(ax, mark.shift_pt), **mark.style(size))  # fmt: skip
    ends = [
        (place, end) for part in parts for place, end in zip(at, part.fillna(median), strict=True)
    ]
    ax.update_datalim(ends, updatex=False)
    ax.autoscale_view(scalex=False)


def _verdict_marks(verdicts: pd.Series[str]) -> list[Line2D]:
    counts = {status: int((verdicts == status).sum()) for status in _MARKS}
    return [
        Line2D([], [], label=f"{status} ({counts[status]})", **mark.style())
        for status, mark in _MARKS.items()
        if counts[status]
    ]


# --- below: words --------------------------------------------------------------------------------


def _titled(text: str, unit: str = "") -> str:
    """A label with its unit, unless the unit stands in the label already."""
    label = text[:1].upper() + text[1:]
    return f"{label} ({unit})" if unit and unit not in text else label


def _share(share: float) -> str:
    """``98 %``, ``0.4 %``, ``< 0.1 %``, ``0 %``."""
    percent = share * 100
    if 0 < percent < 0.1:
        return f"<{_NBSP}0.1{_NBSP}%"
    return f"{percent:.0f}{_NBSP}%" if percent >= 9.95 or not percent else f"{percent:.1f}{_NBSP}%"


def _duration(seconds: float) -> str:
    """A time in two or three digits: ``40 µs``, ``1.4 ms``, ``75 ms``, ``1.05 s``."""
    ms = seconds * 1e3
    if ms >= 999.5:
        return f"{seconds:.3g}{_NBSP}s"
    if ms < 0.0995:
        return f"{ms * 1e3:.0f}{_NBSP}µs"
    return f"{ms:.0f}{_NBSP}ms" if ms >= 9.95 else f"{ms:.1f}{_NBSP}ms"


def _plain(text: str) -> str:
    """Outside text in one line of characters that can be drawn."""
    return "".join(c if c.isprintable() or c == _NBSP else " " for c in text)


def _shortened(text: str) -> str:
    return textwrap.shorten(_plain(text), 24, placeholder="…") or "?"
