"""What does throttling look like, period by period, in one trial?

Needs a trial of a lone container that is throttled in nearly every period, with its samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness import limits as rules
from harness import units
from harness.errors import ResultsError
from harness.show import frames
from harness.show.plots import words
from harness.show.plots.data import THROTTLED, Material, Picture
from harness.show.plots.style import BLUE, LIMIT, SHADE, areas
from harness.store.runs import Run


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


_known: WeakKeyDictionary[Run, dict[str, _Moment | None]] = WeakKeyDictionary()


def _moment(given: Material) -> _Moment | None:
    """The trial of a run in which throttling is best to be seen; None where there is none.

    One of a point that is throttled in nearly every period, that is on and off for about as long,
    in periods that the samples resolve. Its samples are read once for each run.
    """
    known = _known.setdefault(given.runs[0], {})
    if given.axis not in known:
        known[given.axis] = _best(given)
    return known[given.axis]


def _best(given: Material) -> _Moment | None:
    (run,) = given.runs
    trials = given.counted("throttled_share", "cpus")
    mine = trials[trials["throttled_share"] >= THROTTLED]
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
        period = words.duration(moment.period_s)
        if spans.empty:
            return f"{one.name(moment.value)}: throttled in each period of {period}"
        lengths = spans["end_s"] - spans["start_s"]
        still = float(lengths[lengths > lengths.max() / 2].median())
        threads = {1: "the thread stands", 2: "both threads stand"}.get(
            moment.threads, f"all {moment.threads} threads stand"
        )
        said = words.duration(still)
        return f"{one.name(moment.value)}: {threads} still for {said} of each {period}"

    first = moments[0][2]
    how = (
        "Shaded: every thread of the workload off the CPU, as they noted it themselves, to the "
        "microsecond." if from_probe else
        "Shaded: the kernel counted a throttled period in this step."
    )  # fmt: skip
    step_s = float(first.timeline["step_s"].median())
    return shown.picture(
        "timeline", sheet, shown.found(finding),
        f"The first {words.duration(round(max(ends), 2))} of trial {first.trial}, by the kernel's "
        f"counters every {words.duration(step_s)}. Above, the CPUs used in each step; below, the "
        "CPU time used since the window began, which a quota lets grow in stairs along the limit. "
        f"{how}",
        f"The CPU time used climbs in stairs along the line of {units.cpus(first.limit_cpus)}.",
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
        areas(
            ax,
            [
                (max(0.0, start) * unit, min(end, end_s) * unit, 0.0, 1.0)
                for start, end in zip(shaded["start_s"], shaded["end_s"], strict=True)
            ],
            SHADE,
            zorder=0,
            transform=ax.get_xaxis_transform(),
        )
    steps = line.dropna(subset="cpus")
    edges = [*(steps["t_s"] - steps["step_s"]), steps["t_s"].iloc[-1]]
    rates = [*steps["cpus"], steps["cpus"].iloc[-1]]
    upper.step([edge * unit for edge in edges], rates, where="post", color=BLUE)
    upper.axhline(moment.limit_cpus, **LIMIT)
    lower.plot(line["t_s"] * unit, line["used_s"] * unit, color=BLUE, marker=".", ms=4)
    lower.plot([0, end_s * unit], [0, moment.limit_cpus * end_s * unit], **LIMIT)
    return spans
