"""What rejects a trial and what is only told with it, with the product made wrong on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.judge import validity
from harness.model import (
    CgroupAbove,
    ContainerRecord,
    EffectiveLimits,
    HostSample,
    InsideReport,
    KernelLimits,
    Limits,
    MemoryReport,
    Neighbour,
    Note,
    Outcome,
    Plan,
    Program,
    ProgramDescription,
    ProgramImage,
    RequestReport,
    Sample,
    SamplerCost,
    StatsFrame,
    ThreadReport,
    TrialRecord,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS

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
    containers: Sequence[ContainerRecord], what: Plan | None = None, **measured: Any
) -> tuple[str | None, list[Note]]:
    plan = what or planning.build("cpu", Options(values="0.5"), cpus=CPUS)
    trial = TrialRecord(
        index=0, block=0, point_id=plan.points[0].id, outcome=Outcome.COMPLETED, started_at="",
        containers=tuple(containers), **measured,
    )  # fmt: skip
    invalid, notes = validity.examine(trial, plan, ENGINE_FACTS, HOST_FACTS)
    return invalid, list(notes)


def codes(notes: list[Note]) -> set[str]:
    return {note.code for note in notes} - {"foreign-unknown"}


def test_why_foreign_cpu_is_not_known() -> None:
    for measured, why in (
        ({}, "the root cgroup is not visible"),
        (host(), ""),
    ):
        _, notes = examined([container(0.5)], **measured)
        said = [note.text for note in notes if note.code == "foreign-unknown"]
        assert [why in text for text in said] == ([True] if why else [])
    unseen = replace(container(0.5), first=None, last=None)
    _, notes = examined([unseen], **host())
    (text,) = (note.text for note in notes if note.code == "foreign-unknown")
    assert "the counters of all of its containers are not visible" in text


def in_pod(all_cpus: float, throttled: int) -> ContainerRecord:
    """A container that used half a CPU, in a pod with a quota of 0.8 of which all used so much."""
    kernel = KernelLimits(cpu_quota_us=80_000, cpu_period_us=100_000)
    used_ns = round(all_cpus * 3 * SECOND)
    pod = CgroupAbove(
        at="/pod", kernel=kernel, first=Sample(t_mono_ns=0, cpu_usage_ns=0, nr_throttled=0),
        last=Sample(t_mono_ns=3 * SECOND, cpu_usage_ns=used_ns, nr_throttled=throttled),
    )  # fmt: skip
    return container(0.5, above=(pod,))


def test_what_others_take_of_a_quota_above_was_promised_to_nobody() -> None:
    invalid, _ = examined([in_pod(0.8, throttled=29)])
    assert invalid == "others used 0.300 of the 0.8 CPUs of /pod, which throttled all in it"
    assert examined([in_pod(0.8, throttled=0)])[0] is None  # there was enough for all
    assert examined([in_pod(0.5, throttled=29)])[0] is None  # nobody else: its own law holds


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
    plan = planning.build("shares", pinned, cpus=CPUS)
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


def host(
    *, used: float = 0.0, on: Sequence[float] = (), stolen: Sequence[float] = (0.0, 0.0)
) -> dict[str, Any]:
    """A host over 3 s: CPUs used by everybody, the same on each CPU, and steal of each."""
    last = HostSample(
        t_mono_ns=3 * SECOND, root_usage_ns=round(used * 3 * SECOND),
        root_percpu_ns=tuple(round(one * 3 * SECOND) for one in on) or None,
        steal_ns=tuple(round(one * 3 * SECOND) for one in stolen),
    )  # fmt: skip
    first = HostSample(
        t_mono_ns=0, root_usage_ns=0, root_percpu_ns=(0,) * len(on) or None,
        steal_ns=(0,) * len(stolen),
    )  # fmt: skip
    return {"host_first": first, "host_last": last}


def test_who_used_the_cpu_is_named() -> None:
    invalid, _ = examined(
        [container(0.5)], **host(used=1.9),
        neighbours=(Neighbour(name="cc1 (pid 77)", cpus=0.91), Neighbour(name="b", cpus=0.4)),
    )  # fmt: skip
    assert "1.40 CPUs, more than 0.75: cc1 (pid 77) 0.91, b 0.40" in (invalid or "")


@pytest.mark.parametrize(
    ("real_s", "boot_s", "told"),
    [
        (3.0, 3.0, ""),
        (3.004, 3.0, ""),  # steered, by NTP
        (3603.0, 3.0, "clock was set by +3600.000 s"),
        (1.0, 3.0, "clock was set by -2.000 s"),
        (3.0, 13.0, "suspended for 10.000 s"),
        (None, None, ""),  # a run of before these were kept
    ],
)
def test_a_jump_between_the_clocks_is_told(
    real_s: float | None, boot_s: float | None, told: str
) -> None:
    where = host(used=0.5)
    for name, base_ns, span in (("t_real_ns", 1 << 60, real_s), ("t_boot_ns", 7, boot_s)):
        if span is not None:
            where["host_first"] = replace(where["host_first"], **{name: base_ns})
            end_ns = base_ns + round(span * SECOND)
            where["host_last"] = replace(where["host_last"], **{name: end_ns})
    invalid, notes = examined([container(0.5)], **where)
    assert invalid is None
    assert "; ".join(note.text for note in notes if note.code == "clock").startswith(
        f"the host's {told}" if told.startswith("clock") else told and f"the host was {told}"
    )
    assert bool(told) is ("clock" in codes(notes))


@pytest.mark.parametrize(
    ("stolen", "rejected", "noted"),
    [
        ((0.0, 0.0), False, False),
        ((0.004, 0.004), False, False),
        ((0.02, 0.0), False, True),  # 0.5 % of both CPUs is 0.01
        ((0.03, 0.03), True, False),  # 2 % of them is 0.04
    ],
)
def test_steal_is_told_and_then_rejects(
    stolen: tuple[float, float], rejected: bool, noted: bool
) -> None:
    invalid, notes = examined([container(0.5)], **host(used=0.5, stolen=stolen))
    assert ("steal" in (invalid or "")) is rejected
    assert ("steal" in codes(notes)) is noted


@pytest.mark.parametrize(
    ("used", "rejected", "noted"),
    [(0.6, False, False), (1.0, False, True), (1.4, True, False)],  # 1.5 of 2 CPUs are free
)
def test_what_others_use_is_held_against_what_the_point_leaves_free(
    used: float, rejected: bool, noted: bool
) -> None:
    invalid, notes = examined([container(0.5)], **host(used=used))
    assert ("other processes used" in (invalid or "")) is rejected
    assert ("foreign-cpu" in codes(notes)) is noted


def test_what_runs_on_another_cpu_disturbs_no_pinned_container() -> None:
    plan = planning.build("cpu", Options(values="0.5"), cpus=CPUS)
    limits = Limits(cpus=0.5, cpuset_cpus="1")
    (point,) = plan.points
    (spec,) = point.containers
    pinned = replace(point, containers=(replace(spec, limits=limits),))
    plan = replace(plan, points=(pinned,))
    record = replace(
        container(0.5), requested=limits, engine=limits,
        first=Sample(t_mono_ns=0, cpu_usage_ns=0, usage_percpu_ns=(0, 0)),
        last=Sample(t_mono_ns=3 * SECOND, cpu_usage_ns=3 * SECOND // 2,
                    usage_percpu_ns=(0, 3 * SECOND // 2)),
    )  # fmt: skip
    for on, stolen, why in (
        ((1.0, 0.5), (0.1, 0.0), None),
        ((0.0, 1.0), (0.0, 0.0), "other processes used 0.50 CPUs"),
        ((0.0, 0.5), (0.0, 0.1), "the hypervisor took 0.10 CPUs"),
    ):
        invalid, notes = examined([record], plan, **host(used=sum(on), on=on, stolen=stolen))
        assert (why or "") in (invalid or "")
        assert bool(invalid) is bool(why)
        assert codes(notes) <= {"readback"}


def test_a_container_cannot_use_more_than_there_is() -> None:
    invalid, _ = examined([container(2.1, kernel=None, kernel_after=None)])
    assert "2.100 CPUs used on 2: impossible" in (invalid or "")


def test_a_probe_that_tells_nothing_is_no_measurement() -> None:
    silent = replace(container(0.5), inside=None)
    assert "the workload gave no report from inside" in (examined([silent])[0] or "")


@pytest.mark.parametrize(("missed", "noted"), [(7, False), (8, True)])
def test_missed_ticks_are_told_from_one_in_a_hundred_on(missed: int, noted: bool) -> None:
    cost = SamplerCost(
        ticks=750 - missed, missed=missed, lateness_p50_ns=1, lateness_p99_ns=2, cpu_ns=3
    )
    invalid, notes = examined([container(0.5)], sampler=cost)
    assert invalid is None
    assert ("missed-ticks" in codes(notes)) is noted


def test_the_period_of_a_tighter_quota_above_counts_too() -> None:
    above = EffectiveLimits(cpus=0.3, cpus_at="/pods", cpus_period_us=1_000_000)
    invalid, _ = examined([container(0.3, effective=above)])
    assert "the window holds 3.0 quota periods" in (invalid or "")


def memory(**record: Any) -> ContainerRecord:
    limits = Limits(memory_bytes=64 << 20, memory_swap_bytes=64 << 20)
    report = MemoryReport(
        kind="anon", t_start_ns=0, t_end_ns=SECOND, target_bytes=32 << 20, step_bytes=1 << 20,
        touched_bytes=32 << 20, killed=False, errno=0, step_ns=(1,) * 32, churn_pages=0,
        churn_ns=0, churn_max_ns=0,
    )  # fmt: skip
    seen = {
        "first": Sample(t_mono_ns=0, cpu_usage_ns=0),
        "last": Sample(t_mono_ns=3 * SECOND, cpu_usage_ns=3 * SECOND),
        **record,
    }
    return ContainerRecord(requested=limits, engine=limits, memory=report, **seen)


def test_what_disturbs_a_load_on_memory_is_told_and_rejects_nothing() -> None:
    plan = planning.build("memory", Options(values="64m"), cpus=CPUS)
    cost = SamplerCost(ticks=9, missed=9, lateness_p50_ns=1, lateness_p99_ns=2, cpu_ns=3)
    for measured, told in (
        (host(used=1.0), set()),
        (host(used=1.4), {"foreign-cpu"}),  # it leaves one CPU to others
        (host(used=1.9), {"disturbed"}),
        (host(used=1.0, stolen=(0.02, 0.0)), {"steal"}),
        (host(used=1.0, stolen=(0.1, 0.0)), {"disturbed"}),
        ({**host(used=1.0), "sampler": cost}, {"missed-ticks"}),
    ):
        invalid, notes = examined([memory()], plan, **measured)
        assert invalid is None
        assert codes(notes) == told
    for of_kernel, remedy in ((0.9, "nobody else uses its disk"), (0.3, "when the host is idle")):
        beside = (Neighbour(name="threads of the kernel (kswapd0)", cpus=of_kernel, kernel=True),
                  Neighbour(name="cc1 (pid 77)", cpus=0.5))  # fmt: skip
        _, (note,) = examined([memory()], plan, **host(used=1.9), neighbours=beside)
        assert remedy in note.remedy
        assert ("load's own pages and I/O" in note.text) is (of_kernel > 0.5)
    unseen = memory(first=None, last=None, absent={"cpu_usage_ns": "no cgroup here"})
    invalid, notes = examined([unseen], plan)
    assert invalid is None
    assert codes(notes) == {"unseen"}


def test_without_counters_from_outside_the_workloads_word_counts_and_is_marked() -> None:
    unseen = replace(
        container(0.5, kernel=None, kernel_after=None), first=None, last=None,
        absent={"cpu_usage_ns": "no cgroup here"},
    )  # fmt: skip
    invalid, notes = examined([unseen])
    assert invalid is None
    assert "unseen" in codes(notes)
    silent = replace(unseen, inside=None)
    assert "gave no report" in (examined([silent])[0] or "")


def test_a_program_that_nobody_sees_is_measured_by_docker_stats_and_told_so() -> None:
    plan = planning.build("cpu", Options(values="0.5"), cpus=CPUS)
    described = ProgramDescription(image=ProgramImage(reference="hog"), command=("hog",))
    (point,) = plan.points
    (spec,) = point.containers
    spec = replace(spec, workload=Program(name="hog", description=described))
    plan = replace(plan, points=(replace(point, containers=(spec,)),))
    frames = tuple(
        StatsFrame(read="", cpu_percent=percent, memory_bytes=1, t_mono_ns=i * SECOND)
        for i, percent in enumerate((48.0, 52.0))
    )
    unseen = replace(
        container(0.5, kernel=None, kernel_after=None), first=None, last=None, inside=None,
        absent={"cpu_usage_ns": "no cgroup here"}, stats=frames,
    )  # fmt: skip
    invalid, notes = examined([unseen], plan)
    assert invalid is None
    (note,) = (note for note in notes if note.code == "unseen")
    assert "docker stats, whose edges may miss 5.0% of it" in note.text
    invalid, _ = examined([replace(unseen, stats=frames[:1])], plan)
    assert "of docker stats 1 of 2 frames at the least lay within the window" in (invalid or "")
    # Below the default period docker stats reads too low.
    short = replace(unseen, requested=Limits(cpu_quota_us=5_000, cpu_period_us=10_000))
    invalid, _ = examined([short], plan)
    assert "docker stats reads too low at periods below 100 ms" in (invalid or "")
    # Without a quota nothing lies together at a period's start.
    free = replace(unseen, requested=Limits(cpuset_cpus="0"))
    _, notes = examined([free], plan)
    (note,) = (note for note in notes if note.code == "unseen")
    assert "the CPU is that of docker stats; nothing shows" in note.text


@pytest.mark.parametrize("unread", ["nothing", "the counters"])
def test_a_server_that_was_killed_has_taken_its_counters_along(unread: str) -> None:
    """Before the window's end, or while it was read; the load then finds nobody."""
    plan = planning.build("cpu", Options(values="0.5"), cpus=CPUS)
    described = ProgramDescription(image=ProgramImage(reference="store"), command=("store",))
    (point,) = plan.points
    (spec,) = point.containers
    spec = replace(spec, workload=Program(name="store", description=described))
    plan = replace(plan, points=(replace(point, containers=(spec,)),))
    there = container(0.5)
    assert there.last is not None
    last = None if unread == "nothing" else Sample(t_mono_ns=there.last.t_mono_ns)
    report = RequestReport(
        t_start_ns=0, t_end_ns=10**9, offered=9, completed=0, errors=9, unfinished=0, done=0,
        latency_p99_ns=2 * 10**8, late_p99_ns=10**8,
    )  # fmt: skip
    gone = replace(there, last=last, inside=None, requests=report)
    invalid = examined([gone], plan)[0] or ""
    assert "could not be read" in invalid
    assert "did not keep its rate" in invalid
    killed = replace(
        TrialRecord(index=0, block=0, point_id=point.id, outcome=Outcome.OOM_KILLED, started_at=""),
        containers=(gone,),
    )
    assert validity.examine(killed, plan, ENGINE_FACTS, HOST_FACTS)[0] is None
