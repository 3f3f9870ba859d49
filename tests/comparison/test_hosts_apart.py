"""Hosts are told apart at the stated rate, simulated; and told where they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.comparison import hosts_apart
from harness.comparison.hosts_apart import ALPHA, LEAST_HOSTS, Spread
from harness.model import Level, Scale
from tests.histories import level

SERIES, TRIALS = 10, 5
MATTERS = 0.01

Noise = Callable[[np.random.Generator, tuple[int, int]], Any]


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    return rng.normal(size=shape)


def long_tails(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    return rng.standard_t(3, size=shape)


def skewed(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    return np.exp(0.7 * rng.normal(size=shape)) - 1


def series(  # noqa: PLR0913 - a simulation, by name
    rng: np.random.Generator,
    hosts: int,
    *,
    of_hosts: float,
    of_trials: float = 0.0,
    noise: Noise = normal,
    tick: float = 0.0,
    matters: float = MATTERS,
    far: int = 0,
    by: float = 0.0,
) -> list[Level]:
    """The levels of hosts that scatter about 1, the first ``far`` of them further by a share."""
    values = 1 + of_hosts * rng.normal(size=(hosts, 1)) + of_trials * noise(rng, (hosts, TRIALS))
    values = np.sort(values + np.zeros((hosts, TRIALS)), axis=1)
    if tick:
        values = np.round(values / tick) * tick
    values[:far] *= 1 + by
    deviations = np.median(np.abs(values - np.median(values, axis=1, keepdims=True)), axis=1)
    return [
        level(float(mine[2]), low=float(mine[0]), high=float(mine[-1]), matters=matters,
              deviation=float(deviation) * 0.83)
        for mine, deviation in zip(values, deviations, strict=True)
    ]  # fmt: skip


def alarms(
    fleets: int, hosts: int, judge: Callable[[list[Spread]], Any] | None = None, **how: Any
) -> float:
    """The share of whole reports in which any host is told to lie apart, though none does."""
    rng = np.random.default_rng(1)
    judge = judge or hosts_apart.adjusted_over
    found = 0
    for _ in range(fleets):
        spreads = [hosts_apart.spread(series(rng, hosts, **how)) for _ in range(SERIES)]
        found += any(p <= ALPHA for ps in judge(spreads) for p in ps)
    return found / fleets


def all_but_too_often(fleets: int) -> float:
    """A share that a rate of ALPHA exceeds in one of a thousand such simulations."""
    return float(stats.binom.isf(0.001, fleets, ALPHA)) / fleets


@pytest.mark.slow
@pytest.mark.parametrize("hosts", [5, 10, 40])
@pytest.mark.parametrize(
    "how",
    [
        {"of_hosts": 0.01, "matters": 0.0001},
        {"of_hosts": 0.003, "of_trials": 0.003},
        {"of_hosts": 0.0, "of_trials": 0.02, "noise": long_tails, "matters": 0.001},
        {"of_hosts": 0.0, "of_trials": 0.02, "noise": skewed, "matters": 0.001},
        {"of_hosts": 0.003, "tick": MATTERS},
        {"of_hosts": 0.01, "of_trials": 0.01, "tick": MATTERS},
    ],
    ids=["hosts alone", "tight", "long tails", "skewed", "ticks", "ticks and trials"],
)
def test_where_no_host_differs_hardly_a_report_names_one(hosts: int, how: dict[str, Any]) -> None:
    fleets = 250 if hosts < 40 else 80
    assert alarms(fleets, hosts, **how) <= all_but_too_often(fleets)


@pytest.mark.slow
def test_the_simulation_finds_a_method_that_knows_nothing_of_few_hosts() -> None:
    """By a normal distribution, as robust distances often are judged."""

    def naively(spreads: list[Spread]) -> list[Any]:
        ps = [2 * stats.norm.sf(np.abs(one.places) / one.scatter) for one in spreads]
        flat = stats.false_discovery_control(np.concatenate(ps))
        return [flat]

    how = {"of_hosts": 0.01, "matters": 0.0001}
    assert alarms(100, 8, naively, **how) > 0.5 > all_but_too_often(100)


@pytest.mark.slow
@pytest.mark.parametrize(("hosts", "far"), [(15, 1), (30, 3), (100, 5), (100, 30)])
def test_a_fault_of_5_percent_at_five_points_is_told_and_no_other(hosts: int, far: int) -> None:
    rng = np.random.default_rng(2)
    told = false = 0
    for _ in range(20):
        both = [
            series(rng, hosts, of_hosts=0.003, of_trials=0.003, far=far * (i < 5), by=0.05)
            for i in range(SERIES)
        ]
        ps = np.array(hosts_apart.adjusted_over([hosts_apart.spread(one) for one in both]))
        apart = np.any(ps <= ALPHA, axis=0).tolist()
        told += sum(apart[:far])
        false += sum(apart[far:])
    assert told / (20 * far) >= 0.95
    assert false <= 1


def test_of_few_hosts_none_lies_apart() -> None:
    few = [level(1.0)] * (LEAST_HOSTS - 2) + [level(100.0)]
    found = hosts_apart.spread(few)
    assert found.ps == (1.0,) * (LEAST_HOSTS - 1)
    assert found.told_from(0.01) == math.inf
    assert hosts_apart.adjusted_over([found]) == [found.ps]
    assert hosts_apart.adjusted_over([]) == []


def test_what_five_hosts_that_scatter_widely_tell_is_no_number() -> None:
    wide = [level(10.0**i) for i in range(LEAST_HOSTS)]
    assert hosts_apart.spread(wide).told_from(1e-6) == math.inf


def test_one_host_among_twenty_lies_apart_on_either_side() -> None:
    for factor in (1.1, 0.9):
        levels = [level(0.5 + i * 1e-4) for i in range(19)] + [level(0.5 * factor)]
        found = hosts_apart.spread(levels)
        (ps,) = hosts_apart.adjusted_over([found])
        assert [p <= ALPHA for p in ps] == [False] * 19 + [True]
        assert found.change(found.places[-1]) == pytest.approx(factor - 1, abs=0.01)


def test_how_far_it_lies_out_is_told_by_its_nearer_end() -> None:
    sure = [level(0.5)] * 19 + [level(0.6, low=0.59, high=0.61)]
    unsure = [level(0.5)] * 19 + [level(0.6, low=0.5, high=0.7)]
    assert hosts_apart.spread(sure).ps[-1] < 1e-6
    assert hosts_apart.spread(unsure).ps[-1] == 1.0


def test_hosts_that_are_alike_to_the_last_digit_have_no_distance() -> None:
    same = hosts_apart.spread([level(0.0, matters=0.0, relative=False)] * 10)
    assert (same.scale, same.distances, same.ps) == (Scale.ABSOLUTE, (0.0,) * 10, (1.0,) * 10)


def test_the_least_that_is_told_is_told() -> None:
    levels = [level(0.5 * (1 + 1e-3 * math.sin(i))) for i in range(40)]
    found = hosts_apart.spread(levels)
    least = found.told_from(ALPHA / 40)
    for factor, told in ((1.05, True), (0.9, False)):
        median = found.median * (1 + least * factor)
        one = level(median, low=median, high=median)
        (ps,) = hosts_apart.adjusted_over([hosts_apart.spread([*levels[:-1], one])])
        assert (ps[-1] <= ALPHA) is told
