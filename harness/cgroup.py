"""One container's cgroup counters and limits, on v1 and v2.

The secret of this module is where the kernel keeps things. A container's cgroup is found from
``/proc/PID/cgroup``, hierarchy by hierarchy, and joined to the mount that
``/proc/self/mountinfo`` names for that hierarchy: on v1 the memory path can differ from the cpu
path, so no path is ever guessed from the container's id. Sources: the kernel's
Documentation/admin-guide/cgroup-v1/{cpuacct,memory}.rst, Documentation/scheduler/sched-bwc.rst,
Documentation/admin-guide/cgroup-v2.rst, Documentation/accounting/psi.rst.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from harness.errors import MeasurementError
from harness.limits import format_cpu_list, parse_cpu_list
from harness.model import UNLIMITED, EffectiveLimits, KernelLimits, MemoryCounters, Sample

_EDGE_SPAN_NS = 100_000
"""At the window's edge a read that took longer was interrupted, and is made again."""
_EDGE_TRIES = 8
_MAX_FILE = 8192
_PERCPU_BYTES = 1 << 18
"""Of cpuacct.usage_percpu: up to 20 digits and a blank for each of 8192 CPUs."""
_TICK_BYTES = 1024
"""More than any file that is read at every tick holds; Python clears as much memory each time."""
_V1_NO_MEMORY_LIMIT = 1 << 60
"""v1 writes "no limit" as the largest page-aligned number: PAGE_COUNTER_MAX."""


@dataclass(frozen=True, slots=True)
class CgroupPaths:
    """The folders of one container's cgroup: ``cpu``, ``cpuacct``, ``cpuset``, ``memory``.

    On v2 all of them are the same folder. A controller that is not mounted is absent. ``unified``
    is the v2 folder, where pressure is kept: on v1 there only where systemd's hybrid layout, or one
    like it, has mounted v2 beside it without controllers.
    """

    version: int
    folders: dict[str, Path]
    roots: dict[str, Path] = field(default_factory=dict)
    """Where each controller's hierarchy is mounted: nothing above that is visible."""
    scope: Path | None = None
    """Of crun under systemd: the container's scope around ``folders``, see ``_of_crun``."""

    def folder(self, controller: str) -> Path | None:
        """The folder of a controller, or None where that controller is not mounted."""
        return self.folders.get(controller)


_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory")


def _mounts(mountinfo: str) -> tuple[dict[str, tuple[str, Path]], tuple[str, Path] | None]:
    """(v1 controller → (mount root, mount point), the same of v2) from mountinfo's text."""
    v1: dict[str, tuple[str, Path]] = {}
    v2: tuple[str, Path] | None = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        if len(fields) < 5 or len(tail) < 3:
            continue
        # The kernel writes blanks in paths as \040 (proc(5)).
        root, point = (f.replace("\\040", " ") for f in fields[3:5])
        if tail[0] == "cgroup2" and v2 is None:
            v2 = (root, Path(point))
        elif tail[0] == "cgroup":
            for option in tail[2].split(","):
                v1.setdefault(option, (root, Path(point)))
    return v1, v2


def _join(root: str, point: Path, path: str) -> Path | None:
    """Where a cgroup path lies below a mount whose root may itself be a cgroup (in a container)."""
    if root == "/":
        return point / path.lstrip("/")
    if path == root or path.startswith(root + "/"):
        return point / path[len(root) :].lstrip("/")
    return None


def _of_container(path: str, container_id: str) -> str:
    """A process's cgroup path, cut behind the container's own cgroup.

    An init inside the container may have moved itself further down (systemd to ``init.scope``): the
    limits and the counters of all are those above it.
    """
    parts = path.split("/")
    for i, part in enumerate(parts):
        if container_id in part:
            return "/".join(parts[: i + 1])
    return path


def _of_crun(whole: str, path: str) -> str | None:
    """The cgroup below a container's scope that crun keeps its processes in; None without one.

    crun writes the exact limits there, and hands them to systemd for the scope as well, where they
    are not always the same (seen with crun 1.28 and Podman 5.8: no quota where no period was given,
    memory.swap.max larger by the memory). What binds is the tighter one of each.
    """
    inner = f"{path}/container"
    if path.endswith(".scope") and (whole == inner or whole.startswith(f"{inner}/")):
        return inner
    return None


def locate(pid: int, container_id: str, proc: Path = Path("/proc")) -> CgroupPaths:
    """The cgroup folders of the container of a process, as this process sees them.

    ``container_id`` must stand in the path (``docker/<id>``, ``docker-<id>.scope``,
    ``libpod-<id>.scope``): the pid comes from the engine, and with an engine on another machine
    the same number is some other process here.

    Raises MeasurementError where the process is gone or its cgroups are not visible here.
    """
    try:
        membership = (proc / str(pid) / "cgroup").read_text()
        mountinfo = (proc / "self" / "mountinfo").read_text()
    except OSError as error:
        raise MeasurementError(
            f"cannot read the cgroup of process {pid}: {error.strerror}.",
            "Run on the engine's own host, as root.",
        ) from error
    v1_mounts, v2_mount = _mounts(mountinfo)
    if container_id not in membership:
        raise MeasurementError(
            f"process {pid} is not in the container's cgroup: the engine runs on another host.",
            "Run `bench` on the engine's own host.",
        )
    folders: dict[str, Path] = {}
    roots: dict[str, Path] = {}
    unified: Path | None = None
    scope: Path | None = None
    for line in membership.splitlines():
        hierarchy, controllers, whole = line.split(":", 2)
        path = _of_container(whole, container_id)
        if hierarchy == "0" and not controllers:
            if v2_mount:
                unified = _join(*v2_mount, path)
                inner = _of_crun(whole, path)
                below = inner and _join(*v2_mount, inner)
                if below and (below / "cpu.max").exists():  # an older crun leaves it without limits
                    unified, scope = below, unified
            continue
        for controller in controllers.split(","):
            if controller in _CONTROLLERS and controller in v1_mounts:
                folder = _join(*v1_mounts[controller], path)
                if folder and folder.is_dir():
                    folders[controller] = folder
                    roots[controller] = v1_mounts[controller][1]
    if folders:
        if unified and unified.is_dir() and container_id in unified.name:
            folders["unified"] = unified
        return CgroupPaths(1, folders, roots)
    if v2_mount and unified and (unified / "cgroup.controllers").exists():
        roots = dict.fromkeys(_CONTROLLERS, v2_mount[1])
        return CgroupPaths(2, dict.fromkeys((*_CONTROLLERS, "unified"), unified), roots, scope)
    raise MeasurementError(
        f"the cgroup of process {pid} is not visible here.", "Run on the engine's own host."
    )


