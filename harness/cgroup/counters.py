"""A container's counters at one moment after another: which files, read how, and what they say.

Bytes are read in the window and parsed after it, by descriptors that stay open. A counter that is
not there has a reason. Sources: Documentation/admin-guide/cgroup-v1/{cpuacct,memory}.rst,
Documentation/scheduler/sched-bwc.rst, Documentation/admin-guide/cgroup-v2.rst,
Documentation/accounting/psi.rst.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from harness.cgroup.parsing import parse_flat, parse_int, parse_pressure, sum_of
from harness.cgroup.paths import CgroupPaths
from harness.errors import MeasurementError
from harness.model import Sample

_EDGE_SPAN_NS = 100_000
"""At the window's edge a read that took longer was interrupted, and is made again."""
_EDGE_TRIES = 8
_MAX_FILE = 8192
_PERCPU_BYTES = 1 << 18
"""Of cpuacct.usage_percpu: up to 20 digits and a blank for each of 8192 CPUs."""
_TICK_BYTES = 1024
"""More than any file that is read at every tick holds; Python clears as much memory each time."""

File = tuple[str, str]
"""(controller, name)"""

TICK_FILES: dict[int, tuple[File, ...]] = {
    1: (
        ("cpuacct", "cpuacct.usage"),
        ("cpu", "cpu.stat"),
        ("memory", "memory.usage_in_bytes"),
        ("memory", "memory.memsw.usage_in_bytes"),
    ),
    2: (("cpu", "cpu.stat"), ("memory", "memory.current"), ("memory", "memory.swap.current")),
}
"""What is read at every tick, the CPU counter first."""

_PRESSURE = (
    ("unified", "cpu.pressure"),
    ("unified", "memory.pressure"),
    ("unified", "io.pressure"),
)
DETAIL_FILES: dict[int, tuple[File, ...]] = {
    1: (
        ("memory", "memory.stat"),
        ("memory", "memory.oom_control"),
        ("memory", "memory.failcnt"),
        ("memory", "memory.max_usage_in_bytes"),
        *_PRESSURE,
    ),
    2: (
        ("memory", "memory.stat"),
        ("memory", "memory.events"),
        ("memory", "memory.peak"),
        *_PRESSURE,
    ),
}
"""What costs three times as much on 2 CPUs and more with every CPU, since the kernel adds up counts
of each when it is asked. Read at the edges and a few times a second."""

PERCPU_FILE: File = ("cpuacct", "cpuacct.usage_percpu")

_STAT_KEYS = {
    1: ("total_rss", "total_cache", "total_inactive_file", "total_pgmajfault"),
    2: ("anon", "file", "inactive_file", "pgmajfault"),
}


class _Source(NamedTuple):
    """What a counter of ``Sample`` is read from."""

    files: tuple[tuple[str, str], ...]
    """(name, why it can be missing)"""
    unsaid: str
    """Why the files can be there and not tell it."""


_NO_PSI = "this kernel keeps no pressure (PSI: CONFIG_PSI, boot option psi=1)"
_NO_MEMORY = {1: "the memory controller is not mounted", 2: "the memory controller is not enabled"}
_NO_CPU = {1: "the cpu controller is not mounted", 2: "the CPU's counters cannot be read"}
_UNREAD = "its file cannot be read"
_NO_PERIODS = {
    1: "the kernel counts no quota periods (CONFIG_CFS_BANDWIDTH)",
    # kernel/cgroup/rstat.c tells the use of every cgroup, kernel/sched/core.c (cpu_extra_stat) the
    # periods of those that have the controller.
    2: "the cpu controller is not enabled for its cgroup, or the kernel counts no quota periods "
    "(CONFIG_CFS_BANDWIDTH)",
}


