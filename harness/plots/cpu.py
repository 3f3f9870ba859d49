"""Figures of CPU time: what was achieved, how it was throttled, who got how much of it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from harness import frames
from harness import limits as rules
from harness.analysis import METRICS
from harness.errors import ResultsError
from harness.model import Scale, Status
from harness.plots import look
from harness.plots.look import (
    AMBER,
    BAND,
    BLUE,
    LAST,
    LIMIT,
    LONGEST,
    MUTED,
    NBSP,
    NO_LAW,
    ONE_TRIAL,
    PAPER,
    SHADE,
    TYPICAL,
    UNITS,
    Across,
    Mark,
    Scaled,
)
from harness.plots.material import Material, Picture
from harness.store import Run

BELOW_A_TICK = "cpu-bandwidth-below-a-tick"
_THROTTLED = 0.9
"""A point that is throttled in this share of its periods shows throttling well."""


# --- achieved ------------------------------------------------------------------------------------


def has_achieved(given: Material) -> bool:
    """Whether anything was measured that the sweep is about."""
    return not _main(given).empty


def _main_metric(given: Material) -> str:
    """The metric that most points' first law speaks of."""
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
    unit = UNITS.get(metric.unit, Scaled(metric.unit))
    across = look.places(given, rows)
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
        look.singles(panels[0], dots["point"].map(across.at), dots[metric.name] * unit.factor)
        look.medians(panels[0], mine, "achieved", unit.factor)
        if judged:
            lower = panels[1]
            lower.axhline(0, color=MUTED, lw=1.2, zorder=2)
            low, high = own_target["tolerance_low"] * by, own_target["tolerance_high"] * by
            look.boxes(lower, across, own_target["at"], low, high)
            off = one_trials[one_trials["run"] == run.info.name]
            off = off[off["error"].map(math.isfinite) & off["point"].isin(own_target["point"])]
            look.singles(lower, off["point"].map(across.at), off["error"] * by)
            look.medians(lower, own_target, "error", by)
            lower.margins(y=0.15)
    seen = pd.concat([law["promised"], rows["achieved_median"]])
    look.upright(sheet.rows[0], log=across.log and look.spans_decades(seen))
    sheet.ylabel(0, textwrap.fill(look.titled(metric.title, unit.label), 26))
    handles: list[Any] = [Line2D([], [], **ONE_TRIAL)]
    if judged:
        sheet.ylabel(1, look.titled("Error", unit.label if scale == Scale.ABSOLUTE else "%"))
    if not law.empty:
        promise = Line2D([], [], color=MUTED, lw=1.2, label="promised")
        handles = [promise, Patch(facecolor=BAND, label="tolerance"), *handles]
    across.dress(sheet)
    sheet.key(sheet.columns[0][0], [*handles, *look.verdict_marks(rows["verdict"])])

    caption = (
        f"{look.titled(metric.title)} against what each limit promises"
        f"{'; below, the error on a scale of its own' if judged else ''}. Large marks are medians "
        "over the trials that count, with their intervals; dots are single trials."
    )
    estimated = set(given.estimates["point"])
    left_out = [point for point in given.order if point not in estimated]
    if left_out:
        names = ", ".join(left_out[:10]) + (", …" if len(left_out) > 10 else "")
        caption += f" Not shown, for want of a trial that counts: {names}."
    title = given.found(lambda one: _finding(one, law[law["run"].isin(_names(one))]))
    return given.picture("achieved", sheet, title, caption, _told(given, rows, unit))


def _told(given: Material, rows: pd.DataFrame, unit: Scaled) -> str:
    """Every point in words and numbers."""
    told = [
        f"{given.whose(row)}{row['value']}: "
        + ("" if row["verdict"] == NO_LAW else f"promised {row['promised'] * unit.factor:.4g}, ")
        + f"achieved {row['achieved_median'] * unit.factor:.4g} {unit.label}".rstrip()
        + f", {row['verdict']}"
        for row in rows.head(look.MOST_TOLD).to_dict("records")
    ]
    return "; ".join([*told, *(["…"] if len(rows) > look.MOST_TOLD else [])]) + "."


