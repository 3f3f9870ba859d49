"""What a limit promises a victim, and what its victim came to relative to itself alone."""

from __future__ import annotations

import dataclasses

import pytest

from harness.judge import laws, points
from harness.judge.laws import Circumstances
from harness.judge.neighbour import beside_alone
from harness.judge.verdicts import by_equivalence
from harness.model import (
    BurstReport,
    ContainerRecord,
    Estimate,
    Expectation,
    Limits,
    MemoryReport,
    Outcome,
    Plan,
    Point,
    Status,
    TrialRecord,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS
from tests.reports import io_report

GIVEN = Circumstances(engine=ENGINE_FACTS, host=HOST_FACTS)


def planned(values: str) -> Plan:
    return planning.build("neighbour", Options(values=values), cpus=CPUS)


def point(value: str) -> Point:
    return planned(value).points[-1]


def law(value: str) -> Expectation:
    (found,) = (one for one in laws.expectations(point(value), GIVEN) if one.law != "cpuset")
    return found


@pytest.mark.parametrize(
    ("value", "name", "metric", "promised"),
    [
        ("none", "neighbour-shares", "ratio", 1.0),
        ("shares=1024", "neighbour-shares", "ratio", 1.0),
        ("shares=2048", "neighbour-shares", "ratio", 0.5),
        ("shares=2", "neighbour-shares", "late_share", 0.0),
        ("quota=0.2", "neighbour-quota", "late_share", 0.0),
        # Capacity less the quota is less than by weight, which holds all the same.
        ("quota=0.8", "neighbour-shares", "ratio", 1.0),
        ("cpuset", "cpuset-of-its-own", "late_share", 0.0),
    ],
)
def test_what_is_promised(value: str, name: str, metric: str, promised: float) -> None:
    found = law(value)
    assert (found.law, found.metric, found.container) == (name, metric, 0)
    assert found.value == pytest.approx(promised)


@pytest.mark.parametrize("value", ["quota=0.4", "quota=0.48", "shares=700"])
def test_near_what_the_victim_wants_nothing_is_promised(value: str) -> None:
    assert laws.expectations(point(value), GIVEN) == ()


def test_a_cpuset_of_its_own_is_the_only_cpu_that_is_used() -> None:
    found = laws.expectations(point("cpuset"), GIVEN)
    assert [one.metric for one in found] == ["late_share", "outside_cpus"]


def test_each_container_meets_its_own_memory_limit() -> None:
    found = laws.expectations(point("limit=64m@memory"), GIVEN)
    reached = {one.container: one.value for one in found}
    assert [one.metric for one in found] == ["reached_bytes"] * 2
    assert reached[0] == 32 << 20
    assert 63 << 20 < reached[1] < 64 << 20
    nothing = laws.expectations(point("none@memory"), GIVEN)
    assert [one.value for one in nothing] == [32 << 20, 128 << 20]


def test_an_aggressor_has_no_more_of_the_disk_than_its_limit() -> None:
    found = laws.expectations(point("bps=4m@io"), GIVEN)
    assert {one.metric for one in found} == {"io_bytes_rate", "io_device_bytes_rate"}
    for one in found:
        assert (one.container, one.value, one.is_ceiling) == (1, 4 << 20, True)
        assert by_equivalence(measured(-0.4), one)[0] is Status.CONFORMS  # the victim had the rest
        assert by_equivalence(measured(0.5), one)[0] is Status.DEVIATES
    for nothing in ("none@io", "weight=10@io"):  # a victim that waits for its disk wants no share
        assert laws.expectations(point(nothing), GIVEN) == ()


def test_memory_that_a_limit_does_not_keep_an_aggressor_from_deviates() -> None:
    victim, aggressor = laws.expectations(point("limit=64m@memory"), GIVEN)
    for law, promised, broken in (
        (victim, 32 << 20, 20 << 20),  # killed for another's limit
        (aggressor, 64 << 20, 128 << 20),  # a limit that was dropped
    ):
        for reached, status in ((promised, Status.CONFORMS), (broken, Status.DEVIATES)):
            off = points.deviation(law, reached - (law.value != 32 << 20) * (200 << 10), law.value)
            assert by_equivalence(measured(off), law)[0] is status


def test_swap_that_the_host_has_not_is_not_exercisable() -> None:
    dry = Circumstances(engine=ENGINE_FACTS, host=dataclasses.replace(HOST_FACTS, swap_bytes=0))
    found = laws.expectations(point("swap=256m@memory"), dry)
    assert all("no swap" in one.not_exercisable for one in found if one.container == 1)
    assert not any(one.not_exercisable for one in found if one.container == 0)


def measured(value: float) -> Estimate:
    return Estimate(
        metric="deviation", unit="1", n=5, median=value, low=value, high=value, confidence=0.94,
        method="order statistics",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "kept", "broken"),
    [
        ("quota=0.2", 0.01, 0.25),  # the victim of equal weights is a quarter of its work behind
        ("shares=2", 0.01, 0.25),
        ("cpuset", 0.0, 0.25),
        ("none", 0.02, 0.4),  # 0.6 CPUs against 0.4
    ],
)
def test_a_promise_is_kept_or_broken(value: str, kept: float, broken: float) -> None:
    assert by_equivalence(measured(kept), law(value))[0] is Status.CONFORMS
    assert by_equivalence(measured(broken), law(value))[0] is Status.DEVIATES


