"""What rejects a trial and what is only told with it, with the product made wrong on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness import plan as planning
from harness import validity
from harness.axes import Options
from harness.model import (
    ContainerRecord,
    InsideReport,
    KernelLimits,
    Limits,
    Note,
    Outcome,
    Plan,
    Sample,
    ThreadReport,
    TrialRecord,
)
from tests.fakes import ENGINE_FACTS, HOST_FACTS

SECOND = 1_000_000_000


def container(cpus: float, span_s: float = 3.0, **record: Any) -> ContainerRecord:
    span_ns = round(span_s * SECOND)
    thread = ThreadReport(
        t_start_ns=0, t_end_ns=span_ns, cpu_ns=round(cpus * span_ns), work=1, gaps=0,
        gap_total_ns=0, gap_max_ns=0,
    )  # fmt: skip
    quota = KernelLimits(cpu_quota_us=round(cpus * 100_000), cpu_period_us=100_000)
    whole = {"kernel": quota, "kernel_after": quota, **record}
    return ContainerRecord(
        requested=Limits(cpus=cpus), engine=Limits(cpus=cpus),
        first=Sample(t_mono_ns=0, cpu_usage_ns=0),
        last=Sample(t_mono_ns=span_ns, cpu_usage_ns=round(cpus * span_ns)),
        inside=InsideReport(t_start_ns=0, t_end_ns=span_ns, gap_threshold_ns=1, threads=(thread,)),
        **whole,
    )  # fmt: skip


def examined(
    containers: Sequence[ContainerRecord], what: Plan | None = None
) -> tuple[str | None, list[Note]]:
    plan = what or planning.build("cpu", Options(values="0.5"), host_cpus=2)
    trial = TrialRecord(
        index=0, block=0, point_id=plan.points[0].id, outcome=Outcome.COMPLETED, started_at="",
        containers=tuple(containers),
    )  # fmt: skip
    invalid, notes = validity.examine(trial, plan, ENGINE_FACTS, HOST_FACTS)
    return invalid, list(notes)


def codes(notes: list[Note]) -> set[str]:
    return {note.code for note in notes} - {"foreign-unknown"}


def test_a_sound_trial_is_neither_rejected_nor_noted() -> None:
    invalid, notes = examined([container(0.5)])
    assert invalid is None
    assert codes(notes) == set()


@pytest.mark.parametrize(
    ("span_s", "period_us", "rejected", "noted"),
    [
        (3.0, 100_000, False, False),
        (3.0, 1_000_000, True, False),  # the kernel doubled it until 3 periods were left
        (3.0, 410_000, False, True),  # 7.3 periods: an edge lies within one
        (3.07, 100_000, False, False),  # 30.7 of them: an edge weighs little
        (0.4, 100_000, True, False),
    ],
)
def test_a_window_must_hold_enough_of_the_periods_that_the_kernel_has(
    span_s: float, period_us: int, rejected: bool, noted: bool
) -> None:
    held = KernelLimits(cpu_quota_us=period_us // 2, cpu_period_us=period_us)
    invalid, notes = examined([container(0.5, span_s, kernel_after=held)])
    assert ("quota periods: too few" in (invalid or "")) is rejected
    assert ("window-periods" in codes(notes)) is noted


def test_what_is_applied_and_not_requested_is_told() -> None:
    held = KernelLimits(cpu_quota_us=60_000, cpu_period_us=100_000)
    invalid, notes = examined([container(0.5, kernel=held)])
    assert invalid is None  # the law judges it: a limit that was altered is a finding, no accident
    assert codes(notes) == {"readback"}


def test_containers_together_cannot_use_more_than_there_is() -> None:
    pinned = Options(values="1024:512", repeats=1)
    plan = planning.build("shares", pinned, host_cpus=2)
    limits = Limits(cpu_shares=1024, cpuset_cpus="1")
    fair = [
        replace(container(cpus), requested=limits, engine=limits, kernel=None, kernel_after=None)
        for cpus in (0.67, 0.33)
    ]
    assert "impossible" not in (examined(fair, plan)[0] or "")
    greedy = [
        replace(container(cpus), requested=limits, engine=limits, kernel=None, kernel_after=None)
        for cpus in (0.9, 0.9)
    ]
    assert "1.800 CPUs used together on 1: impossible" in (examined(greedy, plan)[0] or "")


def test_without_counters_from_outside_the_workloads_word_counts_and_is_marked() -> None:
    unseen = replace(
        container(0.5, kernel=None, kernel_after=None), first=None, last=None,
        absent={"cpu_usage_ns": "no cgroup here"},
    )  # fmt: skip
    invalid, notes = examined([unseen])
    assert invalid is None
    assert "unseen" in codes(notes)
    silent = replace(unseen, inside=None)
    assert "could not be read" in (examined([silent])[0] or "")
