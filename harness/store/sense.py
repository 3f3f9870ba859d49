"""Whether a run that was read makes sense: asked once, here, so that nobody else has to.

What the types do not tell: numbers that are finite and no larger than any counter, lists that
belong together, trials that the plan has. Each check says in words what is wrong, or nothing.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, pairwise
from typing import Any

from harness import limits
from harness.errors import UsageError
from harness.limits import LIMITS
from harness.model import (
    UNLIMITED,
    BurstReport,
    ContainerRecord,
    EffectiveLimits,
    HostSample,
    InsideReport,
    IoReport,
    KernelLimits,
    Limits,
    Pairs,
    Plan,
    Point,
    RunInfo,
    Sample,
    TrialRecord,
)
from harness.wording import counted

_LARGEST = 2**63
"""The kernel's counters and limits end here; so do the columns of a table."""
_LEAST = 1e-5
"""CPUs: 1 µs in a period of 100 ms."""
_LIMITS = (Limits, KernelLimits, EffectiveLimits)
_SIGNED = {
    "cpu_percent", "exit_code", "gap_list", "lateness_p50_ns", "lateness_p99_ns",
    "peak_swap_bytes", "seed", "swap_bytes",
    *(row.field for row in LIMITS if row.least is not None and row.least < UNLIMITED),
}  # fmt: skip
"""What may be below 0, besides a limit that is none: differences of two reads, and limits whose
range goes there."""

_PRESSURE = frozenset(name for name in Sample.__dataclass_fields__ if name.endswith("_us"))
_SAMPLE_COUNTERS = (
    "cpu_usage_ns", "nr_periods", "nr_throttled", "throttled_ns", "usage_percpu_ns", "peak_bytes",
    "major_faults", "limit_hits", "oom_kills", *sorted(_PRESSURE),
)  # fmt: skip
_HOST_COUNTERS = ("root_usage_ns", "root_percpu_ns", "steal_ns", "harness_cpu_ns")
_MEMORY_COUNTERS = ("peak_bytes", "limit_hits", "high_hits", "oom_kills", "oom_kills_above")
_SIZES = ("memory_bytes", "peak_bytes", "anon_bytes", "file_bytes", "shmem_bytes")
_EDGES, _LATE_NS = 1.05, 100_000_000
"""Of a window: by so much what is counted in it may seem longer. A running task's time is added at
a tick, which is late where the host is busy."""
_MOST_CPUS = 1 << 16
"""NR_CPUS is 8192 at the most (arch/x86/Kconfig)."""
_LONGEST_PERIOD_NS = 1_000_000_000
"""kernel/sched/core.c, max_cfs_quota_period."""
_PSI_LATE_NS = 2_000_000_000
"""kernel/sched/psi.c, PSI_FREQ: totals are brought up to date every 2 s."""
_EXTRA_TRIALS = 2
"""For each point, of those that were rejected: ``harness.measure.queue``."""


def wrong_info(info: RunInfo) -> str:
    """What is wrong with a run's facts; empty where nothing is."""
    return next(_wrong_info(info), "")


def _wrong_info(info: RunInfo) -> Iterator[str]:
    if wrong := _record(info):
        yield wrong
    host, engines = info.host, (info.engine, *(side.engine for side in info.sides))
    try:
        datetime.fromisoformat(info.created)
    except ValueError:
        yield "created is no time"
    checks = {
        "it has no CPUs, or more than any kernel": all(
            0 < cpus <= _MOST_CPUS for cpus in (host.cpus, *(one.cpus for one in engines))
        ),
        "the tick has no length": host.tick_ns > 0,
        "a page has no bytes": host.page_bytes > 0,
        "it has one side, or more than two": len(info.sides) in (0, 2),
        "two sides have one name": _differ([side.name for side in info.sides]),
    }
    yield from (what for what, right in checks.items() if not right)
    yield from _wrong_plan(info.plan, {side.name for side in info.sides} or {""})


def wrong_plan(plan: Plan) -> str:
    """What is wrong with a plan that came by itself; empty where nothing is."""
    return _record(plan) or next(_wrong_plan(plan, {""}), "")