# --- relative to itself alone ------------------------------------------------------------------


def burst(p99_ms: float, completed: int) -> ContainerRecord:
    ns = round(p99_ms * 1e6)
    return ContainerRecord(
        requested=Limits(),
        burst=BurstReport(
            t_start_ns=0, t_end_ns=3_000_000_000, cost_ns=2_000_000, rate_hz=300, offered=900,
            completed=completed, unfinished=900 - completed, response_p50_ns=ns,
            response_p90_ns=ns, response_p99_ns=ns, response_max_ns=ns, response_edges_ns=(),
            response_histogram=(), cpu_ns=completed * 2_000_000, backlog=900 - completed,
        ),
    )  # fmt: skip


def trial(point_id: str, block: int, *containers: ContainerRecord) -> TrialRecord:
    return TrialRecord(
        index=block, block=block, point_id=point_id, outcome=Outcome.COMPLETED, started_at="",
        containers=containers,
    )  # fmt: skip


def relative(plan: Plan, trials: list[TrialRecord]) -> dict[str, dict[str, Estimate]]:
    found = beside_alone(plan.points, lambda one: [t for t in trials if t.point_id == one.id])
    return {
        point_id: {name: one for (name, _), one in mine.items()} for point_id, mine in found.items()
    }


def test_ratios_are_of_trials_of_the_same_block() -> None:
    plan = planned("none")
    trials = []
    for block in range(5):
        drift = 1.0 + block  # the host gets slower from block to block: the ratio does not
        trials.append(trial("neighbour=alone", block, burst(10 * drift, 900)))
        trials.append(trial("neighbour=none", block, burst(140 * drift, 720), burst(1, 1)))
    found = relative(plan, trials)
    tail, done = (found["neighbour=none"][name] for name in ("tail_vs_alone", "done_vs_alone"))
    assert tail.n == 5
    assert tail.median == pytest.approx(14)
    assert tail.low == pytest.approx(tail.high)
    assert done.median == pytest.approx(0.8)
    assert found["neighbour=alone"]["tail_vs_alone"].median == 1.0


def test_a_trial_whose_partner_was_rejected_has_one_that_was_repeated() -> None:
    plan = planned("none")
    alone = [trial("neighbour=alone", block, burst(10 + block, 900)) for block in (0, 1, 5)]
    beside = [
        trial("neighbour=none", block, burst(times * (10 + block), 900), burst(1, 1))
        for block, times in ((0, 2), (1, 2), (2, 5))  # of block 2, alone was tried again in 5
    ]
    found = relative(plan, [*alone, *beside])["neighbour=none"]["tail_vs_alone"]
    assert found.n == 3
    assert found.median == pytest.approx(2.0)
    assert found.low is not None
    assert found.low > 0  # Student's t about the ratios themselves would say -0.1
    # No trial of the victim alone stands for two.
    assert relative(plan, [alone[0], *beside])["neighbour=none"]["tail_vs_alone"].n == 1
    assert relative(plan, beside) == {}


def test_of_memory_it_is_pages_and_the_longest_of_them() -> None:
    def grown(churn_max_ns: int, pages: int) -> ContainerRecord:
        return ContainerRecord(
            requested=Limits(),
            memory=MemoryReport(
                kind="anon", t_start_ns=0, t_end_ns=1, target_bytes=1, step_bytes=1,
                touched_bytes=1, killed=False, errno=0, step_ns=(), churn_pages=pages,
                churn_ns=1_000_000_000, churn_max_ns=churn_max_ns,
            ),
        )  # fmt: skip

    plan = planned("none@memory")
    trials = [
        trial("neighbour=alone@memory", 0, grown(2_000, 1000)),
        trial("neighbour=none@memory", 0, grown(6_000, 500), grown(1, 1)),
    ]
    found = relative(plan, trials)["neighbour=none@memory"]
    assert found["tail_vs_alone"].median == pytest.approx(3.0)
    assert found["done_vs_alone"].median == pytest.approx(0.5)


def committed(p99_ns: int, ios: int) -> ContainerRecord:
    return ContainerRecord(requested=Limits(), io=io_report(latency_p99_ns=p99_ns, ios=ios))


def test_of_a_disk_it_is_commits_and_the_slowest_of_them() -> None:
    plan = planned("none@io")
    trials = [
        trial("neighbour=alone@io", 0, committed(2_000_000, 1000)),
        trial("neighbour=none@io", 0, committed(8_000_000, 250), committed(1, 1)),
    ]
    found = relative(plan, trials)["neighbour=none@io"]
    assert found["tail_vs_alone"].median == pytest.approx(4.0)
    assert found["done_vs_alone"].median == pytest.approx(0.25)


def test_no_kind_is_measured_by_the_other_s_alone() -> None:
    plan = planned("none,none@memory")
    trials = [
        trial("neighbour=alone@memory", 0, burst(1, 1)),
        trial("neighbour=none", 0, burst(2, 2), burst(1, 1)),
    ]
    assert "neighbour=none" not in relative(plan, trials)
