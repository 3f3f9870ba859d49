"""Cgroup v2: the files of one hierarchy for all controllers.

Source: Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

from pathlib import Path

from harness.cgroup.parsing import parse_flat, parse_io_stat, parse_nodes, read_text, sum_of
from harness.cgroup.version import (
    NUMBER,
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

_NO_MEMORY = "the memory controller is not enabled"
# kernel/cgroup/rstat.c tells the use of every cgroup, kernel/sched/core.c (cpu_extra_stat) the
# periods of those that have the controller.
_NO_PERIODS = (
    "the cpu controller is not enabled for its cgroup, or the kernel counts no quota periods "
    "(CONFIG_CFS_BANDWIDTH)"
)
_NO_PIDS = "the pids controller is not enabled"
_NOT_HELD = "its memory.stat does not hold it"

_CPU_STAT = CounterFile(
    "cpu", "cpu.stat", flat, missing="the CPU's counters cannot be read", at_every_tick=True
)
_MEMORY = CounterFile(
    "memory", "memory.current", one_number, missing=_NO_MEMORY, at_every_tick=True
)
_SWAP = CounterFile(
    "memory", "memory.swap.current", one_number,
    missing="swap is not accounted for, or not compiled in", at_every_tick=True,
)  # fmt: skip
_STAT = CounterFile("memory", "memory.stat", flat, missing=_NO_MEMORY)
_EVENTS = CounterFile("memory", "memory.events", flat, missing=_NO_MEMORY)
_PEAK = CounterFile(
    "memory", "memory.peak", one_number, missing="memory.peak came with kernel 5.19"
)
_TASKS = CounterFile("pids", "pids.current", one_number, missing=_NO_PIDS)
_REFUSED = CounterFile("pids", "pids.events", flat, missing=_NO_PIDS)


class CgroupV2(CgroupVersion):
    """The files of cgroup v2."""

    number = 2
    counters = (
        Counter("cpu_usage_ns", "usage_usec", (_CPU_STAT,), scale=1000),
        Counter("nr_periods", "nr_periods", (_CPU_STAT,), _NO_PERIODS),
        Counter("nr_throttled", "nr_throttled", (_CPU_STAT,), _NO_PERIODS),
        Counter("throttled_ns", "throttled_usec", (_CPU_STAT,), _NO_PERIODS, scale=1000),
        Counter("memory_bytes", NUMBER, (_MEMORY,)),
        Counter("total_bytes", NUMBER, (_MEMORY, _SWAP)),
        Counter("anon_bytes", "anon", (_STAT,), _NOT_HELD),
        Counter("file_bytes", "file", (_STAT,), _NOT_HELD),
        Counter("shmem_bytes", "shmem", (_STAT,), _NOT_HELD),
        Counter("inactive_file_bytes", "inactive_file", (_STAT,), _NOT_HELD),
        Counter("active_file_bytes", "active_file", (_STAT,), _NOT_HELD),
        Counter("slab_reclaimable_bytes", "slab_reclaimable", (_STAT,), _NOT_HELD),
        Counter("major_faults", "pgmajfault", (_STAT,), _NOT_HELD),
        Counter("oom_kills", "oom_kill", (_EVENTS,), "kills are counted since kernel 4.13"),
        Counter("limit_hits", "max", (_EVENTS,), "its memory.events does not hold it"),
        Counter("peak_bytes", NUMBER, (_PEAK,)),
        Counter("tasks", NUMBER, (_TASKS,)),
        Counter("tasks_refused", "max", (_REFUSED,)),
        *pressure_counters(),
    )
    device_files = DeviceFiles(
        (CounterFile("blkio", "io.stat", no_numbers, missing="the io controller is not enabled"),),
        parse_io_stat,
    )
    percpu_file = None
    no_percpu = "cgroup v2 keeps no CPU time per CPU"
    threads_file = "cgroup.threads"
    inner = "container"

    def hierarchy(self, controller: str) -> str:
        """There is one, which has no name."""
        del controller
        return ""

    def is_root(self, folder: Path) -> bool:
        """Both files are in every cgroup but the root (kernel/cgroup/cgroup.c, CFTYPE_NOT_ON_ROOT).

        cgroup.type came with kernel 4.14, cgroup.events is as old as v2.
        """
        return not any((folder / name).exists() for name in ("cgroup.type", "cgroup.events"))

    def memory_counters(self, folder: Path | None, scope: Path | None) -> MemoryCounters:
        """From memory.stat, memory.events and the numbers beside them."""

        def number(name: str) -> int | None:
            return parse_int(read_text(folder, name))

        # Of crun the scope's, which count its inner cgroup too: the scope meets the same limit
        # first.
        outermost = scope or folder
        stat, events, above = (
            parse_flat(read_text(at, name) or b"")
            for at, name in (
                (folder, "memory.stat"),
                (outermost, "memory.events"),
                (outermost and outermost.parent, "memory.events"),
            )
        )
        usage, swap = number("memory.current"), number("memory.swap.current")
        return MemoryCounters(
            usage_bytes=usage,
            peak_bytes=number("memory.peak"),
            swap_bytes=swap,
            total_bytes=sum_of(usage, swap),
            file_bytes=stat.get("file"),
            swappable_bytes=sum_of(stat.get("inactive_anon"), stat.get("active_anon")),
            limit_hits=events.get("max"),
            high_hits=events.get("high"),
            oom_kills=events.get("oom_kill"),
            node_bytes=parse_nodes(read_text(folder, "memory.numa_stat"), "anon ", "file "),
            oom_kills_above=above.get("oom_kill"),
        )


V2 = CgroupV2()
