"""A run as one HTML file: no address is fetched, nothing is left out, and it prints.

What the page says is worked out here, as tables of cells and lists of words; the template beside
this module lays it out, and ``page`` escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness import analysis, axes, check, plots
from harness.analysis import METRICS
from harness.check import ReadBack
from harness.model import Estimate, Expectation, Plan, Point, Status, TrialRecord
from harness.report import page
from harness.report.page import Cell, Column, Table
from harness.report.view import Line, Row, View
from harness.report.words import (
    NONE,
    SYMBOLS,
    error_interval,
    interval,
    metric_name,
    point_name,
    quantity,
    tolerance,
)

_SHOWN_BESIDE = (
    "throttled_share", "gap_max_s", "stats_cpus", "response_p99_s", "response_max_s", "limit_hits",
    "high_hits", "peak_bytes", "peak_swap_bytes", "fresh_page_s", "swapping_page_s", "cpu_some",
    "memory_full", "io_full",
)  # fmt: skip
"""Metrics that stand beside a law's, each where any point has it."""
_SHOWN_OF_TRIALS = ("throttled_share", "gap_max_s", "foreign_cpus", "steal_cpus", "start_s")
_MOST_TRIALS = 2_000
"""More trials than this are exported, not read: a page must open."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One law of a point that is not simply held."""

    point: str
    metric: str
    status: Status
    error: str
    reason: str
    symbol: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbol", SYMBOLS[self.status])


@dataclass(frozen=True, slots=True)
class Law:
    """One law that the run put to the test, and the points it did so with."""

    name: str
    text: str
    source: str
    points: str


def render(view: View) -> str:
    """The page of a run in any state."""
    run, info = view.run, view.run.info
    return page.render(
        "report.html",
        info=info,
        view=view,
        symbol=SYMBOLS[view.status],
        title=_title(view),
        findings=findings(view),
        tables=_tables(view),
        figures=[(picture, page.embedded(picture)) for picture in plots.pictures(run)],
        every_trial=_trials(view),
        facts=facts(view),
        method=_method(info.plan, view),
        laws=_laws(view),
    )


def _title(view: View) -> str:
    options = dict.fromkeys(axes.option(row.summary.point.axis) for row in view.rows)
    return f"{', '.join(options)} on {view.run.info.host.hostname}"


# --- what deviates -----------------------------------------------------------------------------


def findings(view: View) -> list[Finding]:
    """Every law of a point that is not simply held."""
    return [
        Finding(
            point=point_name(row.summary.point),
            metric=metric_name(row, line),
            status=line.verdict.status,
            error=""
            if line.deviation is None or line.law.is_ceiling
            else check.amount(line.deviation.median, line.law),
            reason=line.verdict.reason,
        )
        for row in view.rows
        for line in row.lines
        if line.verdict and line.law
        if line.verdict.status is not Status.CONFORMS or line.law.explanation
    ]


# --- the limits --------------------------------------------------------------------------------


def _tables(view: View) -> list[Table]:
    shown = dict.fromkeys(row.summary.point.axis for row in view.rows)
    return [
        table(axis, [row for row in view.rows if row.summary.point.axis == axis]) for axis in shown
    ]


def table(axis: str, rows: Sequence[Row]) -> Table:
    """Every limit of an axis: a line a law."""
    several = any(len(row.lines) > 1 or row.lines[0].container for row in rows)
    beside = [name for name in _SHOWN_BESIDE if _is_shown(name, rows)]
    columns = (
        Column(axes.option(axis)),
        *([Column("Measured", "measured")] if several else []),
        Column("Verdict"),
        *(Column(title, "number") for title in ("Promised", "Achieved", "Error", "Tolerance")),
        Column("Requested, engine, kernel", "limits"),
        *(Column(_head(name), "number") for name in beside),
        Column("Trials", "number"),
    )
    return Table(
        caption=f"Every limit of {axes.option(axis)}: medians over the trials that count; below "
        "them, smaller, their intervals",
        columns=columns,
        rows=tuple(
            _cells(row, line, several=several, beside=beside) for row in rows for line in row.lines
        ),
    )


def _is_shown(metric: str, rows: Sequence[Row]) -> bool:
    # Docker stats gives no frame in a short window: that too is told, where CPUs are measured.
    if metric == "stats_cpus" and any(row.lines[0].metric.name == "cpus" for row in rows):
        return any(row.summary.estimate("cpus") for row in rows)
    return any(row.summary.estimate(metric) for row in rows)


def _head(metric: str) -> str:
    return {"stats_cpus": "Docker stats"}.get(metric) or (
        METRICS[metric].title[:1].upper() + METRICS[metric].title[1:]
    )


def _cells(row: Row, line: Line, *, several: bool, beside: Sequence[str]) -> tuple[Cell, ...]:
    summary = row.summary
    measured = [Cell(metric_name(row, line))] if several else []
    return (
        Cell(summary.point.value, sort=_number(summary.point)),
        *measured,
        _verdict(line),
        _promised(line),
        _estimated(line.achieved),
        _error(line),
        _tolerance(line.law),
        _limits(row),
        *(_extra(row, metric) for metric in beside),
        Cell(f"{summary.valid} of {summary.trials}", sort=float(summary.valid)),
    )