def _sources(version: int) -> dict[str, _Source]:
    """Every counter of ``Sample``, with its files and what its absence means."""

    def one(unsaid: str, *files: tuple[str, str]) -> _Source:
        return _Source(files, unsaid)

    no_cpu, no_memory, no_periods = _NO_CPU[version], _NO_MEMORY[version], _NO_PERIODS[version]
    usage = "cpuacct.usage" if version == 1 else "cpu.stat"
    periods = one(no_periods, ("cpu.stat", no_cpu))
    stat = one("its memory.stat does not hold it", ("memory.stat", no_memory))
    events = "memory.oom_control" if version == 1 else "memory.events"
    pressure = {
        f"{what}_{share}_us": one(
            "full pressure of the CPU is told since kernel 5.13"
            if (what, share) == ("cpu", "full")
            else f"its {what}.pressure has no such line",
            (f"{what}.pressure", _NO_PSI),
        )
        for what in ("cpu", "memory", "io")
        for share in ("some", "full")
    }
    every = {
        "cpu_usage_ns": one(_UNREAD, (usage, "the CPU's counters cannot be read")),
        **dict.fromkeys(("nr_periods", "nr_throttled", "throttled_ns"), periods),
        **dict.fromkeys(("anon_bytes", "file_bytes", "inactive_file_bytes", "major_faults"), stat),
        "oom_kills": one("kills are counted since kernel 4.13", (events, no_memory)),
        **pressure,
    }
    if version == 1:
        unaccounted = "swap is not accounted for (boot option swapaccount=1)"
        return every | {
            "memory_bytes": one(_UNREAD, ("memory.usage_in_bytes", no_memory)),
            "total_bytes": one(_UNREAD, ("memory.memsw.usage_in_bytes", unaccounted)),
            "limit_hits": one(_UNREAD, ("memory.failcnt", no_memory)),
            "peak_bytes": one(_UNREAD, ("memory.max_usage_in_bytes", no_memory)),
            "usage_percpu_ns": one(_UNREAD, ("cpuacct.usage_percpu", "its file is not there")),
        }
    return every | {
        "memory_bytes": one(_UNREAD, ("memory.current", no_memory)),
        "total_bytes": one(
            _UNREAD,
            ("memory.current", no_memory),
            ("memory.swap.current", "swap is not accounted for, or not compiled in"),
        ),
        "limit_hits": one("its memory.events does not hold it", ("memory.events", no_memory)),
        "peak_bytes": one(_UNREAD, ("memory.peak", "memory.peak came with kernel 5.19")),
        "usage_percpu_ns": one("cgroup v2 keeps no CPU time per CPU"),
    }


def absent_counters(
    version: int, first: Sample, missing: Collection[str], unified: bool
) -> dict[str, str]:
    """The counters that a container's first sample, details included, does not have, and why.

    ``missing`` are the names of those files that could not be read, and ``unified`` tells whether
    the container is in a v2 cgroup. A file can be there and not hold a counter.
    """
    out: dict[str, str] = {}
    for counter, source in _sources(version).items():
        if getattr(first, counter) is not None:
            continue
        why = next((why for name, why in source.files if name in missing), source.unsaid)
        if counter.endswith(("_some_us", "_full_us")) and not unified:
            why = "cgroup v1 keeps no pressure, and the container is in no v2 cgroup"
        out[counter] = why
    return out


class RawSample(NamedTuple):
    """The bytes of one moment, parsed after the window.

    A tuple and no dataclass: one is made at every tick, in a fifth of the time.
    """

    t_mono_ns: int
    span_ns: int
    """How long the read of the CPU counter took: large where we were interrupted in it."""
    files: tuple[bytes | None, ...]
    """Of ``TICK_FILES``."""
    details: tuple[bytes | None, ...] = ()
    """Of ``DETAIL_FILES``; empty where they were not read at this moment."""


def parse_sample(version: int, raw: RawSample, percpu: bytes | None = None) -> Sample:
    """Counters of a raw sample. What a file does not hold, or was not read, is None."""
    usage_ns: int | None
    if version == 1:
        usage, stat_raw, memory, second = raw.files
        stat = parse_flat(stat_raw or b"")
        usage_ns, throttled_ns = parse_int(usage), stat.get("throttled_time")
        total = parse_int(second)
    else:
        stat_raw, memory, second = raw.files
        stat = parse_flat(stat_raw or b"")
        usage_ns, throttled_ns = (_us_to_ns(stat.get(k)) for k in ("usage_usec", "throttled_usec"))
        total = sum_of(parse_int(memory), parse_int(second))
    return Sample(
        t_mono_ns=raw.t_mono_ns,
        cpu_usage_ns=usage_ns,
        nr_periods=stat.get("nr_periods"),
        nr_throttled=stat.get("nr_throttled"),
        throttled_ns=throttled_ns,
        memory_bytes=parse_int(memory),
        total_bytes=total,
        usage_percpu_ns=tuple(int(x) for x in percpu.split()) if percpu else None,
        **_details(version, raw.details),
    )