def _names(given: Material) -> list[str]:
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
    look.boxes(ax, across, law["at"], low * factor, high * factor)
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
        loss = look.share(-float(most["error_median"]))
        lost = f"; {given.name(most['value'])}, below the tick, loses {loss} to it"
    if held.empty:
        return f"{everything} held{lost}"
    ends = held[["error_low", "error_high"]].abs().max(axis=1)
    worst = held.iloc[int(ends.argmax())]
    within = _amount(worst, float(ends.max()), up=True)
    return f"{'Limits' if lost else everything} held within {within}{lost}"


def _amount(row: pd.Series[Any], error: float, *, up: bool = False) -> str:
    """An error without its sign, in two digits: ``0.14 %``, ``1.3 MiB``; rounded up on demand."""
    unit = UNITS.get(row["unit"], Scaled(row["unit"]))
    by = unit if row["scale"] == Scale.ABSOLUTE else UNITS["share"]
    shown = error * by.factor
    if not math.isfinite(shown):
        return "infinitely much"
    digits = min(2, max(0, 1 - math.floor(math.log10(shown)))) if shown > 0 else 0
    step = 10.0**-digits
    rounded = math.ceil(shown / step - 1e-9) * step if up else shown
    return f"{rounded:.{digits}f} {by.label}".strip().replace(" ", NBSP)


# --- shares --------------------------------------------------------------------------------------


def has_shares(given: Material) -> bool:
    """Whether containers of different shares competed."""
    rows = _ratios(given)
    return rows["asked"].nunique() > 1 and bool((rows["asked"] > 0).all())


def _ratios(given: Material) -> pd.DataFrame:
    """The measured ratios of CPU time, each beside the ratio of shares that was asked for."""
    shares = given.points.assign(shares=given.points["cpu_shares"].fillna(1024))
    last = shares.drop_duplicates(["run", "point"], keep="last")[["run", "point", "shares"]]
    asked = shares.merge(last, on=["run", "point"], suffixes=("", "_last"))
    asked["asked"] = asked["shares"] / asked["shares_last"]
    keys = ["run", "point", "container"]
    rows = given.of("ratio").merge(asked[[*keys, "asked"]], on=keys)
    law = given.verdicts[given.verdicts["metric"] == "ratio"]
    law = law[[*keys, "verdict", "promised", "tolerance_low", "tolerance_high"]]
    return rows.merge(law, on=keys, how="left").fillna({"verdict": NO_LAW})


def shares(given: Material) -> Picture:
    """The ratio of CPU time against the ratio of shares, both on logarithmic scales."""
    rows = _ratios(given)
    rows["at"] = rows["asked"]
    keys = ["run", "point", "container"]
    dots = given.counted("ratio").merge(rows[[*keys, "asked"]], on=keys)
    ends = [rows["asked"].min() / 1.35, rows["asked"].max() * 1.35]
    sheet = given.sheet(5.6, (1.7, 1.0))
    wide = float(rows["tolerance_high"].max())
    # Only runtimes of cgroup v2 promise something else than the ratio of the shares.
    by_weight = bool(((rows["promised"] / rows["asked"]).dropna() - 1).abs().gt(0.01).any())
    for run, panels in zip(given.runs, sheet.columns, strict=True):
        mine = rows[rows["run"] == run.info.name].sort_values("asked", kind="stable")
        _draw_shares(panels, mine, dots[dots["run"] == run.info.name], ends)
        if by_weight:
            law = mine[mine["promised"].notna()]
            panels[0].plot(law["asked"], law["promised"], zorder=2, **LIMIT)
        if not math.isnan(wide):
            least, most = (100 * math.expm1(end) for end in (-wide, wide))
            panels[1].fill_between(ends, least, most, color=BAND, lw=0, zorder=1)
    first = sheet.columns[0]
    for panels in sheet.columns:
        panels[0].set_xscale("log", base=2)
        panels[0].set_yscale("log", base=2)
        panels[0].set_xlim(*ends)
        panels[1].margins(y=0.15)
    ticks = sorted({*rows["asked"], 1.0})
    for axis in (first[1].xaxis, first[0].yaxis):
        axis.set_ticks(ticks, [_proportion(ratio) for ratio in ticks])
        axis.set_minor_locator(NullLocator())
    sheet.xlabel("Ratio of --cpu-shares that was asked for", "Ratio asked for")
    sheet.ylabel(0, "Ratio of CPU time")
    sheet.ylabel(1, "Error (%)")
    handles: list[Any] = [Line2D([], [], color=MUTED, lw=1.2, label="as asked for")]
    if by_weight:
        handles.append(Line2D([], [], label="as the runtime turns shares into weights", **LIMIT))
    if not math.isnan(wide):
        handles.append(Patch(facecolor=BAND, label="tolerance"))
    handles.append(Line2D([], [], **ONE_TRIAL))
    sheet.key(first[0], [*handles, *look.verdict_marks(rows["verdict"])])
    told = "; ".join(
        f"{given.whose(row)}{row['value']}: {row['median']:.3f}, {row['verdict']}"
        for row in rows.to_dict("records")
    )
    title = given.found(lambda one: _divided(rows[rows["run"].isin(_names(one))]))
    return given.picture(
        "shares", sheet, title,
        "How two containers that both want the CPU divide it, against the ratio of their shares, "
        "on logarithmic scales; below, the error. Without a law are those that may run on several "
        "CPUs: there whole threads are moved, and the ratio is what comes of it. Large marks are "
        "medians over the trials that count, with their intervals; dots are single trials.",
        f"{told}.",
    )  # fmt: skip


