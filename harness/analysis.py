"""From records to numbers: what each trial achieved, and per point a median with its interval.

The replicate is the trial, not the sample. Intervals are distribution-free where there are
enough trials: the interval between two order statistics covers the median with a probability
that follows from the binomial distribution alone (Conover, *Practical Nonparametric Statistics*,
3.2), so its coverage is known and not asked for. Below five trials no such interval reaches 90 %,
and Student's t is used and said so. See docs/decisions/002 for the coverage that was simulated.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness import laws
from harness import limits as rules
from harness.model import (
    BurstReport,
    ContainerRecord,
    EngineFacts,
    Estimate,
    Expectation,
    HostFacts,
    Outcome,
    Plan,
    Point,
    Scale,
    TrialRecord,
)

CONFIDENCE = 0.90
MIN_EXACT_N = 5
_T95 = {2: 6.314, 3: 2.920, 4: 2.353}
"""Student's t, two-sided 90 %, by number of trials (degrees of freedom + 1)."""


@functools.cache
def order_statistic_ranks(n: int, confidence: float = CONFIDENCE) -> tuple[int, int, float] | None:
    """The narrowest symmetric pair of ranks (from 1) that covers the median, and its coverage.

    P(x(k) <= median <= x(n+1-k)) = 1 - 2 P(Binomial(n, 1/2) < k). None where even the extremes
    cover it less often than ``confidence``: below 5 trials at 90 %.
    """
    best = None
    ways, below = 1, 0  # of n tosses with exactly k - 1 heads, and with less than k
    for k in range(1, n // 2 + 1):
        below += ways
        ways = ways * (n - k + 1) // k
        coverage = 1 - 2 * (below / 2**n)
        if coverage < confidence:
            break
        best = (k, n + 1 - k, coverage)
    return best


def estimate(metric: str, unit: str, values: Sequence[float]) -> Estimate | None:
    """Median and 90 % interval of independent trials; None where there is no value.

    One trial has no interval. Two to four get Student's t about the mean (its coverage holds for
    normal errors only); five and more get order statistics, with the coverage that they have.
    """
    if not values:
        return None
    n, ordered, median = len(values), sorted(values), statistics.median(values)
    low = high = confidence = None
    method = "none"
    ranks = order_statistic_ranks(n)
    if ranks:
        first, last, confidence = ranks
        low, high, method = ordered[first - 1], ordered[last - 1], "order statistics"
    elif n in _T95:
        mean, half = statistics.fmean(values), _T95[n] * statistics.stdev(values) / math.sqrt(n)
        low, high, confidence, method = mean - half, mean + half, CONFIDENCE, "Student's t"
    return Estimate(
        metric=metric, unit=unit, n=n, median=median, low=low, high=high,
        confidence=confidence, method=method,
    )  # fmt: skip


def widened(found: Estimate | None, by: float) -> Estimate | None:
    """An estimate of which every trial may be off by as much, whatever their number."""
    if not by or found is None or found.low is None or found.high is None:
        return found
    method = f"{found.method}, and what docker stats' edges may miss"
    return replace(found, low=found.low - by, high=found.high + by, error=by, method=method)


# --- one container of one trial ------------------------------------------------------------


def window_s(container: ContainerRecord) -> float | None:
    """The length of the container's window in seconds, between its first and last read."""
    if container.first is None or container.last is None:
        return None
    return (container.last.t_mono_ns - container.first.t_mono_ns) / 1e9


def _delta(container: ContainerRecord, counter: str) -> int | None:
    if container.first is None or container.last is None:
        return None
    first, last = getattr(container.first, counter), getattr(container.last, counter)
    return None if first is None or last is None else last - first


PerCpu = tuple[int, ...] | None


def percpu_ns(container: ContainerRecord) -> tuple[PerCpu, PerCpu]:
    """CPU time on each CPU at the window's first and last read; None where there is no count."""
    first, last = container.first, container.last
    return (
        None if first is None else first.usage_percpu_ns,
        None if last is None else last.usage_percpu_ns,
    )


def achieved_cpus(container: ContainerRecord) -> float | None:
    """CPUs used over the window, by the cgroup's counter.

    Where no cgroup was there to be read (``watch.BlindWatch``), by the workload's own clocks; by
    docker stats for a program that keeps none.
    """
    if container.first is None:
        inside = inside_cpus(container)
        return inside if inside is not None else _followed_cpus(container)
    used, span = _delta(container, "cpu_usage_ns"), window_s(container)
    return None if used is None or not span else used / 1e9 / span


def inside_cpus(container: ContainerRecord) -> float | None:
    """CPUs used over the probe's own window, by its threads' CPU clocks.

    A thread that is throttled at an edge reads its clock late, but the clock stood still
    meanwhile: the sum is that of the planned window, exactly.
    """
    report = container.inside or container.burst
    if report is None or report.t_end_ns <= report.t_start_ns:
        return None
    cpu_ns = (
        report.cpu_ns if isinstance(report, BurstReport) else sum(t.cpu_ns for t in report.threads)
    )
    return cpu_ns / (report.t_end_ns - report.t_start_ns)


def outside_cpus(container: ContainerRecord) -> float | None:
    """CPUs used on CPUs outside the cpuset; None without a cpuset or a count per CPU.

    By the kernel's counters per CPU on v1; v2 has none for a cgroup, there it is the work that
    the probe did on each CPU, as a share of its CPU time.
    """
    if container.requested.cpuset_cpus is None:
        return None
    allowed = rules.parse_cpu_list(container.requested.cpuset_cpus)
    first, last = percpu_ns(container)
    span = window_s(container)
    if first and last and span:
        used = _on(frozenset(range(len(first))) - allowed, first, last)
        return None if used is None else used / 1e9 / span
    used_cpus = inside_cpus(container)
    if container.inside is None or used_cpus is None:
        return None
    work = Counter[int]()
    for thread in container.inside.threads:
        for cpu, units in thread.cpus:
            work[cpu] += units
    total = work.total()
    if not total:
        return None
    return used_cpus * sum(units for cpu, units in work.items() if cpu not in allowed) / total


def throttled_share(container: ContainerRecord) -> float | None:
    """Throttled periods over periods; None where the container had no quota periods at all."""
    periods, throttled = _delta(container, "nr_periods"), _delta(container, "nr_throttled")
    return None if not periods or throttled is None else throttled / periods


def throttled_rate(container: ContainerRecord) -> float | None:
    """Throttled time per second, summed over the CPUs' run queues; None without quota periods."""
    time_ns, span = _delta(container, "throttled_ns"), window_s(container)
    if not _delta(container, "nr_periods") or time_ns is None or not span:
        return None
    return time_ns / 1e9 / span


def pressure(container: ContainerRecord, counter: str) -> float | None:
    """The share of the window in which tasks of the container waited, by its pressure (PSI).

    ``counter`` is a field of ``Sample`` such as ``memory_full_us``; None where none is kept.
    """
    waited_us, span = _delta(container, counter), window_s(container)
    return None if waited_us is None or not span else waited_us / 1e6 / span


def longest_gap_s(container: ContainerRecord) -> float | None:
    """The longest time that a thread of the probe was off the CPU, in seconds."""
    if container.inside is None:
        return None
    return max((t.gap_max_ns for t in container.inside.threads), default=0) / 1e9


def typical_gap_s(container: ContainerRecord) -> float | None:
    """The gap length that splits the off-CPU time in half, in seconds; None without a gap.

    Half of the time off the CPU lies in gaps at least so long. Unlike the plain median it does not
    move when short preemptions outnumber the throttled spans.
    """
    if container.inside is None:
        return None
    gaps = sorted((length for _, length in container.inside.gap_list), reverse=True)
    half, passed = sum(gaps) / 2, 0
    for length in gaps:
        passed += length
        if passed >= half:
            return length / 1e9
    return None


def late_gap_s(container: ContainerRecord) -> float | None:
    """The off-CPU gap that 99 % of the gaps do not exceed, by nearest rank; None without a gap."""
    if container.inside is None or not container.inside.gap_list:
        return None
    gaps = sorted(length for _, length in container.inside.gap_list)
    return gaps[math.ceil(0.99 * len(gaps)) - 1] / 1e9


def work_per_cpu_s(container: ContainerRecord) -> float | None:
    """Units of work of the probe for each second of CPU time: how fast the CPU was."""
    if container.inside is None:
        return None
    cpu_ns = sum(t.cpu_ns for t in container.inside.threads)
    return sum(t.work for t in container.inside.threads) / (cpu_ns / 1e9) if cpu_ns else None


def stats_cpus(container: ContainerRecord) -> float | None:
    """The mean of docker stats' usable frames, in CPUs; None where there was none."""
    if not container.stats:
        return None
    return statistics.fmean(frame.cpu_percent for frame in container.stats) / 100


MIN_FRAMES = 2
"""One frame of docker stats alone was off by up to 30 % (docs/audit.md)."""
MIN_FOLLOWED_PERIOD_US = 100_000
"""At shorter quota periods docker stats reads too low: docs/decisions/003."""


def _followed_cpus(container: ContainerRecord) -> float | None:
    """CPUs by docker stats where there is nothing better, and frames enough to go by."""
    quota = rules.quota_and_period_us(container.requested)
    if len(container.stats) < MIN_FRAMES or (quota and quota[1] < MIN_FOLLOWED_PERIOD_US):
        return None
    return stats_cpus(container)


def source_error(container: ContainerRecord) -> float:
    """The share of the achieved CPU that its source may miss in every repeat alike.

    0 for the cgroup's counters and the workload's clocks, of windows that are whole periods long.
    """
    seen = container.first is not None or inside_cpus(container) is not None
    return 0.0 if seen else stats_error(container)


def stats_error(container: ContainerRecord) -> float:
    """The share that the frames of docker stats may miss in every repeat alike; 0 without a quota.

    They follow each other without a gap, but begin and end anywhere within a quota period, whose
    CPU time lies together at its start: one period in all of them. Repeats need not show it: a
    second is ten periods by default, so the frames keep their phase. What else a frame is off by,
    differs from one to the next and is in the scatter.
    """
    covered_s = _covered_s(container)
    quota = rules.quota_and_period_us(container.requested)
    return quota[1] / 1e6 / covered_s if quota and covered_s else 0.0


def _covered_s(container: ContainerRecord) -> float | None:
    """The time that the frames of docker stats tell of, by when they arrived."""
    arrived = [frame.t_mono_ns for frame in container.stats if frame.t_mono_ns is not None]
    if len(arrived) < MIN_FRAMES:
        return None
    return (arrived[-1] - arrived[0]) / 1e9 * len(arrived) / (len(arrived) - 1)


def response_s(container: ContainerRecord, quantile: str) -> float | None:
    """A quantile (``p50``, ``p90``, ``p99``, ``max``) of the bursts' response times, in seconds."""
    if container.burst is None:
        return None
    found = getattr(container.burst, f"response_{quantile}_ns")
    return None if found is None else found / 1e9


def unfinished_share(container: ContainerRecord) -> float | None:
    """Pieces of work that were due in the window and not finished when the load was stopped."""
    if container.burst is None or not container.burst.offered:
        return None
    return container.burst.unfinished / container.burst.offered


# --- memory of one container ---------------------------------------------------------------


def reached_bytes(container: ContainerRecord) -> float | None:
    """How much the growing workload had touched when it was killed, refused or content."""
    return None if container.memory is None else float(container.memory.touched_bytes)


def was_killed(container: ContainerRecord) -> float | None:
    """1 where the kernel killed in this container for memory, 0 where it did not."""
    if container.memory is None:
        return None
    first, last = container.memory_first, container.memory_last
    if first and last and first.oom_kills is not None and last.oom_kills is not None:
        return float(last.oom_kills > first.oom_kills)
    return float(container.memory.killed)


def limit_hits(container: ContainerRecord) -> float | None:
    """So often the kernel had to reclaim at the limit."""
    return _more_of_memory(container, "limit_hits")


def high_hits(container: ContainerRecord) -> float | None:
    """So often it slowed the workload at memory.high (v2)."""
    return _more_of_memory(container, "high_hits")


def _more_of_memory(container: ContainerRecord, counter: str) -> float | None:
    first, last = (
        None if at is None else getattr(at, counter)
        for at in (container.memory_first, container.memory_last)
    )  # fmt: skip
    if container.memory is None or first is None or last is None:
        return None
    return float(last - first)


def peak_memory_bytes(container: ContainerRecord) -> float | None:
    """The kernel's own peak of memory without swap."""
    last = container.memory_last
    if container.memory is None or last is None or last.peak_bytes is None:
        return None
    return float(last.peak_bytes)


def peak_swap_bytes(container: ContainerRecord) -> float | None:
    """The most swap in any sample of the trial; it may have been more between two of them."""
    if container.memory is None or container.peak_swap_bytes is None:
        return None
    return float(container.peak_swap_bytes)


NEAR_LIMIT = 0.8
"""Up to this share of the limit nothing is reclaimed yet; from the limit on everything is."""


def _page_s(container: ContainerRecord, *, beyond: bool) -> float | None:
    """Time for each page touched first, well below the memory limit or beyond it."""
    report = container.memory
    limit = container.requested.memory_bytes
    if report is None or not report.step_bytes:
        return None
    pages = report.step_bytes / 4096
    ends = [(i + 1) * report.step_bytes for i in range(len(report.step_ns))]
    chosen = [
        ns
        for end, ns in zip(ends, report.step_ns, strict=True)
        if (limit is not None and end > limit if beyond
            else limit is None or end <= NEAR_LIMIT * limit)
    ]  # fmt: skip
    # The mean and not the median: reclaim comes in bursts, and the time that it takes is meant.
    return statistics.fmean(chosen) / pages / 1e9 if chosen else None


def fresh_page_s(container: ContainerRecord) -> float | None:
    """Time to touch a page for the first time below the limit, in seconds."""
    return _page_s(container, beyond=False)


def swapping_page_s(container: ContainerRecord) -> float | None:
    """Time to touch a page for the first time once others must go, in seconds."""
    return _page_s(container, beyond=True)


def churn_page_s(container: ContainerRecord) -> float | None:
    """Time to touch a page again, in an order of no locality, in seconds."""
    report = container.memory
    if report is None or not report.churn_pages:
        return None
    return report.churn_ns / report.churn_pages / 1e9


# --- the host in one trial -----------------------------------------------------------------


def foreign_cpus(trial: TrialRecord, cpus: frozenset[int] | None = None) -> float | None:
    """CPU that no container of the trial used: the root cgroup less the containers.

    With some CPUs, on those alone: what runs on another takes nothing from them. None where
    the root cgroup is not visible, or has no counters per CPU where those are needed (v2). Never
    below 0: the two are read microseconds apart, and charged by the tick.
    """
    first, last = trial.host_first, trial.host_last
    if first is None or last is None or last.t_mono_ns <= first.t_mono_ns:
        return None
    if cpus is not None:
        everything = _on(cpus, first.root_percpu_ns, last.root_percpu_ns)
        ours = [_on(cpus, *percpu_ns(container)) for container in trial.containers]
    else:
        begin, end = first.root_usage_ns, last.root_usage_ns
        everything = None if begin is None or end is None else end - begin
        ours = [_delta(container, "cpu_usage_ns") for container in trial.containers]
    known = [used for used in ours if used is not None]
    if everything is None or len(known) < len(ours):
        return None
    return max(0.0, (everything - sum(known)) / (last.t_mono_ns - first.t_mono_ns))


def _on(cpus: frozenset[int], first: PerCpu, last: PerCpu) -> int | None:
    """CPU time on some CPUs between two reads of counters per CPU."""
    if not first or not last or len(first) != len(last):  # a CPU came or went in between
        return None
    return sum(b - a for i, (a, b) in enumerate(zip(first, last, strict=True)) if i in cpus)


def harness_cpus(trial: TrialRecord) -> float | None:
    """CPU that the harness itself used in the window; part of ``foreign_cpus``."""
    first, last = trial.host_first, trial.host_last
    if first is None or last is None:
        return None
    if first.harness_cpu_ns is None or last.harness_cpu_ns is None:
        return None
    return (last.harness_cpu_ns - first.harness_cpu_ns) / (last.t_mono_ns - first.t_mono_ns)


def steal_cpus(trial: TrialRecord, cpus: frozenset[int] | None = None) -> float | None:
    """CPUs stolen by the hypervisor over the window, of all together or of some alone."""
    first, last = trial.host_first, trial.host_last
    if first is None or last is None or last.t_mono_ns <= first.t_mono_ns:
        return None
    every = frozenset(range(len(first.steal_ns or ())))
    stolen = _on(every if cpus is None else cpus, first.steal_ns, last.steal_ns)
    return None if stolen is None else stolen / (last.t_mono_ns - first.t_mono_ns)


@dataclass(frozen=True, slots=True)
class Sampling:
    """What sampling itself took, over all windows of a run."""

    ticks: int
    missed: int
    cpu_share: float
    """Of one CPU, in the windows."""
    cpu_per_read_s: float | None
    """CPU time of the sampling thread for each moment of one container; None without any."""
    lateness_p50_s: float
    """Median over the trials of their own medians."""
    lateness_p99_s: float
    """The same of their 99 % quantiles."""
    cpus: str | None
    """Where the sampling thread kept to, if that was apart from the containers in every trial."""


def sampling(trials: Sequence[TrialRecord]) -> Sampling | None:
    """The sampler's own cost; None where no trial had a window in which it read anything."""
    found = [
        (trial.sampler, span, len(trial.containers))
        for trial in trials
        if trial.sampler is not None and any(one.first for one in trial.containers)
        and (span := span_s(trial))
    ]  # fmt: skip
    if not found:
        return None
    reads = sum((cost.ticks + 2) * containers for cost, _, containers in found)
    cpu_s = sum(cost.cpu_ns for cost, _, _ in found) / 1e9
    kept_to = {cost.cpus for cost, _, _ in found}
    return Sampling(
        ticks=sum(cost.ticks for cost, _, _ in found),
        missed=sum(cost.missed for cost, _, _ in found),
        cpu_share=cpu_s / sum(span for _, span, _ in found),
        cpu_per_read_s=cpu_s / reads if reads else None,
        lateness_p50_s=statistics.median(cost.lateness_p50_ns for cost, _, _ in found) / 1e9,
        lateness_p99_s=statistics.median(cost.lateness_p99_ns for cost, _, _ in found) / 1e9,
        cpus=kept_to.pop() if len(kept_to) == 1 else None,
    )


def span_s(trial: TrialRecord) -> float | None:
    """The length of the trial's window in seconds, whether a cgroup was read in it or not."""
    first, last = trial.host_first, trial.host_last
    return None if first is None or last is None else (last.t_mono_ns - first.t_mono_ns) / 1e9


# --- metrics -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a container in a trial. ``of`` gives None where it was not measured."""

    name: str
    title: str
    unit: str
    """``CPUs``, ``s``, ``share`` (0 to 1), ``bytes``, ``1`` (a plain ratio), ``count``, …"""
    of: Callable[[TrialRecord, int], float | None]
    error: Callable[[TrialRecord, int], float | None] | None = None
    """The share of it that its source may miss in every repeat alike; None where that is none."""


def _container(function: Callable[[ContainerRecord], float | None]
               ) -> Callable[[TrialRecord, int], float | None]:  # fmt: skip
    return lambda trial, i: function(trial.containers[i])


def _response(quantile: str) -> Callable[[TrialRecord, int], float | None]:
    return lambda trial, i: response_s(trial.containers[i], quantile)


def _pressure(counter: str) -> Callable[[TrialRecord, int], float | None]:
    return lambda trial, i: pressure(trial.containers[i], counter)


def _host(function: Callable[[TrialRecord], float | None]
          ) -> Callable[[TrialRecord, int], float | None]:  # fmt: skip
    return lambda trial, i: function(trial) if i == 0 else None


def _ratio(trial: TrialRecord, i: int) -> float | None:
    """CPU time of this container over that of the trial's last one."""
    if i == len(trial.containers) - 1:
        return None
    mine, last = (achieved_cpus(trial.containers[j]) for j in (i, -1))
    return None if mine is None or not last else mine / last


def _ratio_error(trial: TrialRecord, i: int) -> float:
    return source_error(trial.containers[i]) + source_error(trial.containers[-1])


def _start_s(trial: TrialRecord) -> float | None:
    """From the request to start to the workload's being ready."""
    start, ready = (trial.phases_s.get(name) for name in ("start", "ready"))
    return None if start is None or ready is None else start + ready


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "cpus", "CPUs achieved", "CPUs", _container(achieved_cpus), _container(source_error)
        ),
        Metric("inside_cpus", "CPUs by the workload's own clocks", "CPUs", _container(inside_cpus)),
        Metric(
            "stats_cpus",
            "CPUs by docker stats",
            "CPUs",
            _container(stats_cpus),
            _container(stats_error),
        ),
        Metric("outside_cpus", "CPUs used outside the cpuset", "CPUs", _container(outside_cpus)),
        Metric("ratio", "CPU time against the last container", "1", _ratio, _ratio_error),
        Metric("throttled_share", "throttled periods", "share", _container(throttled_share)),
        Metric("throttled_rate", "throttled time a second", "s/s", _container(throttled_rate)),
        Metric("gap_s", "typical off-CPU gap", "s", _container(typical_gap_s)),
        Metric("gap_p99_s", "99 % off-CPU gap", "s", _container(late_gap_s)),
        Metric("gap_max_s", "longest off-CPU gap", "s", _container(longest_gap_s)),
        Metric("work_rate", "work per CPU second", "units/s", _container(work_per_cpu_s)),
        Metric("start_s", "start under the limit", "s", _host(_start_s)),
        Metric("response_p50_s", "median response", "s", _response("p50")),
        Metric("response_p99_s", "99 % response", "s", _response("p99")),
        Metric("response_max_s", "longest response", "s", _response("max")),
        Metric("unfinished_share", "work not finished", "share", _container(unfinished_share)),
        Metric("reached_bytes", "memory reached", "bytes", _container(reached_bytes)),
        Metric("oom_killed", "killed for memory", "yes", _container(was_killed)),
        Metric("limit_hits", "limit met", "count", _container(limit_hits)),
        Metric("high_hits", "slowed at memory.high", "count", _container(high_hits)),
        Metric("peak_bytes", "peak of memory", "bytes", _container(peak_memory_bytes)),
        Metric("peak_swap_bytes", "peak of swap", "bytes", _container(peak_swap_bytes)),
        Metric("fresh_page_s", "time per page, first touch", "s", _container(fresh_page_s)),
        Metric("swapping_page_s", "the same beyond the limit", "s", _container(swapping_page_s)),
        Metric("churn_page_s", "time per page, touched again", "s", _container(churn_page_s)),
        Metric("cpu_some", "some task waited for a CPU", "share", _pressure("cpu_some_us")),
        Metric("cpu_full", "all tasks waited for a CPU", "share", _pressure("cpu_full_us")),
        Metric("memory_some", "some waited for memory", "share", _pressure("memory_some_us")),
        Metric("memory_full", "all waited for memory", "share", _pressure("memory_full_us")),
        Metric("io_some", "some waited for a disk", "share", _pressure("io_some_us")),
        Metric("io_full", "all waited for a disk", "share", _pressure("io_full_us")),
        Metric("foreign_cpus", "CPUs used by others", "CPUs", _host(foreign_cpus)),
        Metric("harness_cpus", "CPUs used by the harness", "CPUs", _host(harness_cpus)),
        Metric("steal_cpus", "CPUs stolen by the hypervisor", "CPUs", _host(steal_cpus)),
    )
}
"""Every number that is derived from a trial, by name; new metrics are lines here."""


