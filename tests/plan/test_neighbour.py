"""A victim alone and beside an aggressor."""

from __future__ import annotations

import pytest

from harness.errors import PlanError
from harness.limits import EngineCpus
from harness.model import Burst, Growth, Io, Limits, Plan, Spin
from harness.plan import build as planning
from harness.plan import memory_need
from harness.plan.axes import Options
from harness.plan.axes.neighbour import COMMITS, VICTIM
from harness.units import MIB
from tests.fakes import CPUS


def planned(values: str | None = None, cpus: EngineCpus = CPUS, **options: object) -> Plan:
    return planning.build("neighbour", Options(values=values, **options), cpus=cpus)  # type: ignore[arg-type]


def limits(plan: Plan) -> dict[str, list[Limits]]:
    return {point.value: [spec.limits for spec in point.containers] for point in plan.points}


def test_both_are_on_one_cpu_unless_a_cpuset_parts_them() -> None:
    found = limits(planned("none,quota=0.5,shares=2,cpuset"))
    here = Limits(cpuset_cpus="1")
    assert found == {
        "alone": [here],
        "none": [here, here],
        "quota=0.5": [here, Limits(cpuset_cpus="1", cpus=0.5)],
        "shares=2": [here, Limits(cpuset_cpus="1", cpu_shares=2)],
        "cpuset": [here, Limits(cpuset_cpus="0")],
    }


def test_the_victim_alone_is_measured_among_the_others_whatever_is_asked_for() -> None:
    plan = planned("quota,limit=40m@memory", repeats=4)
    assert [p.value for p in plan.points] == [
        "alone", "quota=0.2", "alone@memory", "limit=40m@memory",
    ]  # fmt: skip
    for point, alone in ((plan.points[1], plan.points[0]), (plan.points[3], plan.points[2])):
        assert point.containers[0] == alone.containers[0]
    for block in range(4):
        assert {t.point_id for t in plan.trials if t.block == block} == {p.id for p in plan.points}
    assert [p.value for p in planned("alone").points] == ["alone"]


def test_a_victim_meets_its_own_kind() -> None:
    for point in planned().points:
        victim, *others = (spec.workload for spec in point.containers)
        if point.value.endswith("@memory"):
            assert isinstance(victim, Growth)
            assert all(isinstance(one, Growth) for one in others)
        elif point.value.endswith("@io"):
            assert victim == COMMITS
            assert all(isinstance(one, Io) for one in others)
        else:
            assert victim == VICTIM
            assert all(isinstance(one, Spin) for one in others)


def test_of_a_disk_the_aggressor_s_rate_is_limited_or_both_are_weighed() -> None:
    assert limits(planned("none,bps=2m,weight=20".replace(",", "@io,") + "@io")) == {
        "alone@io": [Limits()],
        "none@io": [Limits(), Limits()],
        "bps=2m@io": [Limits(), Limits(device_write_bps=2 * MIB)],
        "weight=20@io": [Limits(blkio_weight=1000), Limits(blkio_weight=20)],
    }


def test_without_a_device_the_other_kinds_are_swept_and_nothing_named_is_left_out() -> None:
    def left(sweep: str, **options: object) -> set[str]:
        asked = Options(**options)  # type: ignore[arg-type]
        others = planning.without_device(sweep, asked)
        if others is None:
            return set()
        every = planning.build(sweep, asked, cpus=CPUS).points
        kept = planning.build(sweep, asked, cpus=CPUS, points_of=others).points
        assert not any(map(planning.on_device, kept))
        return {point.id for point in every} - {point.id for point in kept}

    assert left("neighbour") == {
        "neighbour=alone@io", "neighbour=none@io", "neighbour=bps=4m@io", "neighbour=weight=10@io"
    }  # fmt: skip
    assert left("neighbour", values="none@io") == set()
    assert left("io") == set()  # all of it is about one: then there is an error, and no empty sweep
    assert {one.partition("=")[0] for one in left("all", quick=True)} == {
        "io", "iops", "io-weight", "neighbour",
    }  # fmt: skip


def test_nothing_of_it_can_take_more_memory_than_it_is_capped_to() -> None:
    plan = planned()
    for point in plan.points:
        for spec in point.containers:
            if isinstance(spec.workload, Growth):
                assert spec.limits.memory_bytes is not None
                assert spec.limits.memory_swap_bytes is not None
    assert memory_need.need(plan) == memory_need.Need(160 * MIB, 64 * MIB)


def test_one_cpu_has_no_other_for_the_aggressor() -> None:
    one = EngineCpus.listed("5", 1)
    assert "cpuset" not in limits(planned(None, one))
    with pytest.raises(PlanError, match="second CPU"):
        planned("cpuset", one)
    many = limits(planned("cpuset", EngineCpus.listed("0,2-3", 3)))
    assert many["cpuset"] == [Limits(cpuset_cpus="3"), Limits(cpuset_cpus="0,2")]


def test_threads_are_the_aggressor_s() -> None:
    victim, aggressor = (spec.workload for spec in planned("none", threads=4).points[1].containers)
    assert isinstance(victim, Burst)
    assert (victim.threads, aggressor.threads) == (1, 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("foo", "'foo' is no protection"),
        ("limit=64m", "'limit@memory' is one"),
        ("quota@memory", "no protection of the kind memory; 'quota@cpu' is one"),
        ("none@disk", "'disk' is no kind"),
        ("bps=x@io", "not a size"),
        ("bps=0@io", "too little"),
        ("bps=255k@io", "too little"),
        ("weight=5@io", "Docker takes 10 to 1000"),
        ("quota@io", "no protection of the kind io; 'quota@cpu' is one"),
        ("none@", "'' is no kind"),
        ("cpuset=3", "'cpuset' takes no amount"),
        ("alone=1", "'alone' takes no amount"),
        ("quota=x", "'x' is not a number"),
        ("quota=0", "out of range"),
        ("quota=3", "out of range"),
        ("shares=1", "2 to 262144"),
        ("shares=1.5", "not a whole number"),
        ("limit=1m@memory", "6m or more"),
        ("reservation=1g@memory", "reservation"),
        ("swap=32m@memory", "memory-swap"),
        (",", "names nothing"),
    ],
)
def test_what_is_no_protection_is_refused(values: str, message: str) -> None:
    with pytest.raises(PlanError) as refused:
        planned(values)
    assert message in str(refused.value)
    assert refused.value.remedy


def test_what_is_varied_cannot_be_fixed() -> None:
    with pytest.raises(PlanError, match="--cpuset-cpus is what this sweep varies"):
        planned("none", fixed=Limits(cpuset_cpus="0"))