def _wrong_plan(plan: Plan, sides: set[str]) -> Iterator[str]:
    ids = [point.id for point in plan.points]
    checks = {
        "the plan has no points": ids,
        "two points have one id": len(set(ids)) == len(ids),
        "a trial of the plan is of no point": {one.point_id for one in plan.trials} <= set(ids),
        "two trials of the plan have one index": _differ([one.index for one in plan.trials]),
        "repeats, or samples a second, are none": plan.repeats > 0 and plan.cadence_hz > 0,
    }
    yield from (what for what, right in checks.items() if not right)
    for point in plan.points:
        yield from (f"{point.id!r:.80}: {what}" for what in _wrong_point(point, sides))


def _wrong_point(point: Point, sides: set[str]) -> Iterator[str]:
    if not point.containers:
        yield "it has no containers"
    if point.duration_s <= 0:
        yield "its window has no length"
    if {spec.side for spec in point.containers} - sides:
        yield "it is of a side that the run has not"
    for spec in point.containers:
        if spec.workload.threads < 1:
            yield "it has no threads"
        asked = spec.limits
        cpus = 1 if asked.cpus is None else asked.cpus
        if 0 in (asked.cpu_quota_us, asked.cpu_period_us) or not cpus >= _LEAST:
            yield "a limit on the CPU is none"


def most_trials(plan: Plan) -> int:
    """More trials than a run of this plan has, repeated ones and those of ``--until`` included."""
    return len(plan.trials) + len(plan.points) * (_EXTRA_TRIALS + (plan.most_repeats or 0))


class TrialSense:
    """What a trial of one run can be."""

    def __init__(self, info: RunInfo) -> None:
        plan, engines = info.plan, [info.engine, *(side.engine for side in info.sides)]
        self._points = {point.id: point for point in plan.points}
        self._planned = {one.index: one.point_id for one in plan.trials}
        self._most = most_trials(plan)
        # An engine of another host, or one that is pinned, counts other CPUs than we do here.
        self._cpus = max(info.host.cpus, *(one.cpus for one in engines))
        self._memory_bytes = max(info.host.memory_bytes, *(one.memory_bytes for one in engines))

    def wrong(self, trial: TrialRecord) -> str:
        """What is wrong with a trial of this run; empty where nothing is."""
        return next(self._wrong(trial), "")

    def _wrong(self, trial: TrialRecord) -> Iterator[str]:
        if wrong := _record(trial):
            yield wrong
        point = self._points.get(trial.point_id)
        if point is None:
            yield "it is of no point of the plan"
        elif len(trial.containers) != len(point.containers):
            yield "it has other containers than its point"
        elif any(
            one.requested != spec.limits
            for one, spec in zip(trial.containers, point.containers, strict=True)
        ):
            yield "it was asked for other limits than its point has"
        if self._planned.get(trial.index, trial.point_id) != trial.point_id:
            yield "the plan has a trial of another point there"
        if trial.index >= self._most:
            yield "the plan has no such trial"
        for container in trial.containers:
            yield from _wrong_container(container)
            yield from self._wrong_use(container)
        first, last = trial.host_first, trial.host_last
        if first and last:
            yield from self._wrong_host(first, last)

    def _wrong_use(self, container: ContainerRecord) -> Iterator[str]:
        """What no container can have used on a host of so many CPUs, with so much memory."""
        first, last = container.first, container.last
        if first and last:
            yield from self._wrong_growth(first, last)
        if any((getattr(one, name, None) or 0) > self._memory_bytes
               for one in (first, last) if one for name in _SIZES):  # fmt: skip
            yield "it had more memory than its host has"
        inside, burst = container.inside, container.burst
        if inside:
            used_ns = sum(one.cpu_ns for one in inside.threads)
            yield from self._more_cpus(used_ns, inside.t_end_ns - inside.t_start_ns)
        if burst:
            yield from self._more_cpus(burst.cpu_ns, burst.t_end_ns - burst.t_start_ns)

    def _wrong_growth(self, first: Sample, last: Sample) -> Iterator[str]:
        span_ns = last.t_mono_ns - first.t_mono_ns
        grown = _grown(first, last, _SAMPLE_COUNTERS)
        yield from _backwards(grown)
        yield from self._more_cpus(grown.get("cpu_usage_ns", 0), span_ns)
        # What was held back before the window is added as it is let go within.
        held_ns = self._cpus * (span_ns + _LONGEST_PERIOD_NS)
        if grown.get("throttled_ns", 0) > _at_most(held_ns, self._cpus):
            yield "it was throttled for longer than its window"
        # The two are not read at once: a period may begin between them.
        if grown.get("nr_throttled", 0) > grown.get("nr_periods", _LARGEST) + 1:
            yield "it was throttled in more periods than there were"
        most_us = (_at_most(span_ns) + _PSI_LATE_NS) / 1000
        for name in _PRESSURE & grown.keys():
            if grown[name] > most_us:
                yield f"{name} grew by more than its window"

    def _wrong_host(self, first: HostSample, last: HostSample) -> Iterator[str]:
        span_ns = last.t_mono_ns - first.t_mono_ns
        if span_ns <= 0:
            yield "the host's window has no length"
        grown = _grown(first, last, _HOST_COUNTERS)
        yield from _backwards(grown)
        yield from self._more_cpus(grown.get("root_usage_ns", 0), span_ns)
        stolen = max(_differences(first.steal_ns or (), last.steal_ns or ()), default=0)
        if stolen > _at_most(span_ns):
            yield "more was stolen than a CPU has"

    def _more_cpus(self, used_ns: int, span_ns: int) -> Iterator[str]:
        if used_ns > _at_most(self._cpus * span_ns, self._cpus):
            yield f"it used more than the host's {counted(self._cpus, 'CPU')}"


