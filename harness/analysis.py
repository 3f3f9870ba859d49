"""From records to numbers: what each trial achieved, and per point a median with its interval.

The replicate is the trial, not the sample. Intervals are distribution-free where there are
enough trials: the interval between two order statistics covers the median with a probability
that follows from the binomial distribution alone (Conover, *Practical Nonparametric Statistics*,
3.2), so its coverage is known and not asked for. Below five trials no such interval reaches 90 %,
and Student's t is used and said so. See docs/decisions/002 for the coverage that was simulated.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness import laws
from harness.model import (
    ContainerRecord,
    EngineFacts,
    Estimate,
    HostFacts,
    Outcome,
    Plan,
    Point,
    TrialRecord,
)

CONFIDENCE = 0.90
MIN_EXACT_N = 5
_T95 = {2: 6.314, 3: 2.920, 4: 2.353}
"""Student's t, two-sided 90 %, by number of trials (degrees of freedom + 1)."""


def order_statistic_ranks(n: int, confidence: float = CONFIDENCE) -> tuple[int, int, float] | None:
    """The narrowest symmetric pair of ranks (from 1) that covers the median, and its coverage.

    P(x(k) <= median <= x(n+1-k)) = 1 - 2 P(Binomial(n, 1/2) < k). None where even the extremes
    cover it less often than ``confidence``: below 5 trials at 90 %.
    """
    best = None
    for k in range(1, n // 2 + 1):
        below = sum(math.comb(n, i) for i in range(k)) / 2**n
        coverage = 1 - 2 * below
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


def achieved_cpus(container: ContainerRecord) -> float | None:
    """CPUs used over the window, by the cgroup's counter."""
    used, span = _delta(container, "cpu_usage_ns"), window_s(container)
    return None if used is None or not span else used / 1e9 / span


def inside_cpus(container: ContainerRecord) -> float | None:
    """CPUs used over the probe's own window, by its threads' CPU clocks.

    A thread that is throttled at an edge reads its clock late, but the clock stood still
    meanwhile: the sum is that of the planned window, exactly.
    """
    report = container.inside
    if report is None or report.t_end_ns <= report.t_start_ns:
        return None
    return sum(t.cpu_ns for t in report.threads) / (report.t_end_ns - report.t_start_ns)


def throttled_share(container: ContainerRecord) -> float | None:
    """Throttled periods over periods; None where the container had no quota periods at all."""
    periods, throttled = _delta(container, "nr_periods"), _delta(container, "nr_throttled")
    return None if not periods or throttled is None else throttled / periods


def longest_gap_s(container: ContainerRecord) -> float | None:
    """The longest time that a thread of the probe was off the CPU, in seconds."""
    if container.inside is None:
        return None
    return max((t.gap_max_ns for t in container.inside.threads), default=0) / 1e9


def stats_cpus(container: ContainerRecord) -> float | None:
    """The mean of docker stats' usable frames, in CPUs; None where there was none."""
    if not container.stats:
        return None
    return statistics.fmean(frame.cpu_percent for frame in container.stats) / 100


# --- the host in one trial -----------------------------------------------------------------


def foreign_cpus(trial: TrialRecord) -> float | None:
    """CPU that neither container of the trial used: the root cgroup less the containers.

    None where the root cgroup is not visible. Never below 0: the two are read microseconds
    apart, and charged by the tick.
    """
    first, last = trial.host_first, trial.host_last
    if first is None or last is None or first.root_usage_ns is None or last.root_usage_ns is None:
        return None
    span = last.t_mono_ns - first.t_mono_ns
    used = [_delta(container, "cpu_usage_ns") for container in trial.containers]
    if span <= 0 or None in used:
        return None
    ours = sum(u for u in used if u is not None)
    return max(0.0, (last.root_usage_ns - first.root_usage_ns - ours) / span)


def harness_cpus(trial: TrialRecord) -> float | None:
    """CPU that the harness itself used in the window; part of ``foreign_cpus``."""
    first, last = trial.host_first, trial.host_last
    if first is None or last is None:
        return None
    if first.harness_cpu_ns is None or last.harness_cpu_ns is None:
        return None
    return (last.harness_cpu_ns - first.harness_cpu_ns) / (last.t_mono_ns - first.t_mono_ns)


def steal_cpus(trial: TrialRecord) -> float | None:
    """CPUs stolen by the hypervisor over the window, all CPUs together."""
    first, last = trial.host_first, trial.host_last
    if first is None or last is None or first.steal_ns is None or last.steal_ns is None:
        return None
    return (sum(last.steal_ns) - sum(first.steal_ns)) / (last.t_mono_ns - first.t_mono_ns)


# --- points --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSummary:
    """All that a report says of one point with one container."""

    point: Point
    law: laws.CpuLaw
    trials: int
    valid: int
    rejected: tuple[str, ...]
    """The reasons of trials that do not count."""
    expected_cpus: float | None
    """Median of what the law promised in each window (differs from the promise on a full host)."""
    achieved: Estimate | None
    error: Estimate | None
    """achieved / expected - 1, per trial."""
    inside: Estimate | None
    throttled: Estimate | None
    gap_s: Estimate | None
    stats: Estimate | None
    stats_frames: int
    foreign: Estimate | None


def counts(trial: TrialRecord) -> bool:
    """True for a trial whose numbers enter the estimates."""
    return trial.outcome is Outcome.COMPLETED and trial.invalid is None


def summarise(
    plan: Plan, trials: Sequence[TrialRecord], engine: EngineFacts, host: HostFacts
) -> list[PointSummary]:
    """One summary a point, in the plan's order, over the trials that are there so far."""
    out = []
    for point in plan.points:
        law = laws.cpu_law(point.containers[0], engine=engine, host=host, plan=plan)
        mine = [t for t in trials if t.point_id == point.id]
        valid = [t for t in mine if counts(t)]
        rows = [(t.containers[0], foreign_cpus(t)) for t in valid]
        pairs = [
            (achieved, law.expected_cpus(foreign))
            for container, foreign in rows
            if (achieved := achieved_cpus(container)) is not None
        ]
        containers = [container for container, _ in rows]
        expected = [e for _, e in pairs]
        out.append(
            PointSummary(
                point=point,
                law=law,
                trials=len(mine),
                valid=len(valid),
                rejected=tuple(
                    t.invalid or t.failure or t.outcome.value for t in mine if not counts(t)
                ),
                expected_cpus=statistics.median(expected) if expected else None,
                achieved=estimate("achieved", "CPUs", [a for a, _ in pairs]),
                error=estimate("error", "ratio", [a / e - 1 for a, e in pairs]),
                inside=_over("inside", "CPUs", [inside_cpus(c) for c in containers]),
                throttled=_over("throttled", "share", [throttled_share(c) for c in containers]),
                gap_s=_over("longest gap", "s", [longest_gap_s(c) for c in containers]),
                stats=_over("docker stats", "CPUs", [stats_cpus(c) for c in containers]),
                stats_frames=sum(len(c.stats) for c in containers),
                foreign=_over("foreign", "CPUs", [f for _, f in rows]),
            )
        )
    return out


def _over(metric: str, unit: str, values: Sequence[float | None]) -> Estimate | None:
    return estimate(metric, unit, [v for v in values if v is not None])
