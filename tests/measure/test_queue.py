"""Which trial comes next: repeats of what was rejected, and repetition up to a width."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from dataclasses import replace

import pytest

from harness.errors import PlanError
from harness.judge import cpu, estimates, width
from harness.measure import queue
from harness.measure.queue import Queue
from harness.model import (
    ContainerRecord,
    Limits,
    Outcome,
    Plan,
    PlannedTrial,
    Sample,
    StatsFrame,
    TrialRecord,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS

SECOND = 1_000_000_000


def measured(planned: PlannedTrial, cpus: float, *, invalid: str | None = None) -> TrialRecord:
    container = ContainerRecord(
        requested=Limits(cpus=0.5),
        first=Sample(t_mono_ns=0, cpu_usage_ns=0),
        last=Sample(t_mono_ns=3 * SECOND, cpu_usage_ns=round(3 * SECOND * cpus)),
    )
    return TrialRecord(
        index=planned.index, block=planned.block, point_id=planned.point_id,
        outcome=Outcome.COMPLETED, started_at="", containers=(container,), invalid=invalid,
    )  # fmt: skip


def plan(**options: object) -> Plan:
    return planning.build("cpu", Options(**options), cpus=CPUS)  # type: ignore[arg-type]


def execute(
    what: Plan, noise: dict[str, float], seed: int = 1, promised: float = 0.5
) -> list[TrialRecord]:
    """All trials, each point with its own relative noise."""
    rng = random.Random(seed)
    found = Queue(what, ENGINE_FACTS, HOST_FACTS)
    records = []
    for planned in found:
        spread = noise[planned.point_id]
        cpus = what.point(planned.point_id).containers[0].limits.cpus or promised
        record = measured(planned, cpus * (1 + rng.gauss(0, spread)))
        records.append(record)
        found.note(record)
    assert [r.index for r in records] == list(range(len(records)))
    assert found.total == len(records)
    return records


def test_without_until_the_plan_is_all_there_is() -> None:
    what = plan(values="0.25,0.5", repeats=5)
    records = execute(what, {"cpus=0.25": 0.5, "cpus=0.5": 0.5})
    assert [r.point_id for r in records] == [t.point_id for t in what.trials]


def test_a_point_goes_on_until_it_is_narrow_and_the_others_stop() -> None:
    what = plan(values="0.25,0.5", repeats=5, until=0.01)
    records = execute(what, {"cpus=0.25": 0.0005, "cpus=0.5": 0.02})
    n = Counter(r.point_id for r in records)
    assert n["cpus=0.25"] == 5
    assert 5 < n["cpus=0.5"] < 50
    deviations = [cpu.achieved_cpus(r.containers[0]) or 0 for r in records
                  if r.point_id == "cpus=0.5"]  # fmt: skip
    last = estimates.estimate("cpus", "CPUs", deviations)
    before = estimates.estimate("cpus", "CPUs", deviations[:-2])
    assert last is not None
    assert before is not None
    assert last.low is not None
    assert last.high is not None
    assert (last.high - last.low) / 2 / 0.5 <= 0.0101
    assert before.low is not None
    assert before.high is not None
    assert (before.high - before.low) / 2 / 0.5 > 0.0099


def test_a_point_that_never_gets_narrow_ends_at_the_bound() -> None:
    what = plan(values="0.5", repeats=5, until=0.001, most_repeats=12)
    assert len(execute(what, {"cpus=0.5": 0.5})) == 12


def test_what_the_source_may_miss_in_every_trial_is_not_repeated_for() -> None:
    """Docker stats over two seconds miss up to a period, 5 % of them, however often."""
    for until, repeats, done in ((0.01, 5, 5), (0.06, 5, 5), (0.01, 2, 5), (0.01, 7, 7)):
        what = plan(values="0.5", repeats=repeats, until=until)
        found = Queue(what, ENGINE_FACTS, HOST_FACTS)
        for planned in found:
            frames = tuple(
                StatsFrame(read="", cpu_percent=50.0, memory_bytes=None, t_mono_ns=i * SECOND)
                for i in (1, 2)
            )
            seen = ContainerRecord(requested=Limits(cpus=0.5), stats=frames)
            found.note(replace(measured(planned, 0.5), containers=(seen,)))
        assert found.total == done
        summary = found.summary("cpus=0.5")
        assert width.half_width(summary) == pytest.approx(0.05)
        assert width.stays(summary) == pytest.approx(0.05)


def test_fewer_than_five_trials_are_never_narrow_enough() -> None:
    what = plan(values="0.5", repeats=2, until=0.5)
    assert len(execute(what, {"cpus=0.5": 0.0})) == estimates.MIN_EXACT_N


def test_what_is_always_rejected_is_given_up() -> None:
    what = plan(values="0.5", repeats=5, until=0.01)
    found = Queue(what, ENGINE_FACTS, HOST_FACTS)
    for planned in found:
        found.note(measured(planned, 0.5, invalid="disturbed"))
    assert found.total == 5 + queue.MAX_EXTRA_TRIALS


def test_what_it_stops_on_is_the_width_and_not_the_verdict() -> None:
    """A point that is wide of its law is as narrow as one that meets it: both stop alike."""
    what = plan(values="0.5", repeats=5, until=0.01)
    counts = []
    for promised in (1.0, 1.5):
        rng = random.Random(7)
        found = Queue(what, ENGINE_FACTS, HOST_FACTS)
        for planned in found:
            found.note(measured(planned, 0.5 * promised * (1 + rng.gauss(0, 0.01))))
        counts.append(found.total)
    assert counts[0] == counts[1]


@pytest.mark.slow
def test_coverage_survives_stopping_on_width() -> None:
    """300 sweeps that stop at ±1 %: their intervals still hold the truth."""
    covered = []
    for seed in range(300):
        what = plan(values="0.5", repeats=5, until=0.01, most_repeats=40)
        records = execute(what, {"cpus=0.5": 0.015}, seed=seed)
        values = [cpu.achieved_cpus(r.containers[0]) or 0 for r in records]
        found = estimates.estimate("cpus", "CPUs", values)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= 0.5 <= found.high)
    assert statistics.fmean(covered) >= 0.87


@pytest.mark.parametrize(
    "options",
    [{"until": 1.0}, {"until": 0.0}, {"most_repeats": 9}, {"until": 0.01, "most_repeats": 3}],
)
def test_what_makes_no_sense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(PlanError):
        plan(values="0.5", **options)


def test_half_width_of_what_was_not_measured_is_none() -> None:
    what = plan(values="0.5", repeats=5, until=0.01)
    found = Queue(what, ENGINE_FACTS, HOST_FACTS)
    summary = found.summary("cpus=0.5")
    assert width.half_width(summary) is None
    assert width.half_width(replace(summary, results=())) is None