def root_usage_path(proc: Path = Path("/proc")) -> tuple[int, Path] | None:
    """(version, file) of the whole host's CPU time; None where the root cgroup is not visible.

    Only the true root counts: below a container's own mount it would be that container's.
    """
    mounts = _visible(proc)
    if mounts is None:
        return None
    v1, v2 = mounts
    for version, mount, name in ((1, v1.get("cpuacct"), "cpuacct.usage"), (2, v2, "cpu.stat")):
        if mount and mount[0] == "/" and (mount[1] / name).exists():
            return version, mount[1] / name
    return None


def swap_accounted(proc: Path = Path("/proc")) -> bool | None:
    """Whether this kernel limits swap for each cgroup; None where that cannot be seen.

    v2 has its files in no root cgroup, so those below it are looked at.
    """
    mounts = _visible(proc)
    if mounts is None:
        return None
    v1, v2 = mounts
    if "memory" in v1:
        return (v1["memory"][1] / "memory.memsw.limit_in_bytes").exists()
    if v2 is None or not any(v2[1].glob("*/memory.max")):
        return None
    return any(v2[1].glob("*/memory.swap.max"))


def delegated_controllers(uid: int, proc: Path = Path("/proc")) -> tuple[str, ...] | None:
    """The controllers that systemd has handed to a user's own cgroups; None where not visible.

    Only v2 can hand any to a user who is not root (Documentation/admin-guide/cgroup-v2.rst,
    "Delegation").
    """
    mounts = _visible(proc)
    if mounts is None:
        return None
    v1, v2 = mounts
    if v1:
        return ()
    if v2 is None:
        return None
    file = v2[1] / f"user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers"
    try:
        return tuple(file.read_text().split())
    except OSError:
        return None


def _visible(
    proc: Path,
) -> tuple[dict[str, tuple[str, Path]], tuple[str, Path] | None] | None:
    try:
        return _mounts((proc / "self" / "mountinfo").read_text())
    except OSError:
        return None


# --- parsing -------------------------------------------------------------------------------


def parse_flat(raw: bytes) -> dict[str, int]:
    """``key value`` lines (cpu.stat, memory.events) as a dict; other lines are left out."""
    out: dict[str, int] = {}
    for line in raw.splitlines():
        key, _, value = line.partition(b" ")
        try:
            out[key.decode("ascii")] = int(value)
        except ValueError:
            continue
    return out


def parse_int(raw: bytes | None) -> int | None:
    """A file with one number; ``max`` is UNLIMITED; None where there was no file or no number."""
    if raw is None:
        return None
    text = raw.strip()
    if text == b"max":
        return UNLIMITED
    try:
        return int(text)
    except ValueError:
        return None


def parse_pressure(raw: bytes | None) -> tuple[int | None, int | None]:
    """The totals (µs) of a pressure file's ``some`` and ``full`` lines; None where there is none.

    cpu.pressure has a ``full`` line since kernel 5.13.
    """
    totals: dict[bytes, int] = {}
    for line in (raw or b"").splitlines():
        kind, _, rest = line.partition(b" ")
        value = rest.rpartition(b"total=")[2]
        if value.isdigit():
            totals[kind] = int(value)
    return totals.get(b"some"), totals.get(b"full")


# --- counters ------------------------------------------------------------------------------

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
        total = _sum(parse_int(memory), parse_int(second))
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


def _sum(*parts: int | None) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


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


# --- limits --------------------------------------------------------------------------------


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
    own = {paths.scope, *(paths.folder(controller) for controller in _CONTROLLERS)}

    def at(folder: Path, controller: str) -> str:
        return "" if folder in own else f"/{folder.relative_to(paths.roots[controller])}"

    def tightest(name: str) -> tuple[int | None, str]:
        size, folder = min(_sizes(paths, name), default=(None, None), key=lambda pair: pair[0])
        return size, at(folder, "memory") if folder else ""

    tightest_cpus = min(cpus, default=None, key=lambda pair: pair[0])
    memory_bytes, memory_at = tightest(limit)
    total_bytes, total_at = tightest(swap)
    if paths.version == 2:
        total_bytes, total_at = _sum(memory_bytes, total_bytes), total_at or memory_at
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


# --- memory at one moment ------------------------------------------------------------------------


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
        total_bytes=_sum(usage, swap),
        file_bytes=stat.get("file"),
        limit_hits=events.get("max"),
        high_hits=events.get("high"),
        oom_kills=events.get("oom_kill"),
        oom_kills_above=above.get("oom_kill"),
    )
