"""Who is killed, who stands still, what gives way and what is spared, on a real engine.

Each with the product made wrong on purpose too.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from harness import cgroup
from harness.engine.boundary import LABEL, Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.measure.runner import Surroundings
from harness.model import ContainerSpec, Growth, Limits, Outcome, Point, Status
from harness.plan.axes import Options
from tests.docker.measuring import execute

pytestmark = [pytest.mark.engine, pytest.mark.beside]

MIB = 1 << 20


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


class Asked(DockerEngine):
    """An engine that is asked for other limits than those that were meant."""

    def __init__(self, connection: Connection, *changes: dict[str, Any]) -> None:
        super().__init__(connection)
        self._changes, self._number = changes, 0

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        changed = self._changes[self._number % len(self._changes)]
        self._number += 1
        wrong = dataclasses.replace(spec, limits=dataclasses.replace(spec.limits, **changed))
        return super().create(
            name=name, run=run, spec=wrong, deadline_s=deadline_s, together=together
        )


def nothing_left(connection: Connection) -> None:
    assert connection.api.containers(all=True, filters={"label": f"{LABEL}=test"}) == []
    roots = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]
    assert [one for root in roots for one in root.glob("limitbench_test_*")] == []


# --- several below one limit ---------------------------------------------------------------------


def test_the_highest_score_is_killed(engine_connection: Connection) -> None:
    # Of three trials the median: the kernel lets the next be killed before all memory of the first
    # is given back (mm/mmap.c: exit_mmap sets MMF_OOM_SKIP before tlb_finish_mmu), which is rare.
    options = Options(values="0:0,0:300,0:300:0", repeats=3)
    found = execute(DockerEngine(engine_connection), "oom", options)
    for value, victim in (("0:0", 0), ("0:300", 1), ("0:300:0", 1)):
        point = f"oom-score-adj={value}"
        assert set(found.outcomes(point)) == {Outcome.OOM_KILLED}
        results = found.summary(point).results
        assert results[0].expectation.container == victim
        for result in results:
            assert result.achieved is not None
            assert result.achieved.median == (result.expectation.container == victim)
    for record in found.records:
        above = record.containers[0].effective
        assert above is not None
        assert (above.memory_bytes, above.memory_swap_bytes) == (64 * MIB, 64 * MIB)
        assert above.memory_at.startswith("/limitbench_test_")
        # The probe of whoever was killed lived to tell.
        assert [one.exit_code for one in record.containers] == [0] * len(record.containers)
    nothing_left(engine_connection)


def test_an_adjustment_that_the_engine_drops_kills_another(engine_connection: Connection) -> None:
    dropping = Asked(engine_connection, {"oom_score_adj": None})
    found = execute(dropping, "oom", Options(values="0:300", repeats=4))
    verdict = found.verdict("oom-score-adj=0:300", "oom_killed")
    assert verdict.status is Status.DEVIATES
    assert "--oom-score-adj: requested 300" in verdict.reason


def test_a_limit_that_is_not_set_is_no_verdict(engine: DockerEngine) -> None:
    def unset(where: Surroundings) -> Surroundings:
        return dataclasses.replace(where, limit_parent=lambda *_: "not here")

    found = execute(engine, "oom", Options(values="0:0", repeats=1), change=unset)
    assert found.status("oom-score-adj=0:0", "oom_killed") is Status.NOT_EXERCISABLE
    assert set(found.outcomes("oom-score-adj=0:0")) == {Outcome.COMPLETED}


# --- nobody is killed ----------------------------------------------------------------------------


def test_without_a_killer_v1_stands_still_and_v2_kills(engine_connection: Connection) -> None:
    engine = DockerEngine(engine_connection)
    found = execute(engine, "oom", Options(values="disabled", repeats=2))
    v1 = engine.facts().cgroup_version == 1
    outcome = Outcome.COMPLETED if v1 else Outcome.OOM_KILLED
    assert set(found.outcomes("oom-kill-disable")) == {outcome}
    assert found.metric("oom-kill-disable", "oom_killed") == (0 if v1 else 1)
    assert abs(found.error("oom-kill-disable", "reached_bytes")) <= 1 * MIB
    if v1:
        assert found.metric("oom-kill-disable", "under_oom") == 1
    nothing_left(engine_connection)


def test_one_that_is_killed_all_the_same_deviates(engine_connection: Connection) -> None:
    killing = Asked(engine_connection, {"oom_kill_disable": None})
    if killing.facts().cgroup_version == 2:
        pytest.skip("cgroup v2 kills rightly")
    found = execute(killing, "oom", Options(values="disabled", repeats=2))
    assert found.status("oom-kill-disable", "under_oom") is Status.DEVIATES
    assert found.status("oom-kill-disable", "oom_killed") is Status.DEVIATES


def test_a_first_process_that_stands_still_is_removed_and_nothing_is_left(
    engine_connection: Connection,
) -> None:
    """It hears no stop: what ends it is the removal, which takes no more than a moment."""
    limits = Limits(memory_bytes=16 * MIB, memory_swap_bytes=16 * MIB, oom_kill_disable=True)
    growth = Growth(target_bytes=32 * MIB, victim="self", may_stand=True)
    point = Point(
        id="p", axis="file", value="p",
        containers=(ContainerSpec(limits=limits, workload=growth),),
    )  # fmt: skip
    engine = DockerEngine(engine_connection)
    found = execute(engine, "file", Options(repeats=1), points_of=lambda *_: [point])
    (record,) = found.records
    assert record.outcome in (Outcome.COMPLETED, Outcome.TIMED_OUT, Outcome.OOM_KILLED)
    assert record.phases_s["remove"] < 30
    nothing_left(engine_connection)


# --- what is spared ------------------------------------------------------------------------------


def test_what_a_neighbour_leaves_of_page_cache(engine_connection: Connection) -> None:
    engine = DockerEngine(engine_connection)
    found = execute(engine, "reservation", Options(values="32m@pressed,none@pressed", repeats=2))
    point = "reservation=32m pressed"
    if engine.facts().cgroup_version == 2:
        assert found.metric(point, "kept_bytes") >= 23 * MIB
    else:
        assert found.status(point, "kept_bytes") is Status.NOT_EXERCISABLE
        assert found.metric(point, "kept_bytes") < 20 * MIB
    assert found.metric("reservation=none pressed", "kept_bytes") < 20 * MIB
    nothing_left(engine_connection)


def test_a_reservation_that_the_engine_drops_spares_nothing(
    engine_connection: Connection,
) -> None:
    dropping = Asked(engine_connection, {"memory_reservation_bytes": None})
    if dropping.facts().cgroup_version == 1:
        pytest.skip("below a limit v1 spares nothing, with or without it")
    found = execute(dropping, "reservation", Options(values="32m@pressed", repeats=3))
    assert found.status("reservation=32m pressed", "kept_bytes") is Status.DEVIATES


# --- page cache or swap --------------------------------------------------------------------------


def test_swappiness_0_swaps_nothing_and_100_does(engine: DockerEngine, swap: int) -> None:
    if engine.facts().cgroup_version == 2:
        pytest.skip("cgroup v2 drops it")
    found = execute(engine, "swappiness", Options(values="0,100", repeats=3))
    assert set(found.outcomes("swappiness=0")) == {Outcome.COMPLETED}
    assert found.metric("swappiness=0", "peak_swap_bytes") <= MIB / 2
    assert found.metric("swappiness=100", "peak_swap_bytes") > MIB


def test_a_swappiness_that_the_engine_drops_is_found(
    engine_connection: Connection, swap: int
) -> None:
    dropping = Asked(engine_connection, {"memory_swappiness": 100})
    if dropping.facts().cgroup_version == 2:
        pytest.skip("cgroup v2 drops it rightly")
    found = execute(dropping, "swappiness", Options(values="0", repeats=3))
    assert found.status("swappiness=0", "peak_swap_bytes") is not Status.CONFORMS
    assert found.metric("swappiness=0", "peak_swap_bytes") > MIB / 2


def test_at_swappiness_0_the_kill_comes_at_memory(engine: DockerEngine, swap: int) -> None:
    limits = Limits(memory_bytes=32 * MIB, memory_swap_bytes=64 * MIB, memory_swappiness=0)
    spec = ContainerSpec(limits=limits, workload=Growth(target_bytes=48 * MIB))
    point = Point(id="p", axis="file", value="p", containers=(spec,))
    found = execute(engine, "file", Options(repeats=2), points_of=lambda *_: [point])
    killed = engine.facts().cgroup_version == 1
    assert found.metric("p", "oom_killed") == killed
    assert abs(found.error("p", "reached_bytes")) <= 1 * MIB


# --- rare ones -----------------------------------------------------------------------------------


def test_memory_nodes_are_told_by_the_kernel(engine: DockerEngine) -> None:
    found = execute(engine, "cpuset-mems", Options(values="0", repeats=2))
    counters = found.records[0].containers[0].memory_last
    assert counters is not None
    if counters.node_bytes is None:
        pytest.skip("this kernel does not tell where memory lies")
    assert counters.node_bytes[0] >= 32 * MIB
    single = len(counters.node_bytes) == 1
    assert found.metric("mems=0", "other_nodes_bytes") <= MIB
    told = found.status("mems=0", "other_nodes_bytes")
    assert told is (Status.NOT_EXERCISABLE if single else Status.CONFORMS)


def test_without_a_budget_real_time_cpu_is_refused_with_the_reason(engine: DockerEngine) -> None:
    found = execute(engine, "cpu-rt-runtime", Options(values="50000", repeats=1))
    verdict = found.verdict("rt-runtime=50000", "cpus")
    assert verdict.status is Status.NOT_EXERCISABLE
    if found.outcomes("rt-runtime=50000") == [Outcome.NOT_STARTED]:
        assert found.records[0].failure
        assert (found.records[0].failure or "") in verdict.reason or "cgroup v2" in verdict.reason


def test_no_cgroup_of_ours_is_left_on_this_host() -> None:
    assert cgroup.remove_empty_parents() == 0
