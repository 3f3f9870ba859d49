"""The catalogue of findings: each can be had, none beside its opposite, and its page is its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cgroup import V1, CgroupPaths, NamedCgroup
from harness.errors import UsageError
from harness.inspection.findings import CATALOGUE, Evidence, entry_of, findings
from harness.inspection.findings.described import markdown
from harness.inspection.program import Program
from harness.inspection.space import Space
from harness.inspection.use import Observation, used
from harness.model import (
    CgroupAbove,
    DeviceIo,
    EffectiveLimits,
    KernelLimits,
    Limits,
    MemoryCounters,
    Sample,
    StatsFrame,
)
from tests.fakes import ENGINE_FACTS, HOST_FACTS
from tests.observations import observation, schedule
from tests.trees import ID

MS = 1_000_000
MIB = 1 << 20
CALM = schedule(quota_ms=50, threads=1, busy_ms=10)
"""Neither throttled nor near any limit."""


def bent(**changes: Any) -> tuple[Sample, ...]:
    """A calm container, with counters that are otherwise all along."""
    return tuple(replace(sample, **changes) for sample in CALM)


def growing(**by_end: Any) -> tuple[Sample, ...]:
    """A calm container, with counters that have grown by the end."""
    return (*bent(**dict.fromkeys(by_end, 0))[:-1], replace(CALM[-1], **by_end))


def written(bytes_a_second: int) -> tuple[Sample, ...]:
    """A calm container that writes to a disk all along."""
    start_ns = CALM[0].t_mono_ns
    return tuple(
        replace(sample, devices=(DeviceIo(
            number="8:0", read_bytes=0, reads=0, writes=1,
            write_bytes=bytes_a_second * (sample.t_mono_ns - start_ns) // 1_000_000_000,
        ),))
        for sample in CALM
    )  # fmt: skip


def full(*, cache_mib: int = 0, swap_free_mib: int = 0, **record: Any) -> Observation:
    """At 63 of its 64 MiB, all of it its own but for the cache."""
    cache = cache_mib * MIB
    seen = observation(
        bent(memory_bytes=63 * MIB, total_bytes=63 * MIB, file_bytes=cache, shmem_bytes=0,
             inactive_file_bytes=cache, active_file_bytes=0),
        effective=EffectiveLimits(cpus=0.5, memory_bytes=64 * MIB, memory_swap_bytes=128 * MIB),
        **record,
    )  # fmt: skip
    assert seen.trial.host_last is not None
    host = replace(seen.trial.host_last, swap_free_bytes=swap_free_mib * MIB)
    return replace(seen, trial=replace(seen.trial, host_last=host))


def unlimited(busy_ms: float, **effective: Any) -> Observation:
    samples = schedule(quota_ms=100, threads=1, busy_ms=busy_ms)
    return observation(
        tuple(replace(s, nr_periods=0, nr_throttled=0, throttled_ns=0) for s in samples),
        limits=Limits(),
        kernel=KernelLimits(cpu_quota_us=-1, cpu_period_us=100_000),
        effective=EffectiveLimits(cpuset_cpus="0", **effective),
    )


def on_host(seen: Observation | None = None, **counters: Any) -> Observation:
    """A window at whose end the host's counters are these."""
    seen = seen or observation(CALM)
    last = seen.trial.host_last
    assert last is not None
    return replace(seen, trial=replace(seen.trial, host_last=replace(last, **counters)))


def beside(*, others: float = 0.0, stolen: float = 0.0) -> Observation:
    """A calm container, both of whose CPUs others use so much of; or the hypervisor."""
    own = tuple(replace(one, usage_percpu_ns=(one.cpu_usage_ns or 0, 0)) for one in CALM)
    ended_ns, used_ns = 3_000 * MS, own[-1].cpu_usage_ns or 0
    seen = on_host(
        observation(own),
        root_percpu_ns=(used_ns + round(others / 2 * ended_ns), round(others / 2 * ended_ns)),
        steal_ns=(round(stolen * ended_ns), 0),
    )
    first = seen.trial.host_first
    assert first is not None
    return replace(
        seen, trial=replace(seen.trial, host_first=replace(first, root_percpu_ns=(0, 0)))
    )


def updated() -> Observation:
    before = observation(CALM)
    limits = KernelLimits(cpu_quota_us=100_000, cpu_period_us=100_000, memory_bytes=64 * MIB)
    after = observation(CALM, kernel=limits, limits=Limits(cpus=1.0, memory_bytes=64 * MIB))
    return replace(after, earlier=(before,))


def named(path: str = "/system.slice/web.service", **is_: Any) -> Observation:
    """A cgroup that no engine was asked about."""
    root = Path("/sys/fs/cgroup/cpu")
    paths = CgroupPaths(V1, {}, {"cpu": root}, shared={"cpu": root} if is_.pop("shared", 0) else {})
    cgroup = NamedCgroup(path, paths, root / path[1:], pid=77, by_process=False, **is_)
    return replace(observation(CALM), named=cgroup)


