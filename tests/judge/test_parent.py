"""Who is killed and who is spared below one limit, by the laws; and what is no answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge import laws
from harness.judge.laws import Circumstances
from harness.judge.laws.parent import scores
from harness.model import EffectiveLimits, EngineFacts, Expectation, Point
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS

MIB = 1 << 20
V2 = replace(ENGINE_FACTS, cgroup_version=2)
GIVEN = Circumstances(engine=ENGINE_FACTS, host=HOST_FACTS)


def point(axis: str, value: str) -> Point:
    (found,) = planning.build(axis, Options(values=value), cpus=CPUS).points
    return found


def in_force(shared: int = 64 * MIB, engine: EngineFacts = ENGINE_FACTS) -> Circumstances:
    own = EffectiveLimits(memory_bytes=shared, memory_at="/limitbench_a_1")
    return replace(GIVEN, engine=engine, effective=(own, own, own))


def killed(found: tuple[Expectation, ...]) -> dict[int, float]:
    assert {law.metric for law in found} == {"oom_killed"}
    return {law.container: law.value for law in found}


@pytest.mark.parametrize(
    ("value", "victim"),
    [
        ("0:0", 0),  # the larger
        ("0:100", 0),  # a tenth of the limit more does not make up for it
        ("0:300", 1),
        ("300:300", 0),
        ("-1000:0", 1),
        ("0:-1000", 0),
        ("-300:0", 1),
        ("0:300:0", 1),
        ("0:0:-500", 0),
    ],
)
def test_the_highest_score_is_killed_and_nobody_else(value: str, victim: int) -> None:
    found = laws.expectations(point("oom", value), in_force())
    assert killed(found) == {i: float(i == victim) for i in range(value.count(":") + 1)}
    assert found[0].container == victim
    assert not any(law.not_exercisable for law in found)


def test_the_kernels_own_whole_numbers() -> None:
    """Adj *= totalpages / 1000: 16384 pages are 16 an adjustment, 999 are nothing."""
    page = 4096
    assert scores([0, 500, -1000], [page, 0, 1 << 30], 64 * MIB, page) == [page, 8000 * page, None]
    assert scores([1000], [page], 999 * page, page) == [page]


def test_pages_are_those_of_the_host() -> None:
    """Of 64 MiB a page of 64 KiB is one in 1024: an adjustment is one page, and not 16 of them."""
    assert scores([300, 300], [0, 0], 64 * MIB, 64 << 10) == [300 * (64 << 10)] * 2
    assert scores([300], [0], 60 * MIB, 64 << 10) == [0.0]  # 960 of them are none
    large = replace(in_force(), host=replace(HOST_FACTS, page_bytes=64 << 10))
    assert killed(laws.expectations(point("oom", "0:300"), large)) == {0: 0.0, 1: 1.0}


def test_scores_that_are_near_tell_nothing() -> None:
    found = laws.expectations(point("oom", "0:180"), in_force())
    assert all("too near" in law.not_exercisable for law in found)


def test_a_limit_that_is_not_in_force_is_no_verdict() -> None:
    nothing = replace(GIVEN, effective=(EffectiveLimits(), EffectiveLimits()))
    for given in (nothing, in_force(shared=32 * MIB)):
        for axis, value in (("oom", "0:0"), ("reservation", "32m@pressed")):
            found = laws.expectations(point(axis, value), given)
            assert all("not in force" in law.not_exercisable for law in found)


def test_before_anything_is_read_the_limit_is_taken_for_set() -> None:
    assert not any(law.not_exercisable for law in laws.expectations(point("oom", "0:0"), GIVEN))


def test_swap_that_is_not_counted_is_a_way_out_of_the_limit() -> None:
    given = replace(in_force(), swap_accounted=False, swap_free_bytes=1 << 30)
    found = laws.expectations(point("oom", "0:0"), given)
    assert "does not account for swap" in found[0].not_exercisable


def test_an_engine_that_may_not_lower_it_is_told_in_its_words() -> None:
    given = replace(GIVEN, refused="no permission")
    lowered = laws.expectations(point("oom", "-1000:0"), given)
    assert all("CAP_SYS_RESOURCE" in law.not_exercisable for law in lowered)
    assert all("no permission" in law.not_exercisable for law in lowered)
    # What was refused for another reason is no answer of the law's.
    raised = laws.expectations(point("oom", "0:300"), given)
    assert not any(law.not_exercisable for law in raised)


def test_a_reservation_spares_on_v2() -> None:
    (law,) = laws.expectations(point("reservation", "32m@pressed"), in_force(engine=V2))
    assert (law.metric, law.value, law.high) == ("kept_bytes", 24 * MIB, 0)
    # No more than what is reserved, less what the container holds besides; more may be left.
    (law,) = laws.expectations(point("reservation", "16m@pressed"), in_force(engine=V2))
    assert (law.value, law.high) == (14 * MIB, 10 * MIB)
    assert not law.not_exercisable


def test_the_soft_limit_of_v1_cannot_be_put_to_the_test_below_a_limit() -> None:
    (law,) = laws.expectations(point("reservation", "32m@pressed"), in_force())
    assert "soft limit" in law.not_exercisable
    assert "whole host" in law.not_exercisable


def test_without_a_reservation_there_is_no_law() -> None:
    assert laws.expectations(point("reservation", "none@pressed"), in_force(engine=V2)) == ()
