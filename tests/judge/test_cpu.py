"""Estimators against simulated quota schedules, whose truth is known: bias, scatter, coverage."""

from __future__ import annotations

import dataclasses
import random
import statistics
from collections.abc import Sequence
from itertools import pairwise

import pytest

from harness.judge import cpu, estimates
from harness.model import BurstReport, ContainerRecord, Limits, Sample, StatsFrame
from harness.plan import build
from harness.plan.axes import Options
from tests.fakes import CPUS
from tests.schedules import MS, Schedule, simulated

LATE = 200_000
"""A read comes up to so many ns after its deadline."""
SCHEDULES = [
    (10 * MS, 100 * MS, 10),
    (25 * MS, 100 * MS, 30),
    (50 * MS, 100 * MS, 5),
    (50 * MS, 100 * MS, 30),
    (5 * MS, 10 * MS, 100),
    (90 * MS, 100 * MS, 20),
    (300 * MS, 1000 * MS, 3),
]


def window(
    schedule: Schedule, length: int, rng: random.Random, *, late: int = LATE
) -> ContainerRecord:
    """What the sampler keeps of a window that begins at any moment of the schedule."""
    start = rng.randrange(schedule.period)
    moments = (start + rng.randrange(late), start + length + rng.randrange(late))
    first, last = (Sample(t_mono_ns=t, cpu_usage_ns=schedule.counter(t)) for t in moments)
    return ContainerRecord(requested=Limits(cpu_quota_us=1), first=first, last=last)


def errors(quota: int, period: int, length: int, rounds: int) -> list[float]:
    """The relative errors of achieved CPUs over so many windows."""
    rng = random.Random(quota + period + length)
    found = []
    for _ in range(rounds):
        schedule = simulated(quota, period, rng, length=length + 2 * period)
        achieved = cpu.achieved_cpus(window(schedule, length, rng))
        assert achieved is not None
        found.append(achieved / (quota / period) - 1)
    return found


@pytest.mark.parametrize(
    ("met", "outside"),
    [(((0, 900),), 0.0), (((0, 600), (1, 200), (0, 100), (2, 100)), 0.15), ((), None)],
)
def test_where_a_kernel_counts_no_cpus_apart_a_load_of_bursts_tells_where_it_ran(
    met: tuple[tuple[int, int], ...], outside: float | None
) -> None:
    report = BurstReport(
        t_start_ns=0, t_end_ns=2_000_000_000, cost_ns=1, rate_hz=1, offered=1, completed=1,
        unfinished=0, response_edges_ns=(), response_histogram=(), cpu_ns=1_000_000_000, cpus=met,
    )  # fmt: skip
    container = ContainerRecord(requested=Limits(cpuset_cpus="0"), burst=report)
    assert cpu.outside_cpus(container) == outside
    unpinned = dataclasses.replace(container, requested=Limits())
    assert cpu.outside_cpus(unpinned) is None


@pytest.mark.parametrize(("quota", "period", "periods"), SCHEDULES)
def test_a_window_of_whole_periods_is_right_without_bias(
    quota: int, period: int, periods: int
) -> None:
    found = errors(quota, period, periods * period, 600)
    # At each edge at most a tick that is not charged yet, or overrun and not paid back yet.
    worst = (2 * 4 * MS + LATE) / (periods * quota)
    assert max(map(abs, found)) <= worst
    spread = statistics.stdev(found)
    assert spread > 0
    assert abs(statistics.fmean(found)) <= 4 * spread / len(found) ** 0.5 + LATE / (
        periods * period
    )


@pytest.mark.parametrize(("quota", "period", "periods"), SCHEDULES)
def test_the_interval_of_five_windows_covers_the_truth_as_stated(
    quota: int, period: int, periods: int
) -> None:
    found = errors(quota, period, periods * period, 2000)
    hits, stated = 0, 0.0
    trials = [found[i : i + 5] for i in range(0, len(found), 5)]
    for five in trials:
        estimate = estimates.estimate("error", "1", five)
        assert estimate is not None
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.confidence is not None
        stated = estimate.confidence
        hits += estimate.low <= 0 <= estimate.high
    standard_error = (stated * (1 - stated) / len(trials)) ** 0.5
    assert hits / len(trials) >= stated - 4 * standard_error


