"""Errors of each source against a truth that is known, and what an audit says without one."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit import errors as audit_errors
from harness.audit.errors import CGROUP, STATS, Cost, Errors, MemoryTrial
from harness.cli import audit as audit_command
from harness.engine import processes
from harness.inspection.use import Observation
from harness.limits import EngineCpus
from harness.measure import runner
from harness.measure.observer import BlindObserver
from harness.model import (
    ContainerRecord,
    Limits,
    MemoryReport,
    Outcome,
    Plan,
    RunningContainer,
    Sample,
    StatsFrame,
    TrialRecord,
)
from tests.command import spoken
from tests.fakes import CPUS, World

MIB = 1 << 20


def test_errors_of_readings_that_are_known_and_missing() -> None:
    found = Errors.of([0.01, -0.03, None])
    assert (found.n, found.missing) == (2, 1)
    assert found.bias == pytest.approx(-0.01)
    assert found.rms == pytest.approx(math.sqrt(0.0005))
    assert found.worst == -0.03
    assert Errors.of([None]) == Errors(0, 1, None, None, None)


@given(st.lists(st.floats(-1, 1), min_size=1))
def test_bias_never_exceeds_rms_and_rms_never_the_worst(errors: list[float]) -> None:
    found = Errors.of(errors)
    assert found.bias is not None
    assert found.rms is not None
    assert found.worst is not None
    assert abs(found.bias) <= found.rms + 1e-12
    assert found.rms <= abs(found.worst) + 1e-12


def cpu_trials() -> dict[float, list[TrialRecord]]:
    plans = audit_errors.cpu_plans(CPUS, 4_000_000, durations_s=(2.0, 5.0), trials=30)
    return {duration_s: execute(plan) for duration_s, plan in plans.items()}


def execute(plan: Plan, *, blind: str = "") -> list[TrialRecord]:
    records: list[TrialRecord] = []
    world = World(foreign_cpus=0.02)
    where = world.surroundings()
    if blind:
        where = replace(where, observe=lambda who, *_: BlindObserver(who, world, blind))
    runner.run_plan(plan, "run", where, lambda r, _: records.append(r), runner.Listener())
    return records


def test_at_least_thirty_trials_of_each_length_over_the_range_of_limits() -> None:
    plans = audit_errors.cpu_plans(CPUS, 4_000_000, durations_s=audit_errors.DURATIONS_S, trials=30)
    assert list(plans) == [2.0, 5.0, 10.0]
    for duration_s, plan in plans.items():
        assert len(plan.trials) >= 30
        assert {point.duration_s for point in plan.points} == {duration_s}
        assert {point.value for point in plan.points} == {"0.1", "0.25", "0.5", "1", "1.5"}
        assert plan.cadence_hz == 250
    alone = audit_errors.cpu_plans(EngineCpus.first(1), 4_000_000, durations_s=(2.0,), trials=5)[
        2.0
    ]
    assert {point.value for point in alone.points} == {"0.1", "0.25", "0.5"}


@pytest.mark.slow
def test_sources_are_judged_by_the_workloads_own_clock() -> None:
    found = audit_errors.summarise(cpu_trials(), [], None)
    readings = {(r.source, r.what): r for r in found.cpu}
    assert set(readings) == {(s, w) for s in (CGROUP, STATS) for w in ("2 s", "5 s")}
    exact = readings[CGROUP, "5 s"].errors
    assert exact.n == 30
    assert exact.rms is not None
    assert exact.rms < 1e-6
    assert readings[CGROUP, "5 s"].rate_hz == pytest.approx(250, rel=0.01)
    assert readings[STATS, "5 s"].rate_hz == pytest.approx(0.2)
    assert [(cost.source, cost.readings > 0) for cost in found.costs] == [
        (CGROUP, True),
        (STATS, False),
    ]
    json.dumps(found.as_json())


def test_a_cgroup_that_nobody_read_is_not_measured_and_never_perfect() -> None:
    why = "the engine runs on another host; it lets nobody mount its files"
    plans = audit_errors.cpu_plans(CPUS, 4_000_000, durations_s=(2.0, 5.0), trials=5)
    trials = {s: execute(plan, blind=why) for s, plan in plans.items()}
    stats_cost = Cost(STATS, 1e-4, None, 30, "its engine is not on this host")
    unseen = memory_trial("anon", usage=0, anon=0, file=0, stats=41 * MIB)
    record = replace(unseen.seen.record, first=None, last=None)
    trial = replace(unseen.seen.trial, containers=(record,))
    memory = [replace(unseen, seen=replace(unseen.seen, trial=trial, obstacle="elsewhere"))]
    found = audit_errors.summarise(trials, memory, stats_cost)
    for reading in (*found.cpu, *found.memory):
        measured = reading.source == STATS
        assert (reading.errors.n > 0, reading.errors.rms is not None) == (measured, measured)
        if reading in found.cpu:
            assert (reading.rate_hz is not None) == measured
    assert {r.remark for r in found.cpu if r.source == CGROUP} == {why}
    assert {r.remark for r in found.memory if r.source == CGROUP} == {"elsewhere"}
    assert found.costs[0] == Cost(CGROUP, None, None, 0, why)
    assert found.as_json()["cpu"][0]["remark"] == why

    text = " ".join(spoken(lambda: audit_command._print(found)).split())
    assert f"cgroup was not measured (2 s, 5 s): {why}" in text
    assert "cgroup was not measured (anon: usage, anon: anon): elsewhere" in text
    assert f"cgroup not measured: {why}" in text
    assert "(0 readings" not in text


def test_a_docker_stats_without_a_frame_is_not_measured() -> None:
    plan = audit_errors.cpu_plans(CPUS, 4_000_000, durations_s=(2.0,), trials=5)[2.0]
    silent = [
        replace(trial, containers=(replace(trial.containers[0], stats=()),))
        for trial in execute(plan)
    ]
    found = audit_errors.summarise({2.0: silent}, [], None)
    (_, stats) = found.cpu
    assert (stats.errors.n, stats.rate_hz) == (0, None)
    text = spoken(lambda: audit_command._print(found))
    assert "docker stats was not measured (2 s): no frame of it came in time" in text
    assert "docker stats  not measured: no frame of it came in time" in text


@pytest.mark.slow
def test_a_source_that_is_off_is_seen_to_be_off() -> None:
    trials = cpu_trials()
    frame = StatsFrame(read="", cpu_percent=60.0, memory_bytes=1)
    wrong = [
        replace(t, containers=(replace(t.containers[0], stats=(frame,)),))
        for t in trials[2.0]
        if t.point_id == "cpus=0.5"
    ]
    silent = [replace(wrong[0], containers=(replace(wrong[0].containers[0], stats=()),))]
    (_, stats) = audit_errors.summarise({2.0: wrong + silent}, [], None).cpu
    assert stats.errors.bias == pytest.approx(0.2, abs=1e-3)
    assert stats.errors.missing == 1


def memory_trial(kind: str, *, usage: int, anon: int, file: int, stats: int) -> MemoryTrial:
    sample = Sample(t_mono_ns=1, memory_bytes=usage, anon_bytes=anon, file_bytes=file)
    record = ContainerRecord(
        requested=Limits(), first=sample, last=sample,
        stats=(StatsFrame(read="", cpu_percent=0.0, memory_bytes=stats),),
    )  # fmt: skip
    container = RunningContainer(
        id="x", name="x", image="x", pid=1, state="running", started_at="", limits=Limits()
    )
    trial = TrialRecord(
        index=0, block=0, point_id="", outcome=Outcome.COMPLETED, started_at="",
        containers=(record,),
    )  # fmt: skip
    report = MemoryReport(
        kind=kind, t_start_ns=0, t_end_ns=1, target_bytes=40 * MIB, step_bytes=1,
        touched_bytes=40 * MIB, killed=False, errno=0, step_ns=(), churn_pages=0, churn_ns=0,
        churn_max_ns=0,
    )  # fmt: skip
    return MemoryTrial(kind, report, Observation(container, trial, samples=(sample,)))


def test_memory_is_judged_by_what_was_touched() -> None:
    trials = [
        memory_trial("anon", usage=41 * MIB, anon=40 * MIB, file=0, stats=41 * MIB),
        memory_trial("file", usage=41 * MIB, anon=0, file=40 * MIB, stats=1 * MIB),
    ]
    found = {
        (r.source, r.what): r.errors.bias for r in audit_errors.summarise({}, trials, None).memory
    }
    assert found[CGROUP, "anon: usage"] == pytest.approx(1 / 40)
    assert found[CGROUP, "anon: anon"] == 0
    assert found[CGROUP, "file: page cache"] == 0
    # docker stats leaves inactive page cache out of what it calls memory
    assert found[STATS, "file: memory"] == pytest.approx(-39 / 40)


def test_a_cost_whose_half_is_not_known_is_not_known() -> None:
    assert Cost(STATS, 1e-3, 2e-3, 10).total_s == 3e-3
    assert Cost(STATS, 1e-3, None, 10).total_s is None


def test_cpu_time_of_processes_is_that_of_all_their_threads() -> None:
    mine = frozenset({os.getpid()})
    before, own = processes.cpu_ns(mine), time.process_time_ns()

    def work() -> None:
        end = time.thread_time_ns() + 50_000_000
        while time.thread_time_ns() < end:
            pass

    def work_and_stay() -> None:
        work()
        stop.wait(10)

    stop = threading.Event()
    worker = threading.Thread(target=work_and_stay)
    worker.start()
    work()
    time.sleep(0.2)
    took, really = processes.cpu_ns(mine) - before, time.process_time_ns() - own
    stop.set()
    worker.join()
    assert took == pytest.approx(really, rel=0.2)
    assert took >= 100_000_000


def test_an_engine_elsewhere_has_no_processes_here(tmp_path: Path) -> None:
    assert processes.pids("tcp://10.0.0.1:2376", 1) == frozenset()
    assert processes.pids(f"unix://{tmp_path}/none.sock", 1) == frozenset()
