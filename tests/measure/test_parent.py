"""Containers below a cgroup of ours, and loads that stand still, in a fake world."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from harness.engine.boundary import Container
from harness.judge import validity
from harness.measure import patience, protocol, runner
from harness.measure.conversation import converse
from harness.model import (
    ContainerRecord,
    ContainerSpec,
    Growth,
    Limits,
    MemoryCounters,
    MemoryReport,
    Outcome,
    Plan,
    PlannedTrial,
    Point,
    Spin,
    TrialRecord,
)
from tests.fakes import ENGINE_FACTS, HOST_FACTS, FakeEngine, World

MIB = 1 << 20
SHARED = Limits(memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB)


def plan_of(*specs: ContainerSpec, parent: Limits | None = SHARED) -> Plan:
    point = Point(id="p", axis="file", value="p", containers=specs, parent=parent)
    return Plan(
        sweep="file", points=(point,), trials=(PlannedTrial(index=4, block=0, point_id="p"),),
        repeats=1, seed=1, cadence_hz=50.0,
    )  # fmt: skip


@dataclass
class Seen:
    """What the engine was asked for, and which cgroup was limited."""

    parents: list[str | None] = field(default_factory=list)
    limited: list[tuple[int, str, Limits]] = field(default_factory=list)


def executed(parent: Limits | None, why: str = "") -> tuple[Seen, TrialRecord]:
    seen, world, kept = Seen(), World(), list[TrialRecord]()

    class Asked(FakeEngine):
        def create(self, *, spec: ContainerSpec, **more: Any) -> Any:
            seen.parents.append(spec.cgroup_parent)
            return super().create(spec=spec, **more)

    def limit(pid: int, container_id: str, name: str, limits: Limits) -> str:
        seen.limited.append((pid, name, limits))
        return why

    where = replace(world.surroundings(), engine=Asked(world), limit_parent=limit)
    plan = plan_of(*[ContainerSpec(limits=Limits(), workload=Spin())] * 2, parent=parent)
    runner.run_plan(plan, "run", where, lambda one, _: kept.append(one), runner.Listener())
    return seen, kept[0]


def test_all_containers_lie_below_one_that_is_limited_once_they_run() -> None:
    seen, record = executed(SHARED)
    assert seen.parents == ["/limitbench_run_4"] * 2
    assert seen.limited == [(0, "/limitbench_run_4", SHARED)]
    assert record.warnings == ()


def test_a_limit_that_could_not_be_set_is_told_with_the_trial() -> None:
    _, record = executed(SHARED, why="it cannot be written")
    assert [note.code for note in record.warnings] == ["no-parent"]
    assert "it cannot be written" in record.warnings[0].text


def test_without_a_parent_nothing_is_touched() -> None:
    seen, _ = executed(None)
    assert seen.parents == [None, None]
    assert seen.limited == []


# --- in turn -------------------------------------------------------------------------------------


def report(start: int, end: int | None) -> MemoryReport:
    return MemoryReport(
        kind="anon", t_start_ns=start, t_end_ns=end, target_bytes=MIB, step_bytes=MIB,
        touched_bytes=MIB, killed=False, errno=0, step_ns=(), churn_pages=0, churn_ns=0,
        churn_max_ns=0,
    )  # fmt: skip


@pytest.mark.parametrize(("held_at", "rejected"), [(4, False), (6, True), (None, True)])
def test_who_comes_first_must_have_all_before_the_last_begins(
    held_at: int | None, rejected: bool
) -> None:
    first = ContainerSpec(limits=Limits(), workload=Growth(target_bytes=MIB, victim="rival"))
    last = replace(first, workload=Growth(target_bytes=MIB, victim="rival", after_s=0.5))
    reports = (report(1, held_at), report(5, 9))
    trial = TrialRecord(
        index=4, block=0, point_id="p", outcome=Outcome.COMPLETED, started_at="",
        containers=tuple(
            ContainerRecord(requested=Limits(), memory=one, memory_last=MemoryCounters())
            for one in reports
        ),
    )  # fmt: skip
    why, _ = validity.examine(trial, plan_of(first, last), ENGINE_FACTS, HOST_FACTS)
    assert ("when the last one began" in (why or "")) is rejected


# --- standing still ------------------------------------------------------------------------------

STANDS = Growth(target_bytes=MIB, may_stand=True)
CUT = {
    "probe": "report", "mode": "memory", "complete": False, "kind": "anon", "t_start_ns": 1,
    "t_end_ns": None, "target_bytes": MIB, "step_bytes": MIB, "touched_bytes": 7, "killed": False,
    "errno": 0, "step_ns": [], "churn_pages": 0, "churn_ns": 0, "churn_max_ns": 0,
}  # fmt: skip


def test_a_report_that_was_cut_short_is_one_only_of_who_may_stand() -> None:
    found = protocol.report(CUT, STANDS)["memory"]
    assert isinstance(found, MemoryReport)
    assert found.touched_bytes == 7
    with pytest.raises(protocol.GarbledError, match="cut short"):
        protocol.report(CUT, replace(STANDS, may_stand=False))


def silent() -> Container:
    """A container that says nothing."""
    world = World()
    return FakeEngine(world).create(
        name="c", run="r", spec=ContainerSpec(limits=Limits(), workload=Spin()), deadline_s=1.0
    )


def test_who_may_stand_is_not_waited_for() -> None:
    converse(silent(), ContainerSpec(limits=Limits(), workload=STANDS)).await_end()


def test_it_is_watched_for_some_seconds_and_others_as_long_as_growth_may_take() -> None:
    point = plan_of(ContainerSpec(limits=Limits(), workload=STANDS)).points[0]
    stands = patience.load_timeout_s(point.containers[0], point)
    other = ContainerSpec(limits=Limits(), workload=Growth(target_bytes=MIB, after_s=2.0))
    assert stands == point.duration_s + STANDS.STANDS_S < patience.GROW_TIMEOUT_S
    assert patience.load_timeout_s(other, point) > patience.GROW_TIMEOUT_S + 2.0
