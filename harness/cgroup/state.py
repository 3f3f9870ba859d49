"""What holds for a container at one moment.

Its limits, those above it, and its memory.

Sources: Documentation/scheduler/sched-bwc.rst, Documentation/admin-guide/cgroup-v1/memory.rst,
Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from harness.cgroup.mounts import visible_mounts
from harness.cgroup.parsing import read_text as _text
from harness.cgroup.parsing import sum_of
from harness.cgroup.paths import CgroupPaths
from harness.cgroup.tasks import thread_ids
from harness.cgroup.v1 import V1
from harness.cgroup.v2 import V2
from harness.cgroup.version import File
from harness.limits import (
    cpus_of,
    format_cpu_list,
    kernel_files,
    parse_cpu_list,
    read_kernel,
    smallest,
)
from harness.model import EffectiveLimits, KernelLimits, MemoryCounters

MEMORY_FILES: dict[int, tuple[File, ...]] = {
    1: tuple(
        ("memory", f"memory.{name}")
        for name in (
            "usage_in_bytes", "max_usage_in_bytes", "memsw.usage_in_bytes", "failcnt",
            "memsw.failcnt", "oom_control", "stat", "numa_stat",
        )
    ),
    2: tuple(
        ("memory", f"memory.{name}")
        for name in ("current", "peak", "swap.current", "events", "stat", "numa_stat")
    ),
}  # fmt: skip
"""What ``memory_counters`` reads."""
STATE_FILES: dict[int, tuple[File, ...]] = {
    version: (*(one for one in kernel_files(version) if one[0] != "process"), *files)
    for version, files in MEMORY_FILES.items()
}
"""What ``kernel_limits``, ``effective_limits`` and ``memory_counters`` read, for who reads it for
us elsewhere."""


def kernel_limits(paths: CgroupPaths) -> KernelLimits:
    """The limits that the kernel holds for this cgroup, from the files that their rows name."""

    def own(file: File) -> bytes | None:
        of_process = file[0] == "process"  # beside the cgroup, not in it
        return _text(paths.process if of_process else paths.folder(file[0]), file[1])

    def around(file: File) -> bytes | None:
        return _text(paths.scope, file[1])

    return read_kernel(paths.version, (own, around) if paths.scope else (own,))


def limited_above(paths: CgroupPaths) -> list[tuple[CgroupPaths, KernelLimits]]:
    """The cgroups above, the nearest first, each with what the kernel holds for all below it."""
    return [(one, kernel_limits(one)) for one in paths.above()]


def _upward(paths: CgroupPaths) -> list[tuple[str, KernelLimits]]:
    """What is held on the way up, the container's own first, which has no name."""
    above = ((one.at, kernel) for one, kernel in limited_above(paths))
    return [("", kernel_limits(paths)), *above]


def effective_limits(paths: CgroupPaths) -> EffectiveLimits:
    """The tightest limits on the way from the container's cgroup up to its hierarchy's root.

    A slice, a pod or a CI runner's own container may bind before the container's own limit does.

    Memory and swap together have one limit on v1 (memory.memsw.limit_in_bytes), whose tightest
    binds. v2 caps each of the two for itself and charges every cgroup above
    (Documentation/admin-guide/cgroup-v2.rst, "memory.swap.max"): the container has both caps' sum
    at the most, the tightest memory.max and the tightest memory.swap.max, which two different
    cgroups may set. There is no such total where either is nowhere limited. It is not the
    container's own as soon as one of the two is set above: then ``memory_swap_at`` is where swap
    is, or else where memory is.
    """
    return tightest_of(paths, _upward(paths))


def tightest_of(paths: CgroupPaths, held: Sequence[tuple[str, KernelLimits]]) -> EffectiveLimits:
    """``effective_limits`` of what was read on the way up, its own first, which has no name."""

    def tightest(name: str) -> tuple[int | None, str]:
        found = smallest([(at, getattr(kernel, name)) for at, kernel in held])
        return found or (None, "")

    cpus_at, quota = min(held, key=lambda one: _cpus(one[1]))
    bound = math.isfinite(_cpus(quota))
    memory_bytes, memory_at = tightest("memory_bytes")
    total_bytes, total_at = tightest("memory_swap_bytes")
    if any(kernel.swap_bytes is not None for _, kernel in held):
        swap_bytes, swap_at = tightest("swap_bytes")
        total_bytes, total_at = sum_of(memory_bytes, swap_bytes), swap_at or memory_at
    high_bytes, high_at = tightest("memory_high_bytes")
    pids, pids_at = tightest("pids_limit")
    cpuset_cpus, cpuset_at = _effective_cpus(held)
    return EffectiveLimits(
        cpus=_cpus(quota) if bound else None,
        cpus_at=cpus_at if bound else "",
        cpus_period_us=quota.cpu_period_us if bound else None,
        cpus_burst_us=quota.cpu_burst_us if bound else None,
        cpuset_cpus=cpuset_cpus,
        cpuset_at=cpuset_at,
        affinity=_affinity(paths, cpuset_cpus),
        memory_bytes=memory_bytes,
        memory_at=memory_at,
        memory_swap_bytes=total_bytes,
        memory_swap_at=total_at if total_bytes is not None else "",
        memory_high_bytes=high_bytes,
        memory_high_at=high_at,
        pids=pids,
        pids_at=pids_at,
    )