def _number(point: Point) -> float | None:
    """What a point's value is sorted by: a number where it is one, else its text."""
    try:
        return float(point.value)
    except ValueError:
        return None


def _limits(row: Row) -> Cell:
    """The limits that were asked for, and where engine or kernel hold something else."""
    by_option: dict[str, list[ReadBack]] = {}
    for one in row.readbacks:
        by_option.setdefault(one.option, []).append(one)
    agreed, others = [], []
    for option, found in by_option.items():
        name = f"{option} " if len(by_option) > 1 else ""
        if all(one.requested == one.engine == one.kernel for one in found):
            values = [one.requested for one in found]
            alike = len(set(values)) == 1
            agreed.append(f"{name}{values[0] if alike else ', '.join(values)}")
            continue
        for one in found:
            where = f" (container {one.container + 1})" if len(found) > 1 else ""
            # What agrees in other words (a weight), or was not read, is no mismatch.
            sign = "≠ " if one.agrees is False else ""
            held = f"{sign}engine {one.engine}, kernel {one.kernel}"
            others += [f"{name}{one.requested}{where}", held]
    texts = [*agreed, *(["= engine = kernel"] if agreed else []), *others]
    return Cell(texts[0], tuple(texts[1:])) if texts else Cell(NONE)


def _promised(line: Line) -> Cell:
    if line.promised is None or line.law is None:
        return Cell(NONE, sort=math.nan)
    text, bare = (quantity(value, line.metric.unit) for value in (line.promised, line.law.value))
    if line.law.is_ceiling:
        text, bare = f"≤ {text}", f"≤ {bare}"
    return Cell(text, () if text == bare else (f"of {bare}",), sort=line.promised)


