"""A run as one HTML file that needs nothing else.

No address is fetched, nothing is left out, and it prints.

What the page says is worked out here, as tables of cells and lists of words; the template beside
this module lays it out, and ``page`` escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness import units
from harness.judge import points as judge_points
from harness.judge import verdicts
from harness.judge.metrics import METRICS
from harness.model import Estimate, Plan, Point, Status, TrialRecord
from harness.plan import axes
from harness.show.report import columns, found, page
from harness.show.report.columns import Bounds, Column, Form, Told
from harness.show.report.page import Cell, Head, Table
from harness.show.report.view import Row, View
from harness.show.report.words import NONE, SYMBOLS, metric_name, point_name
from harness.wording import counted

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
    search = found.build(run)
    notable = findings(view)
    if search is not None:  # most of its points have a trial or two: nothing is notable in that
        notable = [one for one in notable if one.status is Status.DEVIATES]
    with page.figures(run) as drawn:
        tables, trials = _tables(view), _trials(view)
        figures = drawn()
    return page.render(
        "report.html",
        info=info,
        view=view,
        symbol=SYMBOLS[view.status],
        title=_title(view),
        search=search,
        findings=notable,
        tables=tables,
        figures=figures,
        every_trial=trials,
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
            else verdicts.error_text(line.deviation.median, line.law),
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
    # A page's table may be wider than its window: what it is all about stands first.
    leading = ("value", "metric", "verdict")
    shown = sorted(columns.shown(Form.HTML, rows), key=lambda column: column.name not in leading)
    return Table(
        caption=f"Every limit of {axes.option(axis)}: medians over the trials that count; below "
        "them, smaller, their intervals",
        heads=tuple(_head(column, axis) for column in shown),
        rows=tuple(tuple(_cell(column, told) for column in shown) for told in columns.told(rows)),
    )


def _head(column: Column[Told], axis: str) -> Head:
    title = column.title or axes.option(axis)
    return Head(title[:1].upper() + title[1:], column.kind or ("number" if column.number else ""))


def _cell(column: Column[Told], told: Told) -> Cell:
    text = column.text(told)
    sort = _sort_key(column.of(told)) if text != NONE else None
    if column.number and sort is None:
        sort = math.nan
    return Cell(text, column.below(told), sort=sort, status=column.status(told))


def _sort_key(value: object) -> float | None:
    """What a value is sorted by: a number where it is one, else its text."""
    match value:
        case Estimate():
            return value.median
        case Bounds():
            return max(map(abs, value))
        case int() | float() | str():
            try:
                return float(value)
            except ValueError:
                return None
    return None


# --- every trial -------------------------------------------------------------------------------


def _trials(view: View) -> Table:
    points = {point.id: point for point in view.run.info.plan.points}
    main = {row.summary.point.id: row.lines[0].metric.name for row in view.rows}
    own = (metric.name for metric in METRICS.values() if metric.of_trials)
    names = list(dict.fromkeys((*main.values(), *own)))
    heads = (Head("Trial", "number"), Head("Block", "number"), Head("Point"))
    shown_trials, caption = view.run.trials, "Every trial in the order of measurement"
    if len(view.run.trials) > _MOST_TRIALS:
        # Those that do not count are the ones that somebody wants to look at.
        shown_trials = tuple(sorted(view.run.trials, key=judge_points.counts)[:_MOST_TRIALS])
        caption = (
            f"{_MOST_TRIALS} of {counted(len(view.run.trials), 'trial')}, those that do not count "
            "first; "
            "`bench export` has them all"
        )
    values = {
        (trial.index, name): METRICS[name].of(trial, 0) if trial.containers else None
        for trial in shown_trials
        for name in names
    }
    shown = [
        name
        for name in names
        if any(values[trial.index, name] is not None for trial in shown_trials)
    ]
    return Table(
        caption=f"{caption}; of several containers, the first",
        heads=(
            *heads, Head("Outcome"),
            *(Head(METRICS[name].heading, "number") for name in shown), Head("Counts"),
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
        else Cell(units.of(METRICS[name].unit).text(value), sort=value)
        for value, name in zip(values, names, strict=True)
    ]
    return (
        Cell(str(trial.index), sort=float(trial.index)),
        Cell(str(trial.block), sort=float(trial.block)),
        Cell(point_name(point) if point else trial.point_id),
        Cell(trial.outcome.value),
        *numbers,
        Cell("yes" if judge_points.counts(trial) else "no", (reason,) if reason else ()),
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
            ("Memory", units.size(host.memory_bytes)),
            ("Swap", units.size(host.swap_bytes) if host.swap_bytes else "none"),
            ("Scheduler tick", units.milliseconds(host.tick_ns)), ("CFS bandwidth slice", slice_us),
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


def _method(plan: Plan, view: View) -> list[str]:
    windows = _range([point.duration_s for point in plan.points])
    warmups = _range([point.warmup_s for point in plan.points])
    repeated = (
        f"Each point is measured {counted(plan.repeats, 'time')}, every time in new containers: "
        "the trial, not the sample, is what repeats. A rejected trial is tried again, a few times "
        "at the most. Trials ran in blocks of all points, each in a random "
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