def _draw_shares(
    panels: Sequence[Axes], rows: pd.DataFrame, dots: pd.DataFrame, ends: Sequence[float]
) -> None:
    upper, lower = panels
    parts = ("median", "low", "high")
    ideal = rows.dropna(subset="promised").drop_duplicates("asked").set_index("asked")["promised"]
    upper.plot(ends, ends, color=MUTED, lw=1.2, zorder=2)
    lower.axhline(0, color=MUTED, lw=1.2, zorder=2)
    look.singles(upper, dots["asked"], dots["ratio"])
    look.singles(lower, dots["asked"], (dots["ratio"] / _ideal(dots, ideal) - 1) * 100)
    shown = rows.assign(
        **{f"achieved_{part}": rows[part] for part in parts},
        **{f"error_{part}": rows[part] / _ideal(rows, ideal) - 1 for part in parts},
    )
    look.medians(upper, shown, "achieved", 1.0)
    look.medians(lower, shown, "error", 100.0)


def _divided(rows: pd.DataFrame) -> str:
    """What became of the shares of one run, in words."""
    said = []
    law, free = rows[rows["promised"].notna()], rows[rows["promised"].isna()]
    if not law.empty:
        off = _percent(float((law["median"] / law["promised"] - 1).abs().max()))
        if (law["verdict"] == Status.DEVIATES).any():
            said.append(f"On one CPU, the ratio of CPU time misses its law by up to {off}")
        else:
            said.append(f"On one CPU, CPU time is divided as the shares say, within {off}")
    if not free.empty:
        worst = free.iloc[int((free["median"] / free["asked"]).map(math.log).abs().argmax())]
        asked, came = _proportion(worst["asked"]), worst["median"]
        said.append(f"over all CPUs {asked} came to {came:.2f}:1")
    return "; ".join(said)


def _ideal(rows: pd.DataFrame, promised: pd.Series[float]) -> pd.Series[float]:
    """What the law promises for each row's ratio of shares; without a law, that ratio."""
    return rows["asked"].map(promised).fillna(rows["asked"])


def _proportion(ratio: float) -> str:
    return f"{ratio:g}:1" if ratio >= 1 else f"1:{1 / ratio:g}"


def _percent(part: float) -> str:
    return f"{math.ceil(part * 1000 - 1e-9) / 10:g}{NBSP}%"


# --- throttling ----------------------------------------------------------------------------------


def has_throttling(given: Material) -> bool:
    """Whether any container had quota periods."""
    return not given.of("throttled_share").empty


