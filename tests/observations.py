"""What an inspection saw of a container whose schedule is known: no engine, no cgroup."""

from __future__ import annotations

from typing import Any

from harness.inspection.use import Observation
from harness.model import (
    ContainerRecord,
    EffectiveLimits,
    HostSample,
    KernelLimits,
    Limits,
    MemoryCounters,
    Outcome,
    RunningContainer,
    Sample,
    TrialRecord,
)

MS = 1_000_000
MIB = 1 << 20


def schedule(
    *, quota_ms: float, threads: int, busy_ms: float = 100, seconds: float = 3, hz: float = 250
) -> tuple[Sample, ...]:
    """A container of ``threads`` that want ``busy_ms`` of CPU each in every period of 100 ms.

    They run at once from the period's start, until they are done or the quota is spent; what is
    throttled is counted when the next period lets it go, once for each CPU.
    """
    running_ms = min(busy_ms, quota_ms / threads)
    held_ms = 100 - running_ms if busy_ms > running_ms else 0.0
    out = []
    for i in range(round(seconds * hz) + 1):
        at_ms = i * 1000 / hz
        full, rest = divmod(at_ms, 100)
        out.append(
            Sample(
                t_mono_ns=round(at_ms * MS),
                cpu_usage_ns=round((full * running_ms + min(rest, running_ms)) * threads * MS),
                nr_periods=int(full),
                nr_throttled=int(full) if held_ms else 0,
                throttled_ns=round(full * held_ms * threads * MS),
                memory_bytes=32 * MIB,
                total_bytes=32 * MIB,
                anon_bytes=20 * MIB,
                file_bytes=12 * MIB,
                oom_kills=0,
            )
        )
    return tuple(out)


def observation(samples: tuple[Sample, ...], **record: Any) -> Observation:
    limits = record.pop("limits", Limits(cpus=0.5, memory_bytes=64 * MIB,
                                         memory_swap_bytes=64 * MIB))  # fmt: skip
    series: tuple[tuple[Sample, ...], ...] | None = record.pop("series", None)
    seen = {key: record.pop(key) for key in ("obstacle", "ended") if key in record}
    container = RunningContainer(
        id="c0ffee" * 10 + "c0ff", name="web-1", image="nginx:1.25", pid=77,
        state=record.pop("state", "running"), started_at="2026-01-01T00:00:00.1Z", limits=limits,
    )  # fmt: skip
    kernel = KernelLimits(
        cpu_quota_us=50_000, cpu_period_us=100_000, cpu_shares=1024, cpuset_cpus="0-1",
        memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB, memory_reservation_bytes=-1,
    )  # fmt: skip
    whole = {
        "kernel": kernel,
        "effective": EffectiveLimits(cpus=0.5, cpuset_cpus="0-1", memory_bytes=64 * MIB,
                                     memory_swap_bytes=64 * MIB),
        "memory_first": MemoryCounters(limit_hits=0, oom_kills=0),
        "memory_last": MemoryCounters(limit_hits=0, oom_kills=0),
        **record,
    }  # fmt: skip
    one = ContainerRecord(
        requested=limits, engine=limits, first=samples[0] if samples else None,
        last=samples[-1] if samples else None, **whole,
    )  # fmt: skip
    trial = TrialRecord(
        index=0, block=0, point_id="", outcome=Outcome.COMPLETED, started_at="",
        containers=(one,),
        host_first=HostSample(t_mono_ns=0, root_usage_ns=0, steal_ns=(0, 0)),
        host_last=HostSample(t_mono_ns=3000 * MS, root_usage_ns=3000 * MS, steal_ns=(0, 0)),
    )  # fmt: skip
    above = tuple(() for _ in one.above or ()) if series is None else series
    return Observation(container, trial, samples=samples, above=above, **seen)
