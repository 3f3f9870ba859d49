"""What all in one cgroup used in a window, by the counters of that cgroup."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.judge import counters
from harness.model import UNLIMITED, HostSample, KernelLimits, MemoryCounters, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupUse:
    """What was used in the window, of a container or of a cgroup above it. None = not measured."""

    window_s: float | None = None
    cpus: float | None = None
    cpus_limit: float | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    """Both None without a quota: then nothing is counted, which is not 0."""
    throttled_s: float | None = None
    """Summed over the run queues of all CPUs."""
    longest_stretch_s: float | None = None
    """The longest time in which nothing ran until the kernel said that it had been throttled: to
    within a tick. Stretches in which some threads ran do not show in any counter."""
    memory_bytes: int | None = None
    memory_highest_bytes: int | None = None
    """In any sample of the window."""
    memory_peak_bytes: int | None = None
    """The kernel's own, since the cgroup was made."""
    memory_limit_bytes: int | None = None
    total_limit_bytes: int | None = None
    """v1 only: of memory and swap together, which swapping does not get below."""
    anon_bytes: int | None = None
    file_bytes: int | None = None
    """Page cache, with shmem: tmpfs and shared memory, which no pressure takes back."""
    shmem_bytes: int | None = None
    evictable_bytes: int | None = None
    """The page cache that can give way: none of what is shmem, or mlocked."""
    slab_reclaimable_bytes: int | None = None
    """The kernel's dentries and inodes for it, which give way too; v2 alone tells of them."""
    swap_room_bytes: int | None = None
    """What its limits, those above, the host and what it holds leave to be swapped out."""
    swappiness: int | None = None
    """0: at a limit of a cgroup nothing is swapped out, whatever swap is free."""
    oom_kill_disabled: bool = False
    under_oom: bool = False
    """At its limit with the OOM killer off: its tasks stand still."""
    swap_bytes: int | None = None
    limit_hits: int | None = None
    """In the window; ``limit_hits_ever`` since the cgroup was made; likewise the kills."""
    limit_hits_ever: int | None = None
    high_hits: int | None = None
    """In the window: so often it was slowed at memory.high (v2)."""
    oom_kills: int | None = None
    oom_kills_ever: int | None = None

    @property
    def throttled_share(self) -> float | None:
        """The part of the periods in which it was throttled; None where none was counted."""
        return (self.throttled_periods or 0) / self.periods if self.periods else None

    @property
    def memory_share(self) -> float | None:
        """The part of its memory limit that is taken; None without one."""
        if self.memory_bytes is None or not self.memory_limit_bytes:
            return None
        return self.memory_bytes / self.memory_limit_bytes


def counted(
    samples: Sequence[Sample],
    kernel: KernelLimits,
    memory_first: MemoryCounters | None,
    memory_last: MemoryCounters | None,
) -> dict[str, Any]:
    """The fields of ``CgroupUse`` that its own counters tell: all but limits, and room to swap."""
    first, last, latest = samples[0], samples[-1], latest_details(samples)
    before, after = memory_first or _UNREAD, memory_last or _UNREAD
    span_s = (last.t_mono_ns - first.t_mono_ns) / 1e9
    used_ns = counters.grown(first, last, "cpu_usage_ns")
    return {
        "window_s": span_s or None,
        "cpus": None if used_ns is None or not span_s else used_ns / 1e9 / span_s,
        **_throttling(samples, kernel),
        "memory_bytes": last.memory_bytes,
        "memory_highest_bytes": max(
            (s.memory_bytes for s in samples if s.memory_bytes is not None), default=None
        ),
        "memory_peak_bytes": latest.peak_bytes,
        "anon_bytes": latest.anon_bytes,
        "file_bytes": latest.file_bytes,
        "shmem_bytes": latest.shmem_bytes,
        "evictable_bytes": evictable_bytes(latest),
        "slab_reclaimable_bytes": latest.slab_reclaimable_bytes,
        "oom_kill_disabled": bool(after.oom_kill_disabled),
        "under_oom": bool(after.under_oom),
        "swap_bytes": counters.swap_bytes(last),
        "limit_hits": counters.grown(before, after, "limit_hits"),
        "limit_hits_ever": after.limit_hits,
        "high_hits": counters.grown(before, after, "high_hits"),
        # v1 counts those in cgroups below apart: only at the window's edges are they added up.
        "oom_kills": _most(
            counters.grown(first, latest, "oom_kills"), counters.grown(before, after, "oom_kills")
        ),
        "oom_kills_ever": _most(latest.oom_kills, after.oom_kills),
    }


_UNREAD = MemoryCounters()


def _most(*counts: int | None) -> int | None:
    return max((one for one in counts if one is not None), default=None)