def metrics_of(point: Point) -> Mapping[str, Metric]:
    """The metrics of a point: ``METRICS``, and those that its programs say of themselves."""
    own = {
        metric.name: Metric(metric.name, metric.name, metric.unit, _said(metric.name))
        for spec in point.containers
        if spec.workload.program is not None
        for metric in spec.workload.program.metrics
    }
    return {**own, **METRICS}


def _said(name: str) -> Callable[[TrialRecord, int], float | None]:
    return lambda trial, i: dict(trial.containers[i].metrics).get(name)


# --- points --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One law of a point beside what was measured."""

    expectation: Expectation
    expected: float | None
    """Median of what the law promised in each window (differs from the promise on a full host)."""
    achieved: Estimate | None
    deviation: Estimate | None
    """Per trial, on the expectation's scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSummary:
    """All that the trials of one point say."""

    point: Point
    trials: int
    valid: int
    rejected: tuple[str, ...]
    """The reasons of trials that do not count."""
    results: tuple[Result, ...]
    """One a law, the main one first; empty for a measurement without a law."""
    estimates: Mapping[tuple[str, int], Estimate]
    """By metric and container; what was not measured is not there."""
    stats_frames: int

    def estimate(self, metric: str, container: int = 0) -> Estimate | None:
        """The estimate of a metric; None where it was not measured."""
        return self.estimates.get((metric, container))


def counts(trial: TrialRecord) -> bool:
    """True for a trial whose numbers enter the estimates.

    A kill for memory is a result where the workload was there to report it.
    """
    ended = trial.outcome is Outcome.COMPLETED or (
        trial.outcome is Outcome.OOM_KILLED and all(c.memory for c in trial.containers)
    )
    return ended and trial.invalid is None


def expectations_of(
    point: Point, trial: TrialRecord | None, engine: EngineFacts, host: HostFacts
) -> tuple[Expectation, ...]:
    """The laws of a point, under the effective limits that a trial of it read back."""
    effective = tuple(c.effective for c in trial.containers) if trial else ()
    given = laws.Circumstances(
        engine=engine,
        host=host,
        effective=effective,
        swap_free_bytes=trial.host_first.swap_free_bytes if trial and trial.host_first else None,
        swap_accounted=_swap_accounted(trial),
    )
    return laws.expectations(point, given)


def _swap_accounted(trial: TrialRecord | None) -> bool | None:
    """Whether the kernel counts a container's swap at all; None where nothing was read yet."""
    if trial is None or not trial.containers or trial.containers[0].kernel is None:
        return None
    return trial.containers[0].kernel.memory_swap_bytes is not None


