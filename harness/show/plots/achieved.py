"""CPUs achieved against promised."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness import units
from harness.judge.laws.cpu import BELOW_A_TICK
from harness.judge.metrics import METRICS
from harness.model import Scale, Status
from harness.plan import axes
from harness.show.plots import across as plots_across
from harness.show.plots import storage, style, words
from harness.show.plots.across import Across
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import BAND, MUTED, NO_LAW, ONE_TRIAL
from harness.show.plots.taken import has_taken
from harness.show.plots.words import NBSP
from harness.units import Unit
from harness.wording import agreeing


def has_achieved(given: Material) -> bool:
    """Whether anything was measured that the sweep is about; places and walls have their own."""
    own = storage.has_storage(given) or has_taken(given)
    return not own and not _main(given).empty


def _main_metric(given: Material) -> str:
    """The metric that the axis is about; where that was not measured, most points' first law's."""
    axis = axes.AXES.get(given.axis)
    if axis is not None and not given.of(axis.metric).empty:
        return axis.metric
    first = given.verdicts.drop_duplicates(["run", "point"])
    if len(first):
        return str(first["metric"].mode().iloc[0])
    return "ratio" if any(given.estimates["metric"] == "ratio") else "cpus"


def _main(given: Material) -> pd.DataFrame:
    """What the sweep is about: the rows of its main metric.

    Rows as in ``frames.verdicts``, in the plan's order; points of the metric without a law have
    ``no law`` as their verdict, and neither promise nor error.
    """
    metric = _main_metric(given)
    laws = given.verdicts[given.verdicts["metric"] == metric]
    judged = laws.dropna(subset="achieved_median")
    with_law = set(zip(laws["run"], laws["point"], strict=True))
    others = given.of(metric)
    others = others[_pairs(others).map(lambda pair: pair not in with_law).astype(bool)]
    if metric == "cpus":
        # Every container has CPUs achieved; they are the point of the sweep for a lone one.
        alone = dict(given.points.groupby(["run", "point"])["container"].max().eq(0))
        others = others[_pairs(others).map(lambda pair: alone.get(pair, False)).astype(bool)]
    if others.empty:
        return judged
    names = {part: f"achieved_{part}" for part in ("median", "low", "high")}
    rows = [judged, others.rename(columns=names).assign(verdict=NO_LAW)]
    both = pd.concat([part for part in rows if not part.empty])
    both = both.reindex(columns=judged.columns.union(both.columns))  # where no law speaks at all
    # Where no point has a law of it, nothing is promised all the same.
    both = both.reindex(columns=[*dict.fromkeys([*judged.columns, *both.columns])])
    places = {point: i for i, point in enumerate(given.order)}
    return both.sort_values("point", key=lambda points: points.map(places), kind="stable")


def _pairs(rows: pd.DataFrame) -> pd.Series[Any]:
    """(run, point) of each row."""
    return pd.Series(list(zip(rows["run"], rows["point"], strict=True)), rows.index, dtype=object)


def achieved(given: Material) -> Picture:
    """What each limit gave beside what it promised, and the error on a scale of its own."""
    rows = _main(given)
    one_trials = given.errors[given.errors["metric"] == rows["metric"].iloc[0]]
    if (rows["scale"] == Scale.LOG).any():
        one_trials = one_trials.assign(error=one_trials["error"].map(math.expm1))
        rows = _as_shares(rows)
    metric = METRICS[rows["metric"].iloc[0]]
    unit = units.of(metric.unit)
    across = plots_across.places(given, rows)
    rows = rows.assign(at=rows["point"].map(across.at)).sort_values("at", kind="stable")
    law = rows[rows["verdict"] != NO_LAW]
    # "No more than" is no target: what is used below it is no error.
    target = law[~_is_ceiling(law)]
    judged = not target.empty
    sheet = given.sheet(5.2, (1.7, 1.0)) if judged else given.sheet(3.8)
    scale = target["scale"].iloc[0] if judged else Scale.RELATIVE
    by = unit.factor if scale == Scale.ABSOLUTE else 100.0
    counted = given.counted(metric.name)

    for run, panels in zip(given.runs, sheet.columns, strict=True):
        mine, own_law, own_target = (
            frame[frame["run"] == run.info.name] for frame in (rows, law, target)
        )
        dots = counted[counted["run"] == run.info.name]
        _promises(panels[0], across, own_law, unit.factor)
        style.singles(panels[0], dots["point"].map(across.at), dots[metric.name] * unit.factor)
        style.medians(panels[0], mine, "achieved", unit.factor)
        if judged:
            off = one_trials[one_trials["run"] == run.info.name]
            _draw_errors(panels[1], across, own_target, off, by)
    seen = pd.concat([law["promised"], rows["achieved_median"]])
    axis = axes.AXES.get(given.axis)
    by_factors = across.log or (axis is not None and axis.log and not across.numeric)
    style.upright(sheet.rows[0], log=by_factors and plots_across.spans_decades(seen))
    sheet.ylabel(0, textwrap.fill(words.titled(metric.title, unit.axis), 26))
    handles: list[Any] = [Line2D([], [], **ONE_TRIAL)]
    if judged:
        sheet.ylabel(1, words.titled("Error", unit.axis if scale == Scale.ABSOLUTE else "%"))
    if not law.empty:
        promise = Line2D([], [], color=MUTED, lw=1.2, label="promised")
        handles = [promise, Patch(facecolor=BAND, label="tolerance"), *handles]
    across.dress(sheet)
    sheet.key(sheet.columns[0][0], [*handles, *style.verdict_marks(rows["verdict"])])

    caption = (
        f"{words.titled(metric.title)} against what each limit promises"
        f"{'; below, the error on a scale of its own' if judged else ''}. Large marks are medians "
        "over the trials that count, with their intervals; dots are single trials."
    )
    caption += _left_out(given)
    title = given.found(lambda one: _finding(one, law[law["run"].isin(run_names(one))]))
    return given.picture("achieved", sheet, title, caption, _told(given, rows, unit))


def _draw_errors(
    ax: Axes, across: Across, target: pd.DataFrame, trials: pd.DataFrame, factor: float
) -> None:
    """The errors of points and of their trials, each within its tolerance or not."""
    ax.axhline(0, color=MUTED, lw=1.2, zorder=2)
    low, high = target["tolerance_low"] * factor, target["tolerance_high"] * factor
    plots_across.boxes(ax, across, target["at"], low, high)
    off = trials[trials["error"].map(math.isfinite) & trials["point"].isin(target["point"])]
    style.singles(ax, off["point"].map(across.at), off["error"] * factor)
    style.medians(ax, target, "error", factor)
    ax.margins(y=0.15)


def _left_out(given: Material) -> str:
    """The points that cannot be drawn, in a sentence; empty where there is none."""
    estimated = set(given.estimates["point"])
    left_out = [point for point in given.order if point not in estimated]
    if not left_out:
        return ""
    names = ", ".join(left_out[:10]) + (", …" if len(left_out) > 10 else "")
    return f" Not shown, for want of a trial that counts: {names}."


def _told(given: Material, rows: pd.DataFrame, unit: Unit) -> str:
    """Every point in words and numbers."""
    told = [
        f"{given.whose(row)}{row['value']}: "
        + ("" if row["verdict"] == NO_LAW else f"promised {row['promised'] * unit.factor:.4g}, ")
        + f"achieved {row['achieved_median'] * unit.factor:.4g} {unit.axis}".rstrip()
        + f", {row['verdict']}"
        for row in rows.head(words.MOST_TOLD).to_dict("records")
    ]
    return "; ".join([*told, *(["…"] if len(rows) > words.MOST_TOLD else [])]) + "."


def run_names(given: Material) -> list[str]:
    """The names of a figure's runs."""
    return [run.info.name for run in given.runs]


