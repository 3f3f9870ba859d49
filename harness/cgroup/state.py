"""What holds for a container at one moment: its limits, those above it, and its memory.

Sources: Documentation/scheduler/sched-bwc.rst, Documentation/admin-guide/cgroup-v1/memory.rst,
Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from harness.cgroup.counters import File
from harness.cgroup.parsing import parse_flat, parse_int, sum_of
from harness.cgroup.paths import CONTROLLERS, CgroupPaths
from harness.limits import format_cpu_list, parse_cpu_list
from harness.model import UNLIMITED, EffectiveLimits, KernelLimits, MemoryCounters

_V1_NO_MEMORY_LIMIT = 1 << 60
"""v1 writes "no limit" as the largest page-aligned number: PAGE_COUNTER_MAX."""

STATE_FILES: dict[int, tuple[File, ...]] = {
    1: (
        *(("cpu", f"cpu.{name}") for name in ("cfs_quota_us", "cfs_period_us", "shares")),
        *(("cpuset", name) for name in ("cpuset.effective_cpus", "cpuset.cpus")),
        *(
            ("memory", f"memory.{name}")
            for name in (
                "limit_in_bytes", "memsw.limit_in_bytes", "soft_limit_in_bytes", "usage_in_bytes",
                "max_usage_in_bytes", "memsw.usage_in_bytes", "failcnt", "memsw.failcnt",
                "oom_control", "stat",
            )
        ),
        ("unified", "cpu.pressure"),
    ),
    2: (
        *(("cpu", f"cpu.{name}") for name in ("max", "weight")),
        *(("cpuset", name) for name in ("cpuset.cpus.effective", "cpuset.cpus")),
        *(
            ("memory", f"memory.{name}")
            for name in ("max", "swap.max", "high", "low", "current", "peak", "swap.current",
                         "events", "stat")
        ),
    ),
}  # fmt: skip
"""What ``kernel_limits``, ``effective_limits`` and ``memory_counters`` read, for who reads it for
us elsewhere."""


def _text(folder: Path | None, name: str) -> bytes | None:
    if folder is None:
        return None
    try:
        return (folder / name).read_bytes()
    except OSError:
        return None


def _v1_memory(raw: bytes | None) -> int | None:
    value = parse_int(raw)
    return UNLIMITED if value is not None and value >= _V1_NO_MEMORY_LIMIT else value


def kernel_limits(paths: CgroupPaths) -> KernelLimits:
    """The limits that the kernel holds for this cgroup, read from its files."""
    cpu, cpuset, memory = (paths.folder(c) for c in ("cpu", "cpuset", "memory"))
    cpus = _text(cpuset, "cpuset.cpus.effective") or _text(cpuset, "cpuset.effective_cpus")
    cpus = cpus or _text(cpuset, "cpuset.cpus")
    cpuset_cpus = cpus.decode().strip() if cpus else None
    if paths.version == 1:
        return KernelLimits(
            cpu_quota_us=parse_int(_text(cpu, "cpu.cfs_quota_us")),
            cpu_period_us=parse_int(_text(cpu, "cpu.cfs_period_us")),
            cpu_shares=parse_int(_text(cpu, "cpu.shares")),
            cpuset_cpus=cpuset_cpus,
            memory_bytes=_v1_memory(_text(memory, "memory.limit_in_bytes")),
            memory_swap_bytes=_v1_memory(_text(memory, "memory.memsw.limit_in_bytes")),
            memory_reservation_bytes=_v1_memory(_text(memory, "memory.soft_limit_in_bytes")),
            kernel_memory_bytes=_v1_memory(_text(memory, "memory.kmem.limit_in_bytes")),
        )
    both = [folder for folder in (memory, paths.scope) if folder]
    quotas = [_quota(2, folder) for folder in (cpu, paths.scope) if folder]
    quota, period = min(quotas, default=(None, None), key=_cpus_of)
    limit, swap, high = (_tightest(both, f"memory.{n}") for n in ("max", "swap.max", "high"))
    outermost = paths.scope or memory  # its siblings are what others run in
    total = None
    if limit is not None and swap is not None:
        total = UNLIMITED if UNLIMITED in (limit, swap) else limit + swap
    return KernelLimits(
        cpu_quota_us=quota,
        cpu_period_us=period,
        cpu_weight=parse_int(_text(paths.scope or cpu, "cpu.weight")),
        cpuset_cpus=cpuset_cpus,
        memory_bytes=limit,
        memory_swap_bytes=total,
        memory_reservation_bytes=parse_int(_text(outermost, "memory.low")),
        memory_high_bytes=high,
    )


def _cpus_of(pair: tuple[int | None, int | None]) -> float:
    quota, period = pair
    return quota / period if quota is not None and quota != UNLIMITED and period else math.inf


def _tightest(folders: Collection[Path], name: str) -> int | None:
    """The smallest limit in a file of these folders; None where none of them has it."""
    held = [value for folder in folders if (value := parse_int(_text(folder, name))) is not None]
    limited = [value for value in held if value != UNLIMITED]
    return min(limited) if limited else (UNLIMITED if held else None)


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
    cpus = [
        (quota / period, folder, period)
        for folder in _upward(paths, "cpu")
        for quota, period in [_quota(paths.version, folder)]
        if quota is not None and period and quota != UNLIMITED
    ]
    limit, swap = (
        ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        if paths.version == 1
        else ("memory.max", "memory.swap.max")
    )
    own = {paths.scope, *(paths.folder(controller) for controller in CONTROLLERS)}

    def at(folder: Path, controller: str) -> str:
        return "" if folder in own else f"/{folder.relative_to(paths.roots[controller])}"

    def tightest(name: str) -> tuple[int | None, str]:
        size, folder = min(_sizes(paths, name), default=(None, None), key=lambda pair: pair[0])
        return size, at(folder, "memory") if folder else ""

    tightest_cpus = min(cpus, default=None, key=lambda pair: pair[0])
    memory_bytes, memory_at = tightest(limit)
    total_bytes, total_at = tightest(swap)
    if paths.version == 2:
        total_bytes, total_at = sum_of(memory_bytes, total_bytes), total_at or memory_at
    high_bytes, high_at = tightest("memory.high")  # of v2 alone
    return EffectiveLimits(
        cpus=tightest_cpus and tightest_cpus[0],
        cpus_at=at(tightest_cpus[1], "cpu") if tightest_cpus else "",
        cpus_period_us=tightest_cpus and tightest_cpus[2],
        cpuset_cpus=_effective_cpus(paths),
        memory_bytes=memory_bytes,
        memory_at=memory_at,
        memory_swap_bytes=total_bytes,
        memory_swap_at=total_at if total_bytes is not None else "",
        memory_high_bytes=high_bytes,
        memory_high_at=high_at,
    )


def _upward(paths: CgroupPaths, controller: str) -> Iterator[Path]:
    """The container's folder of a controller and all above it, up to the mount."""
    folder, root = paths.folder(controller), paths.roots.get(controller)
    while folder is not None and root is not None:
        yield folder
        if folder in (root, folder.parent):
            return
        folder = folder.parent


