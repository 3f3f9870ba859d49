"""What is said where a cgroup above the container binds: it is named, and never told as ok."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.inspection import inspection
from harness.inspection.inspection import Inspection
from harness.model import (
    CgroupAbove,
    EffectiveLimits,
    KernelLimits,
    Limits,
    MemoryCounters,
    Sample,
)
from tests.fakes import ENGINE_FACTS, HOST_FACTS
from tests.observations import observation, schedule

MIB = 1 << 20
POD = "/kubepods/burstable/pod1"
NO_QUOTA = KernelLimits(cpu_quota_us=-1, cpu_period_us=100_000)
HALF = KernelLimits(cpu_quota_us=50_000, cpu_period_us=100_000)


def share(samples: tuple[Sample, ...], part: float) -> tuple[Sample, ...]:
    """A container without a quota that uses a part of what its cgroup above does."""
    return tuple(
        replace(s, cpu_usage_ns=round((s.cpu_usage_ns or 0) * part), nr_periods=0, nr_throttled=0,
                throttled_ns=0)
        for s in samples
    )  # fmt: skip


def told(
    samples: tuple[Sample, ...], theirs: tuple[Sample, ...], pod: KernelLimits, **record: Any
) -> Inspection:
    """What is told of a container by its samples and by those of the pod that it is in."""
    memory = record.pop("above_memory", MemoryCounters())
    above = CgroupAbove(
        at=POD, kernel=pod, first=theirs[0], last=theirs[-1],
        memory_first=MemoryCounters(limit_hits=0, oom_kills=0), memory_last=memory,
    )  # fmt: skip
    given: dict[str, Any] = {"limits": Limits(), "kernel": NO_QUOTA, **record}
    seen = observation(samples, above=(above,), series=(theirs,), **given)
    assert seen.trial.host_last is not None
    host = replace(seen.trial.host_last, swap_free_bytes=0)
    seen = replace(seen, trial=replace(seen.trial, host_last=host))
    return inspection.inspect(seen, ENGINE_FACTS, HOST_FACTS)


def of(found: Inspection, subject: str) -> list[tuple[str, str]]:
    return [(one.grade, one.text) for one in found.findings if one.subject == subject]


def test_a_quota_above_that_throttles_is_named_and_nothing_is_ok() -> None:
    theirs = schedule(quota_ms=50, threads=2)
    mine = tuple(replace(s, cpu_some_us=i * 3000) for i, s in enumerate(share(theirs, 1)))
    found = told(mine, theirs, HALF, effective=EffectiveLimits(cpus=0.5, cpus_at=POD))
    ((grade, text),) = of(found, "CPU")
    assert grade == "note"
    assert text.startswith(f"it uses 100% of {POD}'s 0.5 CPUs, throttled in 100% of its periods")
    assert "it stood still for up to 7" in text  # 75 ms, to within a tick
    (remedy,) = [one.remedy for one in found.findings if one.subject == "CPU"]
    assert remedy.startswith(f"Raise the quota of {POD}")
    # A thread that is throttled waits for the CPU: no more CPUs would help.
    assert found.use.cpu_some == pytest.approx(0.75, rel=0.01)
    assert not of(found, "pressure")


def test_others_may_use_up_a_quota_that_is_wider_than_its_own() -> None:
    """By number its own half a CPU is the tighter one; what it waits for is the pod's."""
    theirs = schedule(quota_ms=80, threads=2)
    mine = schedule(quota_ms=50, threads=1, busy_ms=10)
    wider = KernelLimits(cpu_quota_us=80_000, cpu_period_us=100_000)
    own: dict[str, Any] = {
        "limits": Limits(cpus=0.5),
        "kernel": HALF,
        "effective": EffectiveLimits(cpus=0.5),
    }
    found = told(mine, theirs, wider, **own)
    ((grade, text),) = of(found, "CPU")
    assert grade == "note"
    assert f"of {POD}'s 0.8 CPUs it uses 0.100 and others 0.700 (100% together)" in text
    calm = schedule(quota_ms=80, threads=1, busy_ms=20)
    found = told(mine, calm, wider, **own)
    assert [grade for grade, _ in of(found, "CPU")] == ["ok"]


def test_a_quota_above_that_nobody_meets_is_well() -> None:
    theirs = schedule(quota_ms=50, threads=1, busy_ms=10)
    found = told(share(theirs, 0.5), theirs, HALF, effective=EffectiveLimits(cpus=0.5, cpus_at=POD))
    ((grade, text),) = of(found, "CPU")
    assert grade == "ok"
    assert text.endswith(f"0.5 CPUs that {POD} allows, which was not throttled")


def test_a_burst_above_the_quota_is_told_as_what_was_saved() -> None:
    """sched-bwc.rst: what a period leaves is kept, so more than the quota in a while is legal."""
    theirs = schedule(quota_ms=60, threads=1, busy_ms=60)
    kernel = replace(HALF, cpu_burst_us=20_000)
    found = inspection.inspect(observation(theirs, kernel=kernel), ENGINE_FACTS, HOST_FACTS)
    ((grade, text),) = of(found, "CPU")
    assert grade == "note"  # not for long
    assert "0.600 of 0.5 CPUs (120% of it). It may save 20 ms of its quota" in text
    row = next(row for row in found.limits if row.option == "cpu.max.burst")
    assert (row.kernel, row.effective, row.at) == ("20000 µs", "up to 20000 µs over the quota", "")


