"""What few hosts can put to the test: the law where they can, and the reason where not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge import laws, points, verdicts
from harness.judge import run as judge_run
from harness.judge.laws import Circumstances
from harness.model import (
    ContainerRecord,
    EffectiveLimits,
    Expectation,
    MemoryCounters,
    Outcome,
    Plan,
    Status,
    TrialRecord,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS

GIVEN = Circumstances(engine=ENGINE_FACTS, host=HOST_FACTS)
READ = (EffectiveLimits(),)


def law(axis: str, value: str, given: Circumstances) -> Expectation:
    (point,) = planning.build(axis, Options(values=value), cpus=CPUS).points
    return laws.expectations(point, given)[0]


@pytest.mark.parametrize(
    ("value", "nodes", "why"),
    [
        ("0", 1, "this host has one memory node"),
        ("0-1", 2, "every node is in the list"),
        ("0", 2, ""),
        ("1", 2, ""),
        ("0", None, "does not tell where memory lies"),
    ],
)
def test_nodes(value: str, nodes: int | None, why: str) -> None:
    found = law("cpuset-mems", value, replace(GIVEN, effective=READ, nodes=nodes))
    assert (found.metric, found.value) == ("other_nodes_bytes", 0)
    assert why in found.not_exercisable if why else not found.not_exercisable


def test_nodes_that_are_not_there() -> None:
    found = law("cpuset-mems", "7", replace(GIVEN, refused="available: 0"))
    assert "available: 0" in found.not_exercisable


def test_real_time() -> None:
    refused = law("cpu-rt-runtime", "50000", replace(GIVEN, refused="invalid argument"))
    assert refused.value == 0.05
    assert "RT_GROUP_SCHED" in refused.not_exercisable
    assert "invalid argument" in refused.not_exercisable
    v2 = replace(GIVEN, engine=replace(ENGINE_FACTS, cgroup_version=2))
    assert "cgroup v2" in law("cpu-rt-runtime", "50000", v2).not_exercisable


def _plan() -> Plan:
    return planning.build("cpu-rt-runtime", Options(values="50000", repeats=2), cpus=CPUS)


def _ended(plan: Plan, outcome: Outcome) -> TrialRecord:
    (point,) = plan.points
    return TrialRecord(
        index=0, block=0, point_id=point.id, outcome=outcome, started_at="",
        containers=(ContainerRecord(requested=point.containers[0].limits),),
        failure="the engine refused to start a container: invalid argument",
    )  # fmt: skip


def test_a_refusal_is_the_reason_and_another_failure_is_none() -> None:
    plan = _plan()
    for outcome, told in ((Outcome.NOT_STARTED, True), (Outcome.FAILED, False)):
        (summary,) = points.summarise(plan, [_ended(plan, outcome)], ENGINE_FACTS, HOST_FACTS)
        (result,) = summary.results
        assert ("invalid argument" in result.expectation.not_exercisable) is told
        verdict = verdicts.judge(summary, result, judge_run.readbacks([], ENGINE_FACTS))
        assert verdict.status is Status.NOT_EXERCISABLE


def test_the_nodes_that_a_law_knows_are_those_that_a_trial_read() -> None:
    plan = planning.build("cpuset-mems", Options(values="0", repeats=1), cpus=CPUS)
    (point,) = plan.points
    record = ContainerRecord(
        requested=point.containers[0].limits, effective=EffectiveLimits(),
        memory_last=MemoryCounters(node_bytes=(1 << 25, 0)),
    )  # fmt: skip
    trial = replace(_ended(_plan(), Outcome.COMPLETED), containers=(record,))
    found = points.expectations_of(point, trial, ENGINE_FACTS, HOST_FACTS)
    assert not found[0].not_exercisable
