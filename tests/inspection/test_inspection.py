"""What an operator is told: each sentence from the counters that make it true, on a known truth."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import units
from harness.cgroup.v2 import V2
from harness.cgroup.version import RawSample
from harness.inspection import inspection
from harness.inspection.counted import longest_stretch_s
from harness.inspection.inspection import Inspection
from harness.model import (
    CgroupAbove,
    EffectiveLimits,
    KernelLimits,
    Limits,
    MemoryCounters,
    Sample,
    StatsFrame,
)
from tests.fakes import ENGINE_FACTS, HOST_FACTS
from tests.observations import observation, schedule

MS = 1_000_000
MIB = 1 << 20


def told(samples: tuple[Sample, ...], **record: Any) -> Inspection:
    return inspection.inspect(observation(samples, **record), ENGINE_FACTS, HOST_FACTS)


def sentences(found: Inspection) -> str:
    return "\n".join(f"{f.grade} {f.subject}: {f.text}" for f in found.findings)


def test_bursts_are_told_from_a_load_that_wants_more() -> None:
    bursts = told(schedule(quota_ms=50, threads=2, busy_ms=100, seconds=3))
    assert "at its limit: it used 100% of 0.5 CPUs and was throttled in 100%" in sentences(bursts)
    samples = schedule(quota_ms=50, threads=2)
    # Half of the periods at full load, half idle: half of the limit, and throttled all the same.
    idle = [replace(s, t_mono_ns=s.t_mono_ns + samples[-1].t_mono_ns,
                    cpu_usage_ns=samples[-1].cpu_usage_ns, nr_periods=samples[-1].nr_periods,
                    nr_throttled=samples[-1].nr_throttled,
                    throttled_ns=samples[-1].throttled_ns) for s in samples[1:]]  # fmt: skip
    found = told((*samples, *idle))
    assert found.use.cpus == pytest.approx(0.25)
    assert "throttled in 100% of its periods although it used only 50%" in sentences(found)
    assert "not throttled" in sentences(told(schedule(quota_ms=50, threads=1, busy_ms=30)))


@pytest.mark.slow
@given(quota_ms=st.integers(5, 90), threads=st.integers(1, 2), hz=st.sampled_from([100, 250, 1000]))
def test_the_longest_stretch_is_right_to_within_two_samples(
    quota_ms: int, threads: int, hz: int
) -> None:
    found = longest_stretch_s(schedule(quota_ms=quota_ms, threads=threads, hz=hz))
    truth_s = (100 - quota_ms / threads) / 1e3
    assert found == pytest.approx(truth_s, abs=2 / hz)


def test_without_a_quota_throttling_is_not_counted_and_that_is_not_zero() -> None:
    samples = tuple(
        replace(s, nr_periods=0, nr_throttled=0, throttled_ns=0)
        for s in schedule(quota_ms=100, threads=1)
    )
    found = told(
        samples,
        limits=Limits(),
        kernel=KernelLimits(cpu_quota_us=-1, cpu_period_us=100_000),
        effective=EffectiveLimits(cpuset_cpus="0-1"),
    )
    assert (found.use.periods, found.use.throttled_periods, found.use.longest_stretch_s) == (
        None,
        None,
        None,
    )
    assert "without a CPU quota" in found.absent["throttling"]
    assert "no quota: it used 1.000 of the 2 CPUs" in sentences(found)
    assert "memory: no limit" in sentences(found)


def test_limits_stand_side_by_side_and_the_cgroup_that_binds_is_named() -> None:
    effective = EffectiveLimits(
        cpus=0.3, cpus_at="/pods", cpuset_cpus="0", memory_bytes=32 * MIB, memory_at="/pods",
        memory_swap_bytes=64 * MIB,
    )  # fmt: skip
    found = told(schedule(quota_ms=50, threads=1, busy_ms=10), effective=effective)
    rows = {row.option: row for row in found.limits}
    assert rows["--cpus"].requested == "0.5"
    assert rows["--cpus"].engine == rows["--cpus"].kernel == "50000/100000 µs"
    assert (rows["--cpus"].effective, rows["--cpus"].at) == ("0.3 CPUs", "/pods")
    assert (rows["--memory"].effective, rows["--memory"].at) == ("32.0 MiB", "/pods")
    assert rows["--cpuset-cpus"].requested == "not set"
    assert rows["--cpuset-cpus"].effective == "0"
    assert "CPU is bound above the container: /pods allows 0.3 CPUs" in sentences(found)


def test_swap_in_force_is_what_binds_and_not_the_host() -> None:
    host = replace(HOST_FACTS, swap_bytes=1024 * MIB)

    def found(effective: EffectiveLimits) -> Inspection:
        seen = observation(schedule(quota_ms=50, threads=1), effective=effective)
        return inspection.inspect(seen, ENGINE_FACTS, host)

    def row(told: Inspection) -> tuple[str, str]:
        one = next(row for row in told.limits if row.option == "--memory-swap")
        return one.effective, one.at

    bound = found(
        EffectiveLimits(memory_bytes=64 * MIB, memory_swap_bytes=80 * MIB, memory_swap_at="/pods")
    )
    assert row(bound) == ("80.0 MiB", "/pods")
    assert "memory with swap is bound above the container: /pods leaves 80.0 MiB of both" in (
        sentences(bound)
    )
    # Nothing limits swap: the host's comes to the memory that is in force, and not to all of it.
    assert row(found(EffectiveLimits(memory_bytes=1024 * MIB))) == ("2.0 GiB (host)", "")
    assert row(found(EffectiveLimits())) == (
        f"{units.size(HOST_FACTS.memory_bytes + 1024 * MIB)} (host)", "",
    )  # fmt: skip


def test_a_limit_that_the_kernel_does_not_hold_is_bad() -> None:
    kernel = KernelLimits(cpu_quota_us=20_000, cpu_period_us=100_000, memory_bytes=64 * MIB)
    found = told(schedule(quota_ms=20, threads=1), kernel=kernel)
    assert "bad limits: --cpus: requested 50000/100000 µs, the kernel holds 20000/100000 µs" in (
        sentences(found)
    )


@pytest.mark.parametrize(
    ("anon", "cache", "grade", "words"),
    [
        (60, 2, "bad", "an OOM kill is near"),
        (8, 54, "ok", "page cache, which gives way"),
        (20, 12, "ok", "32.0 MiB of 64.0 MiB (50%)"),
    ],
)
def test_page_cache_is_told_from_memory_that_kills(
    anon: int, cache: int, grade: str, words: str
) -> None:
    samples = tuple(
        replace(s, memory_bytes=(anon + cache) * MIB, total_bytes=(anon + cache) * MIB,
                anon_bytes=anon * MIB, file_bytes=cache * MIB, shmem_bytes=0,
                inactive_file_bytes=cache * MIB, active_file_bytes=0)
        for s in schedule(quota_ms=50, threads=1, busy_ms=10)
    )  # fmt: skip
    assert any(
        finding.grade == grade and finding.subject == "memory" and words in finding.text
        for finding in told(samples).findings
    )


CASE = Path(__file__).parents[1] / "data" / "cases" / "C02-shm" / "memory.stat-v2"
"""A container whose page cache is shared memory alone: 224 of its 256 MiB."""


def of_case(*, swap_free_bytes: int | None = None, **stat: int) -> Inspection:
    text = CASE.read_text().encode()
    details = (text, *[None] * (len(V2.detail_files) - 1))
    assert V2.detail_files[0] == ("memory", "memory.stat")
    raw = RawSample(0, 0, (b"usage_usec 1\n", b"234647552\n", b"0\n"), details)
    recorded = V2.sample(raw)
    limit = 256 * MIB
    kept = {f.name: getattr(recorded, f.name) for f in fields(Sample) if f.name != "t_mono_ns"}
    memory = {k: v for k, v in kept.items() if v is not None and k != "cpu_usage_ns"} | stat
    samples = tuple(
        replace(s, **memory) for s in schedule(quota_ms=50, threads=1, busy_ms=10, seconds=1)
    )
    seen = observation(
        samples,
        limits=Limits(memory_bytes=limit),
        effective=EffectiveLimits(memory_bytes=limit, memory_swap_bytes=2 * limit),
    )
    assert seen.trial.host_last is not None
    host = replace(seen.trial.host_last, swap_free_bytes=swap_free_bytes)
    seen = replace(seen, trial=replace(seen.trial, host_last=host))
    return inspection.inspect(seen, ENGINE_FACTS, HOST_FACTS)


def test_shared_memory_does_not_give_way() -> None:
    found = of_case(memory_bytes=235 * MIB, total_bytes=235 * MIB)  # at 92 % of its limit
    assert found.use.shmem_bytes == 233_848_832
    assert found.use.evictable_bytes == 0
    assert "bad memory" in sentences(found)
    assert "only 0 KiB of it is page cache that can give way (223.0 MiB are tmpfs" in (
        sentences(found)
    )
    assert "an OOM kill is near" in sentences(found)


def test_mlocked_page_cache_does_not_give_way_either() -> None:
    held = {"memory_bytes": 235 * MIB, "total_bytes": 235 * MIB, "shmem_bytes": 0}
    assert "an OOM kill is near" in sentences(of_case(**held))
    listed = {"inactive_file_bytes": 200 * MIB, "active_file_bytes": 20 * MIB}
    assert "which gives way" in sentences(of_case(**held, **listed))


def test_what_can_be_swapped_is_no_kill_yet() -> None:
    held = {"memory_bytes": 250 * MIB, "total_bytes": 250 * MIB}
    found = of_case(swap_free_bytes=1024 * MIB, **held)
    assert found.use.swap_room_bytes == 256 * MIB
    assert "it will swap, for which 256.0 MiB are left" in sentences(found)
    assert "a kill" not in sentences(found)
    assert "an OOM kill is near" in sentences(of_case(swap_free_bytes=0, **held))
    # what is swapped already is no room
    assert of_case(
        swap_free_bytes=1024 * MIB, memory_bytes=250 * MIB, total_bytes=450 * MIB
    ).use.swap_room_bytes == 56 * MIB  # fmt: skip


def test_without_an_oom_killer_it_stands_still() -> None:
    full = tuple(
        replace(s, memory_bytes=64 * MIB, total_bytes=64 * MIB, file_bytes=0, shmem_bytes=0)
        for s in schedule(quota_ms=50, threads=1, busy_ms=10)
    )
    found = told(full, memory_last=MemoryCounters(oom_kill_disabled=True, under_oom=True))
    assert "stand still at the limit until memory is freed" in sentences(found)
    near = told(full, memory_last=MemoryCounters(oom_kill_disabled=True, under_oom=False))
    assert "its OOM killer is off: at the limit its tasks will stand still" in sentences(near)
    assert "OOM kill is near" not in sentences(found) + sentences(near)


def test_kills_hits_and_swap() -> None:
    first, *rest = schedule(quota_ms=50, threads=1, busy_ms=10)
    rest[-1] = replace(rest[-1], oom_kills=2, total_bytes=40 * MIB)
    found = told((first, *rest), memory_last=MemoryCounters(limit_hits=17, oom_kills=2))
    assert "bad memory: the kernel killed 2 processes in it for memory just now" in sentences(found)
    assert "it met its limit 17 times" in sentences(found)
    assert "8.0 MiB of it is swapped out" in sentences(found)
    old = told(tuple(replace(s, oom_kills=1) for s in (first, *rest)))
    assert "has killed 1 process in it" in sentences(old)


def test_memory_high_is_told_where_somebody_set_it() -> None:
    samples = schedule(quota_ms=50, threads=1, busy_ms=10)
    assert "memory.high" not in {row.option for row in told(samples).limits}
    found = told(
        samples,
        kernel=KernelLimits(memory_high_bytes=-1),
        effective=EffectiveLimits(memory_high_bytes=24 * MIB, memory_high_at="/pods"),
        above=(CgroupAbove(
            at="/pods", kernel=KernelLimits(memory_high_bytes=24 * MIB),
            memory_first=MemoryCounters(high_hits=3), memory_last=MemoryCounters(high_hits=8),
        ),),
        series=(samples,),
    )  # fmt: skip
    row = next(row for row in found.limits if row.option == "memory.high")
    assert (row.requested, row.kernel) == ("not set", "no limit")
    assert (row.effective, row.at) == ("slowed at 24.0 MiB", "/pods")
    assert "slowed 5 times at memory.high of /pods (24.0 MiB)" in sentences(found)


def test_pressure_is_a_share_of_the_window_and_throttling_is_not_blamed_on_others() -> None:
    samples = schedule(quota_ms=50, threads=1, busy_ms=10)
    waiting = [
        replace(s, cpu_some_us=i * 400, cpu_full_us=0, memory_some_us=i * 800,
                memory_full_us=i * 800, io_some_us=0, io_full_us=0)
        for i, s in enumerate(samples)
    ]  # fmt: skip
    found = told(tuple(waiting))
    assert found.use.cpu_some == pytest.approx(0.1)
    assert "waited for a CPU 10% of the time without being throttled" in sentences(found)
    assert "bad pressure: all of it waited for memory 20% of the time" in sentences(found)
    throttled = [replace(w, nr_throttled=w.nr_periods) for w in waiting]
    assert "waited for a CPU" not in sentences(told(tuple(throttled)))


def test_what_the_kernel_does_not_have_is_none_with_the_reason() -> None:
    found = told(schedule(quota_ms=50, threads=1), absent={"cpu_some_us": "no PSI here"})
    assert found.use.cpu_some is None
    assert found.absent["cpu_some_us"] == "no PSI here"
    uncounted = tuple(
        replace(s, nr_periods=None, nr_throttled=None, throttled_ns=None)
        for s in schedule(quota_ms=100, threads=1)
    )
    found = told(uncounted, absent={"nr_periods": "no controller here"},
                 kernel=KernelLimits(), limits=Limits())  # fmt: skip
    assert found.use.periods is None
    assert found.absent["throttling"] == "no controller here"


def test_docker_stats_beside_it() -> None:
    frames = tuple(
        StatsFrame(read="", cpu_percent=percent, memory_bytes=20 * MIB, t_mono_ns=at * 500 * MS)
        for at, percent in ((1, 90.0), (3, 60.0), (5, 64.0))
    )
    found = told(schedule(quota_ms=50, threads=1), stats=frames)
    assert found.use.stats_cpus == pytest.approx(0.71 + 1 / 300)
    # The first frame's time began before it, so it is no part of the comparison.
    assert "it says 0.620 CPUs, +24% against the kernel's own 0.500" in sentences(found)
    assert "it says" not in sentences(told(schedule(quota_ms=50, threads=1), stats=frames[:1]))


def test_an_end_a_pause_and_a_cgroup_that_is_not_here() -> None:
    samples = schedule(quota_ms=50, threads=1)
    ended = told(samples, ended="it ended with exit code 137, OOM-killed", memory_last=None)
    assert ended.findings[0].grade == "bad"
    assert "exit code 137, OOM-killed, 3.0 s into the window" in ended.findings[0].text
    assert ended.use.limit_hits is None
    assert "docker unpause web-1" in told(samples, state="paused").findings[0].remedy
    remote = told((), obstacle="the engine runs on another host", kernel=None, effective=None,
                  memory_first=None, memory_last=None)  # fmt: skip
    assert remote.use.cpus is None
    assert {row.kernel for row in remote.limits} == {"not read"}
    assert "docker stats alone" in sentences(remote)
    gone = told((), obstacle="the engine runs on another host", ended="it ended and is gone",
                kernel=None, effective=None)  # fmt: skip
    assert gone.findings[0].text == "it ended and is gone, within the window"


def test_a_period_below_a_tick_is_named() -> None:
    kernel = KernelLimits(cpu_quota_us=1000, cpu_period_us=2000)
    found = told(schedule(quota_ms=50, threads=1), kernel=kernel,
                 limits=Limits(cpu_quota_us=1000, cpu_period_us=2000))  # fmt: skip
    assert "its period of 2000 µs is shorter than the scheduler's tick (4 ms)" in sentences(found)


def test_it_is_plain_data_too() -> None:
    found = told(schedule(quota_ms=50, threads=1)).as_json()
    again = json.loads(json.dumps(found))
    assert again["container"]["name"] == "web-1"
    assert again["use"]["cpus"] == pytest.approx(0.5)
    assert {"option", "requested", "engine", "kernel", "effective", "at"} == set(again["limits"][0])
