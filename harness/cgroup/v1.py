"""Cgroup v1: the files below a hierarchy for each controller.

Sources: Documentation/admin-guide/cgroup-v1/{cpuacct,memory}.rst,
Documentation/scheduler/sched-bwc.rst.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

from harness.cgroup.parsing import parse_flat, parse_nodes, parse_throttled, read_text, sum_of
from harness.cgroup.version import (
    NUMBER,
    UNREAD,
    CgroupVersion,
    Counter,
    CounterFile,
    DeviceFiles,
    flat,
    no_numbers,
    one_number,
    pressure_counters,
)
from harness.limits import parse_int
from harness.model import MemoryCounters

_NO_MEMORY = "the memory controller is not mounted"
_NO_BLKIO = "the blkio controller is not mounted, or throttles nothing (BLK_DEV_THROTTLING)"
_NO_PERIODS = "the kernel counts no quota periods (CONFIG_CFS_BANDWIDTH)"
_NO_PIDS = "the pids controller is not mounted"
_NOT_HELD = "its memory.stat does not hold it"
_NO_SLAB = "cgroup v1 does not tell what of the kernel's memory gives way"

_USAGE = CounterFile(
    "cpuacct", "cpuacct.usage", one_number,
    missing="the CPU's counters cannot be read", at_every_tick=True,
)  # fmt: skip
_CPU_STAT = CounterFile(
    "cpu", "cpu.stat", flat, missing="the cpu controller is not mounted", at_every_tick=True
)
_MEMORY = CounterFile(
    "memory", "memory.usage_in_bytes", one_number, missing=_NO_MEMORY, at_every_tick=True
)
_MEMSW = CounterFile(
    "memory", "memory.memsw.usage_in_bytes", one_number,
    missing="swap is not accounted for (boot option swapaccount=1)", at_every_tick=True,
)  # fmt: skip
_STAT = CounterFile("memory", "memory.stat", flat, missing=_NO_MEMORY)
_OOM = CounterFile("memory", "memory.oom_control", flat, missing=_NO_MEMORY)
_FAILCNT = CounterFile("memory", "memory.failcnt", one_number, missing=_NO_MEMORY)
_PEAK = CounterFile("memory", "memory.max_usage_in_bytes", one_number, missing=_NO_MEMORY)
_TASKS = CounterFile("pids", "pids.current", one_number, missing=_NO_PIDS)
_REFUSED = CounterFile("pids", "pids.events", flat, missing=_NO_PIDS)


class CgroupV1(CgroupVersion):
    """The files of cgroup v1."""

    number = 1
    counters = (
        Counter("cpu_usage_ns", NUMBER, (_USAGE,)),
        Counter("nr_periods", "nr_periods", (_CPU_STAT,), _NO_PERIODS),
        Counter("nr_throttled", "nr_throttled", (_CPU_STAT,), _NO_PERIODS),
        Counter("throttled_ns", "throttled_time", (_CPU_STAT,), _NO_PERIODS),
        Counter("memory_bytes", NUMBER, (_MEMORY,)),
        Counter("total_bytes", NUMBER, (_MEMSW,)),
        Counter("anon_bytes", "total_rss", (_STAT,), _NOT_HELD),
        Counter("file_bytes", "total_cache", (_STAT,), _NOT_HELD),
        Counter("shmem_bytes", "total_shmem", (_STAT,), _NOT_HELD),
        Counter("inactive_file_bytes", "total_inactive_file", (_STAT,), _NOT_HELD),
        Counter("active_file_bytes", "total_active_file", (_STAT,), _NOT_HELD),
        Counter("slab_reclaimable_bytes", "slab_reclaimable", (_STAT,), _NO_SLAB),
        Counter("major_faults", "total_pgmajfault", (_STAT,), _NOT_HELD),
        Counter("oom_kills", "oom_kill", (_OOM,), "kills are counted since kernel 4.13"),
        Counter("limit_hits", NUMBER, (_FAILCNT,)),
        Counter("peak_bytes", NUMBER, (_PEAK,)),
        Counter("tasks", NUMBER, (_TASKS,)),
        Counter("tasks_refused", "max", (_REFUSED,)),
        *pressure_counters("cgroup v1 keeps no pressure, and the container is in no v2 cgroup"),
    )
    device_files = DeviceFiles(
        tuple(
            CounterFile("blkio", name, no_numbers, missing=_NO_BLKIO)
            for name in ("blkio.throttle.io_service_bytes", "blkio.throttle.io_serviced")
        ),
        parse_throttled,
    )
    percpu_file = CounterFile(
        "cpuacct", "cpuacct.usage_percpu", flat, missing="its file is not there"
    )
    no_percpu = UNREAD
    threads_file = "tasks"
    inner = None

    def hierarchy(self, controller: str) -> str:
        """Each controller has its own, ``unified`` too where systemd's hybrid layout is."""
        return controller

    def is_root(self, folder: Path) -> bool:
        """release_agent is in a hierarchy's root alone (kernel/cgroup/cgroup-v1.c)."""
        return (folder / "release_agent").exists()

    def memory_counters(self, folder: Path | None, scope: Path | None) -> MemoryCounters:
        """From memory.stat, memory.oom_control and the numbers beside them."""
        del scope

        def number(name: str) -> int | None:
            return parse_int(read_text(folder, name))

        def fields(name: str) -> dict[str, int]:
            return parse_flat(read_text(folder, name) or b"")

        stat, oom = fields("memory.stat"), fields("memory.oom_control")
        return MemoryCounters(
            usage_bytes=number("memory.usage_in_bytes"),
            peak_bytes=number("memory.max_usage_in_bytes"),
            swap_bytes=stat.get("swap"),
            total_bytes=number("memory.memsw.usage_in_bytes"),
            file_bytes=stat.get("cache"),
            swappable_bytes=sum_of(stat.get("total_inactive_anon"), stat.get("total_active_anon")),
            limit_hits=_limit_hits(number),
            oom_kills=_oom_kills(folder, oom.get("oom_kill")),
            oom_kill_disabled=_flag(oom.get("oom_kill_disable")),
            under_oom=_flag(oom.get("under_oom")),
            node_bytes=parse_nodes(
                read_text(folder, "memory.numa_stat"), "total=", unit=resource.getpagesize()
            ),
        )


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _oom_kills(folder: Path | None, own: int | None) -> int | None:
    """With those of the cgroups below, where a nested engine or systemd keeps its own.

    v1 counts a kill where the process was, and nowhere above, whoever's limit was met
    (include/linux/memcontrol.h, ``memcg_memory_event``).
    """
    if folder is None or own is None:
        return own
    try:
        if folder.stat().st_nlink == 2:  # as of most: a folder has a link from each below it
            return own
    except OSError:
        return own
    below = (Path(at) for at, _, _ in os.walk(folder))
    texts = (read_text(one, "memory.oom_control") or b"" for one in below if one != folder)
    return own + sum(parse_flat(text).get("oom_kill", 0) for text in texts)


def _limit_hits(number: Callable[[str], int | None]) -> int | None:
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


V1 = CgroupV1()
