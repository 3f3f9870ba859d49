"""The statistics of two samples: what they cover, what they call significant, and their edges."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.comparison.significance import (
    adjusted,
    least_repeats,
    rank_p,
    repeats_that_decide,
    shift,
)
from harness.model import Scale

Draw = Callable[[random.Random], float]
DISTRIBUTIONS: dict[str, Draw] = {
    "normal": lambda rng: rng.gauss(0, 1),
    "uniform": lambda rng: rng.uniform(-1, 1),
    "exponential": lambda rng: rng.expovariate(1),
    "ticks": lambda rng: float(round(rng.gauss(0, 1))),
    "disturbed": lambda rng: rng.gauss(0, 1) + 10 * (rng.random() < 0.1),
}


@pytest.mark.slow
@pytest.mark.parametrize("draw", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
@pytest.mark.parametrize("n", [5, 10])
def test_the_interval_covers_as_often_as_it_says(draw: Draw, n: int) -> None:
    # docs/decisions/010 has this with more rounds. Of 150, 90 % less three standard errors.
    rng = random.Random(n)
    covered = 0
    for _ in range(150):
        a, b = ([draw(rng) for _ in range(n)] for _ in range(2))
        found = shift(a, b, Scale.ABSOLUTE)
        covered += found.low <= 0 <= found.high
    assert covered / 150 >= 0.90 - 3 * math.sqrt(0.9 * 0.1 / 150)


@pytest.mark.slow
def test_no_change_is_significant_as_often_as_it_says() -> None:
    rng = random.Random(1)
    ps = [rank_p(*([rng.gauss(0, 1) for _ in range(10)] for _ in range(2))) for _ in range(1000)]
    assert sum(p < 0.05 for p in ps) / 1000 <= 0.07


def test_the_same_values_always_give_the_same_numbers() -> None:
    a, b = [1.0, 1.1, 1.2, 1.3, 1.4], [1.2, 1.3, 1.4, 1.5, 1.7]
    assert shift(a, b, Scale.RELATIVE) == shift(a, b, Scale.RELATIVE)
    assert shift(a, b, Scale.RELATIVE).change == pytest.approx(1.4 / 1.2 - 1)
    assert shift(a, b, Scale.ABSOLUTE).change == pytest.approx(0.2)


@given(
    values=st.lists(st.floats(0.1, 10), min_size=5, max_size=12),
    factor=st.floats(0.5, 2),
)
@settings(max_examples=40, deadline=None)
def test_the_interval_holds_the_change_and_scales_with_it(
    values: list[float], factor: float
) -> None:
    found = shift(values, [value * factor for value in values], Scale.RELATIVE)
    assert found.low <= found.change + 1e-9
    assert found.high >= found.change - 1e-9
    assert found.change == pytest.approx(factor - 1, abs=1e-9)
    assert 0 <= found.p <= 1


@pytest.mark.parametrize(
    ("a", "b", "p"),
    [
        ([1.0] * 10, [1.0] * 10, 1.0),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0], 2 / 252),
        ([1.0] * 5, [0.9] * 5, 2 / 252),
    ],
)
def test_exact_p(a: list[float], b: list[float], p: float) -> None:
    assert rank_p(a, b) == pytest.approx(p)


def test_tied_values_are_tested_exactly() -> None:
    assert rank_p([1.0] * 10, [0.9] * 10) == pytest.approx(2 / math.comb(20, 10))
    # The same as scipy says of all permutations: 1, 2, 2 against 2, 3, 3.
    by_hand = [sum(c) for c in itertools.combinations([1, 3, 3, 3, 5.5, 5.5], 3)]
    far = sum(abs(total - 10.5) >= abs(7 - 10.5) for total in by_hand)
    assert rank_p([1.0, 2.0, 2.0], [2.0, 3.0, 3.0]) == pytest.approx(far / len(by_hand))
    many = [float(i // 2) for i in range(60)]
    assert rank_p(many, many) > 0.9  # more than are counted one by one


def test_adjusted_for_many() -> None:
    assert adjusted([]) == []
    assert adjusted([0.01, 0.02, 0.9]) == pytest.approx([0.03, 0.03, 0.9])


def test_how_many_repeats_decide() -> None:
    assert least_repeats(1) == 5  # 2 / C(10, 5) = 0.008
    assert least_repeats(100) == 9
    rng = random.Random(3)
    a, b = ([rng.gauss(1, 0.03) for _ in range(10)] for _ in range(2))
    found = shift(a, b, Scale.RELATIVE)
    needed = repeats_that_decide(found, 0.03, 10, 10)
    assert needed is not None
    assert needed > 10
    assert repeats_that_decide(found, abs(found.change), 10, 10) is None  # right on the edge
    far = shift([1.0, 1.1, 1.2, 1.3, 1.4], [2.0, 2.1, 2.2, 2.3, 2.4], Scale.RELATIVE)
    assert repeats_that_decide(far, 0.01, 5, 100) == 9  # only the test lacks trials
    assert statistics.median([far.low, far.change, far.high]) == far.change
