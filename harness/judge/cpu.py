"""What a container did with the CPU in its window."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator

from harness import limits as rules
from harness.judge.counters import delta, on, percpu_ns, window_s
from harness.model import (
    BurstReport,
    ContainerRecord,
)


def achieved_cpus(container: ContainerRecord) -> float | None:
    """CPUs used over the window, by the cgroup's counter.

    Where no cgroup was there to be read (``BlindObserver``), by the workload's own clocks; by
    docker stats for a program that keeps none.
    """
    if container.first is None:
        inside = inside_cpus(container)
        return inside if inside is not None else _followed_cpus(container)
    used, span = delta(container, "cpu_usage_ns"), window_s(container)
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
    the probe's full load or bursts did on each CPU, as a share of its CPU time.
    """
    if container.requested.cpuset_cpus is None:
        return None
    allowed = rules.parse_cpu_list(container.requested.cpuset_cpus)
    first, last = percpu_ns(container)
    span = window_s(container)
    if first and last and span:
        used = on(frozenset(range(len(first))) - allowed, first, last)
        return None if used is None else used / 1e9 / span
    used_cpus = inside_cpus(container)
    if used_cpus is None:
        return None
    work = Counter[int]()
    for cpu, units in _met(container):
        work[cpu] += units
    total = work.total()
    if not total:
        return None
    return used_cpus * sum(units for cpu, units in work.items() if cpu not in allowed) / total


def _met(container: ContainerRecord) -> Iterator[tuple[int, int]]:
    """(CPU, units of work done on it) of the probe's threads, in any order."""
    if container.inside is not None:
        for thread in container.inside.threads:
            yield from thread.cpus
    elif container.burst is not None:
        yield from container.burst.cpus


def throttled_share(container: ContainerRecord) -> float | None:
    """Throttled periods over periods; None where the container had no quota periods at all."""
    periods, throttled = delta(container, "nr_periods"), delta(container, "nr_throttled")
    return None if not periods or throttled is None else throttled / periods


def throttled_rate(container: ContainerRecord) -> float | None:
    """Throttled time per second, summed over the CPUs' run queues; None without quota periods."""
    time_ns, span = delta(container, "throttled_ns"), window_s(container)
    if not delta(container, "nr_periods") or time_ns is None or not span:
        return None
    return time_ns / 1e9 / span


def pressure(container: ContainerRecord, counter: str) -> float | None:
    """The share of the window in which tasks of the container waited, by its pressure (PSI).

    ``counter`` is a field of ``Sample`` such as ``memory_full_us``; None where none is kept.
    """
    waited_us, span = delta(container, counter), window_s(container)
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


def late_share(container: ContainerRecord) -> float | None:
    """Pieces of work that were due in the window and not finished at its end."""
    report = container.burst
    if report is None or not report.offered or report.backlog is None:
        return None
    return report.backlog / report.offered


def finished_rate(container: ContainerRecord) -> float | None:
    """Pieces' worth of work done in the window, a second.

    By the CPU time that went into them: what is counted as completed includes what was finished
    between the window's end and ``stop``, which comes late on a busy host.
    """
    report = container.burst
    if report is None or report.t_end_ns <= report.t_start_ns:
        return None
    return report.cpu_ns / report.cost_ns / ((report.t_end_ns - report.t_start_ns) / 1e9)
