"""The runner in a fake world whose truth is known, and with the product made wrong on purpose."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.comparison.digest import sided
from harness.engine.boundary import Exit
from harness.errors import EngineError
from harness.judge import cpu, points, surroundings
from harness.judge import readbacks as judge_readbacks
from harness.judge import run as judge_run
from harness.judge import verdicts as judge_verdicts
from harness.measure import patience, queue, runner
from harness.model import Outcome, Plan, Side, Status, TrialRecord
from harness.plan import axes
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import runs
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World


@dataclass
class Kept:
    records: list[TrialRecord] = field(default_factory=list)
    samples: list[runner.Samples] = field(default_factory=list)

    def keep(self, record: TrialRecord, samples: runner.Samples) -> None:
        self.records.append(record)
        self.samples.append(samples)


def execute(world: World, options: Options | None = None) -> tuple[Plan, Kept]:
    plan = planning.build("cpu", options or Options(), cpus=CPUS)
    kept = Kept()
    runner.run_plan(plan, "run", world.surroundings(), kept.keep, runner.Listener())
    return plan, kept


def verdicts(plan: Plan, records: list[TrialRecord]) -> dict[str, tuple[Status, str]]:
    out = {}
    for summary in points.summarise(plan, records, ENGINE_FACTS, HOST_FACTS):
        mine = [r.containers[0] for r in records if r.point_id == summary.point.id]
        readbacks = [one for c in mine for one in judge_readbacks.readbacks(c, ENGINE_FACTS)]
        verdict = judge_verdicts.judge(summary, summary.results[0], readbacks)
        out[summary.point.id] = (verdict.status, verdict.reason)
    return out


def test_a_faithful_host_conforms_everywhere() -> None:
    world = World(foreign_cpus=0.03)
    plan, kept = execute(world)
    assert [r.outcome for r in kept.records] == [Outcome.COMPLETED] * 25
    assert {status for status, _ in verdicts(plan, kept.records).values()} == {Status.CONFORMS}
    assert len(world.removed) == 25
    by_point = {r.point_id: r for r in kept.records}
    half = by_point["cpus=0.5"].containers[0]
    assert cpu.achieved_cpus(half) == pytest.approx(0.5)
    assert cpu.throttled_share(half) == 1.0
    assert cpu.longest_gap_s(half) == pytest.approx(0.050)
    assert surroundings.foreign_cpus(by_point["cpus=0.5"]) == pytest.approx(0.03, abs=1e-6)
    assert cpu.achieved_cpus(by_point["cpus=2"].containers[0]) == pytest.approx(1.97)
    assert len(kept.samples[0][0]) == 151  # 3 s at 50 Hz, and both edges


def test_containers_that_compete_for_one_cpu_get_it_by_their_shares() -> None:
    plan = planning.build("shares", Options(values="1024:512,1024:2", repeats=5), cpus=CPUS)
    world, kept = World(), Kept()
    runner.run_plan(plan, "run", world.surroundings(), kept.keep, runner.Listener())
    assert [r.invalid for r in kept.records] == [None] * 10
    assert {status for status, _ in verdicts(plan, kept.records).values()} == {Status.CONFORMS}
    pair = next(r for r in kept.records if r.point_id == "shares=1024:512").containers
    assert [cpu.achieved_cpus(one) for one in pair] == pytest.approx([2 / 3, 1 / 3])
    assert [cpu.outside_cpus(one) for one in pair] == [0, 0]


def test_a_quota_five_percent_off_deviates_and_is_named() -> None:
    plan, kept = execute(World(quota_factor=1.05), Options(values="0.25,0.5,1"))
    for status, reason in verdicts(plan, kept.records).values():
        assert status is Status.DEVIATES
        assert "the kernel holds" in reason


def test_the_wrong_cgroup_is_rejected_and_tried_again_within_bounds() -> None:
    plan, kept = execute(World(wrong_cgroup=True), Options(values="0.5"))
    assert len(kept.records) == 5 + queue.MAX_EXTRA_TRIALS
    assert all("not the same thing was measured" in (r.invalid or "") for r in kept.records)
    assert verdicts(plan, kept.records)["cpus=0.5"][0] is Status.INCONCLUSIVE


@pytest.mark.parametrize(("foreign", "rejected"), [(0.04, False), (0.2, True)])
def test_foreign_cpu_rejects_where_the_limit_leaves_no_room(foreign: float, rejected: bool) -> None:
    _, kept = execute(World(foreign_cpus=foreign), Options(values="2", repeats=1))
    assert bool(kept.records[0].invalid) is rejected


@pytest.mark.parametrize(("engine_cpus", "rejected"), [(0.19, True), (0.25, False)])
def test_what_the_engine_itself_takes_there_never_rejects(
    engine_cpus: float, rejected: bool
) -> None:
    plan = planning.build("cpu", Options(values="2", repeats=1), cpus=CPUS)
    where = replace(World(foreign_cpus=0.2).surroundings(), engine_cpus=engine_cpus)
    kept = Kept()
    runner.run_plan(plan, "run", where, kept.keep, runner.Listener())
    assert bool(kept.records[0].invalid) is rejected


def test_foreign_cpu_does_not_reject_where_there_is_room() -> None:
    _, kept = execute(World(foreign_cpus=0.2), Options(values="0.5", repeats=1))
    assert kept.records[0].invalid is None


@pytest.mark.parametrize(
    ("said", "text", "outcome", "reason"),
    [
        ("ready", "hello", Outcome.FAILED, "no JSON object: 'hello'"),
        ("ready", '["ready"]', Outcome.FAILED, "no JSON object"),
        ("ready", '{"probe":"odd"}', Outcome.FAILED, "instead of ready"),
        ("report", "{}", Outcome.FAILED, "cannot be read"),
        ("report", '{"probe":"report","complete":false}', Outcome.FAILED, "cut short"),
        ("report", json.dumps({"probe": "report", "complete": True, "t_start_ns": "x"}),
         Outcome.FAILED, "cannot be read"),
    ],
)  # fmt: skip
def test_a_workload_that_prints_garbage_fails_its_trial_and_the_sweep_goes_on(
    said: str, text: str, outcome: Outcome, reason: str
) -> None:
    world = World(says={said: text})
    _, kept = execute(world, Options(values="0.5", repeats=2))
    assert [r.outcome for r in kept.records] == [outcome] * 2
    assert reason in (kept.records[0].failure or "")
    assert len(world.removed) == 2


@pytest.mark.parametrize(
    ("exit_code", "told", "kills_above", "outcome"),
    [
        (137, True, None, Outcome.OOM_KILLED),
        (137, None, 1, Outcome.OOM_KILLED),  # cgroup v2: the engine may miss it
        (137, False, 1, Outcome.OOM_KILLED),
        (137, None, 0, Outcome.FAILED),  # somebody's SIGKILL
        (137, None, None, Outcome.FAILED),
        (1, None, 1, Outcome.FAILED),  # a neighbour was killed, this one failed
    ],
)
def test_a_kill_that_the_engine_does_not_tell_is_counted_by_the_kernel(
    exit_code: int, told: bool | None, kills_above: int | None, outcome: Outcome
) -> None:
    world = World(killed=Exit(exit_code, told), kills_above=kills_above)
    _, kept = execute(world, Options(values="0.5", repeats=1, duration_s=1))
    assert {record.outcome for record in kept.records} == {outcome}
    reason = kept.records[0].failure or ""
    assert ("OOM-killed" in reason) == (outcome is Outcome.OOM_KILLED)
    assert (f"code {exit_code}" in reason) == (outcome is Outcome.FAILED)
    assert len(world.removed) == len(kept.records)


def test_an_engine_that_dies_ends_the_sweep_and_what_was_finished_is_kept() -> None:
    world = World(dies_at_trial=3)
    kept = Kept()
    plan = planning.build("cpu", Options(), cpus=CPUS)
    with pytest.raises(EngineError):
        runner.run_plan(plan, "run", world.surroundings(), kept.keep, runner.Listener())
    assert len(kept.records) == 3
    assert len(world.removed) == 3


def test_an_engine_that_comes_back_costs_the_trial_which_is_repeated() -> None:
    told: list[str] = []

    class Told(runner.Listener):
        def engine_gone(self, why: str, waits_s: float) -> None:
            told.append(why)

    world, kept = World(dies_at_trial=3, comes_back=True), Kept()
    plan = planning.build("cpu", Options(), cpus=CPUS)
    runner.run_plan(plan, "run", world.surroundings(), kept.keep, Told())
    assert len(kept.records) == len(plan.trials) + 1
    failed = kept.records[3]
    assert failed.outcome is Outcome.FAILED
    assert failed.failure == failed.invalid == "the engine stopped answering."
    assert told == [failed.failure]
    again = [one for one in kept.records if one.point_id == failed.point_id]
    assert sum(points.counts(one) for one in again) == plan.repeats


def test_an_interrupt_passes_through_and_leaves_no_container() -> None:
    def interrupt(number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    world = World(on_create=interrupt)
    kept = Kept()
    plan = planning.build("cpu", Options(), cpus=CPUS)
    with pytest.raises(KeyboardInterrupt):
        runner.run_plan(plan, "run", world.surroundings(), kept.keep, runner.Listener())
    assert len(kept.records) == len(world.removed) == 2


def test_a_tiny_quota_may_take_its_time_to_start() -> None:
    plan = planning.build("cpu", Options(values="0.01,1"), cpus=CPUS)
    tiny, one = (patience.start_timeout_s(point.containers[0]) for point in plan.points)
    assert tiny > one
    assert tiny == pytest.approx(30)


def test_each_side_of_an_ab_run_is_judged_by_its_own_engine(tmp_path: Path) -> None:
    # For 0.505 CPUs the kernel holds 51000 on both sides: right under systemd, which rounds, alone.
    other = replace(ENGINE_FACTS, cgroup_driver="systemd")
    plan = planning.build(
        "ab", Options(values="0.505", repeats=2), cpus=CPUS,
        points_of=lambda options, cpus: (
            sided(point, side) for side in "ab" for point in axes.find("cpu").points(options, cpus)
        ),
    )  # fmt: skip
    sides = tuple(
        Side(name=name, options="", engine=engine)
        for name, engine in (("a", ENGINE_FACTS), ("b", other))
    )
    run = runs.create(tmp_path, plan, host=HOST_FACTS, engine=ENGINE_FACTS,
                       workload=WORKLOAD_FACTS, sides=sides)  # fmt: skip
    where = replace(
        World(quota_factor=51000 / 50500).surroundings(),
        sides={one.name: one.engine for one in sides},
    )
    runner.run_plan(plan, run.info.name, where, run.keep, runner.Listener())
    run.finish("finished")
    loaded = runs.load(run.path)
    for trial in loaded.trials:
        noted = "readback" in {note.code for note in trial.warnings}
        assert noted == trial.point_id.startswith("a: ")
    agreed = {one.summary.point.side: one.readbacks[0].agrees for one in judge_run.points(loaded)}
    assert agreed == {"a": False, "b": True}