def deviation(expectation: Expectation, measured: float, expected: float) -> float:
    """How far a measurement lies from what was expected, on the expectation's scale."""
    match expectation.scale:
        case Scale.RELATIVE:
            return measured / expected - 1
        case Scale.LOG:
            return math.log(measured / expected) if measured > 0 else -math.inf
        case Scale.ABSOLUTE:
            return measured - expected


def summarise(
    plan: Plan, trials: Sequence[TrialRecord], engine: EngineFacts, host: HostFacts
) -> list[PointSummary]:
    """One summary a point, in the plan's order, over the trials that are there so far."""
    by_point: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        by_point.setdefault(trial.point_id, []).append(trial)
    out = []
    for point in plan.points:
        mine = by_point.get(point.id, [])
        valid = [t for t in mine if counts(t)]
        found = expectations_of(point, valid[-1] if valid else None, engine, host)
        out.append(
            PointSummary(
                point=point,
                trials=len(mine),
                valid=len(valid),
                rejected=tuple(
                    t.invalid or t.failure or t.outcome.value for t in mine if not counts(t)
                ),
                results=tuple(_result(expectation, valid) for expectation in found),
                estimates=_estimates(point, valid),
                stats_frames=sum(len(c.stats) for t in valid for c in t.containers),
            )
        )
    return out