def _grown(first: object, last: object, names: Sequence[str]) -> dict[str, int]:
    """By how much counters grew that were read twice; of those that are lists, the least."""
    grown = {}
    for name in names:
        before, after = getattr(first, name), getattr(last, name)
        if before is None or after is None:
            continue
        if isinstance(before, tuple):
            grown[name] = min(_differences(before, after), default=0)
        else:
            grown[name] = after - before
    return grown


def _differences(before: Sequence[int], after: Sequence[int]) -> Iterator[int]:
    """Place by place; nothing where a CPU came or went in between."""
    return map(operator.sub, after, before) if len(before) == len(after) else iter(())


def _backwards(grown: Mapping[str, int]) -> Iterator[str]:
    yield from (f"{name} ran backwards" for name, by in grown.items() if by < 0)


def _at_most(span_ns: int, cpus: int = 1) -> float:
    """As much of a window as can be counted in it: the edges of two counters are not the same."""
    return span_ns * _EDGES + cpus * _LATE_NS


def _wrong_container(container: ContainerRecord) -> Iterator[str]:
    first, last, inside = container.first, container.last, container.inside
    if first and last and first.t_mono_ns > last.t_mono_ns:
        yield "its window ends before it begins"
    if inside is not None:
        yield from _wrong_inside(inside)
    if container.burst is not None:
        yield from _wrong_burst(container.burst)
    if container.io is not None:
        yield from _wrong_io(container.io)
    memory = container.memory
    if memory is not None and (memory.t_end_ns or 0) < (memory.t_start_ns or 0):
        yield "its growth ends before it begins"
    if container.memory_first and container.memory_last:
        yield from _backwards(
            _grown(container.memory_first, container.memory_last, _MEMORY_COUNTERS)
        )
    kernel = container.kernel
    if kernel is not None and kernel.cpu_period_us == 0:
        yield "its period has no length"


def _wrong_inside(inside: InsideReport) -> Iterator[str]:
    if not inside.threads:
        yield "its report has no threads"
    if inside.t_end_ns <= inside.t_start_ns:
        yield "its window has no length inside"
    if any(one.t_end_ns < one.t_start_ns for one in inside.threads):
        yield "a thread's window ends before it begins"
    for one in inside.threads:
        span_ns = _at_most(one.t_end_ns - one.t_start_ns)
        if one.cpu_ns > span_ns or one.gap_total_ns > span_ns or one.gap_max_ns > one.gap_total_ns:
            yield "a thread was on and off the CPU for longer than its window"
    least_ns = max(1, inside.gap_threshold_ns)
    if any(start < 0 or length < least_ns for start, length in inside.gap_list):
        yield "a gap begins before its window, or is shorter than what counts as one"
    yield from _wrong_histogram(inside.gap_edges_ns, inside.gap_histogram)


