"""A short form of benchmarks/power, on kept trials of a real host: tests/data/bank.json.

Nothing differs → never red. A fault that was really injected → found. docs: benchmarks/POWER.md.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from harness.comparison import changes
from harness.model import Change, Compared, Digest, Series

BANK = Path(__file__).parents[1] / "data" / "bank.json"
REPEATS = 10
CHECKS = 30
DRAWS = 20

Trial = Mapping[str, float]
Trials = dict[str, Sequence[Trial]]


@cache
def bank() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(BANK.read_text())
    return found


def digested(trials: Trials) -> Digest:
    """A run of those trials; the laws are those of all that were kept."""
    whole = TypeAdapter(Digest).validate_python(bank()["digest"])
    points = []
    for point in whole.points:
        mine = trials[point.point.id]
        keys = dict.fromkeys(key for trial in mine for key in trial)
        series = tuple(
            Series(
                metric=key.split()[0],
                container=int(key.split()[1]),
                values=tuple(trial[key] for trial in mine if key in trial),
            )
            for key in keys
        )
        points.append(replace(point, series=series, trials=len(mine), valid=len(mine)))
    return replace(whole, points=tuple(points))


def halves(rng: random.Random) -> tuple[Trials, Trials]:
    drawn = {
        point: rng.sample(trials, 2 * REPEATS) for point, trials in bank()["trials"]["bank"].items()
    }
    return (
        {point: trials[:REPEATS] for point, trials in drawn.items()},
        {point: trials[REPEATS:] for point, trials in drawn.items()},
    )


def check(before: Trials, after: Trials) -> Compared:
    return changes.compare(digested(before), digested(after))


@pytest.mark.slow
def test_no_check_is_red_where_nothing_differs() -> None:
    rng = random.Random(1)
    ended = [check(*halves(rng)) for _ in range(CHECKS)]
    red = [one for one in ended if one.status is Change.REGRESSED]
    assert [row.reason for one in red for row in one.rows if row.status is Change.REGRESSED] == []
    assert sum(one.status is Change.SAME for one in ended) / CHECKS >= 0.8  # and mostly green


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "point"),
    [
        ("over-5", "cpus=0.5"),
        pytest.param("over-5", "cpus=1", marks=pytest.mark.slow),
        pytest.param("under-5", "cpus=0.5", marks=pytest.mark.slow),
        ("shares-5", "shares=1024:512"),
        pytest.param("swapped", "shares=1024:512", marks=pytest.mark.slow),
        pytest.param("busy", "shares=1024:512", marks=pytest.mark.slow),
        pytest.param("period", "cpus=0.5", marks=pytest.mark.slow),
    ],
)
def test_an_injected_fault_is_found_at_the_default_repeats(fault: str, point: str) -> None:
    rng = random.Random(f"{fault} {point}")
    metric = bank()["metrics"][fault]
    faulty = bank()["trials"][fault][point]
    found = 0
    for _ in range(DRAWS):
        before, after = halves(rng)
        compared = check(before, {**after, point: rng.sample(faulty, REPEATS)})
        (row,) = [
            row
            for row in compared.rows
            if (row.point_id, row.metric, row.container) == (point, metric, 0)
        ]
        found += row.status in (Change.REGRESSED, Change.IMPROVED)
    assert found == DRAWS