def _details(version: int, files: tuple[bytes | None, ...]) -> dict[str, int | None]:
    if not files:
        return {}
    *memory, cpu_raw, memory_raw, io_raw = files
    stat = parse_flat(memory[0] or b"")
    events = parse_flat(memory[1] or b"")
    anon, file, inactive, faults = (stat.get(key) for key in _STAT_KEYS[version])
    hits = parse_int(memory[2]) if version == 1 else events.get("max")
    cpu, mem, io = (parse_pressure(one) for one in (cpu_raw, memory_raw, io_raw))
    return {
        "peak_bytes": parse_int(memory[-1]),
        "anon_bytes": anon,
        "file_bytes": file,
        "inactive_file_bytes": inactive,
        "major_faults": faults,
        "limit_hits": hits,
        "oom_kills": events.get("oom_kill"),
        "cpu_some_us": cpu[0], "cpu_full_us": cpu[1],
        "memory_some_us": mem[0], "memory_full_us": mem[1],
        "io_some_us": io[0], "io_full_us": io[1],
    }  # fmt: skip


def _us_to_ns(value_us: int | None) -> int | None:
    return None if value_us is None else value_us * 1000


class CounterReader:
    """Reads one container's counters through descriptors that stay open.

    Opening and closing every time would cost ten times as much. The files vanish with the
    container, so the last read must come before it ends; a read after that gives None.
    """

    def __init__(self, paths: CgroupPaths) -> None:
        self._version = paths.version
        self._fds = [_open(paths.folder(c), name) for c, name in TICK_FILES[paths.version]]
        self._detail_fds = [_open(paths.folder(c), name) for c, name in DETAIL_FILES[paths.version]]
        self._percpu = _open(paths.folder(PERCPU_FILE[0]), PERCPU_FILE[1])
        if self._fds[0] is None:
            self.close()
            raise MeasurementError(
                "the container's CPU counters cannot be opened.",
                "Run as root on the engine's host.",
            )
        self.absent = self._absent(paths)

    def _absent(self, paths: CgroupPaths) -> dict[str, str]:
        """Counters that this kernel does not have for this container, each with why."""
        raw, percpu = self.read_edge()
        names = (*TICK_FILES[self._version], *DETAIL_FILES[self._version], PERCPU_FILE)
        # Without psi=1 the pressure files can be there and refuse to be read.
        texts = (*raw.files, *raw.details, percpu)
        missing = {name for (_, name), text in zip(names, texts, strict=True) if text is None}
        first = self.parse(raw, percpu)
        return absent_counters(self._version, first, missing, paths.folder("unified") is not None)

    def read(self) -> RawSample:
        """One moment of what is read at every tick: about 6 µs for one container."""
        before = time.monotonic_ns()
        usage = _pread(self._fds[0], _TICK_BYTES)
        after = time.monotonic_ns()
        files = (usage, *[_pread(fd, _TICK_BYTES) for fd in self._fds[1:]])
        return RawSample((before + after) // 2, after - before, files)

    def read_details(self) -> RawSample:
        """The same with memory.stat, events, peak and pressure: about 25 µs on 2 CPUs."""
        details = tuple(_pread(fd, _MAX_FILE) for fd in self._detail_fds)
        return self.read()._replace(details=details)

    def read_edge(self) -> tuple[RawSample, bytes | None]:
        """A moment at the window's edge: all that there is, per-CPU counters too.

        Read again where the thread was interrupted in the middle: the moment would be unsure.
        """
        sample = self.read()
        for _ in range(_EDGE_TRIES):
            if sample.span_ns <= _EDGE_SPAN_NS:
                break
            sample = self.read()
        details = tuple(_pread(fd, _MAX_FILE) for fd in self._detail_fds)
        return sample._replace(details=details), _pread(self._percpu, _PERCPU_BYTES)

    def parse(self, raw: RawSample, percpu: bytes | None = None) -> Sample:
        """Counters of a raw sample. What a file does not hold is None."""
        return parse_sample(self._version, raw, percpu)

    def close(self) -> None:
        """Close the descriptors; may be called again."""
        for fd in (*self._fds, *self._detail_fds, self._percpu):
            if fd is not None:
                os.close(fd)
        self._fds, self._detail_fds, self._percpu = [], [], None


def _open(folder: Path | None, name: str) -> int | None:
    if folder is None:
        return None
    try:
        return os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _pread(fd: int | None, most: int) -> bytes | None:
    if fd is None:
        return None
    try:
        return os.pread(fd, most, 0)
    except OSError:  # ENODEV: the cgroup is gone
        return None
