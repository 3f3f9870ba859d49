"""Sweeps become plans, and impossible ones are refused."""

from __future__ import annotations

from collections import Counter

import pytest

from harness import plan as planning
from harness.errors import PlanError
from harness.plan import Options


def test_default_points_fit_the_host() -> None:
    assert planning.default_cpus(1) == [0.25, 0.5, 0.75, 1]
    assert planning.default_cpus(2) == [0.25, 0.5, 1, 1.5, 2]
    assert planning.default_cpus(4) == [0.25, 0.5, 1, 2, 3, 4]
    assert planning.default_cpus(64) == [0.25, 0.5, 1, 2, 4, 8, 16, 32, 63, 64]
    assert planning.default_cpus(2, quick=True) == [0.5, 1, 2]


def test_the_default_sweep_of_two_cpus_is_announced_below_two_minutes() -> None:
    plan = planning.build("cpu", Options(), host_cpus=2)
    assert len(plan.trials) == 25
    assert planning.estimated_s(plan) < 120
    quick = planning.build("cpu", Options(quick=True), host_cpus=2)
    assert planning.estimated_s(quick) < 25  # and the set-up stays within 30 s


def test_every_block_holds_every_point_once_in_an_order_of_its_own() -> None:
    plan = planning.build("cpu", Options(), host_cpus=2)
    blocks = [[t.point_id for t in plan.trials if t.block == b] for b in range(plan.repeats)]
    assert all(Counter(block) == Counter(p.id for p in plan.points) for block in blocks)
    assert len({tuple(block) for block in blocks}) > 1
    assert [t.index for t in plan.trials] == list(range(25))


def test_the_seed_decides_the_order() -> None:
    orders = [
        planning.build("cpu", Options(seed=seed), host_cpus=2).trials for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_threads_want_more_than_the_limit() -> None:
    plan = planning.build("cpu", Options(), host_cpus=2)
    threads = {p.value: p.containers[0].threads for p in plan.points}
    assert threads == {"0.25": 1, "0.5": 1, "1": 2, "1.5": 2, "2": 2}


@pytest.mark.parametrize(("asked", "given"), [(3.0, 3.0), (2.95, 3.0), (0.31, 0.4), (1.0, 1.0)])
def test_windows_are_whole_periods(asked: float, given: float) -> None:
    assert planning.build("cpu", Options(duration_s=asked), host_cpus=2).duration_s == given


def test_values_are_taken_once_and_in_order() -> None:
    plan = planning.build("cpu", Options(values="1, 0.5 1.0"), host_cpus=2)
    assert [p.id for p in plan.points] == ["cpus=1", "cpus=0.5"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(values="half"), "'half' is not a number"),
        (Options(values=" , "), "names nothing"),
        (Options(values="nan"), "'nan' is not a number"),
        (Options(values="inf"), "'inf' is not a number"),
        (Options(values="0"), "out of range"),
        (Options(values="-1"), "out of range"),
        (Options(values="3"), "This host takes 0.01 to 2 CPUs"),
        (Options(repeats=0), "--repeats 0"),
        (Options(duration_s=0.0), "--duration 0"),
        (Options(duration_s=float("nan")), "--duration nan"),
        (Options(warmup_s=-1.0), "--warmup -1"),
        (Options(cadence_hz=0.0), "--cadence 0"),
        (Options(threads=0), "--threads 0"),
    ],
)
def test_bad_options_are_refused_with_the_remedy(options: Options, message: str) -> None:
    with pytest.raises(PlanError) as refused:
        planning.build("cpu", options, host_cpus=2)
    assert message in str(refused.value)
    assert refused.value.remedy


def test_an_unknown_axis_names_the_nearest() -> None:
    with pytest.raises(PlanError, match="Did you mean 'cpu'"):
        planning.build("cpus", Options(), host_cpus=2)
    with pytest.raises(PlanError, match="Known: cpu"):
        planning.build("bogus", Options(), host_cpus=2)