THROTTLED = schedule(quota_ms=50, threads=2)
IDLE = [
    replace(THROTTLED[-1], t_mono_ns=sample.t_mono_ns + THROTTLED[-1].t_mono_ns)
    for sample in THROTTLED[1:]
]
FRAMES = tuple(
    StatsFrame(read="", cpu_percent=percent, memory_bytes=20 * MIB, t_mono_ns=at * 500 * MS)
    for at, percent in ((1, 10.0), (3, 12.0), (5, 13.0))
)
PODS = CgroupAbove(
    at="/pods",
    kernel=KernelLimits(cpu_quota_us=50_000, cpu_period_us=100_000, memory_bytes=512 * MIB),
    memory_first=MemoryCounters(limit_hits=0),
    memory_last=MemoryCounters(limit_hits=3),
)
CASES = {
    "container-ended": observation(CALM, ended="it ended with exit code 1"),
    "container-paused": observation(CALM, state="paused"),
    "container-restarted": replace(
        observation(CALM), container=replace(observation(CALM).container, restarts=3)
    ),
    "container-frozen": replace(observation(CALM), frozen="its own cgroup"),
    "threads-stopped": replace(observation(CALM), program=Program(threads=2, threads_stopped=2)),
    "threads-stuck": replace(
        observation(CALM), program=Program(threads=2, threads_stuck=1, looks=3)
    ),
    "engine-without-cgroups": observation((), obstacle="no limit is in force"),
    "outside-its-cgroup": replace(observation(CALM), moved={"cpu": "/"}),
    "cgroup-not-readable": observation((), obstacle="the engine runs on another host"),
    "limits-changed": updated(),
    "cgroup-of-engine": named(f"/docker/{ID}"),
    "cgroup-with-others": named(shared=True),
    "cgroup-threaded": named(threaded="/system.slice"),
    "cgroup-of-several": named(below=2),
    "cgroup-root-unseen": replace(observation(CALM), root_unseen=True),
    "cpu-throttled-above": observation(CALM, above=(PODS,), series=(THROTTLED,)),
    "cpu-not-throttled": observation(CALM),
    "cpu-up-to-limit": observation(
        tuple(
            replace(one, nr_throttled=0, throttled_ns=0)
            for one in schedule(quota_ms=50, threads=1, busy_ms=50)
        ),
        limits=Limits(cpus=0.5),
    ),
    "cpu-at-limit": observation(THROTTLED),
    "cpu-throttled-in-bursts": observation((*THROTTLED, *IDLE)),
    "disk-full": replace(observation(CALM), spaces=(Space("/dev/shm", 64 * MIB, 0, 0, 0, 0),)),
    "program-sees-more-cpus": replace(
        observation(THROTTLED), program=Program(affinity_cpus=16, threads_at_once=2)
    ),
    "cpu-throttled-before": observation(bent(nr_periods=100, nr_throttled=60)),
    "cpu-host-full": beside(others=1.95),
    "cpu-stolen": beside(stolen=0.2),
    "cpus-isolated": replace(
        observation(CALM), program=Program(affinity_cpus=4, isolated_cpus=3)
    ),
    "cpu-quota-above": unlimited(20, cpus=0.3, cpus_at="/pods"),
    "cpu-all-used": unlimited(100),
    "cpu-no-quota": unlimited(20),
    "tasks-refused": observation(
        growing(tasks_refused=2), effective=EffectiveLimits(pids=16)
    ),
    "tasks-refused-before": observation(bent(tasks_refused=2)),
    "tasks-near-limit": observation(bent(tasks=15), effective=EffectiveLimits(pids=16)),
    "memory-oom-killed": observation(growing(oom_kills=1)),
    "memory-others-oom-killed": observation(
        bent(oom_kills=0), above=(PODS,), series=(growing(oom_kills=1),)
    ),
    "memory-oom-killed-before": observation(bent(oom_kills=1)),
    "memory-no-limit": unlimited(20),
    "memory-not-counted": observation(bent(memory_bytes=None, total_bytes=None)),
    "memory-host-short": on_host(memory_available_bytes=10 * MIB),
    "memory-stands-still": full(memory_last=MemoryCounters(oom_kill_disabled=True, under_oom=True)),
    "memory-below-limit": observation(CALM),
    "memory-page-cache": full(cache_mib=60),
    "memory-oom-killer-off": full(memory_last=MemoryCounters(oom_kill_disabled=True)),
    "memory-will-swap": full(swap_free_mib=100),
    "memory-oom-near": full(),
    "memory-limit-met": observation(CALM, memory_last=MemoryCounters(limit_hits=1)),
    "memory-slowed-at-high": observation(
        CALM, effective=EffectiveLimits(memory_high_bytes=24 * MIB),
        memory_first=MemoryCounters(high_hits=0), memory_last=MemoryCounters(high_hits=1),
    ),
    "swap-used": observation(bent(total_bytes=40 * MIB)),
    "swap-not-accounted": observation(CALM, absent={"total_bytes": "not in this kernel"}),
    "memory-stalls-badly": observation(growing(memory_full_us=1_000_000)),
    "memory-stalls": observation(growing(memory_full_us=100_000)),
    "io-throttled": observation(
        written(MIB), kernel=KernelLimits(io_max=(("8:0 wbps", MIB), ("8:0 riops", 10)))
    ),
    "io-stalls": observation(growing(io_full_us=100_000)),
    "cpu-contended": observation(growing(cpu_some_us=100_000)),
    "limit-not-held": observation(CALM, limits=Limits(cpus=0.7, memory_bytes=64 * MIB)),
    "limit-bound-above": observation(
        CALM, effective=EffectiveLimits(cpus=0.3, cpus_at="/pods", memory_bytes=64 * MIB)
    ),
    "period-below-tick": observation(
        CALM, kernel=KernelLimits(cpu_quota_us=1000, cpu_period_us=2000)
    ),
    "docker-stats-differ": observation(CALM, stats=FRAMES),
}  # fmt: skip
"""What each is told of."""


