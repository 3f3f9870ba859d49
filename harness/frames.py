"""A run as tidy pandas frames: one row an observation, one column a variable, typed.

Each function takes one run or several and puts them below each other; the column ``run`` tells them
apart. Text that is not there is ``""``, a number that was not measured is NaN and never 0. A frame
of a run without trials has its columns and no rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from harness import analysis, check
from harness.analysis import METRICS
from harness.model import Estimate, InsideReport, Limits, Point, TrialRecord
from harness.store import Run

Row = dict[str, Any]

_POINT = {"run": "str", "point": "str", "axis": "str", "value": "str", "x": "float64"}
_SPREAD = {"median": "float64", "low": "float64", "high": "float64"}


def trials(*runs: Run) -> pd.DataFrame:
    """A row a container of a trial, whatever became of it.

    ``run``, ``trial``, ``block``, ``point``, ``axis``, ``value`` (as it was written), ``x`` (the
    value as a number, see ``x_of``), ``container``, ``outcome``, ``counts`` (bool: it enters the
    estimates), ``invalid`` and ``failure`` (why it does not, or ``""``), then a float column a
    metric of ``analysis.METRICS``, in that metric's unit.
    """
    columns = {
        "run": "str", "trial": "int64", "block": "int64", "point": "str", "axis": "str",
        "value": "str", "x": "float64", "container": "int64", "outcome": "str", "counts": "bool",
        "invalid": "str", "failure": "str", **dict.fromkeys(METRICS, "float64"),
    }  # fmt: skip
    rows: list[Row] = []
    for run, point, trial in _each(runs):
        for i in range(len(trial.containers)):
            metrics = {metric.name: metric.of(trial, i) for metric in METRICS.values()}
            rows.append({
                **_keys(run, point), "trial": trial.index, "block": trial.block, "container": i,
                "outcome": trial.outcome.value, "counts": analysis.counts(trial),
                "invalid": trial.invalid or "", "failure": trial.failure or "", **metrics,
            })  # fmt: skip
    return _frame(rows, columns)


def estimates(*runs: Run) -> pd.DataFrame:
    """A row a metric of a container of a point, over the trials that count.

    ``run``, ``point``, ``axis``, ``value``, ``x``, ``metric``, ``container``, ``n`` (trials),
    ``median``, ``low`` and ``high`` (the interval, NaN where there is none), ``confidence`` (its
    coverage), ``method``, ``unit``.
    """
    columns = {
        **_POINT, "metric": "str", "container": "int64", "n": "int64", **_SPREAD,
        "confidence": "float64", "method": "str", "unit": "str",
    }  # fmt: skip
    rows = [
        {
            **_keys(run, summary.point), "metric": name, "container": container, "n": found.n,
            "median": found.median, "low": found.low, "high": found.high,
            "confidence": found.confidence, "method": found.method, "unit": found.unit,
        }
        for run in runs
        for summary in _summaries(run)
        for (name, container), found in summary.estimates.items()
    ]  # fmt: skip
    return _frame(rows, columns)


def verdicts(*runs: Run) -> pd.DataFrame:
    """A row a law of a point, the main law of each point first; none for what has no law.

    ``run``, ``point``, ``axis``, ``value``, ``x``, ``metric``, ``unit``, ``container``, ``law``,
    ``bound`` (what binds), ``n`` (trials), ``promised`` (the bare law), ``expected`` (what it
    came to in the windows), ``tolerance_low``, ``tolerance_high`` and ``scale`` (of the error),
    ``achieved_median``, ``_low``, ``_high`` in the metric's unit, ``error_median``, ``_low``,
    ``_high`` on the scale, ``verdict``, ``reason``.
    """
    columns = {
        **_POINT, "metric": "str", "unit": "str", "container": "int64", "law": "str",
        "bound": "str", "n": "int64", "promised": "float64", "expected": "float64",
        "tolerance_low": "float64", "tolerance_high": "float64", "scale": "str",
        **{f"{what}_{part}": "float64" for what in ("achieved", "error") for part in _SPREAD},
        "verdict": "str", "reason": "str",
    }  # fmt: skip
    rows: list[Row] = []
    for run in runs:
        for summary in _summaries(run):
            readbacks = [
                readback
                for trial in run.trials
                if trial.point_id == summary.point.id and analysis.counts(trial)
                for i, container in enumerate(trial.containers)
                for readback in check.readbacks(container, run.info.engine, i)
            ]
            for result in summary.results:
                law = result.expectation
                verdict = check.judge(summary, result, list(dict.fromkeys(readbacks)))
                rows.append({
                    **_keys(run, summary.point), "metric": law.metric,
                    "unit": METRICS[law.metric].unit, "container": law.container, "law": law.law,
                    "bound": law.bound, "n": result.achieved.n if result.achieved else 0,
                    "promised": law.value,
                    "expected": law.value if result.expected is None else result.expected,
                    "tolerance_low": law.low, "tolerance_high": law.high, "scale": law.scale.value,
                    **_spread("achieved", result.achieved), **_spread("error", result.deviation),
                    "verdict": verdict.status.value, "reason": verdict.reason,
                })  # fmt: skip
    return _frame(rows, columns)


def errors(*runs: Run) -> pd.DataFrame:
    """A row a law and a trial that counts: what ``verdicts`` sums up.

    ``run``, ``trial``, ``point``, ``axis``, ``value``, ``x``, ``metric``, ``container``,
    ``measured`` and ``expected`` (in the metric's unit, ``expected`` in this trial's window),
    ``error`` (on the law's scale).
    """
    columns = {
        "trial": "int64", **_POINT, "metric": "str", "container": "int64",
        "measured": "float64", "expected": "float64", "error": "float64",
    }  # fmt: skip
    rows: list[Row] = []
    for run in runs:
        for summary in _summaries(run):
            mine = [t for t in run.trials if t.point_id == summary.point.id and analysis.counts(t)]
            for law in (result.expectation for result in summary.results):
                for trial in mine:
                    measured = METRICS[law.metric].of(trial, law.container)
                    if measured is None:
                        continue
                    cpuset = trial.containers[law.container].requested.cpuset_cpus
                    expected = law.expected(analysis.foreign_cpus(trial, cpuset))
                    rows.append({
                        **_keys(run, summary.point), "trial": trial.index, "metric": law.metric,
                        "container": law.container, "measured": measured, "expected": expected,
                        "error": analysis.deviation(law, measured, expected),
                    })  # fmt: skip
    return _frame(rows, columns)


def gaps(*runs: Run) -> pd.DataFrame:
    """A row an off-CPU gap of a thread of the probe; trials that do not count are in it too.

    ``run``, ``trial``, ``point``, ``axis``, ``value``, ``x``, ``container``, ``counts`` (bool),
    ``start_s`` (since the probe's window began), ``length_s``, ``stands_for`` (float: so many
    gaps of the trial), ``thread_time_s`` (window × threads: the most that all gaps together can
    come to).

    The probe lists as many gaps as it has room for, the first of each thread; where it had more,
    each one stands for several. Where it listed none, a row is a bin of its histogram:
    ``length_s`` is the geometric middle of the bin, and ``start_s`` NaN.
    """
    columns = {
        "trial": "int64", **_POINT, "container": "int64", "counts": "bool", "start_s": "float64",
        "length_s": "float64", "stands_for": "float64", "thread_time_s": "float64",
    }  # fmt: skip
    rows = [
        {
            **_keys(run, point), "trial": trial.index, "container": i,
            "counts": analysis.counts(trial), "start_s": start_s, "length_s": length_s,
            "stands_for": stands_for, "thread_time_s": _thread_time_s(container.inside),
        }
        for run, point, trial in _each(runs)
        for i, container in enumerate(trial.containers)
        if container.inside is not None
        for start_s, length_s, stands_for in _gaps(container.inside)
    ]  # fmt: skip
    return _frame(rows, columns)


def timeline(run: Run, trial: int) -> pd.DataFrame:
    """A row a sample of a container of one trial, by container and time.

    ``container``, ``t_s`` (since the window's first read), ``step_s`` (since the sample before),
    ``cpus`` (CPUs used in that step), ``used_s`` (CPU seconds since the window's first read),
    ``throttled_periods`` (float: newly counted in that step), ``throttled`` (bool),
    ``memory_bytes``. The first row of a container has no step: NaN.

    The kernel charges CPU at its tick: rates over steps not much longer move in tick/step.
    """
    columns = {
        "container": "int64", "t_s": "float64", "step_s": "float64", "cpus": "float64",
        "used_s": "float64", "throttled_periods": "float64", "throttled": "bool",
        "memory_bytes": "float64",
    }  # fmt: skip
    table = run.samples(trial=trial).to_pandas()
    table = table.sort_values(["container", "t_mono_ns"], kind="stable").reset_index(drop=True)
    if table.empty:
        return _frame([], columns)
    begins = {i: c.first for i, c in enumerate(_trial(run, trial).containers) if c.first}
    container = table["container"].astype("int64")
    by_container = table.groupby("container", sort=False)

    def since_first(column: str) -> Any:
        """Since the window's first read; where that is not there, since the first sample."""
        own = {i: getattr(first, column) for i, first in begins.items()}
        start = container.map(own).astype("float64")
        return table[column] - start.fillna(by_container[column].transform("first"))

    step_s = by_container["t_mono_ns"].diff() / 1e9
    throttled = by_container["nr_throttled"].diff()
    found = {
        "container": container,
        "t_s": since_first("t_mono_ns") / 1e9,
        "step_s": step_s,
        "cpus": by_container["cpu_usage_ns"].diff() / 1e9 / step_s.where(step_s > 0),
        "used_s": since_first("cpu_usage_ns") / 1e9,
        "throttled_periods": throttled,
        "throttled": throttled.fillna(0) > 0,
        "memory_bytes": table["memory_bytes"],
    }
    return pd.DataFrame(found)[list(columns)].astype(columns)


def throttled_spans(run: Run, trial: int) -> pd.DataFrame:
    """A row a span in which every thread of a container was off the CPU, as the probe saw it.

    ``container``, ``start_s`` and ``end_s`` since the window's first read. Threads that take
    turns are off one at a time; only a quota (or a stop) takes all of them off at once. No rows
    where the probe listed no gaps.
    """
    rows: list[Row] = []
    for i, container in enumerate(_trial(run, trial).containers):
        if container.inside is None:
            continue
        offset_ns = 0 if container.first is None else (
            container.inside.t_start_ns - container.first.t_mono_ns
        )  # fmt: skip
        rows += [
            {"container": i, "start_s": (start + offset_ns) / 1e9, "end_s": (end + offset_ns) / 1e9}
            for start, end in _all_off(container.inside)
        ]
    return _frame(rows, {"container": "int64", "start_s": "float64", "end_s": "float64"})


def x_of(point: Point) -> float:
    """The number that a point has on its axis; NaN where it has none (a cpuset, no limit).

    CPUs on ``cpu``, µs on ``quota`` and ``period``, bytes on the axes of memory, and on
    ``shares`` those of the first container over those of the last (1024 where they are not set).
    """
    limits = point.containers[0].limits
    field = _FIELDS.get(point.axis)
    if field is not None:
        found = getattr(limits, field)
        return math.nan if found is None or found < 0 else float(found)
    if point.axis == "shares":
        return _shares(limits) / _shares(point.containers[-1].limits)
    try:
        return float(point.value)
    except ValueError:
        return math.nan


_FIELDS: Mapping[str, str] = {
    "cpu": "cpus", "quota": "cpu_quota_us", "period": "cpu_period_us", "memory": "memory_bytes",
    "swap": "memory_swap_bytes", "reservation": "memory_reservation_bytes",
}  # fmt: skip


# --- below: rows -----------------------------------------------------------------------------


def _frame(rows: list[Row], columns: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame.from_records(rows, columns=list(columns)).astype(dict(columns))


def _keys(run: Run, point: Point) -> Row:
    return {
        "run": run.info.name, "point": point.id, "axis": point.axis, "value": point.value,
        "x": x_of(point),
    }  # fmt: skip


def _spread(what: str, estimate: Estimate | None) -> Row:
    return {f"{what}_{part}": estimate and getattr(estimate, part) for part in _SPREAD}


def _each(runs: Iterable[Run]) -> Iterator[tuple[Run, Point, TrialRecord]]:
    """All trials in the order they were run, each with its point."""
    for run in runs:
        points = {point.id: point for point in run.info.plan.points}
        for trial in run.trials:
            if trial.point_id in points:
                yield run, points[trial.point_id], trial


def _summaries(run: Run) -> list[analysis.PointSummary]:
    return analysis.summarise(run.info.plan, run.trials, run.info.engine, run.info.host)


def _trial(run: Run, index: int) -> TrialRecord:
    """The trial of that index; KeyError where the run has none."""
    for trial in run.trials:
        if trial.index == index:
            return trial
    raise KeyError(index)


def _shares(limits: Limits) -> int:
    return limits.cpu_shares or 1024


def _thread_time_s(inside: InsideReport) -> float:
    return len(inside.threads) * (inside.t_end_ns - inside.t_start_ns) / 1e9


def _gaps(inside: InsideReport) -> Iterator[tuple[float, float, float]]:
    """(start_s, length_s, stands_for) of each gap that is known."""
    if inside.gap_list:
        listed = sum(length for _, length in inside.gap_list)
        total = sum(thread.gap_total_ns for thread in inside.threads)
        stands_for = max(1.0, total / listed) if listed else 1.0
        for start, length in inside.gap_list:
            yield start / 1e9, length / 1e9, stands_for
        return
    longest_ns = max((thread.gap_max_ns for thread in inside.threads), default=0)
    edges = inside.gap_edges_ns
    for count, low, high in zip(inside.gap_histogram, edges, edges[1:], strict=False):
        if count:
            middle_ns = min(math.sqrt(low * high), max(low, longest_ns))
            yield math.nan, middle_ns / 1e9, float(count)


def _all_off(inside: InsideReport) -> Iterator[tuple[int, int]]:
    """(start, end) in ns since the window's start, in which as many gaps overlap as threads are."""
    threads = len(inside.threads)
    starts = sorted(start for start, _ in inside.gap_list)
    ends = sorted(start + length for start, length in inside.gap_list)
    off, i, j = 0, 0, 0
    while i < len(starts):
        if starts[i] < ends[j]:
            off, i = off + 1, i + 1
            if off == threads:
                yield starts[i - 1], ends[j]
        else:
            off, j = off - 1, j + 1
