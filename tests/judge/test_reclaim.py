"""What gives way at a container's own limit, by the laws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.judge import laws, memory
from harness.judge.laws import Circumstances
from harness.judge.laws.memory import usable_bytes
from harness.model import (
    ContainerRecord,
    ContainerSpec,
    Growth,
    Limits,
    MemoryCounters,
    MemoryReport,
    Point,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS

MIB = 1 << 20
SWAP = replace(HOST_FACTS, swap_bytes=512 * MIB)
GIVEN = Circumstances(engine=ENGINE_FACTS, host=SWAP, swap_accounted=True)
V2 = replace(GIVEN, engine=replace(ENGINE_FACTS, cgroup_version=2))


def point(axis: str, value: str) -> Point:
    (found,) = planning.build(axis, Options(values=value), cpus=CPUS).points
    return found


def growing(**limits: Any) -> Point:
    spec = ContainerSpec(limits=Limits(**limits), workload=Growth(target_bytes=112 * MIB))
    return Point(id="p", axis="file", value="p", containers=(spec,))


def test_swappiness_0_swaps_nothing_and_still_page_cache_gives_way() -> None:
    found = {law.metric: law for law in laws.expectations(point("swappiness", "0"), GIVEN)}
    assert found["peak_swap_bytes"].value == 0
    assert found["oom_killed"].value == 0
    assert found["reached_bytes"].value == 96 * MIB
    assert not any(law.not_exercisable for law in found.values())


@pytest.mark.parametrize("value", ["1", "60", "100"])
def test_how_much_another_swappiness_swaps_is_nobodys_promise(value: str) -> None:
    found = laws.expectations(point("swappiness", value), GIVEN)
    assert {law.metric for law in found} == {"oom_killed", "reached_bytes"}


@pytest.mark.parametrize("value", ["0", "60"])
def test_v2_drops_it_and_without_swap_it_decides_nothing(value: str) -> None:
    dropped = laws.expectations(point("swappiness", value), V2)[0]
    assert "dropped" in dropped.not_exercisable
    none = laws.expectations(point("swappiness", value), replace(GIVEN, host=HOST_FACTS))[0]
    assert "no swap" in none.not_exercisable
    assert dropped.metric == none.metric == "peak_swap_bytes"


def test_at_swappiness_0_the_kill_comes_at_memory_whatever_swap_there_is() -> None:
    limits = {"memory_bytes": 64 * MIB, "memory_swap_bytes": 128 * MIB}
    zero = laws.expectations(growing(**limits, memory_swappiness=0), GIVEN)[0]
    assert (zero.metric, zero.value) == ("reached_bytes", usable_bytes(64 * MIB))
    assert (zero.law, zero.bound) == ("memory-limit", "--memory-swappiness")
    for given, swappiness in ((GIVEN, 60), (V2, 0)):  # v2 has dropped the 0
        found = laws.expectations(growing(**limits, memory_swappiness=swappiness), given)
        assert {law.metric: law.value for law in found}["reached_bytes"] == 112 * MIB


def test_without_a_killer_it_stands_still_where_the_kill_would_be() -> None:
    found = {law.metric: law for law in laws.expectations(point("oom", "disabled"), GIVEN)}
    assert found["under_oom"].value == 1
    assert found["oom_killed"].value == 0
    assert found["reached_bytes"].value == usable_bytes(16 * MIB)


def test_v2_drops_that_and_kills() -> None:
    found = laws.expectations(point("oom", "disabled"), V2)
    assert {law.metric: law.value for law in found}["oom_killed"] == 1
    assert all("dropped" in law.explanation for law in found)
    assert "under_oom" not in {law.metric for law in found}


# --- the numbers ---------------------------------------------------------------------------------

REPORT = MemoryReport(
    kind="file", t_start_ns=1, t_end_ns=2, target_bytes=8 * MIB, step_bytes=MIB,
    touched_bytes=8 * MIB, killed=False, errno=0, step_ns=(), churn_pages=0, churn_ns=0,
    churn_max_ns=0,
)  # fmt: skip


def record(**last: object) -> ContainerRecord:
    return ContainerRecord(
        requested=Limits(cpuset_mems="0-1"), memory=REPORT,
        memory_first=MemoryCounters(file_bytes=MIB),
        memory_last=MemoryCounters(**last),  # type: ignore[arg-type]
    )  # fmt: skip


def test_what_is_kept_is_what_was_written_since() -> None:
    assert memory.kept_bytes(record(file_bytes=7 * MIB)) == 6 * MIB
    assert memory.kept_bytes(record()) is None
    anon = replace(record(file_bytes=7 * MIB), memory=replace(REPORT, kind="anon"))
    assert memory.kept_bytes(anon) is None


def test_whether_it_stands_still_is_none_where_no_kernel_tells() -> None:
    told = [memory.stands_still(record(under_oom=one)) for one in (True, False, None)]
    assert told == [1.0, 0.0, None]


def test_memory_on_other_nodes() -> None:
    assert memory.other_nodes_bytes(record(node_bytes=(5, 6, 7, 8))) == 15
    assert memory.other_nodes_bytes(record(node_bytes=(5,))) == 0
    assert memory.other_nodes_bytes(record()) is None