def _wrong_burst(burst: BurstReport) -> Iterator[str]:
    if burst.t_end_ns <= burst.t_start_ns:
        yield "its window has no length inside"
    if burst.cost_ns == 0:
        yield "its pieces of work cost nothing"
    if burst.completed + burst.unfinished != burst.offered:
        yield "its pieces of work do not add up"
    if burst.backlog is not None and burst.backlog > burst.offered:
        yield "more work is late than was due"
    quantiles = (burst.response_p50_ns, burst.response_p90_ns, burst.response_p99_ns,
                 burst.response_max_ns)  # fmt: skip
    told = [one for one in quantiles if one is not None]
    if told != sorted(told):
        yield "its response times do not rise"
    yield from _wrong_histogram(burst.response_edges_ns, burst.response_histogram)


def _wrong_io(io: IoReport) -> Iterator[str]:
    if io.t_end_ns <= io.t_start_ns:
        yield "its window has no length inside"
    if io.completed + io.unfinished != io.offered or io.bytes != io.ios * io.block_bytes:
        yield "its I/Os do not add up"
    quantiles = (io.latency_p50_ns, io.latency_p90_ns, io.latency_p99_ns, io.latency_p999_ns,
                 io.latency_max_ns)  # fmt: skip
    told = [one for one in quantiles if one is not None]
    if told != sorted(told):
        yield "its latencies do not rise"
    yield from _wrong_histogram(io.latency_edges_ns, io.latency_histogram)


def _wrong_histogram(edges: Sequence[int], counts: Sequence[int]) -> Iterator[str]:
    if (edges or counts) and len(edges) != len(counts) + 1:
        yield f"its histogram has {len(edges)} edges and {len(counts)} counts"
    if any(low >= high for low, high in pairwise(edges)) or 0 in edges:
        yield "the edges of its histogram do not rise"


def _differ(values: Sequence[object]) -> bool:
    return len(set(values)) == len(values)


# --- each value by itself ----------------------------------------------------------------------


def _value(one: Any, name: str, lowest: float) -> str:
    # By words and not by iterators, and the frequent kinds first: a run may have millions.
    kind = type(one)
    if kind is int or kind is float:
        return "" if lowest <= one < _LARGEST else f"{name} is {one!r:.40}"
    if isinstance(one, str):
        return _text(one, name)
    if kind is tuple:
        return _sequence(one, name, lowest)
    if kind is Pairs:
        return _sequence(tuple(chain.from_iterable(one)), name, lowest)
    if isinstance(one, dict):
        return _sequence((*one.keys(), *one.values()), name, lowest)
    return "" if one is None or kind is bool else _record(one)


def _sequence(parts: Sequence[Any], name: str, lowest: float) -> str:
    if parts and type(parts[0]) is tuple:
        return _sequence(tuple(chain.from_iterable(parts)), name, lowest)
    if set(map(type, parts)) == {int}:  # the long ones
        return _value(min(parts), name, lowest) or _value(max(parts), name, lowest)
    for part in parts:
        if wrong := _value(part, name, lowest):
            return wrong
    return ""


def _text(text: str, name: str) -> str:
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        return f"{name} is no text"
    if name in ("cpuset_cpus", "cpuset_mems", "cpu_list", "affinity") and text:
        try:
            if re.search(r"\d{5}", text) is None:
                limits.parse_cpu_list(text)
                return ""
        except UsageError:
            pass
        return f"{name} is {text!r:.40}"
    return ""


def _record(one: Any) -> str:
    """What is wrong first with a value of a record or of those in it, each for itself."""
    low = UNLIMITED if isinstance(one, _LIMITS) else 0
    for name in one.__dataclass_fields__:
        value = getattr(one, name)
        if value is None or value == ():
            continue
        if name == "metrics" and isinstance(one, ContainerRecord):
            # A program's own words: any number.
            wrong = "" if all(math.isfinite(n) for _, n in value) else "a metric is no number"
        else:
            wrong = _value(value, name, -_LARGEST if name in _SIGNED else low)
        if wrong:
            return wrong
    return ""