def _estimated(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return Cell(NONE, sort=math.nan)
    below = interval(estimate)
    text = quantity(estimate.median, estimate.unit)
    return Cell(text, (below,) if below else (), sort=estimate.median)


def _error(line: Line) -> Cell:
    # What a ceiling leaves unused is no error.
    if line.deviation is None or line.law is None or line.law.is_ceiling:
        return Cell(NONE, sort=math.nan)
    below = error_interval(line)
    text = check.amount(line.deviation.median, line.law)
    return Cell(text, (below,) if below else (), sort=line.deviation.median)


def _tolerance(law: Expectation | None) -> Cell:
    if law is None:
        return Cell(NONE, sort=math.nan)
    return Cell(tolerance(law), sort=max(abs(law.low), abs(law.high)))


def _extra(row: Row, metric: str) -> Cell:
    estimate = row.summary.estimate(metric)
    if estimate is None:
        return Cell(NONE, sort=math.nan)
    below: tuple[str, ...] = ()
    if metric == "stats_cpus":
        frames = row.summary.stats_frames
        below = (f"{frames} frame{'s' * (frames != 1)}",)
    return Cell(quantity(estimate.median, estimate.unit), below, sort=estimate.median)


def _verdict(line: Line) -> Cell:
    if line.verdict is None:
        return Cell("no law")
    return Cell(line.verdict.status.value, status=line.verdict.status)


# --- every trial -------------------------------------------------------------------------------


def _trials(view: View) -> Table:
    points = {point.id: point for point in view.run.info.plan.points}
    main = {row.summary.point.id: row.lines[0].metric.name for row in view.rows}
    names = [*dict.fromkeys(main.values()), *_SHOWN_OF_TRIALS]
    values = {
        (trial.index, name): METRICS[name].of(trial, 0) if trial.containers else None
        for trial in view.run.trials
        for name in names
    }
    shown = [
        name
        for name in names
        if any(values[trial.index, name] is not None for trial in view.run.trials)
    ]
    heads = (Column("Trial", "number"), Column("Block", "number"), Column("Point"))
    shown_trials, caption = view.run.trials, "Every trial in the order of measurement"
    if len(view.run.trials) > _MOST_TRIALS:
        # Those that do not count are the ones that somebody wants to look at.
        shown_trials = tuple(sorted(view.run.trials, key=analysis.counts)[:_MOST_TRIALS])
        caption = (
            f"{_MOST_TRIALS} of {len(view.run.trials)} trials, those that do not count first; "
            "`bench export` has them all"
        )
    return Table(
        caption=f"{caption}; of several containers, the first",
        columns=(
            *heads, Column("Outcome"),
            *(Column(_head(name), "number") for name in shown), Column("Counts"),
        ),
        rows=tuple(
            _trial(
                trial, points.get(trial.point_id), [values[trial.index, n] for n in shown], shown
            )
            for trial in shown_trials
        ),
    )  # fmt: skip


def _trial(
    trial: TrialRecord, point: Point | None, values: Iterable[float | None], names: Iterable[str]
) -> tuple[Cell, ...]:
    reason = trial.invalid or trial.failure
    numbers = [
        Cell(NONE, sort=math.nan)
        if value is None
        else Cell(quantity(value, METRICS[name].unit), sort=value)
        for value, name in zip(values, names, strict=True)
    ]
    return (
        Cell(str(trial.index), sort=float(trial.index)),
        Cell(str(trial.block), sort=float(trial.block)),
        Cell(point_name(point) if point else trial.point_id),
        Cell(trial.outcome.value),
        *numbers,
        Cell("yes" if analysis.counts(trial) else "no", (reason,) if reason else ()),
    )


# --- facts, method, laws -----------------------------------------------------------------------


def facts(view: View) -> list[tuple[str, list[tuple[str, str]]]]:
    """Groups of (what, value); what is not known is left out."""
    info = view.run.info
    host, engine, workload = info.host, info.engine, info.workload
    usable = "" if host.usable_cpus == host.cpus else f", {host.usable_cpus} usable"
    slice_us = "" if host.cfs_slice_us is None else f"{host.cfs_slice_us} µs"
    groups = [
        ("Run", [
            ("Name", info.name), ("State", f"{info.status}. {info.reason}".rstrip(". ")),
            ("Begun", info.created), ("Ended", info.ended),
            ("Trials", f"{len(view.run.trials)}, planned were {len(info.plan.trials)}"),
            ("Seed of the order", str(info.plan.seed)),
            ("Measured by", f"limitbench {info.harness_version}, Python {info.python_version}"),
        ]),
        ("Host", [
            ("Name", host.hostname), ("System", host.os),
            ("Kernel", f"{host.kernel} ({host.architecture})"),
            ("CPUs", f"{host.cpus} × {host.cpu_model}{usable}"),
            ("Memory", _gib(host.memory_bytes)),
            ("Swap", _gib(host.swap_bytes) if host.swap_bytes else "none"),
            ("Scheduler tick", f"{host.tick_ns / 1e6:g} ms"), ("CFS bandwidth slice", slice_us),
            ("Virtual machine", host.virtualisation or ""), ("Governor", host.governor or ""),
        ]),
        ("Engine", [
            ("Engine", f"{engine.name} {engine.version} (API {engine.api_version})"),
            ("Address", f"{engine.host}{', started by limitbench' if engine.private else ''}"),
            ("Runtime", f"{engine.runtime} {engine.runtime_version}"),
            ("Cgroups", f"v{engine.cgroup_version}, {engine.cgroup_driver} driver"),
            ("Storage", engine.storage_driver), ("Warnings", "; ".join(engine.warnings)),
        ]),
        ("Workload", [
            ("Image", workload.image_id), ("Probe, SHA-256", workload.probe_sha256),
            ("Compiler", workload.compiler),
        ]),
    ]  # fmt: skip
    return [(name, [(what, text) for what, text in facts if text]) for name, facts in groups]


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB"


def _method(plan: Plan, view: View) -> list[str]:
    windows = _range([point.duration_s for point in plan.points])
    warmups = _range([point.warmup_s for point in plan.points])
    repeated = (
        f"Each point is measured {plan.repeats} times, every time in new containers: the trial, "
        "not the sample, is what repeats. A rejected trial is tried again, a few times at the "
        "most. Trials ran in blocks of all points, each in a random "
        f"order of its own (seed {plan.seed}), so that a drift of the host spreads over all."
    )
    window = (
        f"After {warmups} of warm-up under load a window of {windows} was measured, in whole quota "
        "periods and with the load going on before and after it. A workload that grows until it "
        "is stopped is followed to its end instead."
    )
    trust = (
        "CPU time is the cgroup's own counter at the two ends of the window. The workload's thread "
        "clocks must agree with it, or the trial is rejected; so is one in which others, or the "
        "hypervisor, took what the limit had promised."
    )
    sampled = (
        f"Samples for timelines were taken {plan.cadence_hz:g} times a second; totals do not "
        "depend on them. docker stats is a second source, by the formulas of its command line."
    )
    return [repeated, window, trust, sampled, _intervals(view)]


def _intervals(view: View) -> str:
    found = [line.deviation for row in view.rows for line in row.lines if line.deviation]
    known = [one for one in found if one.confidence is not None]
    if not known:
        return "There are too few trials that count for an interval, so nothing can be judged."
    covers = dict.fromkeys(
        f"{one.confidence:.1%} at n = {one.n} ({one.method})".replace(".0%", "%")
        for one in sorted(known, key=lambda one: one.n)
    )
    return (
        f"Estimates are medians over trials, with intervals that cover {'; '.join(covers)}. "
        "A law conforms where the whole interval of the error lies within its tolerance, deviates "
        "where all of it lies outside, and is inconclusive otherwise."
    )


def _range(seconds: Sequence[float]) -> str:
    if not seconds:
        return NONE
    low, high = min(seconds), max(seconds)
    return f"{low:g} s" if low == high else f"{low:g} to {high:g} s"


def _laws(view: View) -> list[Law]:
    points: dict[tuple[str, str, str], list[str]] = {}
    for row in view.rows:
        for line in row.lines:
            if line.law:
                key = (line.law.law, line.law.text, line.law.source)
                points.setdefault(key, []).append(point_name(row.summary.point))
    return [
        Law(name=name, text=text, source=source, points=", ".join(dict.fromkeys(found)))
        for (name, text, source), found in points.items()
    ]
