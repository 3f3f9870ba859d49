"""A run judged in one place: records get the answer that a stored run gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.comparison.digest import digest
from harness.judge import counters
from harness.judge import run as judge_run
from harness.model import ContainerRecord, Limits, MemoryCounters, Sample
from harness.store import runs

SAMPLES = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("name", ["sample-cpu", "sample-shares", "sample-memory"])
def test_records_are_judged_as_the_run_that_holds_them(name: str) -> None:
    run = runs.load(SAMPLES / name)
    judged = judge_run.judge(run.info, run.trials)
    assert judged == judge_run.points(run)
    told = digest(run.info, run.trials).points
    assert [[law.status for law in point.laws] for point in told] == [
        [verdict.status for verdict in point.verdicts] for point in judged
    ]


def test_without_trials_every_point_is_there_and_nothing_counts() -> None:
    run = runs.load(SAMPLES / "sample-cpu")
    judged = judge_run.judge(run.info, ())
    assert [one.summary.point for one in judged] == list(run.info.plan.points)
    assert not any(one.counted for one in judged)


def test_a_charge_between_two_reads_is_no_negative_swap() -> None:
    assert counters.swap_bytes(Sample(t_mono_ns=0, memory_bytes=4096, total_bytes=0)) == 0
    assert counters.swap_bytes(Sample(t_mono_ns=0, memory_bytes=4096, total_bytes=8192)) == 4096
    assert counters.swap_bytes(Sample(t_mono_ns=0, memory_bytes=4096)) is None


def test_what_was_not_read_twice_did_not_grow_by_zero() -> None:
    once = ContainerRecord(requested=Limits(), memory_first=MemoryCounters(oom_kills=1))
    assert counters.of_memory(once, "oom_kills") is None
    assert counters.delta(once, "cpu_usage_ns") is None
