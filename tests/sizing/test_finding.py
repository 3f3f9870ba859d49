"""A run that looks for a limit, from its plan to its answer, in the fake world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.engine.boundary import Exit
from harness.errors import MeasurementError
from harness.measure.queue import Queue
from harness.model import ContainerSpec, Limits, Point, SoughtLimit, Spin, TrialRecord
from harness.show.report import found as reports
from harness.sizing import finding
from harness.sizing.finding import Finding, Study
from harness.sizing.search import Ending
from harness.store.runs import Run
from tests.fakes import ENGINE_FACTS, HOST_FACTS, World
from tests.searched import BURST, CPU, MEMORY, noisy, searched


def study(run: Run) -> Study:
    return Study(run.info, tuple(run.trials))


@pytest.mark.slow
def test_the_least_limit_is_found_and_the_run_reads_as_any_other(tmp_path: Path) -> None:
    run = searched(tmp_path, "cpus > 0.5")
    assert run.damage == ()
    found = study(run)
    (edge,) = found.edges
    assert found.ending is Ending.FOUND
    assert edge.fails is not None
    assert edge.holds is not None
    assert edge.fails <= 0.5 < edge.holds <= 0.5 * 1.05
    assert found.chosen == (("cpus", edge.holds),)
    assert {one.point_id for one in run.trials} == {one.id for one in run.info.plan.points}
    values = [one.containers[0].limits.cpus or 0.0 for one in run.info.plan.points]
    assert values == sorted(values)


@pytest.mark.slow
def test_a_product_that_gives_another_limit_has_another_answer(tmp_path: Path) -> None:
    """Else the search would tell what was asked for, and not what was measured."""
    run = searched(tmp_path, "cpus > 0.5", world=World(quota_factor=0.8))
    chosen = study(run).chosen
    assert chosen is not None
    assert 0.5 / 0.8 < chosen[0][1] <= 0.5 / 0.8 * 1.05


@pytest.mark.slow
def test_noise_is_seen_through(tmp_path: Path) -> None:
    run = searched(tmp_path, "p99 < 60ms", world=World(respond=noisy(0.05)), load=BURST)
    found = study(run)
    assert found.ending is Ending.FOUND
    assert found.chosen is not None
    assert 0.5 * 0.99 <= found.chosen[0][1] <= 0.5 * 1.05


@pytest.mark.slow
def test_a_rate_of_a_disk_is_found_and_what_it_leaves_is_told(tmp_path: Path) -> None:
    def respond(limits: Limits) -> int:
        return round(60e6 * (4 << 20) / (limits.device_write_bps or 1 << 40))

    sought = SoughtLimit(limit="write-bps", least=256 << 10, most=256 << 20, step=0.05)
    run = searched(tmp_path, "p99 < 60ms", sought, world=World(respond=respond), load=BURST)
    found = reports.build(run)
    assert found is not None
    assert found.ending is Ending.FOUND
    ((limit, value),) = found.chosen or ()
    assert limit == "write-bps"
    assert 4 << 20 < value <= (4 << 20) * 1.05
    assert all(one.containers[0].limits.memory_bytes is None for one in run.info.plan.points)
    assert {one.axis for one in run.info.plan.points} == {"io"}
    assert any("no partition" in said for said in found.room)


@pytest.mark.slow
def test_a_part_of_unlimited_is_measured_beside_the_limits(tmp_path: Path) -> None:
    run = searched(tmp_path, "cpus > 50% of unlimited")
    found = study(run)
    assert found.chosen is not None
    assert 1.0 < found.chosen[0][1] <= 1.05
    order = [one.point_id for one in run.trials]
    free = [i for i, name in enumerate(order) if name == finding.UNLIMITED]
    assert len(free) >= finding.UNLIMITED_TRIALS
    assert free[0] < 8 < free[-1]
    unlimited = run.info.plan.point(finding.UNLIMITED)
    assert unlimited.containers[0].limits == Limits()


@pytest.mark.parametrize(
    ("goal", "ending", "code"),
    [("cpus > 2.5", Ending.NEVER, 1), ("cpus > 0.01", Ending.ALWAYS, 0)],
)
def test_that_no_limit_will_do_or_any_is_an_answer(
    tmp_path: Path, goal: str, ending: Ending, code: int
) -> None:
    found = reports.build(searched(tmp_path, goal))
    assert found is not None
    assert (found.ending, found.exit_code) == (ending, code)
    assert len(found.study.trials) < 20


@pytest.mark.slow
def test_a_response_that_falls_is_inconclusive(tmp_path: Path) -> None:
    found = reports.build(searched(tmp_path, "cpus < 0.5"))
    assert found is not None
    assert (found.ending, found.exit_code) == (Ending.NOT_MONOTONE, 3)
    assert "not monotone" in found.answer


def test_a_spent_budget_tells_the_bracket_so_far(tmp_path: Path) -> None:
    run = searched(tmp_path, "cpus > 0.5", budget_s=1e-6)  # less than any trial takes
    found = reports.build(run)
    assert found is not None
    assert (found.ending, found.exit_code) == (Ending.BUDGET, 3)
    assert "0.233 CPUs will not do" in found.answer
    assert len(run.trials) == 7  # the ladder is measured in any case


@pytest.mark.slow
def test_a_second_limit_is_found_with_the_first_eased(tmp_path: Path) -> None:
    run = searched(tmp_path, "cpus > 0.5 and no-kill", CPU, MEMORY)
    found = study(run)
    first, second = found.edges
    assert second.fixed == (("cpus", first.eased),)
    assert first.found is not None
    assert first.eased >= first.found
    assert found.together is not None
    assert found.chosen is not None
    assert [name for name, _ in found.chosen] == ["cpus", "memory"]
    both = [one for one in run.info.plan.points if "," in one.id]
    assert all(one.containers[0].limits.cpus for one in both)
    assert all(one.containers[0].limits.memory_bytes for one in both)
    assert run.damage == ()


def test_what_none_of_the_trials_has_is_said_soon(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="io_some"):
        searched(tmp_path, "io_some < 1%")


def test_a_workload_that_never_runs_is_no_limit_that_is_too_small(tmp_path: Path) -> None:
    world = World(says={"ready": "nonsense"})
    with pytest.raises(MeasurementError, match="even at the most"):
        searched(tmp_path, "cpus > 0.5", world=world)


def test_a_kill_is_a_goal_that_is_not_reached(tmp_path: Path) -> None:
    world = World(killed=Exit(137, oom_killed=True), kills_above=1)
    found = reports.build(searched(tmp_path, "cpus > 0.01", world=world))
    assert found is not None
    assert found.ending is Ending.NEVER
    assert "kill" in found.answer


@pytest.mark.slow
def test_trials_that_others_disturb_end_it_after_a_while(tmp_path: Path) -> None:
    run = searched(tmp_path, "cpus > 0.5", world=World(foreign_cpus=1.5))
    found = study(run)
    assert found.ending in (Ending.DISTURBED, Ending.BUDGET)
    assert len(run.trials) < 200


@pytest.mark.slow
def test_who_disturbs_a_setting_that_was_added_is_waited_for_too(tmp_path: Path) -> None:
    world = World()

    def busy(number: int) -> None:
        world.foreign_cpus = 1.5 if number > 9 else 0.0  # beyond the ladder's seven

    world.on_create = busy
    run = searched(tmp_path, "cpus > 0.5", world=world)
    planned = {trial.point_id for trial in run.info.plan.trials}
    assert any(trial.invalid and trial.point_id not in planned for trial in run.trials)
    assert study(run).ending is Ending.DISTURBED


@pytest.mark.slow
def test_a_search_that_was_killed_comes_to_the_same_trials(tmp_path: Path) -> None:
    run = searched(tmp_path, "cpus > 0.5")
    for done in (3, 9, len(run.trials) - 1, len(run.trials)):
        grown = {one.point_id for one in run.trials[:done]}
        info = run.info
        plan = replace(
            info.plan,
            points=tuple(
                one for one in info.plan.points
                if one.id in grown or one.id in {t.point_id for t in info.plan.trials}
            ),
        )  # fmt: skip
        info = replace(info, plan=plan, status="interrupted")
        queue = Queue(plan, ENGINE_FACTS, HOST_FACTS, run.trials[:done], Finding(info))
        again: list[TrialRecord] = []
        for planned in queue:
            record = run.trials[planned.index]
            assert (record.point_id, record.index) == (planned.point_id, planned.index)
            again.append(record)
            queue.note(record)
        assert done + len(again) == len(run.trials)


def test_a_point_is_the_template_with_its_limits_and_no_others() -> None:
    fixed = Limits(cpu_shares=512)
    spec = ContainerSpec(limits=fixed, workload=Spin(threads=3))
    bare = Point(id=finding.UNLIMITED, axis="file", value="", containers=(spec,))
    first = finding.point_at(bare, (("memory", 64 << 20),))
    assert first.id == "memory=64m"
    assert first.containers[0].limits == Limits(
        cpu_shares=512, memory_bytes=64 << 20, memory_swap_bytes=64 << 20
    )
    second = finding.point_at(first, (("cpus", 0.5),))
    assert second.containers[0].limits == Limits(cpu_shares=512, cpus=0.5)
    both = finding.point_at(second, (("cpus", 0.25), ("memory", 32 << 20)))
    assert (both.id, both.axis) == ("cpus=0.25, memory=32m", "file")
    assert finding.point_at(both, ()).containers[0].limits == fixed
