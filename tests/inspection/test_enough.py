"""How much would be enough: held to loads whose needs are known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from harness.cli import beside
from harness.inspection.enough import Enough, EnoughCpus
from harness.inspection.inspection import Inspection, inspect
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

MS = 1_000_000
MIB = 1 << 20
UNBOUND = {
    "limits": Limits(),
    "kernel": KernelLimits(cpu_quota_us=-1, cpu_period_us=100_000),
    "effective": EffectiveLimits(cpuset_cpus="0-1"),
}


def told(samples: tuple[Sample, ...], **record: Any) -> Inspection:
    return inspect(observation(samples, **record), ENGINE_FACTS, HOST_FACTS)


def cpus(samples: tuple[Sample, ...], **record: Any) -> EnoughCpus:
    found = told(samples, **record).enough.cpus
    assert found is not None
    return found


def in_periods(wanted_ms: list[float], quota_ms: float) -> tuple[Sample, ...]:
    """Periods of 100 ms that want so much each, sampled in the middle and at the end of each."""
    moments = [schedule(quota_ms=quota_ms, threads=1, seconds=0)[0]]
    for number, wanted in enumerate(wanted_ms):
        last = moments[-1]
        used = (last.cpu_usage_ns or 0) + round(min(wanted, quota_ms) * MS)
        middle = replace(last, t_mono_ns=last.t_mono_ns + 50 * MS, cpu_usage_ns=used)
        end = replace(
            middle,
            t_mono_ns=last.t_mono_ns + 100 * MS,
            nr_periods=number + 1,
            nr_throttled=(last.nr_throttled or 0) + (wanted > quota_ms),
        )
        moments += [middle, end]
    return tuple(moments)


def held_to(quota_ms: float) -> dict[str, Any]:
    quota_us = round(quota_ms * 1000)
    return {
        "limits": Limits(cpus=quota_ms / 100),
        "kernel": KernelLimits(cpu_quota_us=quota_us, cpu_period_us=100_000),
        "effective": EffectiveLimits(cpus=quota_ms / 100),
    }


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("busy_ms", [3, 17, 40])
@pytest.mark.parametrize("bound", [True, False])
def test_at_what_is_told_the_same_load_is_not_throttled(
    threads: int, busy_ms: float, bound: bool
) -> None:
    seen = schedule(quota_ms=90, threads=threads, busy_ms=busy_ms)
    found = cpus(seen, **(held_to(90) if bound else UNBOUND))
    assert not found.at_least

    def throttled(quota_cpus: float) -> int:
        again = schedule(quota_ms=quota_cpus * 100, threads=threads, busy_ms=busy_ms)
        return again[-1].nr_throttled or 0

    tick_cpus = threads * 0.04  # a counter that moves at ticks of 4 ms
    assert throttled(found.cpus + tick_cpus) == 0
    assert throttled(found.cpus - tick_cpus - 0.001) > 0


def test_a_quantile_of_the_periods_has_its_interval() -> None:
    found = cpus(in_periods([float(i) for i in range(101)], 100), **held_to(100))
    assert (found.periods, found.throttled_periods, found.period_s) == (100, 0, 0.1)
    assert found.cpus == pytest.approx(1.0)
    assert found.most == pytest.approx(0.95)
    # Binomial(100, 0.95): the quantile lies below rank 91 in 2.8 %, above 99 in 3.7 %
    assert found.low == pytest.approx(0.91)
    assert found.high == pytest.approx(0.99)
    few = cpus(in_periods([float(i) for i in range(21)], 100), **held_to(100))
    assert few.most == pytest.approx(0.19)
    assert few.high is None  # 20 do not bound it


def test_what_is_wanted_above_the_quota_is_not_seen() -> None:
    some = cpus(in_periods([float(i) for i in range(101)], 97), **held_to(97))
    assert (some.throttled_periods, some.at_least) == (3, True)
    assert some.cpus == pytest.approx(0.97)  # the quota, not a figure of what would be enough
    assert some.most == pytest.approx(0.95)
    assert some.high is None
    every = cpus(in_periods([80.0] * 30, 50), **held_to(50))
    assert (every.cpus, every.most, every.low, every.high) == (0.5, None, 0.5, None)
    rows = dict(beside.rows(told(in_periods([80.0] * 30, 50), **held_to(50))))
    assert "at least 0.5 CPUs: what 29 of 29 periods wanted" in rows["enough"]


def test_a_wait_for_a_cpu_hides_what_was_wanted_too() -> None:
    calm = in_periods([20.0] * 30, 50)
    waiting = tuple(replace(s, cpu_some_us=s.t_mono_ns // 1000 // 5) for s in calm)
    assert not cpus(calm, **held_to(50)).at_least
    assert cpus(waiting, **held_to(50)).at_least


def test_time_in_which_nothing_ran_is_no_period() -> None:
    early = in_periods([20.0] * 5, 50)
    gap = [replace(s, t_mono_ns=s.t_mono_ns + 2000 * MS) for s in in_periods([0.0, 40.0], 50)]
    last = early[-1]
    late = [
        replace(s, cpu_usage_ns=s.cpu_usage_ns + (last.cpu_usage_ns or 0),
                nr_periods=(s.nr_periods or 0) + (last.nr_periods or 0))
        for s in gap if s.cpu_usage_ns is not None
    ]  # fmt: skip
    found = cpus((*early, *late), **held_to(50))
    assert found.periods == 6
    assert found.cpus == pytest.approx(0.4)


def test_without_a_quota_a_burst_counts_as_a_whole_wherever_it_lies() -> None:
    start = schedule(quota_ms=100, threads=1, seconds=0)[0]
    samples = tuple(
        replace(start, t_mono_ns=at * MS, cpu_usage_ns=min(max(at - 1070, 0), 60) * MS)
        for at in range(0, 2001, 4)
    )
    found = cpus(samples, **UNBOUND)
    assert found.cpus == pytest.approx(0.6, abs=0.01)
    assert found.periods == 20
    assert found.most == pytest.approx(0.3, abs=0.02)


def test_a_quota_above_that_binds_is_what_is_estimated() -> None:
    own = in_periods([20.0] * 30, 100)
    shared = in_periods([80.0] * 29 + [20.0], 60)
    limits = KernelLimits(cpu_quota_us=60_000, cpu_period_us=100_000)
    seen = observation(
        own,
        **held_to(100) | {"effective": EffectiveLimits(cpus=0.6, cpus_at="/pods")},
        above=(CgroupAbove(at="/pods", kernel=limits, first=shared[0], last=shared[-1]),),
    )
    found = inspect(replace(seen, above=(shared,)), ENGINE_FACTS, HOST_FACTS)
    assert found.enough.cpus is not None
    assert (found.enough.cpus.at, found.enough.cpus.cpus) == ("/pods", 0.6)
    assert "at least 0.6 CPUs for all in /pods" in dict(beside.rows(found))["enough"]
    calm = in_periods([30.0] * 30, 60)
    below = inspect(replace(seen, above=(calm,)), ENGINE_FACTS, HOST_FACTS).enough.cpus
    assert below is not None
    assert below.at == "/pods"
    assert below.cpus == pytest.approx(0.3)


def test_memory_is_what_cannot_be_taken_back() -> None:
    calm = schedule(quota_ms=50, threads=1, busy_ms=10, seconds=1)
    cached: dict[str, Any] = {
        "file_bytes": 30 * MIB, "shmem_bytes": 10 * MIB, "inactive_file_bytes": 20 * MIB,
        "active_file_bytes": 0,
    }  # fmt: skip
    samples = tuple(
        replace(s, memory_bytes=size * MIB, total_bytes=size * MIB, **cached)
        for s, size in zip(calm, [40] * 100 + [50] + [45] * 200, strict=False)
    )
    found = told(samples).enough.memory
    assert found is not None
    assert (found.bytes, found.at_least) == (30 * MIB, False)
    unread = tuple(replace(s, anon_bytes=None) for s in samples[90:110])
    less = told((*samples[:90], *unread, *samples[110:])).enough.memory
    assert less is not None
    assert less.bytes == 25 * MIB
    hit = MemoryCounters(limit_hits=5, oom_kills=0)
    assert not told(samples, memory_last=hit).enough.memory.at_least  # type: ignore[union-attr]
    full = tuple(replace(s, memory_bytes=64 * MIB, file_bytes=0, inactive_file_bytes=0)
                 for s in calm)  # fmt: skip
    assert told(full, memory_last=hit).enough.memory.at_least  # type: ignore[union-attr]
    killed = (*samples[:-1], replace(samples[-1], oom_kills=1))
    assert told(killed).enough.memory.at_least  # type: ignore[union-attr]


def test_nothing_is_told_of_what_was_not_counted() -> None:
    above = EffectiveLimits(cpus=0.3, cpus_at="/pods")  # which could not be read
    calm = schedule(quota_ms=50, threads=1, busy_ms=10)
    assert told(calm, effective=above).enough.cpus is None
    remote = told((), obstacle="the engine runs on another host", kernel=None, effective=None)
    assert remote.enough == Enough()
    assert "enough" not in dict(beside.rows(remote))
    assert json.loads(json.dumps(remote.as_json()))["enough"] == {"cpus": None, "memory": None}
