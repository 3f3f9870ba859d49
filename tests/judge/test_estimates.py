"""Intervals with the coverage they claim, and estimators against a known truth."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.judge import cpu, estimates, points, verdicts
from harness.model import (
    ContainerRecord,
    Limits,
    Outcome,
    Sample,
    StatsFrame,
    Status,
    TrialRecord,
)
from harness.plan import build
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS


@pytest.mark.parametrize(
    ("n", "ranks", "coverage"),
    [(5, (1, 5), 0.9375), (6, (1, 6), 0.96875), (8, (2, 7), 0.9297), (10, (2, 9), 0.9785)],
)
def test_order_statistics_have_the_binomial_coverage(
    n: int, ranks: tuple[int, int], coverage: float
) -> None:
    found = estimates.order_statistic_ranks(n)
    assert found is not None
    assert found[:2] == ranks
    assert found[2] == pytest.approx(coverage, abs=1e-4)


@pytest.mark.parametrize("n", [1, 20, 58, 59, 100, 5000])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_ranks_of_a_quantile_bound_it_as_the_binomial_says(n: int, share: float) -> None:
    low, high = estimates.quantile_ranks(n, share)
    below = stats.binom(n, share).cdf  # so many of them lie below the quantile, or fewer
    if low is not None:
        assert below(low - 1) <= 0.05 + 1e-9
    assert below(low or 0) > 0.05 - 1e-9
    if high is not None:
        assert below(high - 1) >= 0.95 - 1e-9
    assert (high is None) == (share**n > 0.05)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_below_five_trials_no_order_statistics_reach_90_percent(n: int) -> None:
    assert estimates.order_statistic_ranks(n) is None


@pytest.mark.parametrize("n", [5, 7, 10, 20])
def test_the_stated_coverage_is_the_simulated_one_whatever_the_distribution(n: int) -> None:
    rng = random.Random(n)
    hits, rounds = 0, 4000
    stated = 0.0
    for _ in range(rounds):
        # skewed: most trials near the truth, some far above it; its median is ln 2
        found = estimates.estimate("x", "1", [rng.expovariate(1.0) for _ in range(n)])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        assert found.confidence is not None
        stated = found.confidence
        hits += found.low <= 0.6931471805599453 <= found.high
    # 4 standard errors of a share over 4000 rounds
    assert hits / rounds == pytest.approx(stated, abs=4 * (stated * (1 - stated) / rounds) ** 0.5)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_few_trials_get_students_t_with_its_coverage_for_normal_errors(n: int) -> None:
    rng = random.Random(n)
    hits, rounds = 0, 4000
    for _ in range(rounds):
        found = estimates.estimate("x", "1", [rng.gauss(1.0, 0.1) for _ in range(n)])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        assert found.method == "Student's t"
        hits += found.low <= 1.0 <= found.high
    assert hits / rounds == pytest.approx(0.90, abs=0.02)


def test_one_trial_has_no_interval_and_none_has_no_estimate() -> None:
    one = estimates.estimate("x", "1", [0.5])
    assert one is not None
    assert (one.median, one.low, one.high, one.confidence) == (0.5, None, None, None)
    assert estimates.estimate("x", "1", []) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=60))
def test_the_median_lies_in_its_interval(values: list[float]) -> None:
    found = estimates.estimate("x", "1", values)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.median <= found.high
    assert found.confidence is not None
    assert found.confidence >= estimates.CONFIDENCE


def test_pressure_is_a_share_of_the_window_and_absent_where_none_is_kept() -> None:
    container = ContainerRecord(
        requested=Limits(),
        first=Sample(t_mono_ns=0, memory_full_us=100_000),
        last=Sample(t_mono_ns=2_000_000_000, memory_full_us=600_000, io_full_us=0),
    )
    assert cpu.pressure(container, "memory_full_us") == 0.25
    assert cpu.pressure(container, "io_full_us") is None  # known at one edge alone
    assert cpu.pressure(container, "cpu_some_us") is None


def test_what_docker_stats_may_miss_is_in_the_interval_and_in_the_verdict() -> None:
    """Five trials that agree to 0.01 %, each by two frames of a second: a period is 5 % of them."""
    measured = build.build("cpu", Options(values="0.5", repeats=5), cpus=CPUS)
    trials = [
        TrialRecord(
            index=i, block=i, point_id="cpus=0.5", outcome=Outcome.COMPLETED, started_at="",
            containers=(
                ContainerRecord(
                    requested=Limits(cpus=0.5),
                    stats=tuple(
                        StatsFrame(
                            read="", cpu_percent=50 + i / 1000, memory_bytes=None,
                            t_mono_ns=second * 1_000_000_000,
                        )
                        for second in (1, 2)
                    ),
                ),
            ),
        )
        for i in range(5)
    ]  # fmt: skip
    (summary,) = points.summarise(measured, trials, ENGINE_FACTS, HOST_FACTS)
    (law,) = summary.results
    for found, middle, half in ((law.achieved, 0.5, 0.025), (law.deviation, 0.0, 0.05)):
        assert found is not None
        assert found.low == pytest.approx(middle - half, abs=1e-3)
        assert found.high == pytest.approx(middle + half, abs=1e-3)
        assert "docker stats" in found.method
    assert verdicts.judge(summary, law, ()).status is Status.INCONCLUSIVE
    followed = summary.estimate("stats_cpus")
    assert followed is not None
    assert law.achieved is not None
    assert (followed.low, followed.high) == (law.achieved.low, law.achieved.high)
    seen = [
        replace(trial, containers=(replace(trial.containers[0], first=edge, last=end),))
        for trial in trials
        for edge, end in [(Sample(t_mono_ns=0, cpu_usage_ns=0),
                           Sample(t_mono_ns=2_000_000_000, cpu_usage_ns=1_000_000_000))]
    ]  # fmt: skip
    (summary,) = points.summarise(measured, seen, ENGINE_FACTS, HOST_FACTS)
    (law,) = summary.results
    assert law.achieved is not None
    assert (law.achieved.low, law.achieved.error) == (0.5, 0.0)