def throttling(given: Material) -> Picture:
    """The share of periods that are throttled, and how long threads then stand still."""
    share, typical, longest = (given.of(name) for name in ("throttled_share", "gap_s", "gap_max_s"))
    across = look.places(given, pd.concat([share, longest]))
    sheet = given.sheet(5.2, (1.0, 1.0))
    counted = given.counted("throttled_share")
    promised = given.verdicts[given.verdicts["metric"] == "gap_s"]
    for run, (upper, lower) in zip(given.runs, sheet.columns, strict=True):
        dots, part, half, most, law = (
            frame[frame["run"] == run.info.name]
            for frame in (counted, share, typical, longest, promised)
        )
        look.singles(upper, dots["point"].map(across.at), dots["throttled_share"] * 100)
        look.spread(upper, part, across, 100, TYPICAL)
        for point, value in zip(law["point"], law["promised"] * 1e3, strict=True):
            if point in across.at:
                room = across.room(across.at[point])
                lower.plot(room, [value, value], color=MUTED, lw=1.6, zorder=2)
        look.spread(lower, most, across, 1e3, LONGEST)
        look.spread(lower, half, across, 1e3, TYPICAL)
    first = sheet.columns[0]
    first[0].set_ylim(-5, 105)
    first[0].set_yticks([0, 25, 50, 75, 100])
    sheet.ylabel(0, "Throttled periods (%)")
    sheet.ylabel(1, "Off the CPU at a time (ms)")
    both = pd.concat([longest["median"], typical["median"]])
    look.upright(sheet.rows[1], log=look.spans_decades(both))
    across.dress(sheet)
    handles = [
        Line2D([], [], label="typical", **TYPICAL.style()),
        Line2D([], [], label="longest", **LONGEST.style()),
    ]
    if not promised.empty:
        handles.append(Line2D([], [], color=MUTED, lw=1.6, label="typical, as promised"))
    sheet.key(first[1], handles)

    def finding(one: Material) -> str:
        part, most = one.of("throttled_share")["median"], one.of("gap_max_s")
        if part.empty:
            return ""
        if part.max() < 0.005:
            return "No limit throttled its container"
        said = f"Throttled in up to {look.share(float(part.max()))} of the periods"
        if not most.empty:
            worst = most.iloc[int(most["median"].argmax())]
            said += (
                f"; at {one.name(worst['value'])} threads stand still for up to "
                f"{look.duration(worst['median'])}"
            )
        return said

    told = "; ".join(
        f"{given.whose(row)}{row['value']}: {look.share(row['median'])}"
        for row in share.head(look.MOST_TOLD).to_dict("records")
    )
    return given.picture(
        "throttling", sheet, given.found(finding),
        "Above, the share of quota periods in which the kernel stopped the container. Below, how "
        "long its threads were off the CPU at a time: the typical gap splits the time off the CPU "
        "in half, the longest is the longest of each trial. Marks are medians over the trials that "
        "count, with their intervals.",
        f"Throttled periods: {told}.",
    )  # fmt: skip


# --- timeline ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """One trial, chosen because throttling is to be seen in it."""

    value: str
    trial: int
    threads: int
    limit_cpus: float
    period_s: float
    timeline: pd.DataFrame
    spans: pd.DataFrame


def has_timeline(given: Material) -> bool:
    """Whether there are samples of a throttled trial."""
    return any(_moment(one) is not None for _, one in given.each())


def _moment(given: Material) -> _Moment | None:
    """The trial of a run in which throttling is best to be seen; None where there is none.

    One of a point that is throttled in nearly every period, that is on and off for about as long,
    in periods that the samples resolve.
    """
    (run,) = given.runs
    trials = given.counted("throttled_share")
    mine = trials[trials["throttled_share"] >= _THROTTLED]
    plan, ranks = {point.id: point for point in run.info.plan.points}, []
    for trial, point_id, cpus in zip(mine["trial"], mine["point"], mine["cpus"], strict=True):
        point = plan[point_id]
        spec = point.containers[0]
        quota = rules.quota_and_period_us(spec.limits)
        if quota is None or len(point.containers) > 1:
            continue
        threads = min(spec.workload.threads, run.info.engine.cpus)
        steps_a_period = quota[1] / 1e6 * run.info.plan.cadence_hz
        rank = (
            abs(cpus / threads - 0.5)
            + 0.2 * abs(math.log(steps_a_period / 5))
            - 0.1 * (threads > 1)
        )
        ranks.append((rank, int(trial), point.value, spec.workload.threads, quota))
    return _moment_of(run, *min(ranks)[1:]) if ranks else None


def _moment_of(
    run: Run, trial: int, value: str, threads: int, quota: tuple[int, int]
) -> _Moment | None:
    try:
        timeline = frames.timeline(run, trial)
    except ResultsError:
        return None  # the samples are damaged; all the rest can be shown
    if timeline["cpus"].count() < 2:
        return None
    return _Moment(
        value=value, trial=trial, threads=threads, limit_cpus=quota[0] / quota[1],
        period_s=quota[1] / 1e6, timeline=timeline, spans=frames.throttled_spans(run, trial),
    )  # fmt: skip