def _result(expectation: Expectation, valid: Sequence[TrialRecord]) -> Result:
    metric = METRICS[expectation.metric]
    i = expectation.container
    pairs = [
        (
            measured,
            expectation.expected(
                foreign_cpus(trial, laws.allowed_cpus(trial.containers[i].requested))
            ),
        )
        for trial in valid
        if (measured := metric.of(trial, i)) is not None
    ]
    unit = "ratio" if expectation.scale is not Scale.ABSOLUTE else metric.unit
    achieved = _estimate(metric, i, [m for m, _ in pairs], valid)
    missed = estimate("deviation", unit, [deviation(expectation, m, e) for m, e in pairs])
    if achieved and missed:
        # A share of what was measured, on the scale on which it is judged.
        share = metric_error(metric, i, valid)
        by = {Scale.RELATIVE: 1 + missed.median, Scale.LOG: 1.0, Scale.ABSOLUTE: achieved.median}
        missed = widened(missed, share * by[expectation.scale])
    return Result(
        expectation=expectation,
        expected=statistics.median(e for _, e in pairs) if pairs else None,
        achieved=achieved,
        deviation=missed,
    )


def _estimate(
    metric: Metric, i: int, values: Sequence[float], valid: Sequence[TrialRecord]
) -> Estimate | None:
    found = estimate(metric.name, metric.unit, values)
    return found and widened(found, metric_error(metric, i, valid) * abs(found.median))


def metric_error(metric: Metric, i: int, valid: Sequence[TrialRecord]) -> float:
    """The share by which a metric's source may miss in all of these trials alike."""
    if metric.error is None:
        return 0.0
    return max((metric.error(trial, i) or 0.0 for trial in valid), default=0.0)


def _estimates(point: Point, valid: Sequence[TrialRecord]) -> dict[tuple[str, int], Estimate]:
    out = {}
    for metric in metrics_of(point).values():
        for i in range(len(point.containers)):
            values = [v for trial in valid if (v := metric.of(trial, i)) is not None]
            if found := _estimate(metric, i, values, valid):
                out[metric.name, i] = found
    return out