def holding(held_mib: int, cache_mib: int = 0, **more: Any) -> tuple[Sample, ...]:
    size, cache = held_mib * MIB, cache_mib * MIB
    return tuple(
        replace(s, memory_bytes=size, total_bytes=size, anon_bytes=size - cache, file_bytes=cache,
                shmem_bytes=0, inactive_file_bytes=cache, active_file_bytes=0, **more)
        for s in schedule(quota_ms=50, threads=1, busy_ms=10, seconds=1)
    )  # fmt: skip


POD_MEMORY = KernelLimits(memory_bytes=512 * MIB, memory_swap_bytes=512 * MIB)


@pytest.mark.parametrize("own_mib", [None, 256, 1024])
def test_memory_that_others_fill_is_near_a_kill_whatever_its_own_limit(own_mib: int | None) -> None:
    own = own_mib and own_mib * MIB
    bound = EffectiveLimits(memory_bytes=512 * MIB, memory_at=POD)
    if own and own < 512 * MIB:
        bound = EffectiveLimits(memory_bytes=own)
    found = told(
        holding(20), holding(500), POD_MEMORY, limits=Limits(memory_bytes=own), effective=bound
    )
    ((grade, text),) = of(found, "memory")
    assert grade == "bad"
    assert text == (
        f"of the 512.0 MiB of {POD} others hold 480.0 MiB, it holds 20.0 MiB (98% together), and "
        "only 0 KiB of it is page cache that can give way: an OOM kill is near"
    )
    (remedy,) = [one.remedy for one in found.findings if one.subject == "memory"]
    assert remedy == f"Raise the memory limit of {POD}, or move others out."


def test_memory_above_that_can_give_way_or_be_swapped_kills_nothing() -> None:
    bound = EffectiveLimits(memory_bytes=512 * MIB, memory_at=POD)
    cached = told(holding(20), holding(500, cache_mib=400), POD_MEMORY, effective=bound)
    assert [grade for grade, _ in of(cached, "memory")] == ["ok"]
    half = told(holding(20), holding(256), POD_MEMORY, effective=bound)
    assert of(half, "memory") == [
        ("ok", f"of the 512.0 MiB of {POD} others hold 236.0 MiB, it holds 20.0 MiB (50% together)")
    ]


def test_kills_and_hits_at_the_limit_above_are_its() -> None:
    theirs = holding(500)
    theirs = (*theirs[:-1], replace(theirs[-1], oom_kills=3))
    mine = holding(20)
    mine = (*mine[:-1], replace(mine[-1], oom_kills=1))
    found = told(
        mine, theirs, POD_MEMORY, above_memory=MemoryCounters(limit_hits=7, oom_kills=3),
        effective=EffectiveLimits(memory_bytes=512 * MIB, memory_at=POD),
    )  # fmt: skip
    said = {one.id: one for one in found.findings}
    assert said["memory-oom-killed"].remedy.startswith(f"Raise the memory limit of {POD}")
    assert "killed 2 processes of others" in said["memory-others-oom-killed"].text
    assert f"all in {POD} met its limit 7 times" in said["memory-limit-met"].text


def test_what_could_not_be_read_above_is_held_against_its_limit_by_name() -> None:
    samples = holding(500)
    effective = EffectiveLimits(memory_bytes=512 * MIB, memory_at=POD)
    found = inspection.inspect(
        observation(samples, effective=effective, limits=Limits()), ENGINE_FACTS, HOST_FACTS
    )
    (text,) = [text for grade, text in of(found, "memory") if grade == "bad"]
    assert text.startswith(f"500.0 MiB of the 512.0 MiB of {POD} (98%)")


def test_limits_that_no_option_sets_are_told_with_where() -> None:
    samples = holding(20)
    above = KernelLimits(
        pids_limit=50, io_max=(("8:0 rbps", MIB), ("8:0 wiops", 120)), memory_low_bytes=0,
        memory_min_bytes=8 * MIB,
    )  # fmt: skip
    own = KernelLimits(
        pids_limit=-1, io_max=(("8:0 rbps", 4096),), memory_low_bytes=32 * MIB, memory_min_bytes=0
    )
    rows = {row.option: row for row in told(samples, samples, above, kernel=own).limits}
    shown = {name: (row.kernel, row.effective, row.at) for name, row in rows.items()}
    assert shown["--pids-limit"] == ("-1", "50", POD)
    assert shown["io.max"] == (
        "8:0 rbps=4 KiB/s", "8:0 rbps=4 KiB/s wiops=120/s", f"its own and {POD}"
    )  # fmt: skip
    # What is spared below is no more than what is spared above (cgroup-v2.rst, memory.low).
    assert shown["memory.low"] == ("32m", "spared below 0 KiB", POD)
    assert shown["memory.min"] == ("0b", "kept below 8.0 MiB", POD)
    nobody = told(samples, samples, NO_QUOTA, kernel=NO_QUOTA)
    assert not {"io.max", "memory.low", "memory.min", "cpu.max.burst"} & {
        row.option for row in nobody.limits
    }
