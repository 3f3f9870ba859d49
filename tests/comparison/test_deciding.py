"""What decides is what a law settles, on hosts of one, two and many CPUs."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.comparison import changes
from harness.comparison.deciding import decides
from harness.comparison.digest import digest
from harness.judge import laws
from harness.limits import EngineCpus, Limits
from harness.model import (
    Change,
    ContainerRecord,
    ContainerSpec,
    Digest,
    HostSample,
    Outcome,
    PlannedTrial,
    Point,
    RunInfo,
    Sample,
    Spin,
    Status,
    TrialRecord,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.digests import law, point, spread
from tests.fakes import ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS

SECOND = 1_000_000_000
PERIODS = 30


def host(cpus: int) -> RunInfo:
    """A run of the recipe, `bench sweep cpu --repeats 10`, on a host of so many CPUs."""
    given = EngineCpus.listed(f"0-{cpus - 1}", most=cpus)
    return RunInfo(
        schema=1, name="run", created="", status="finished", harness_version="", python_version="",
        plan=planning.build("cpu", Options(repeats=10), cpus=given),
        host=replace(HOST_FACTS, cpus=cpus, usable_cpus=cpus),
        engine=replace(ENGINE_FACTS, cpus=cpus, cpu_list=f"0-{cpus - 1}"), workload=WORKLOAD_FACTS,
    )  # fmt: skip


def settled(info: RunInfo, point_id: str) -> tuple[str, ...]:
    given = laws.Circumstances(engine=info.engine, host=info.host)
    return laws.expectations(info.plan.point(point_id), given)[0].settled


def trial(info: RunInfo, planned: PlannedTrial, rng: random.Random, edge: float) -> TrialRecord:
    """A trial of an idle host: where the quota is plainly used up each period throttles."""
    spec = info.plan.point(planned.point_id).containers[0]
    cpus = min(spec.limits.cpus or 0, info.host.cpus)
    plain = "throttled_share" in settled(info, planned.point_id)
    used = round(3 * SECOND * cpus * rng.gauss(1, 0.0015))
    container = ContainerRecord(
        requested=spec.limits,
        first=Sample(t_mono_ns=0, cpu_usage_ns=0, nr_periods=0, nr_throttled=0),
        last=Sample(
            t_mono_ns=3 * SECOND, cpu_usage_ns=used, nr_periods=PERIODS,
            nr_throttled=PERIODS if plain else round(PERIODS * min(1, edge * rng.random())),
        ),
    )  # fmt: skip
    first, last = (
        HostSample(t_mono_ns=at, root_usage_ns=root) for at, root in ((0, 0), (3 * SECOND, used))
    )
    return TrialRecord(
        index=planned.index, block=planned.block, point_id=planned.point_id,
        outcome=Outcome.COMPLETED, started_at="", containers=(container,), host_first=first,
        host_last=last,
    )  # fmt: skip


def swept(info: RunInfo, seed: int, edge: float = 1.0) -> Digest:
    rng = random.Random(seed)
    return digest(info, [trial(info, planned, rng, edge) for planned in info.plan.trials])


def with_laws(one: Digest, alter: Callable[[tuple[str, ...]], tuple[str, ...] | None]) -> Digest:
    """The digest with laws that settle something else."""
    points = [
        replace(p, laws=tuple(replace(each, settles=alter(each.settles or ())) for each in p.laws))
        for p in one.points
    ]
    return replace(one, points=tuple(points))


@pytest.mark.parametrize("cpus", [1, 2, 64])
def test_the_recipe_is_green_on_an_idle_host_of_any_size(cpus: int) -> None:
    info = host(cpus)
    before = swept(info, 0)
    found = [changes.compare(before, swept(info, seed)) for seed in range(1, 4)]
    assert [one.status for one in found] == [Change.SAME] * 3
    assert all(one.answer.startswith("Limits behave as they did and as they should.")
               for one in found)  # fmt: skip
    # Of a baseline that does not know yet what decides it is the same.
    old = with_laws(before, lambda _: None)
    assert changes.compare(old, swept(info, 1)).status is Change.SAME
    # Made wrong on purpose: as a fixed list has it, throttled periods decide everywhere.
    listed = (with_laws(swept(info, seed), lambda _: ("cpus", "throttled_share"))
              for seed in (0, 1))  # fmt: skip
    assert changes.compare(*listed).status is Change.INCONCLUSIVE


def test_a_large_change_of_what_decides_nothing_is_told_all_the_same() -> None:
    info = host(2)
    compared = changes.compare(swept(info, 1, edge=0.02), swept(info, 2, edge=1000.0))
    assert compared.status is Change.REGRESSED
    (row,) = [one for one in compared.rows if one.status is Change.REGRESSED]
    assert (row.point_id, row.metric, row.decides) == ("cpus=2", "throttled_share", False)


@pytest.mark.parametrize(
    ("cpus", "point_id", "throttled"),
    [
        (1, "cpus=1", False),  # the quota is the host
        (1, "cpus=0.75", True),
        (2, "cpus=2", False),
        (2, "cpus=1.5", True),
        (64, "cpus=64", False),
        (64, "cpus=63", False),  # 64 threads use it up 1.6 ms before the period ends: in no tick
        (64, "cpus=32", False),  # 33 threads do so 3 ms before
        (64, "cpus=8", True),
    ],
)
def test_throttling_is_settled_where_the_quota_is_plainly_used_up(
    cpus: int, point_id: str, throttled: bool
) -> None:
    expected = ("cpus", "throttled_share") if throttled else ("cpus",)
    assert settled(host(cpus), point_id) == expected


@pytest.mark.parametrize(
    ("axis", "limits", "threads", "expected"),
    [
        ("period", Limits(cpu_period_us=2000, cpu_quota_us=1000), 1, {()}),  # below the tick
        ("period", Limits(cpu_period_us=100_000, cpu_quota_us=50_000), 1,
         {("cpus", "throttled_share"), ("gap_s",)}),
        ("period", Limits(cpu_period_us=100_000, cpu_quota_us=100_000), 1, {("cpus",)}),
        ("cpuset", Limits(cpuset_cpus="0"), 2, {("cpus",), ("outside_cpus",)}),
        ("cpuset", Limits(cpuset_cpus="0", cpus=1.5), 2, {("cpus",), ("outside_cpus",)}),
    ],
)  # fmt: skip
def test_each_law_says_what_it_settles(
    axis: str, limits: Limits, threads: int, expected: set[tuple[str, ...]]
) -> None:
    spec = ContainerSpec(limits=limits, workload=Spin(threads=threads))
    info = host(2)
    given = laws.Circumstances(engine=info.engine, host=info.host)
    found = laws.expectations(Point(id="p", axis=axis, value="", containers=(spec,)), given)
    assert {one.settled for one in found} == expected


def test_a_law_that_cannot_be_exercised_or_settles_it_on_one_side_alone_decides_nothing() -> None:
    series = {"cpus": spread(0.5)}
    both = point(series, laws=[law(settles=("cpus",))])
    assert decides(both, both, "cpus", 0)
    assert not decides(both, both, "gap_s", 0)
    assert not decides(both, both, "cpus", 1)
    edge = point(series, laws=[law(settles=())])
    assert not decides(edge, both, "cpus", 0)
    assert not decides(both, edge, "cpus", 0)
    for loose in (
        law(status=Status.NOT_EXERCISABLE), law(law="cpu-ceiling"),
        law(law="cpu-bandwidth-below-a-tick"),
    ):  # fmt: skip
        assert not decides(both, point(series, laws=[loose]), "cpus", 0)


def test_of_a_point_of_which_nothing_is_known_nothing_is_well() -> None:
    wide = [point({"cpus": spread(0.5, 0.3, seed=seed)}, laws=()) for seed in (1, 2)]
    a, b = (replace(swept(host(1), 1), points=(one,)) for one in wide)
    compared = changes.compare(a, b)
    assert [row.decides for row in compared.rows] == [False]
    assert compared.status is Change.INCONCLUSIVE