def timeline(given: Material) -> Picture:
    """The first periods of one trial, as the kernel and the threads themselves saw them."""
    moments = [(label, one, moment) for label, one in given.each() if (moment := _moment(one))]
    shown = given.only([one.runs[0].info.name for _, one, _ in moments])
    sheet = shown.sheet(5.0, (1.0, 1.0))
    ends = [_end_s(moment) for _, _, moment in moments]
    unit, label = (1e3, "ms") if max(ends) < 2 else (1.0, "s")
    spans_of = {}
    for (_, one, moment), panels in zip(moments, sheet.columns, strict=True):
        name = one.runs[0].info.name
        spans_of[name] = _draw_moment(panels, moment, max(ends), unit)
    for column in sheet.columns:
        column[0].set_ylim(bottom=0, top=max(ax.dataLim.y1 for ax in sheet.rows[0]) * 1.08)
        column[1].set_ylim(bottom=0)
        column[1].set_xlim(0, max(ends) * unit)
    sheet.xlabel(f"Time in the window ({label})")
    sheet.ylabel(0, "CPUs in use")
    sheet.ylabel(1, f"CPU time used ({label})")
    from_probe = any(not spans.empty for spans in spans_of.values())
    shaded = "all threads off the CPU" if from_probe else "throttled"
    sheet.key(sheet.columns[0][0], [
        Line2D([], [], color=BLUE, label="measured"),
        Line2D([], [], label="limit", **LIMIT),
        Patch(facecolor=SHADE, label=shaded),
    ])  # fmt: skip
    found = {one.runs[0].info.name: moment for _, one, moment in moments}

    def finding(one: Material) -> str:
        name = one.runs[0].info.name
        moment, spans = found[name], spans_of[name]
        period = look.duration(moment.period_s)
        if spans.empty:
            return f"{one.name(moment.value)}: throttled in each period of {period}"
        lengths = spans["end_s"] - spans["start_s"]
        still = float(lengths[lengths > lengths.max() / 2].median())
        threads = {1: "the thread stands", 2: "both threads stand"}.get(
            moment.threads, f"all {moment.threads} threads stand"
        )
        return (
            f"{one.name(moment.value)}: {threads} still for {look.duration(still)} of each {period}"
        )

    first = moments[0][2]
    how = (
        "Shaded: every thread of the workload off the CPU, as they noted it themselves, to the "
        "microsecond." if from_probe else
        "Shaded: the kernel counted a throttled period in this step."
    )  # fmt: skip
    step_s = float(first.timeline["step_s"].median())
    return shown.picture(
        "timeline", sheet, shown.found(finding),
        f"The first {look.duration(round(max(ends), 2))} of trial {first.trial}, by the kernel's "
        f"counters every {look.duration(step_s)}. Above, the CPUs used in each step; below, the "
        "CPU time used since the window began, which a quota lets grow in stairs along the limit. "
        f"{how}",
        f"The CPU time used climbs in stairs along the line of {first.limit_cpus:g} CPUs.",
    )  # fmt: skip


def _end_s(moment: _Moment) -> float:
    line = moment.timeline
    step_s = float(line["step_s"].median())
    return min(float(line["t_s"].max()), max(10 * moment.period_s, 25 * step_s))


