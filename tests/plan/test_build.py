"""Sweeps become plans, and impossible ones are refused."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from harness.errors import PlanError
from harness.judge.metrics import METRICS
from harness.limits import EngineCpus
from harness.model import Limits
from harness.plan import axes
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.plan.axes.cpu import default_cpus, default_cpusets
from harness.units import MIB
from tests.fakes import CPUS


def test_default_points_fit_the_host() -> None:
    assert default_cpus(1) == [0.25, 0.5, 0.75, 1]
    assert default_cpus(2) == [0.25, 0.5, 1, 1.5, 2]
    assert default_cpus(4) == [0.25, 0.5, 1, 2, 3, 4]
    assert default_cpus(64) == [0.25, 0.5, 1, 2, 4, 8, 16, 32, 63, 64]
    assert default_cpus(2, quick=True) == [0.5, 1, 2]


def test_the_default_sweep_of_two_cpus_is_announced_below_two_minutes() -> None:
    plan = planning.build("cpu", Options(), cpus=CPUS)
    assert len(plan.trials) == 25
    assert planning.estimated_s(plan) < 120
    quick = planning.build("cpu", Options(quick=True), cpus=CPUS)
    assert planning.estimated_s(quick) < 25  # and the set-up stays within 30 s


def test_every_block_holds_every_point_once_in_an_order_of_its_own() -> None:
    plan = planning.build("cpu", Options(), cpus=CPUS)
    blocks = [[t.point_id for t in plan.trials if t.block == b] for b in range(plan.repeats)]
    assert all(Counter(block) == Counter(p.id for p in plan.points) for block in blocks)
    assert len({tuple(block) for block in blocks}) > 1
    assert [t.index for t in plan.trials] == list(range(25))


def test_the_seed_decides_the_order() -> None:
    orders = [planning.build("cpu", Options(seed=seed), cpus=CPUS).trials for seed in (1, 1, 2)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_threads_want_more_than_the_limit() -> None:
    plan = planning.build("cpu", Options(), cpus=CPUS)
    threads = {p.value: p.containers[0].workload.threads for p in plan.points}
    assert threads == {"0.25": 1, "0.5": 1, "1": 2, "1.5": 2, "2": 2}


@pytest.mark.parametrize(("asked", "given"), [(3.0, 3.0), (2.95, 3.0), (0.61, 0.7), (0.1, 0.5)])
def test_windows_are_whole_periods(asked: float, given: float) -> None:
    plan = planning.build("cpu", Options(duration_s=asked), cpus=CPUS)
    assert {point.duration_s for point in plan.points} == {given}


def test_values_are_taken_once_and_in_order() -> None:
    plan = planning.build("cpu", Options(values="1, 0.5 1.0"), cpus=CPUS)
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
        (Options(values="3"), "This engine takes 0.01 to 2 CPUs"),
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
        planning.build("cpu", options, cpus=CPUS)
    assert message in str(refused.value)
    assert refused.value.remedy


def test_an_unknown_axis_names_the_nearest() -> None:
    with pytest.raises(PlanError, match="Did you mean 'cpu'"):
        planning.build("cpus", Options(), cpus=CPUS)
    with pytest.raises(PlanError, match="Known: cpu"):
        planning.build("bogus", Options(), cpus=CPUS)


def limits(axis: str, options: Options, cpus: EngineCpus = CPUS) -> dict[str, list[Limits]]:
    plan = planning.build(axis, options, cpus=cpus)
    return {point.value: [spec.limits for spec in point.containers] for point in plan.points}


def test_quota_points_hold_the_same_cpus_as_cpu_points() -> None:
    assert limits("quota", Options(quick=True)) == {
        value: [Limits(cpu_quota_us=int(value))] for value in ("50000", "100000", "200000")
    }
    period = Options(values="10000", fixed=Limits(cpu_period_us=20_000))
    assert limits("quota", period) == {"10000": [Limits(cpu_quota_us=10_000, cpu_period_us=20_000)]}


def test_periods_keep_their_ratio_and_windows_are_whole_periods() -> None:
    plan = planning.build("period", Options(ratio=0.25), cpus=CPUS)
    for point in plan.points:
        found = point.containers[0].limits
        assert found.cpu_period_us is not None
        assert found.cpu_quota_us == 0.25 * found.cpu_period_us
        periods = point.duration_s * 1e6 / found.cpu_period_us
        assert periods == pytest.approx(round(periods))
        assert periods >= planning.MIN_PERIODS
        assert point.warmup_s * 1e6 >= planning.WARMUP_PERIODS * found.cpu_period_us
    # 1000 us at a quarter would be a quota that the kernel refuses
    assert plan.points[0].value == "5000"


def test_cpusets_are_lists_and_stand_beside_a_quota_too() -> None:
    assert default_cpusets(range(1)) == ["0"]
    assert default_cpusets(range(2)) == ["0", "1", "0-1"]
    assert default_cpusets(range(4)) == ["0", "3", "0-1", "0,2", "0-3"]
    found = limits("cpuset", Options())
    assert found["0 --cpus 0.5"] == [Limits(cpuset_cpus="0", cpus=0.5)]
    assert list(limits("cpuset", Options(values="0;0,1"))) == ["0", "0,1"]


@pytest.mark.parametrize(
    ("cpus", "lists", "last", "largest"),
    [
        (EngineCpus.listed("0,2-3", 3), ["0", "3", "0,3", "0,2-3"], "3", 3),
        (EngineCpus.listed("5", 1), ["5"], "5", 1),
        (EngineCpus.listed("0-1", 1), ["0", "1", "0-1"], "1", 1),  # dockerd under `taskset -c 1`
        (EngineCpus.listed("0", 2), ["0"], "0", 1),  # the cpuset above has lost a CPU
    ],
)
def test_defaults_and_pins_are_of_the_cpus_that_there_are(
    cpus: EngineCpus, lists: list[str], last: str, largest: float
) -> None:
    assert default_cpusets(cpus.numbers) == lists
    beside = limits("cpuset", Options(), cpus)[f"{cpus.numbers[0]} --cpus {cpus.most}"]
    assert beside == [Limits(cpuset_cpus=lists[0], cpus=cpus.most)]
    pinned = limits("shares", Options(values="1024:512"), cpus)["1024:512"]
    assert {one.cpuset_cpus for one in pinned} == {last}
    assert max(one.cpus or 0 for (one,) in limits("cpu", Options(), cpus).values()) == largest
    threads = planning.build("shares", Options(values="512"), cpus=cpus).points[0].containers
    assert threads[0].workload.threads == cpus.count


def test_shares_compete_on_one_cpu_on_all_or_not_at_all() -> None:
    found = limits("shares", Options(values="1024:512, 1024:512@all 256"))
    assert found["1024:512"] == [Limits(cpu_shares=n, cpuset_cpus="1") for n in (1024, 512)]
    assert found["1024:512 unpinned"] == [Limits(cpu_shares=n) for n in (1024, 512)]
    assert found["256 alone"] == [Limits(cpu_shares=256)]
    fixed = limits("shares", Options(values="1024:512", fixed=Limits(cpuset_cpus="0")))
    assert fixed["1024:512"] == [Limits(cpu_shares=n, cpuset_cpus="0") for n in (1024, 512)]


@pytest.mark.parametrize(
    ("axis", "options", "message"),
    [
        ("cpu", Options(fixed=Limits(cpus=1.0)), "--cpus is what this sweep varies"),
        ("cpu", Options(fixed=Limits(cpu_quota_us=5000)), "conflicts"),
        ("cpu", Options(fixed=Limits(memory_bytes=5 << 20)), "6m or more"),
        ("quota", Options(values="999"), "1000 µs or more"),
        ("quota", Options(values="1000.5"), "is not a whole number"),
        ("period", Options(values="999"), "1000 to 1000000"),
        ("period", Options(ratio=3.0), "--ratio 3 is out of range"),
        ("period", Options(values="1000", ratio=0.5), "--cpu-quota 500"),
        ("cpuset", Options(values="0-2"), "CPU 2 is not there for containers"),
        ("cpuset", Options(values="all"), "not a CPU list"),
        ("shares", Options(values="1024:1"), "2 to 262144"),
        ("shares", Options(values="1024:512@0"), "CPUs that are not known"),
    ],
)
def test_impossible_points_are_refused(axis: str, options: Options, message: str) -> None:
    with pytest.raises(PlanError) as refused:
        planning.build(axis, options, cpus=CPUS)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("axis", "values", "x"),
    [
        ("cpu", "0.5,1.5", [0.5, 1.5]),
        ("quota", "25000,-1", [25000.0, math.nan]),  # no limit lies nowhere
        ("period", "2000", [2000.0]),
        ("shares", "1024:512,512", [2.0, 1.0]),
        ("memory", "6m,64m@file", [6.0 * MIB, 64.0 * MIB]),
        ("swap", "96m,unset,-1", [96.0 * MIB, math.nan, math.nan]),
        ("reservation", "16m", [16.0 * MIB]),
        ("cpuset", "0-1", [math.nan]),
    ],
)
def test_an_axis_knows_the_number_of_its_points(axis: str, values: str, x: list[float]) -> None:
    plan = planning.build(axis, Options(values=values, repeats=1), cpus=CPUS)
    assert [axes.x_of(point) for point in plan.points] == pytest.approx(x, nan_ok=True)


@pytest.mark.parametrize("axis", axes.AXES.values(), ids=axes.AXES)
def test_what_an_axis_is_about_is_a_metric(axis: axes.Axis) -> None:
    assert axis.metric in METRICS