def _quota(version: int, folder: Path) -> tuple[int | None, int | None]:
    if version == 1:
        quota_raw, period_raw = (_text(folder, f"cpu.cfs_{n}_us") for n in ("quota", "period"))
        return parse_int(quota_raw), parse_int(period_raw)
    quota, _, period = (_text(folder, "cpu.max") or b"").strip().partition(b" ")
    return parse_int(quota or None), parse_int(period or None)


def _sizes(paths: CgroupPaths, name: str) -> Iterator[tuple[int, Path]]:
    for folder in _upward(paths, "memory"):
        value = _v1_memory(_text(folder, name))
        if value is not None and value != UNLIMITED:
            yield value, folder


def _effective_cpus(paths: CgroupPaths) -> str | None:
    """The CPUs that every cpuset on the path allows."""
    allowed: frozenset[int] | None = None
    for folder in _upward(paths, "cpuset"):
        text = (
            _text(folder, "cpuset.cpus.effective") or _text(folder, "cpuset.cpus") or b""
        ).strip()
        if text:
            cpus = parse_cpu_list(text.decode())
            allowed = cpus if allowed is None else allowed & cpus
    return format_cpu_list(allowed) if allowed else None


def _v1_limit_hits(number: Callable[[str], int | None]) -> int | None:
    """So often a charge failed at the limit; None where this kernel does not count it.

    Memory and swap together are charged first (mm/memcontrol.c, ``try_charge_memcg``): where both
    limits are equal memory.failcnt never moves, and kernel 6.18 leaves memory.memsw.failcnt at 0
    too, while memory.max_usage_in_bytes shows that the limit was met.
    """
    failed, failed_total = number("memory.failcnt"), number("memory.memsw.failcnt")
    limit, peak = number("memory.limit_in_bytes"), number("memory.max_usage_in_bytes")
    total = number("memory.memsw.limit_in_bytes")
    hits = max((n for n in (failed, failed_total) if n is not None), default=None)
    together = limit is not None and total is not None and total <= limit
    if hits == 0 and together and peak is not None and limit is not None and peak >= limit:
        return None
    return hits


def memory_counters(paths: CgroupPaths) -> MemoryCounters:
    """The memory cgroup's state now: for the moments before and after a load, not for sampling."""
    folder = paths.folder("memory")

    def number(name: str) -> int | None:
        return parse_int(_text(folder, name))

    def fields(name: str) -> dict[str, int]:
        return parse_flat(_text(folder, name) or b"")

    stat = fields("memory.stat")
    if paths.version == 1:
        return MemoryCounters(
            usage_bytes=number("memory.usage_in_bytes"),
            peak_bytes=number("memory.max_usage_in_bytes"),
            swap_bytes=stat.get("swap"),
            total_bytes=number("memory.memsw.usage_in_bytes"),
            file_bytes=stat.get("cache"),
            limit_hits=_v1_limit_hits(number),
            oom_kills=fields("memory.oom_control").get("oom_kill"),
        )
    # Of crun the scope's, which count its inner cgroup too: the scope meets the same limit first.
    outermost = paths.scope or folder
    events, above = (
        parse_flat(_text(at, "memory.events") or b"")
        for at in (outermost, outermost and outermost.parent)
    )
    usage, swap = number("memory.current"), number("memory.swap.current")
    return MemoryCounters(
        usage_bytes=usage,
        peak_bytes=number("memory.peak"),
        swap_bytes=swap,
        total_bytes=sum_of(usage, swap),
        file_bytes=stat.get("file"),
        limit_hits=events.get("max"),
        high_hits=events.get("high"),
        oom_kills=events.get("oom_kill"),
        oom_kills_above=above.get("oom_kill"),
    )