def _is_ceiling(law: pd.DataFrame) -> pd.Series[bool]:
    """Where a law is a promise of "no more than": any use below it conforms."""
    return (law["scale"] == Scale.RELATIVE) & (law["tolerance_low"] <= -1)


def _as_shares(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with errors on the log scale as shares of the promise, which people read."""
    log = rows["scale"] == Scale.LOG
    columns = ["error_median", "error_low", "error_high", "tolerance_low", "tolerance_high"]
    shares = rows.loc[log, columns].map(math.expm1)
    return rows.assign(scale=rows["scale"].mask(log, Scale.RELATIVE.value), **shares)


def _promises(ax: Axes, across: Across, law: pd.DataFrame, factor: float) -> None:
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
    plots_across.boxes(ax, across, law["at"], low * factor, high * factor)
    plots_across.levels(ax, across, law["at"], promised)


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
        rest = f"; {more} more of {total} {agreeing(more, 'deviates', 'deviate')}" if more else ""
        return (
            f"{given.name(worst['value'])}{verb} {_amount(worst, abs(error))} "
            f"{'more' if error > 0 else 'less'} than promised{rest}"
        )
    if len(held) == total:
        return _all_held(given, held, everything)
    if held.empty:
        return "No limit could be judged" if total > 1 else f"{everything} could not be judged"
    return f"{len(held)} of {total} {things} held; {total - len(held)} could not be judged"


def _all_held(given: Material, held: pd.DataFrame, everything: str) -> str:
    """Within what all limits held. What a ceiling leaves unused is no error."""
    # Below a tick a loss is what the law expects: told by itself, not as everyone's error.
    lossy = held[(held["law"] == BELOW_A_TICK) & (held["error_median"] < 0)]
    held = held[~_is_ceiling(held) & (held["law"] != BELOW_A_TICK)]
    lost = ""
    if not lossy.empty:
        most = lossy.iloc[int(lossy["error_median"].argmin())]
        loss = words.share(-float(most["error_median"]))
        lost = f"; {given.name(most['value'])}, below the tick, loses {loss} to it"
    if held.empty:
        return f"{everything} held{lost}"
    ends = held[["error_low", "error_high"]].abs().max(axis=1)
    worst = held.iloc[int(ends.argmax())]
    within = _amount(worst, float(ends.max()), up=True)
    return f"{'Limits' if lost else everything} held within {within}{lost}"


def _amount(row: pd.Series[Any], error: float, *, up: bool = False) -> str:
    """An error without its sign, in two digits: ``0.14 %``, ``1.3 MiB``; rounded up on demand."""
    by = units.of(row["unit"] if row["scale"] == Scale.ABSOLUTE else "share")
    shown = error * by.factor
    if not math.isfinite(shown):
        return "infinitely much"
    digits = min(2, max(0, 1 - math.floor(math.log10(shown)))) if shown > 0 else 0
    step = 10.0**-digits
    rounded = math.ceil(shown / step - 1e-9) * step if up else shown
    return f"{rounded:.{digits}f} {by.axis}".strip().replace(" ", NBSP)
