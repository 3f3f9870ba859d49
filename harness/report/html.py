"""A run as one HTML file: no address is fetched, nothing is left out, and it prints.

What the page says is worked out here, as tables of cells and lists of words; the template beside
this module lays it out and escapes it. The page's policy (CSP) lets nothing in but its own style
and its own script, the latter by its hash: whatever a host's name or a workload's output holds,
it is text.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from harness import analysis, axes, check, plots
from harness.analysis import METRICS
from harness.check import ReadBack
from harness.model import Estimate, Expectation, Plan, Point, Status, TrialRecord
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
    "peak_swap_bytes", "fresh_page_s", "swapping_page_s",
)  # fmt: skip
"""Metrics that stand beside a law's, each where any point has it."""
_OPTION = re.compile("(--[a-z][a-z-]+(?:[ \N{NO-BREAK SPACE}][0-9][0-9.:/a-z-]*)?)")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that switch the direction of writing."""
_SHOWN_OF_TRIALS = ("throttled_share", "gap_max_s", "foreign_cpus", "steal_cpus", "start_s")
_COLOURS = {
    plots.INK: "ink", plots.MUTED: "muted", plots.GRID: "line", plots.PAPER: "paper",
    plots.BAND: "band", plots.SHADE: "shade", plots.BLUE: "blue", plots.VERMILION: "vermilion",
    plots.AMBER: "amber", plots.GREY: "grey",
}  # fmt: skip
"""The figures' colours by the names that the page's style gives them, light and dark."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table: its text, what stands small below it, and what it is sorted by."""

    text: str
    below: tuple[str, ...] = ()
    sort: float | None = None
    """None = by the text. NaN, what was not measured, comes last."""
    status: Status | None = None
    """Set for a verdict."""

    @property
    def key(self) -> str:
        """What the page's script sorts by; empty for what was not measured."""
        if self.sort is None:
            text = self.text or " ".join(self.below)
            return text if text != NONE else ""
        return "" if math.isnan(self.sort) else repr(self.sort)

    @property
    def symbol(self) -> str:
        """The verdict without its word."""
        return SYMBOLS[self.status] if self.status else ""


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column."""

    title: str
    kind: str = ""
    """``number``, ``limits`` or ``why`` where it is laid out in a way of its own."""


@dataclass(frozen=True, slots=True)
class Table:
    """One sortable table; the first cell of each row is its head."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


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
    script = _beside("report.js")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    environment.filters["unbroken"] = _unbroken
    return environment.from_string(_beside("report.html")).render(
        info=info,
        view=view,
        symbol=SYMBOLS[view.status],
        title=_title(view),
        findings=_findings(view),
        tables=_tables(view),
        figures=[(picture, _embedded(picture)) for picture in plots.pictures(run)],
        every_trial=_trials(view),
        facts=_facts(view),
        method=_method(info.plan, view),
        laws=_laws(view),
        style=Markup(_beside("report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _unbroken(text: str) -> Markup:
    """Escaped text in which ``--cpus 0.5`` is never broken at its end of line."""
    return Markup(_OPTION.sub(r'<span class="option">\1</span>', str(escape(_harmless(text)))))


def _harmless(value: object) -> object:
    """Outside text without the characters that turn the text around them about."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", value)
    return value


def _beside(name: str) -> str:
    return (resources.files("harness.report") / name).read_text(encoding="utf-8")


def _title(view: View) -> str:
    options = dict.fromkeys(axes.option(row.summary.point.axis) for row in view.rows)
    return f"{', '.join(options)} on {view.run.info.host.hostname}"


def _embedded(picture: plots.Picture) -> Markup:
    """The figure's SVG, in the colours of the page."""
    text = plots.svg(picture, embedded=True)
    colours = re.compile("|".join(_COLOURS))
    text = colours.sub(lambda found: f"var(--{_COLOURS[found[0]]})", text)
    return Markup(text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))


# --- what deviates -----------------------------------------------------------------------------


def _findings(view: View) -> list[Finding]:
    return [
        Finding(
            point=point_name(row.summary.point),
            metric=metric_name(row, line),
            status=line.verdict.status,
            error="" if line.deviation is None else check.amount(line.deviation.median, line.law),
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
        _table(axis, [row for row in view.rows if row.summary.point.axis == axis]) for axis in shown
    ]


def _table(axis: str, rows: list[Row]) -> Table:
    several = any(len(row.lines) > 1 or row.lines[0].container for row in rows)
    beside = [name for name in _SHOWN_BESIDE if _is_shown(name, rows)]
    columns = (
        Column(axes.option(axis)),
        *([Column("Measured")] if several else []),
        Column("Verdict"),
        *(Column(title, "number") for title in ("Promised", "Achieved", "Error", "Tolerance")),
        Column("Requested, engine, kernel", "limits"),
        *(Column(_head(name), "number") for name in beside),
        Column("Trials", "number"),
        Column("Why", "why"),
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
        Cell("", (line.verdict.reason if line.verdict else "a measurement, not a test",)),
    )


def _number(point: Point) -> float | None:
    """What a point's value is sorted by: a number where it is one, else its text."""
    try:
        return float(point.value)
    except ValueError:
        return None


def _limits(row: Row) -> Cell:
    """Each limit in a line: what was asked for, and what engine and kernel hold."""
    held: dict[tuple[str, str, str, str], list[ReadBack]] = {}
    for one in row.readbacks:
        held.setdefault((one.option, one.requested, one.engine, one.kernel), []).append(one)
    containers = len(row.summary.point.containers)
    texts: list[str] = []
    for (option, requested, engine, kernel), found in held.items():
        agreed = "= engine = kernel"
        if not requested == engine == kernel:
            agreed = f"≠ engine {engine}, kernel {kernel}"
            if found[0].agrees is not False:  # in other words, or not read
                agreed = f"engine {engine}, kernel {kernel}"
        where = ""
        if len(found) < containers:
            numbers = ", ".join(str(one.container + 1) for one in found)
            where = f" (container {numbers})"
        name = f"{option} " if len(held) > 1 else ""
        texts += [f"{name}{requested}{where}", agreed]
    return Cell(texts[0], tuple(texts[1:])) if texts else Cell(NONE)


def _promised(line: Line) -> Cell:
    if line.promised is None or line.law is None:
        return Cell(NONE, sort=math.nan)
    text, bare = (quantity(value, line.metric.unit) for value in (line.promised, line.law.value))
    return Cell(text, () if text == bare else (f"of {bare}",), sort=line.promised)


def _estimated(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return Cell(NONE, sort=math.nan)
    below = interval(estimate)
    text = quantity(estimate.median, estimate.unit)
    return Cell(text, (below,) if below else (), sort=estimate.median)


def _error(line: Line) -> Cell:
    if line.deviation is None or line.law is None:
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
    plan = view.run.info.plan
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
    return Table(
        caption="Every trial in the order of measurement; of several containers, the first",
        columns=(
            *heads, Column("Outcome"),
            *(Column(_head(name), "number") for name in shown), Column("Counts"),
        ),
        rows=tuple(
            _trial(trial, plan, [values[trial.index, name] for name in shown], shown)
            for trial in view.run.trials
        ),
    )  # fmt: skip


def _trial(
    trial: TrialRecord, plan: Plan, values: Iterable[float | None], names: Iterable[str]
) -> tuple[Cell, ...]:
    point = next((p for p in plan.points if p.id == trial.point_id), None)
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


def _facts(view: View) -> list[tuple[str, list[tuple[str, str]]]]:
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