def _draw_moment(
    panels: Sequence[Axes], moment: _Moment, end_s: float, unit: float
) -> pd.DataFrame:
    """Draw one trial; returns the spans in which the probe saw all of its threads stand still."""
    upper, lower = panels
    step_s = float(moment.timeline["step_s"].median())
    line = moment.timeline[moment.timeline["t_s"] <= end_s + step_s]
    spans = moment.spans[moment.spans["start_s"] < end_s]
    shaded = spans
    if spans.empty:
        counted = line[line["throttled"]]
        shaded = pd.DataFrame(
            {"start_s": counted["t_s"] - counted["step_s"], "end_s": counted["t_s"]}
        )
    for ax in panels:
        ax.grid(visible=False, axis="x")
        for start, end in zip(shaded["start_s"], shaded["end_s"], strict=True):
            ax.axvspan(max(0.0, start) * unit, min(end, end_s) * unit, color=SHADE, lw=0, zorder=0)
    steps = line.dropna(subset="cpus")
    edges = [*(steps["t_s"] - steps["step_s"]), steps["t_s"].iloc[-1]]
    rates = [*steps["cpus"], steps["cpus"].iloc[-1]]
    upper.step([edge * unit for edge in edges], rates, where="post", color=BLUE)
    upper.axhline(moment.limit_cpus, **LIMIT)
    lower.plot(line["t_s"] * unit, line["used_s"] * unit, color=BLUE, marker=".", ms=4)
    lower.plot([0, end_s * unit], [0, moment.limit_cpus * end_s * unit], **LIMIT)
    return spans


# --- gaps ----------------------------------------------------------------------------------------


def has_gaps(given: Material) -> bool:
    """Whether threads noted when they were off the CPU."""
    return bool(given.has_gaps())


def gaps(given: Material) -> Picture:
    """What the time off the CPU is made of: its distribution over the lengths of gaps."""
    points = given.has_gaps()
    shown = look.spread_out(points, len(look.LINES))
    rows = given.gaps(shown)
    sheet = given.sheet(4.2)
    left, right = rows["length_s"].min() * 1e3 / 1.3, rows["length_s"].max() * 1e3 * 1.3
    handles, told = [], []
    for i, point in enumerate(shown):
        style: Any = {
            "color": look.LINES[i], "marker": look.MARKERS[i], "ms": 5.5,
            "ls": look.DASHES[i % len(look.DASHES)],
        }  # fmt: skip
        ends = []
        for (label, one), (ax,) in zip(given.each(), sheet.columns, strict=True):
            mine = rows[(rows["point"] == point) & rows["run"].isin(_names(one))]
            if mine.empty:
                continue
            ends.append(_draw_gaps(ax, mine, left, right, style))
            whose = f"{label}, " if len(given.runs) > 1 else ""
            told.append(f"{whose}{mine['value'].iloc[0]}: off the CPU for {ends[-1]} of the time")
        value = str(rows.loc[rows["point"] == point, "value"].iloc[0])
        text = look.shortened(value) + (f": {ends[0]}" if len(given.runs) == 1 else "")
        handles.append(Line2D([], [], label=text, **style))
    top = max(ax.dataLim.y1 for (ax,) in sheet.columns)
    for (ax,) in sheet.columns:
        ax.set_ylim(0, top * 1.05)
        ax.set_xscale("log")
        ax.set_xlim(left, right)
        look.plain_log_ticks(ax.xaxis, narrow=sheet.across > 1)
    sheet.xlabel("Length of a gap (ms)")
    sheet.ylabel(0, "Time in gaps up to this length\n(% of all threads' time)")
    heading = f"{given.option}, and the time off the CPU in all"
    sheet.key(sheet.columns[0][0], handles, heading if len(given.runs) == 1 else given.option)
    caption = (
        "What the time off the CPU is made of, over all threads and all trials that count: a line "
        "climbs at the lengths of gap that take much time, and ends at the right at the time off "
        "the CPU in all."
    )
    if len(shown) < len(points):
        caption += f" {len(shown)} of {len(points)} points are drawn."
    longest = look.duration(float(rows["length_s"].max()))
    title = given.found(_typical) or f"No thread was off the CPU for more than {longest}"
    return given.picture("gaps", sheet, title, caption, f"{'; '.join(told)}.")


def _draw_gaps(ax: Axes, rows: pd.DataFrame, left: float, right: float, style: Any) -> str:
    """One line; returns the share of all time that was off the CPU, in words."""
    mine = rows.sort_values("length_s", kind="stable")
    once = mine.drop_duplicates(["run", "trial", "container"])
    off = (mine["length_s"] * mine["stands_for"]).cumsum() / once["thread_time_s"].sum() * 100
    x = [left, *(mine["length_s"] * 1e3), right]
    y = [0.0, *off, off.iloc[-1]]
    # Two marks a line: half way up, and at its end.
    half = next(k for k, part in enumerate(y) if part >= y[-1] / 2)
    ax.step(x, y, where="post", markevery=[half, len(x) - 1], clip_on=False, **style)
    return look.share(y[-1] / 100)


