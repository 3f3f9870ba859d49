"""A run as tidy pandas frames: one row an observation, one column a variable, typed.

Each function takes one run or several and puts them below each other; the column ``run`` tells them
apart. Text that is not there is ``""``, a number that was not measured is NaN and never 0. A frame
of a run without trials has its columns and no rows. docs/notebooks.md has every column in a table.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from harness import limits as rules
from harness.judge import metrics as judge_metrics
from harness.judge import points as judge_points
from harness.judge import run as judge_run
from harness.judge import surroundings
from harness.judge.laws.cpu import cpus_of
from harness.judge.metrics import METRICS
from harness.model import (
    ContainerRecord,
    Estimate,
    Growth,
    InsideReport,
    Point,
    TrialRecord,
)
from harness.plan import axes
from harness.store.runs import Run

Row = dict[str, Any]

_INT64 = pd.Int64Dtype()
"""Whole numbers with ``<NA>``: as a float, a time in nanoseconds would lose its last digits."""

_POINT = {"run": "str", "point": "str", "axis": "str", "value": "str", "x": "float64"}
_SPREAD = {"median": "float64", "low": "float64", "high": "float64"}
PAGE_BYTES = 4096


def points(*runs: Run) -> pd.DataFrame:
    """A row a container of a point, as it was planned: what runs in it, under which limits.

    ``run``, ``point``, ``axis``, ``value`` (as it was written), ``x`` (the value as a number, see
    ``axes.x_of``), ``container``, ``workload``, ``kind`` (of memory that is touched), ``threads``,
    ``quota_us`` and ``period_us`` (what ``--cpus`` or ``--cpu-quota`` come to), ``cpu_shares``,
    ``cpuset_cpus``, ``memory_bytes``, ``memory_swap_bytes`` (memory and swap together) and
    ``memory_reservation_bytes``. A limit that is not set is NaN or ``""``, no limit is infinite.
    """
    sizes = ("memory_bytes", "memory_swap_bytes", "memory_reservation_bytes")
    columns = {
        **_POINT, "container": "int64", "workload": "str", "kind": "str", "threads": "int64",
        "quota_us": "float64", "period_us": "float64", "cpu_shares": "float64",
        "cpuset_cpus": "str", **dict.fromkeys(sizes, "float64"),
    }  # fmt: skip
    rows: list[Row] = []
    for run in runs:
        for point in run.info.plan.points:
            for i, spec in enumerate(point.containers):
                limits, load = spec.limits, spec.workload
                quota = rules.quota_and_period_us(limits) or (None, None)
                total = rules.swap_total_bytes(limits)
                rows.append({
                    **_keys(run, point), "container": i, "workload": load.name,
                    "kind": load.kind if isinstance(load, Growth) else "", "threads": load.threads,
                    "quota_us": quota[0], "period_us": quota[1], "cpu_shares": limits.cpu_shares,
                    "cpuset_cpus": limits.cpuset_cpus or "",
                    "memory_bytes": _limit(limits.memory_bytes),
                    "memory_swap_bytes": _limit(total),
                    "memory_reservation_bytes": _limit(limits.memory_reservation_bytes),
                })  # fmt: skip
    return _frame(rows, columns)


def trials(*runs: Run, metrics: Collection[str] | None = None) -> pd.DataFrame:
    """A row a container of a trial, whatever became of it.

    ``run``, ``trial``, ``block``, ``point``, ``axis``, ``value`` (as it was written), ``x`` (the
    value as a number, see ``axes.x_of``), ``container``, ``outcome``, ``counts`` (bool: it enters
    the estimates), ``invalid`` and ``failure`` (why it does not, or ``""``), then a float column a
    metric of ``analysis.METRICS``, in that metric's unit; then one a metric that a program of the
    runs says of itself. With ``metrics``, of those alone: they are a hundred.
    """
    known = {**METRICS}
    for run in runs:
        for point in run.info.plan.points:
            known |= {k: m for k, m in judge_metrics.metrics_of(point).items() if k not in known}
    if metrics is not None:
        known = {name: known[name] for name in metrics}
    columns = {
        "run": "str", "trial": "int64", "block": "int64", "point": "str", "axis": "str",
        "value": "str", "x": "float64", "container": "int64", "outcome": "str", "counts": "bool",
        "invalid": "str", "failure": "str", **dict.fromkeys(known, "float64"),
    }  # fmt: skip
    rows = [
        {
            **_keys(run, point), "trial": trial.index, "block": trial.block, "container": i,
            "outcome": trial.outcome.value, "counts": judge_points.counts(trial),
            "invalid": trial.invalid or "", "failure": trial.failure or "",
            **{name: metric.of(trial, i) for name, metric in known.items()},
        }
        for run, point, trial, i, _ in _containers(runs)
    ]  # fmt: skip
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
        for summary in (one.summary for one in judge_run.points(run))
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
        for one in judge_run.points(run):
            for result, verdict in zip(one.summary.results, one.verdicts, strict=True):
                law = result.expectation
                rows.append({
                    **_keys(run, one.summary.point), "metric": law.metric,
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
        for one in judge_run.points(run):
            for law in (result.expectation for result in one.summary.results):
                for trial in one.counted:
                    measured = METRICS[law.metric].of(trial, law.container)
                    if measured is None:
                        continue
                    cpus = cpus_of(trial.containers[law.container])
                    expected = law.expected(surroundings.foreign_cpus(trial, cpus))
                    rows.append({
                        **_keys(run, one.summary.point), "trial": trial.index, "metric": law.metric,
                        "container": law.container, "measured": measured, "expected": expected,
                        "error": judge_points.deviation(law, measured, expected),
                    })  # fmt: skip
    return _frame(rows, columns)


def gaps(*runs: Run, points: Collection[str] | None = None) -> pd.DataFrame:
    """A row an off-CPU gap of a thread of the probe; trials that do not count are in it too.

    ``run``, ``trial``, ``point``, ``axis``, ``value``, ``x``, ``container``, ``counts`` (bool),
    ``start_s`` (since the probe's window began), ``length_s``, ``stands_for`` (float: so many
    gaps of the trial), ``thread_time_s`` (window × threads: the most that all gaps together can
    come to). With ``points``, of those alone: gaps are many.

    The probe lists as many gaps as it has room for, the first of each thread; where it had more,
    each one stands for several. Where it listed none, a row is a bin of its histogram:
    ``length_s`` is the geometric middle of the bin, and ``start_s`` NaN.
    """
    columns = {
        "trial": "int64", **_POINT, "container": "int64", "counts": "bool", "start_s": "float64",
        "length_s": "float64", "stands_for": "float64", "thread_time_s": "float64",
    }  # fmt: skip
    keys: list[Row] = []
    counts: list[int] = []
    found: list[tuple[float, float, float]] = []
    for run, point, trial, i, container in _containers(runs, points):
        if container.inside is None:
            continue
        before = len(found)
        found.extend(_gaps(container.inside))
        counts.append(len(found) - before)
        keys.append({
            **_keys(run, point), "trial": trial.index, "container": i,
            "counts": judge_points.counts(trial), "thread_time_s": _thread_time_s(container.inside),
        })  # fmt: skip
    own = pd.DataFrame.from_records(found, columns=["start_s", "length_s", "stands_for"])
    return _repeated(keys, counts, own, columns)


def growth(*runs: Run) -> pd.DataFrame:
    """A row a step of a workload that grows in memory; trials that do not count are in it too.

    ``run``, ``trial``, ``point``, ``axis``, ``value``, ``x``, ``container``, ``counts`` (bool),
    ``kind`` (``anon``, ``file``, ``tmpfs``), ``memory_bytes`` and ``memory_swap_bytes`` (the
    limits; NaN where not set, infinite for no limit), ``t_s`` (when the step ended, since growth
    began), ``touched_bytes`` (by then), ``page_s`` (time for each page of 4096 bytes in it).
    """
    columns = {
        "trial": "int64", **_POINT, "container": "int64", "counts": "bool", "kind": "str",
        "memory_bytes": "float64", "memory_swap_bytes": "float64", "t_s": "float64",
        "touched_bytes": "float64", "page_s": "float64",
    }  # fmt: skip
    keys: list[Row] = []
    counts: list[int] = []
    found: list[tuple[float, float, float]] = []
    for run, point, trial, i, container in _containers(runs):
        report = container.memory
        if report is None:
            continue
        passed_ns, touched = 0, 0
        for step_ns in report.step_ns:
            # The last step may be a part of one: what is left of the target.
            step = min(report.step_bytes, report.target_bytes - touched) or report.step_bytes
            passed_ns, touched = passed_ns + step_ns, touched + step
            found.append((passed_ns / 1e9, touched, step_ns / 1e9 / (step / PAGE_BYTES)))
        counts.append(len(report.step_ns))
        limits = container.requested
        keys.append({
            **_keys(run, point), "trial": trial.index, "container": i, "kind": report.kind,
            "counts": judge_points.counts(trial), "memory_bytes": _limit(limits.memory_bytes),
            "memory_swap_bytes": _limit(rules.swap_total_bytes(limits)),
        })  # fmt: skip
    own = pd.DataFrame.from_records(found, columns=["t_s", "touched_bytes", "page_s"])
    return _repeated(keys, counts, own, columns)


def samples(
    run: Run, trial: int | None = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """A row a sample: the raw, cumulative counters of a container at one moment.

    ``trial``, ``container`` (int32), ``t_mono_ns`` (int64, CLOCK_MONOTONIC of the engine's host),
    then the counters of ``model.Sample`` (Int64: whole numbers, and ``<NA>`` where one was not
    measured), by trial, container and time. With ``trial``, those of one trial; with ``columns``,
    those columns alone, and nothing else is read. ResultsError where they cannot be read.
    """
    table = run.samples(trial=trial, columns=columns)
    # The columns are nobody else's: to copy ten million rows would double the time.
    return pd.DataFrame({
        name: table[name].to_pandas(types_mapper={table.schema.field(name).type: _INT64}.get)
        if name not in ("trial", "container", "t_mono_ns")
        else table[name].to_pandas()
        for name in table.column_names
    }, copy=False)  # fmt: skip


def timeline(run: Run, trial: int) -> pd.DataFrame:
    """A row a sample of a container of one trial, by container and time.

    ``container``, ``t_s`` (since the window's first read), ``step_s`` (since the sample before),
    ``cpus`` (CPUs used in that step), ``used_s`` (CPU seconds since the window's first read),
    ``throttled_periods`` (float: newly counted in that step), ``throttled`` (bool),
    ``memory_bytes``, ``total_bytes`` (memory and swap). The first row of a container has no step:
    NaN. ResultsError where the samples cannot be read.

    The kernel charges CPU at its tick: rates over steps not much longer move in tick/step.
    """
    columns = {
        "container": "int64", "t_s": "float64", "step_s": "float64", "cpus": "float64",
        "used_s": "float64", "throttled_periods": "float64", "throttled": "bool",
        "memory_bytes": "float64", "total_bytes": "float64",
    }  # fmt: skip
    counters = ["container", "t_mono_ns", "cpu_usage_ns", "nr_throttled", "memory_bytes",
                "total_bytes"]  # fmt: skip
    table = run.samples(trial=trial, columns=counters).to_pandas()
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
        "total_bytes": table["total_bytes"],
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


# --- below: rows -----------------------------------------------------------------------------


def _frame(rows: list[Row], columns: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame.from_records(rows, columns=list(columns)).astype(dict(columns))


def _keys(run: Run, point: Point) -> Row:
    return {
        "run": run.info.name, "point": point.id, "axis": point.axis, "value": point.value,
        "x": axes.x_of(point),
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


def _containers(
    runs: Iterable[Run], points: Collection[str] | None = None
) -> Iterator[tuple[Run, Point, TrialRecord, int, ContainerRecord]]:
    """All containers of all trials, or of those of some points."""
    for run, point, trial in _each(runs):
        if points is None or point.id in points:
            for i, container in enumerate(trial.containers):
                yield run, point, trial, i, container


def _repeated(
    keys: list[Row], counts: list[int], own: pd.DataFrame, columns: Mapping[str, str]
) -> pd.DataFrame:
    """Rows of ``own``, each beside its keys: the first of them stand for so many rows, and so on.

    Some runs have millions of such rows: a dict for each would be slow and large.
    """
    shared = _frame(keys, {k: kind for k, kind in columns.items() if k not in own.columns})
    beside = shared.loc[shared.index.repeat(counts)].reset_index(drop=True)
    return pd.concat([beside, own], axis=1)[list(columns)].astype(dict(columns))


def _limit(size_bytes: int | None) -> float | None:
    """A limit in bytes; infinite for -1."""
    if size_bytes is None:
        return None
    return math.inf if size_bytes < 0 else float(size_bytes)


def _trial(run: Run, index: int) -> TrialRecord:
    """The trial of that index; KeyError where the run has none."""
    for trial in run.trials:
        if trial.index == index:
            return trial
    raise KeyError(index)


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