def _cpus(kernel: KernelLimits) -> float:
    """What a quota comes to; infinite without one."""
    return cpus_of((kernel.cpu_quota_us, kernel.cpu_period_us))


def _effective_cpus(held: Sequence[tuple[str, KernelLimits]]) -> tuple[str | None, str]:
    """The CPUs that every cpuset on the path allows, and the lowest that allows no more than those.

    Nothing for it where the root does too: then nobody limits anything.
    """
    allowed: frozenset[int] | None = None
    told: list[tuple[str, frozenset[int]]] = []
    for at, kernel in held:
        if kernel.cpuset_cpus:
            cpus = parse_cpu_list(kernel.cpuset_cpus)
            told.append((at, cpus))
            allowed = cpus if allowed is None else allowed & cpus
        # A partition's CPUs are taken from those above it (cgroup-v2.rst, cpuset.cpus.partition).
        if kernel.cpuset_partition in ("root", "isolated"):
            break
    if not allowed:
        return None, ""
    # What is in effect below is never more than above: the highest that has no more is who sets it.
    setting = [at for at, cpus in told if cpus == allowed]
    # Where sets overlap and none is the smallest, no single one sets it.
    by_one = bool(setting) and setting[-1] != "/"
    return format_cpu_list(allowed), setting[-1] if by_one else ""


def _affinity(paths: CgroupPaths, cpuset_cpus: str | None) -> str | None:
    """The CPUs that any of the container's threads may run on; None where its cpuset binds alone.

    Since kernel 6.2 a task keeps the mask that it asked for, or that its parents did, in whatever
    cpuset it comes to ("sched: Enforce user requested affinity"): an engine hands on its own, from
    CPUAffinity= or taskset, unless its runtime resets it (runc 1.3.1). Where mask and cpuset have
    no CPU in common, the cpuset wins (measured, kernel 6.18).
    """
    if paths.process is None or not cpuset_cpus:
        return None
    allowed = parse_cpu_list(cpuset_cpus)
    found = _mask(paths.process)
    if not found or found >= allowed:  # as nearly all are: one file is read
        return None
    # A program may keep one thread to a CPU and give the others all.
    for thread in thread_ids(paths) or ():
        found |= _mask(paths.process.parent / f"{thread}")
        if found >= allowed:
            return None
    return format_cpu_list(found & allowed) or None


def _mask(task: Path) -> frozenset[int]:
    """The CPUs that a thread may run on; none where it is gone (proc(5), Cpus_allowed_list)."""
    told = re.search(rb"^Cpus_allowed_list:\s*(\S+)$", _text(task, "status") or b"", re.MULTILINE)
    return parse_cpu_list(told[1].decode()) if told else frozenset()


def cpus_below(parent: str, proc: Path = Path("/proc")) -> str | None:
    """The CPUs that a cgroup below ``parent`` may have, or below the root while that is not there.

    By the path from where the hierarchy is mounted here; None where it is not.
    """
    try:
        mounts = visible_mounts(proc)
    except OSError:
        return None
    for version, visible in ((V1, mounts.v1.get("cpuset", ())), (V2, mounts.v2)):
        for mount in sorted(visible, key=lambda one: len(one.root)):
            folder = mount.point / parent
            start = folder if folder.is_dir() else mount.point
            paths = CgroupPaths(version, {"cpuset": start}, {"cpuset": mount.point})
            cpus, _ = _effective_cpus(_upward(paths))
            if cpus:
                return cpus
    return None


def memory_counters(paths: CgroupPaths) -> MemoryCounters:
    """The memory cgroup's state now: for the moments before and after a load, not for sampling."""
    return paths.files.memory_counters(paths.folder("memory"), paths.scope)