def _typical(given: Material) -> str:
    """How long threads stand still at the points that are throttled; empty where none is."""
    share, typical = given.of("throttled_share"), given.of("gap_s")
    throttled = share.loc[share["median"] >= _THROTTLED, "point"]
    typical = typical[typical["point"].isin(throttled)]
    if typical.empty:
        return ""
    low = typical.iloc[int(typical["median"].argmin())]
    high = typical.iloc[int(typical["median"].argmax())]
    if high["median"] < 1.1 * low["median"]:
        middle = float(typical["median"].median())
        return (
            f"Throttled threads typically stand still for about {look.duration(middle)} at a time"
        )
    return (
        f"Throttled threads typically stand still for {look.duration(low['median'])} "
        f"({given.name(low['value'])}) to {look.duration(high['median'])} "
        f"({given.name(high['value'])})"
    )


# --- gaps over the period ------------------------------------------------------------------------

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
    with_gaps = set(given.has_gaps())
    points = given.points[
        (given.points["period_us"] >= _SHORTEST_PERIOD_US)
        & (given.points["quota_us"] > 0)
        & given.points["point"].isin(with_gaps)
    ]
    throttled = given.of("throttled_share")
    throttled = throttled[throttled["median"] > 0.5]
    found = set(points["point"]) & set(throttled["point"])
    return look.spread_out([point for point in given.order if point in found], _MOST_STRIPS)


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
        ax.grid(visible=False)
        for i in range(1, len(points)):
            ax.axhline(i - 0.5, color=PAPER, lw=3)
        for side in ("left", "bottom"):
            ax.spines[side].set_visible(False)
        ax.tick_params(length=0, axis="y")
    values = dict(zip(given.points["point"], given.points["value"], strict=True))
    sheet.columns[0][0].set_yticks(
        range(len(points)), [look.shortened(str(values[point])) for point in points]
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
            f"{values[point]}: runs for {look.share(sum(law) / len(law))} of the period"
            for point, law in begins.items() if law
        ) + ".",
    )  # fmt: skip


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
        f"{given.name(str(values[point]))} for {look.share(1 - share)} of it"
    )


# --- responses -----------------------------------------------------------------------------------


def has_responses(given: Material) -> bool:
    """Whether bursts of work were measured."""
    return not given.of("response_p99_s").empty


def responses(given: Material) -> Picture:
    """How long bursts of work take from the moment at which they are due."""
    half, most, longest = (given.of(f"response_{which}_s") for which in ("p50", "p99", "max"))
    across = look.places(given, most)
    sheet = given.sheet(4.0)
    marks = {"median": TYPICAL, "99 %": Mark("D", AMBER, shift_pt=6), "longest": LAST}
    for run, (ax,) in zip(given.runs, sheet.columns, strict=True):
        for rows, mark in zip((half, most, longest), marks.values(), strict=True):
            look.spread(ax, rows[rows["run"] == run.info.name], across, 1e3, mark)
    sheet.ylabel(0, "Response time (ms)")
    both = pd.concat([half["median"], longest["median"]])
    look.upright(sheet.rows[0], log=look.spans_decades(both))
    across.dress(sheet)
    handles = [Line2D([], [], label=label, **mark.style()) for label, mark in marks.items()]
    sheet.key(sheet.columns[0][0], handles)

    def finding(one: Material) -> str:
        mine = one.of("response_p99_s")
        if mine.empty:
            return ""
        worst = mine.iloc[int(mine["median"].argmax())]
        best = mine.iloc[int(mine["median"].argmin())]
        said = f"99{NBSP}% of responses come within {look.duration(worst['median'])}"
        if len(mine) > 1:
            said += (
                f" ({one.name(worst['value'])}), {look.duration(best['median'])} "
                f"({one.name(best['value'])})"
            )
        return said

    told = "; ".join(
        f"{given.whose(row)}{row['value']}: {look.duration(row['median'])}"
        for row in most.to_dict("records")
    )
    return given.picture(
        "responses", sheet, given.found(finding),
        "How long a burst of work takes from the moment it is due: half of the responses, 99 of "
        "100, and the longest of each trial. Marks are medians over the trials that count, with "
        "their intervals.",
        f"99 % of responses within: {told}.",
    )  # fmt: skip