def followed(
    schedule: Schedule, quota: int, moments: Sequence[int], rng: random.Random
) -> ContainerRecord:
    """What docker stats tells of a window, where nothing else is to be had."""
    moments = [moment + rng.randrange(MS) for moment in moments]
    return ContainerRecord(
        requested=Limits(cpu_quota_us=quota // 1000, cpu_period_us=schedule.period // 1000),
        stats=tuple(
            StatsFrame(
                read="", memory_bytes=None, t_mono_ns=end,
                cpu_percent=100 * (schedule.counter(end) - schedule.counter(begin)) / (end - begin),
            )
            for begin, end in pairwise(moments)
        ),
    )  # fmt: skip


@pytest.mark.parametrize(("quota", "period", "frames"), [(25, 100, 2), (50, 100, 4), (75, 250, 9)])
def test_docker_stats_miss_no_more_than_a_period_and_every_repeat_may_miss_the_same(
    quota: int, period: int, frames: int
) -> None:
    rng = random.Random(quota)
    rate, missed, widest = quota / period, 0.0, 0.0
    covered = dict.fromkeys((False, True), 0)
    rounds = 60
    for _ in range(rounds):
        schedule = simulated(quota * MS, period * MS, rng, length=(frames + 2) * 1100 * MS)
        # Beside its second an engine takes some time of its own, each time about the same.
        start, each = rng.randrange(period * MS), 1000 * MS + rng.randrange(60 * MS)
        moments = [start + i * each for i in range(frames + 1)]
        trials = [followed(schedule, quota * MS, moments, rng) for _ in range(5)]
        share = max(map(cpu.source_error, trials))
        achieved = [one for trial in trials if (one := cpu.achieved_cpus(trial)) is not None]
        # At an edge a tick may not be charged yet, or be overrun: that is not the frames' doing.
        ticks = 2 * 4 / (rate * frames * 1000)
        missed = max(missed, *(abs(one / rate - 1) - ticks for one in achieved))
        widest = max(widest, share)
        found = estimates.estimate("cpus", "CPUs", achieved)
        for wide in covered:
            shown = estimates.widened(found, share * rate if wide else 0.0)
            assert shown
            assert shown.low is not None
            assert shown.high is not None
            covered[wide] += shown.low <= rate <= shown.high
    assert 0 < missed <= widest
    assert covered[True] == rounds
    assert covered[False] < rounds / 2


def test_a_window_that_is_cut_within_a_period_would_be_off_by_its_phase() -> None:
    """What whole periods are for: the same estimator over 5.5 of them."""
    whole = errors(25 * MS, 100 * MS, 500 * MS, 600)
    cut = errors(25 * MS, 100 * MS, 550 * MS, 600)
    assert statistics.stdev(cut) > 5 * statistics.stdev(whole)
    assert max(map(abs, cut)) > 0.08


@pytest.mark.parametrize(("quota", "period"), [(20_000, 300_000), (50_000, 100_000), (1500, 7_000)])
def test_every_plan_has_windows_of_whole_periods(quota: int, period: int) -> None:
    options = Options(values=str(quota), fixed=Limits(cpu_period_us=period), duration_s=1.13)
    (point,) = build.build("quota", options, cpus=CPUS).points
    periods = point.duration_s * 1e6 / period
    assert periods == pytest.approx(round(periods), abs=1e-6)
    assert periods >= build.MIN_PERIODS


@pytest.mark.parametrize("quota", [10, 25, 50, 75])
def test_the_simulated_gap_is_that_of_the_law(quota: int) -> None:
    """Off the CPU for period - quota, within the tick at which run time ends."""
    schedule = simulated(quota * MS, 100 * MS, random.Random(quota), length=40_000 * MS)
    gaps = schedule.gaps()
    assert statistics.fmean(gaps) == pytest.approx((100 - quota) * MS, abs=MS / 10)
    assert max(gaps) <= (100 - quota) * MS + 4 * MS
    assert min(gaps) >= (100 - quota) * MS - 4 * MS
