"""Searches of simulated responses whose truth is known. docs/decisions/040 has more of each."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import NormalDist

import pytest

from harness.sizing.search import Bracket, Ending, Search
from harness.sizing.threshold import Threshold

SETTINGS, WIDTH = 302, 4
"""As 0.05 to 2 CPUs at 5 %."""
Response = Callable[[int, int], float]
"""(setting, trials so far) → the chance that the next one holds."""


def rising(edge: float, width: float, drift: float = 0.0) -> Response:
    """Holds above the edge, which moves by ``drift`` a trial."""
    cdf = NormalDist(0, width or 1e-9).cdf
    return lambda setting, done: cdf(setting - edge - drift * done)


def searched(response: Response, seed: int, n: int = SETTINGS, width: int = WIDTH) -> Search:
    rng = random.Random(f"truth {seed}")
    found = Search(n, width=width, confidence=0.975, seed=seed)
    while found.ending is None:
        for setting in found.next():
            found.add(setting, holds=rng.random() < response(setting, len(found.trials)))
    return found


def many(count: int, response: Callable[[int], Response]) -> Iterator[tuple[Search, Ending]]:
    for seed in range(count):
        found = searched(response(seed), seed)
        assert found.ending is not None
        yield found, found.ending


def edge_of(seed: int) -> float:
    return random.Random(seed).uniform(20, SETTINGS - 20)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "most"), [(0, 35), (2, 60), (4, 110)])
def test_the_answer_lies_within_one_step_above_the_truth(width: float, most: float) -> None:
    right, trials = 0, 0
    for seed, (found, ending) in enumerate(many(20, lambda one: rising(edge_of(one), width))):
        assert ending is Ending.FOUND
        bracket = found.tried_bracket
        assert bracket.holds is not None
        assert bracket.fails is not None
        assert bracket.holds - bracket.fails <= WIDTH
        right += bracket.fails < edge_of(seed) <= bracket.holds
        trials += len(found.trials)
    assert right >= 19
    assert trials / 20 <= most


def test_no_noise_takes_no_more_trials_than_halving_with_its_proofs_does() -> None:
    found = searched(rising(131.5, 0), 1, width=1)
    assert found.tried_bracket == Bracket(fails=131, holds=132)
    assert len(found.trials) <= 35


@pytest.mark.parametrize(
    ("response", "ending"),
    [
        (lambda _setting, _done: 0.98, Ending.ALWAYS),
        (lambda _setting, _done: 0.02, Ending.NEVER),
    ],
)
def test_a_range_that_holds_or_fails_as_a_whole_is_said_soon(
    response: Response, ending: Ending
) -> None:
    for seed in range(5):
        found = searched(response, seed)
        assert found.ending is ending
        assert len(found.trials) <= 25


@pytest.mark.slow
@pytest.mark.parametrize(
    "holds",
    [
        lambda setting: setting < 150,
        lambda setting: 60 < setting < 180,
        lambda setting: 100 < setting < 280,
        lambda setting: setting // 60 % 2 == 1,
    ],
    ids=["falls", "a hill", "fails at the end", "by turns"],
)
def test_a_response_that_does_not_rise_is_never_found(holds: Callable[[int], bool]) -> None:
    for _, ending in many(20, lambda _: lambda setting, _done: 0.97 if holds(setting) else 0.03):
        assert ending is Ending.NOT_MONOTONE


@pytest.mark.slow
def test_an_edge_that_moves_is_rarely_found_and_then_where_it_had_come_to() -> None:
    endings: Counter[Ending] = Counter()
    for found, ending in many(8, lambda _: rising(120, 4, drift=0.5)):
        endings[ending] += 1
        if ending is Ending.FOUND:
            bracket = found.tried_bracket
            assert bracket.holds is not None
            assert 120 - WIDTH <= bracket.holds <= 120 + 0.5 * len(found.trials) + WIDTH
    assert endings[Ending.FOUND] <= 2


def test_what_comes_next_follows_from_the_trials_and_the_seed() -> None:
    first, second = (searched(rising(100, 2), 3) for _ in range(2))
    assert first.trials == second.trials
    assert first.trials != searched(rising(100, 2), 4).trials


def test_neither_side_of_the_edge_is_tried_in_a_row() -> None:
    """Else a host that changes meanwhile would decide."""
    found = searched(rising(150, 4), 2)
    near = [setting > 150 for setting, _ in found.trials if abs(setting - 150) < 20]
    longest = run = 0
    for before, now in itertools.pairwise(near):
        run = run + 1 if before == now else 0
        longest = max(longest, run)
    assert longest < len(near) / 3


def test_a_posterior_believes_many_trials_more_than_one() -> None:
    one, many_trials = Threshold(50), Threshold(50)
    for known, count in ((one, 1), (many_trials, 20)):
        for _ in range(count):
            known.add(20, holds=False)
            known.add(30, holds=True)
    assert one.quantile(0.9) - one.quantile(0.1) > 1.5 * (
        many_trials.quantile(0.9) - many_trials.quantile(0.1)
    )
    assert 20 < many_trials.quantile(0.5) < 30
    assert many_trials.holds_from(0.95) is not None
    assert one.holds_from(0.999) is None


def test_an_accident_far_from_the_edge_moves_it_little() -> None:
    clean, lapsed = Threshold(100), Threshold(100)
    for known in (clean, lapsed):
        for _ in range(10):
            known.add(48, holds=False)
            known.add(52, holds=True)
    lapsed.add(95, holds=False)
    assert abs(lapsed.quantile(0.5) - clean.quantile(0.5)) < 2