def _throttling(samples: Sequence[Sample], kernel: KernelLimits) -> dict[str, Any]:
    """Nothing without a quota: then the kernel counts none of it, which is not 0."""
    first, last = samples[0], samples[-1]
    periods = counters.grown(first, last, "nr_periods")
    if not periods and kernel.cpu_quota_us in (None, UNLIMITED):
        return {}
    throttled_ns = counters.grown(first, last, "throttled_ns")
    return {
        "periods": periods,
        "throttled_periods": counters.grown(first, last, "nr_throttled"),
        "throttled_s": None if throttled_ns is None else throttled_ns / 1e9,
        "longest_stretch_s": longest_stretch_s(samples),
    }


def latest_details(samples: Sequence[Sample]) -> Sample:
    """The last sample that has the details: where the container ended, that is not the last one."""
    return next((s for s in reversed(samples) if s.anon_bytes is not None), samples[-1])


def evictable_bytes(sample: Sample) -> int | None:
    """The page cache that the kernel can take back: what is on the file LRU lists.

    memory.stat's ``cache`` (v1) and ``file`` (v2) hold tmpfs and shared memory, which are on the
    anonymous lists, and mlocked pages, which are on the unevictable one (mm/vmscan.c). A kernel
    that does not tell shmem is believed by its lists alone.
    """
    lists = [sample.inactive_file_bytes, sample.active_file_bytes]
    known = [size for size in lists if size is not None]
    listed = sum(known) if len(known) == len(lists) else None
    if sample.file_bytes is None or sample.shmem_bytes is None:
        return listed
    cache = max(0, sample.file_bytes - sample.shmem_bytes)
    return cache if listed is None else min(cache, listed)


def gives_way_bytes(sample: Sample) -> int:
    """That page cache, with the kernel's dentries and inodes, where they are told (v2).

    They are charged too, and shrunk at a limit as the cache is (mm/vmscan.c, ``shrink_slab``).
    """
    return (evictable_bytes(sample) or 0) + (sample.slab_reclaimable_bytes or 0)


def swap_room_bytes(
    last: Sample, kernel: KernelLimits, caps: tuple[int | None, int | None], host: HostSample | None
) -> int | None:
    """What may still be swapped out, by a cgroup's caps and of the host's swap.

    ``caps`` are those of memory and of memory with swap, None where nothing caps. v2 has one of
    swap for itself, which holds whatever memory may have, and for all in the cgroup together.
    """
    if host is None or host.swap_free_bytes is None:
        return None
    free, swapped = host.swap_free_bytes, counters.swap_bytes(last)
    if kernel.swap_bytes is not None:
        return free if kernel.swap_bytes == UNLIMITED else max(
            0, min(free, kernel.swap_bytes - (swapped or 0))
        )  # fmt: skip
    memory_bytes, total_bytes = caps
    if total_bytes is None or last.total_bytes is None:
        return free
    memory = min(last.memory_bytes or 0, memory_bytes or last.memory_bytes or 0)
    room = total_bytes - max(memory_bytes or 0, memory)
    return max(0, min(room - (swapped or 0), free))


_CLOSE_NS = 50_000_000
"""Half the usual period."""


def are_close(samples: Sequence[Sample]) -> bool:
    """Whether they are mostly close enough to tell of what goes on within a period."""
    apart = sorted(b.t_mono_ns - a.t_mono_ns for a, b in itertools.pairwise(samples))
    return not apart or apart[len(apart) // 2] <= _CLOSE_NS


def longest_stretch_s(samples: Sequence[Sample]) -> float | None:
    """The longest time without CPU that ended with the kernel's counting it as throttled.

    throttled_time grows when a run queue is let go, by as long as it was held (kernel/sched/fair.c,
    ``unthrottle_cfs_rq``), summed over the CPUs. So a stretch in which all was held is a run of
    samples without CPU use at whose end throttled_time jumps; it is no longer than that jump. None
    where either is not counted, or the samples are too far apart; 0 where nothing was throttled.
    """
    if not samples or samples[0].throttled_ns is None or samples[0].cpu_usage_ns is None:
        return None
    if not are_close(samples):
        return None
    longest_ns, since = 0, samples[0]
    for before, after in itertools.pairwise(samples):
        if before.throttled_ns is None or after.throttled_ns is None:
            continue
        jump_ns = after.throttled_ns - before.throttled_ns
        if jump_ns > 0:
            longest_ns = max(longest_ns, min(jump_ns, after.t_mono_ns - since.t_mono_ns))
        if after.cpu_usage_ns != before.cpu_usage_ns:
            since = after
    return longest_ns / 1e9
