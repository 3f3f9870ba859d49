"""Changes of level are found where they are, and none where there is none: simulated series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.comparison import changepoints
from harness.comparison.changepoints import Found

Draw = Callable[[int], Any]


def noise(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def found(values: np.ndarray, **given: float) -> list[Found]:
    return changepoints.changes([float(value) for value in values], **given)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "runs"), [("normal", 8), ("normal", 24), ("laplace", 24)])
def test_of_series_without_a_change_one_in_a_hundred_has_one(name: str, runs: int) -> None:
    rng = noise(1)
    draws: dict[str, Draw] = {
        "normal": lambda n: rng.normal(size=n),
        "laplace": lambda n: rng.laplace(size=n),
    }
    draw = draws[name]
    alarms = sum(bool(found(100 + draw(runs))) for _ in range(200))
    assert alarms <= 2


def stepped(rng: np.random.Generator, runs: int, at: int, sigmas: float) -> np.ndarray:
    values = 100 + rng.standard_normal(runs)
    values[at:] += sigmas
    return values


def share_found(sigmas: float, runs: int = 40, at: int = 20) -> float:
    """Of series with one change, those where it is found within one run of where it is."""
    rng = noise(2)
    hits = [
        any(abs(one.at - at) <= 1 for one in found(stepped(rng, runs, at, sigmas)))
        for _ in range(100)
    ]
    return sum(hits) / len(hits)


@pytest.mark.slow
def test_a_change_of_three_sigma_is_found_within_a_run() -> None:
    assert share_found(3) >= 0.95


@pytest.mark.slow
def test_a_change_of_half_a_sigma_is_not() -> None:
    """What makes the test above more than a test of its own search."""
    assert share_found(0.5) < 0.2


@pytest.mark.slow
def test_intervals_hold_what_they_should() -> None:
    rng, at = noise(3), 12
    changes = [one for _ in range(100) for one in found(stepped(rng, 24, at, 3))]
    place = [one.first <= at <= one.last for one in changes]
    size = [low <= 3 <= high for _, low, high in (one.difference() for one in changes)]
    assert sum(place) / len(place) >= 0.9
    assert sum(size) / len(size) >= 0.85


def test_what_was_taken_back_is_two_changes() -> None:
    values = 100 + noise(4).standard_normal(30)
    values[10:20] += 5
    up, down = found(values)
    assert (abs(up.at - 10) <= 1, abs(down.at - 20) <= 1) == (True, True)
    assert up.after > up.before
    assert down.after < down.before


@pytest.mark.parametrize("sigmas", [10, 1000])
def test_one_run_that_was_disturbed_is_no_level(sigmas: float) -> None:
    values = 100 + noise(5).standard_normal(24)
    values[11] += sigmas
    assert found(values) == []


def test_few_runs_tell_a_change_that_is_large() -> None:
    (only,) = found(np.array([1.0, 1.001, 0.999, 1.2, 1.201, 1.199]))
    assert (only.at, only.first, only.last) == (3, 3, 3)
    assert found(np.array([1.0, 1.001, 1.2, 1.2, 1.2])) == []


def test_nothing_is_made_of_nothing() -> None:
    assert found(np.array([])) == []
    assert found(np.full(30, 0.5)) == []


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e12])
def test_the_unit_does_not_matter(unit: float) -> None:
    (only,) = found(unit * stepped(noise(6), 24, 12, 4))
    assert only.at == 12
    change, low, high = only.difference()
    assert low < 4 * unit < high
    assert low < change < high


def test_a_change_below_what_matters_is_none() -> None:
    values = stepped(noise(7), 24, 12, 4)
    assert len(found(values, least=2.0)) == 1
    assert found(values, least=6.0) == []


def test_no_more_is_told_than_a_run_can() -> None:
    """Six medians that happen to lie closely together, each of trials that scatter widely."""
    values = np.array([1.0, 1.0001, 0.9999, 1.001, 1.0011, 1.0009])
    assert len(found(values)) == 1
    assert found(values, error=0.001) == []


def test_a_ratio_has_an_interval_too() -> None:
    (only,) = found(stepped(noise(10), 24, 12, 5))
    change, low, high = only.ratio()
    assert low < 0.05 < high
    assert low < change < high


@pytest.mark.slow
def test_of_a_long_series_the_newest_runs_are_looked_at() -> None:
    runs = changepoints.MOST_RUNS + 10
    values = 100 + 0.01 * noise(9).standard_normal(runs)
    values[5:] += 1  # longer ago than that
    values[-20:] += 1
    assert [one.at for one in found(values)] == [runs - 20]