def ids(seen: Observation, **facts: Any) -> list[str]:
    engine = replace(ENGINE_FACTS, **facts)
    use = used(seen, engine, HOST_FACTS)
    return [one.id for one in findings(Evidence(seen, use, engine, HOST_FACTS))]


@pytest.mark.parametrize("id", [*CATALOGUE])
def test_every_finding_can_be_had(id: str) -> None:
    facts = {"cgroup_driver": "none"} if id == "engine-without-cgroups" else {}
    assert id in ids(CASES[id], **facts)


def test_a_container_that_fares_well_has_none_but_that() -> None:
    assert ids(observation(CALM)) == ["cpu-not-throttled", "memory-below-limit"]


SEEN = observation(CALM)
USE = used(SEEN, ENGINE_FACTS, HOST_FACTS)
OF_CPU = {one for one in CATALOGUE if CATALOGUE[one].subject == "CPU"}
OF_MEMORY = {
    "memory-no-limit", "memory-stands-still", "memory-below-limit", "memory-page-cache",
    "memory-oom-killer-off", "memory-will-swap", "memory-oom-near",
}  # fmt: skip


@given(
    cpus=st.floats(0, 2),
    periods=st.tuples(st.integers(0, 100), st.integers(0, 100)) | st.just((None, None)),
    held=st.integers(0, 64),
    limit=st.sampled_from([64, None]),
    cache=st.integers(0, 64),
    room=st.integers(0, 64),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_of_those_that_exclude_each_other_one_is_told(  # noqa: PLR0913 - each is drawn by name
    *,
    cpus: float, periods: tuple[int | None, int | None], held: int, limit: int | None, cache: int,
    room: int, flags: tuple[bool, bool],
) -> None:  # fmt: skip
    use = replace(
        USE, cpus=cpus, periods=periods[0],
        throttled_periods=periods[1], memory_bytes=held * MIB,
        memory_limit_bytes=limit and limit * MIB, evictable_bytes=min(cache, held) * MIB,
        swap_room_bytes=room * MIB, oom_kill_disabled=flags[0], under_oom=all(flags),
    )  # fmt: skip
    found = Counter(one.id for one in findings(Evidence(SEEN, use, ENGINE_FACTS, HOST_FACTS)))
    assert sum(found[one] for one in OF_CPU) == 1
    assert sum(found[one] for one in OF_MEMORY) == 1


def test_docs_findings_is_what_the_catalogue_says() -> None:
    written = (Path(__file__).parents[2] / "docs" / "findings.md").read_text()
    assert written == markdown() + "\n", "make docs writes it anew"


def test_an_id_that_is_not_there_is_told_with_those_near() -> None:
    assert entry_of("cpu-at-limit").condition.startswith("It was throttled in 1% of its periods")
    with pytest.raises(UsageError, match=r"no finding 'cpu-at-limits'.*mean cpu-at-limit"):
        entry_of("cpu-at-limits")


@pytest.mark.parametrize(("share", "told"), [(1.0, True), (0.95, True), (0.5, False)])
def test_a_disk_is_throttled_where_its_limit_is_used_up(share: float, told: bool) -> None:
    seen = observation(
        written(round(share * MIB)), kernel=KernelLimits(io_max=(("8:0 wbps", MIB),))
    )
    use = used(seen, ENGINE_FACTS, HOST_FACTS)
    evidence = Evidence(seen, use, ENGINE_FACTS, HOST_FACTS)
    found = [one for one in findings(evidence) if one.id == "io-throttled"]
    assert bool(found) is told
    if told:
        assert "written of device 8:0" in found[0].text
