"""One container's cgroup counters and limits, on v1 and v2.

The secret of this module is where the kernel keeps things. A container's cgroup is found from
``/proc/PID/cgroup``, hierarchy by hierarchy, and joined to the mount that
``/proc/self/mountinfo`` names for that hierarchy: on v1 the memory path can differ from the cpu
path, so no path is ever guessed from the container's id. Sources: the kernel's
Documentation/admin-guide/cgroup-v1/{cpuacct,memory}.rst, Documentation/scheduler/sched-bwc.rst,
Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from harness.errors import MeasurementError
from harness.limits import format_cpu_list, parse_cpu_list
from harness.model import UNLIMITED, EffectiveLimits, KernelLimits, MemoryCounters, Sample

_EDGE_SPAN_NS = 100_000
"""At the window's edge a read that took longer was interrupted, and is made again."""
_EDGE_TRIES = 8
_MAX_FILE = 8192
_V1_NO_MEMORY_LIMIT = 1 << 60
"""v1 writes "no limit" as the largest page-aligned number: PAGE_COUNTER_MAX."""


@dataclass(frozen=True, slots=True)
class CgroupPaths:
    """The folders of one process's cgroup: ``cpu``, ``cpuacct``, ``cpuset``, ``memory``.

    On v2 all four are the same folder. A controller that is not mounted is absent.
    """

    version: int
    folders: dict[str, Path]
    roots: dict[str, Path] = field(default_factory=dict)
    """Where each controller's hierarchy is mounted: nothing above that is visible."""

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


def locate(pid: int, container_id: str, proc: Path = Path("/proc")) -> CgroupPaths:
    """The cgroup folders of a container's first process, as this process sees them.

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
    for line in membership.splitlines():
        hierarchy, controllers, path = line.split(":", 2)
        if hierarchy == "0" and not controllers:
            if v2_mount:
                unified = _join(*v2_mount, path)
            continue
        for controller in controllers.split(","):
            if controller in _CONTROLLERS and controller in v1_mounts:
                folder = _join(*v1_mounts[controller], path)
                if folder and folder.is_dir():
                    folders[controller] = folder
                    roots[controller] = v1_mounts[controller][1]
    if folders:
        return CgroupPaths(1, folders, roots)
    if v2_mount and unified and (unified / "cgroup.controllers").exists():
        roots = dict.fromkeys(_CONTROLLERS, v2_mount[1])
        return CgroupPaths(2, dict.fromkeys(_CONTROLLERS, unified), roots)
    raise MeasurementError(
        f"the cgroup of process {pid} is not visible here.", "Run on the engine's own host."
    )


def root_usage_path(proc: Path = Path("/proc")) -> tuple[int, Path] | None:
    """(version, file) of the whole host's CPU time; None where the root cgroup is not visible.

    Only the true root counts: below a container's own mount it would be that container's.
    """
    try:
        v1, v2 = _mounts((proc / "self" / "mountinfo").read_text())
    except OSError:
        return None
    for version, mount, name in ((1, v1.get("cpuacct"), "cpuacct.usage"), (2, v2, "cpu.stat")):
        if mount and mount[0] == "/" and (mount[1] / name).exists():
            return version, mount[1] / name
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


@dataclass(frozen=True, slots=True)
class RawSample:
    """The bytes of one moment, parsed after the window."""

    t_mono_ns: int
    span_ns: int
    """How long the read of the CPU counter took: large where we were interrupted in it."""
    files: tuple[bytes | None, ...]


class CounterReader:
    """Reads one container's counters through descriptors that stay open.

    Opening and closing every time would cost ten times as much. The files vanish with the
    container, so the last read must come before it ends; a read after that gives None.
    """

    _FILES: ClassVar = {
        1: (
            ("cpuacct", "cpuacct.usage"),
            ("cpu", "cpu.stat"),
            ("memory", "memory.usage_in_bytes"),
            ("memory", "memory.memsw.usage_in_bytes"),
        ),
        2: (("cpu", "cpu.stat"), ("memory", "memory.current"), ("memory", "memory.swap.current")),
    }

    def __init__(self, paths: CgroupPaths) -> None:
        self._version = paths.version
        self._fds = [_open(paths.folder(c), name) for c, name in self._FILES[paths.version]]
        self._percpu = _open(paths.folder("cpuacct"), "cpuacct.usage_percpu")
        if self._fds[0] is None:
            self.close()
            raise MeasurementError(
                "the container's CPU counters cannot be opened.",
                "Run as root on the engine's host.",
            )

    def read(self) -> RawSample:
        """One moment of all counters: about 6 µs for one container."""
        before = time.monotonic_ns()
        usage = _pread(self._fds[0])
        after = time.monotonic_ns()
        rest = tuple(_pread(fd) for fd in self._fds[1:])
        return RawSample((before + after) // 2, after - before, (usage, *rest))

    def read_edge(self) -> tuple[RawSample, bytes | None]:
        """A moment at the window's edge, with the per-CPU counters where there are any.

        Read again where the thread was interrupted in the middle: the moment would be unsure.
        """
        sample = self.read()
        for _ in range(_EDGE_TRIES):
            if sample.span_ns <= _EDGE_SPAN_NS:
                break
            sample = self.read()
        return sample, _pread(self._percpu)

    def parse(self, raw: RawSample, percpu: bytes | None = None) -> Sample:
        """Counters of a raw sample. What a file does not hold is None."""
        if self._version == 1:
            usage, stat_raw, memory, total = raw.files
            stat = parse_flat(stat_raw or b"")
            return Sample(
                t_mono_ns=raw.t_mono_ns,
                cpu_usage_ns=parse_int(usage),
                nr_periods=stat.get("nr_periods"),
                nr_throttled=stat.get("nr_throttled"),
                throttled_ns=stat.get("throttled_time"),
                memory_bytes=parse_int(memory),
                total_bytes=parse_int(total),
                usage_percpu_ns=tuple(int(x) for x in percpu.split()) if percpu else None,
            )
        stat_raw, memory, swap = raw.files
        stat = parse_flat(stat_raw or b"")
        usage_usec, throttled_usec = stat.get("usage_usec"), stat.get("throttled_usec")
        return Sample(
            t_mono_ns=raw.t_mono_ns,
            cpu_usage_ns=None if usage_usec is None else usage_usec * 1000,
            nr_periods=stat.get("nr_periods"),
            nr_throttled=stat.get("nr_throttled"),
            throttled_ns=None if throttled_usec is None else throttled_usec * 1000,
            memory_bytes=parse_int(memory),
            total_bytes=_sum(parse_int(memory), parse_int(swap)),
        )

    def close(self) -> None:
        """Close the descriptors; may be called again."""
        for fd in (*self._fds, self._percpu):
            if fd is not None:
                os.close(fd)
        self._fds, self._percpu = [], None


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


def _pread(fd: int | None) -> bytes | None:
    if fd is None:
        return None
    try:
        return os.pread(fd, _MAX_FILE, 0)
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
        )
    quota, period = _quota(2, cpu) if cpu else (None, None)
    limit, swap = (parse_int(_text(memory, f"memory.{n}")) for n in ("max", "swap.max"))
    total = None
    if limit is not None and swap is not None:
        total = UNLIMITED if UNLIMITED in (limit, swap) else limit + swap
    return KernelLimits(
        cpu_quota_us=quota,
        cpu_period_us=period,
        cpu_weight=parse_int(_text(cpu, "cpu.weight")),
        cpuset_cpus=cpuset_cpus,
        memory_bytes=limit,
        memory_swap_bytes=total,
        memory_reservation_bytes=parse_int(_text(memory, "memory.low")),
    )


def effective_limits(paths: CgroupPaths) -> EffectiveLimits:
    """The tightest limits on the way from the container's cgroup up to its hierarchy's root.

    A slice, a pod or a CI runner's own container may bind before the container's own limit does.
    """
    cpus = [
        (quota / period, folder)
        for folder in _upward(paths, "cpu")
        for quota, period in [_quota(paths.version, folder)]
        if quota is not None and period and quota != UNLIMITED
    ]
    name, swap_name = (
        ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        if paths.version == 1
        else ("memory.max", "")
    )
    memory = list(_sizes(paths, name))
    swap = list(_sizes(paths, swap_name)) if swap_name else []
    own = {paths.folder(controller) for controller in _CONTROLLERS}

    def at(folder: Path, controller: str) -> str:
        return "" if folder in own else f"/{folder.relative_to(paths.roots[controller])}"

    tightest_cpus = min(cpus, default=None, key=lambda pair: pair[0])
    tightest = min(memory, default=None, key=lambda pair: pair[0])
    tightest_swap = min(swap, default=None, key=lambda pair: pair[0])
    return EffectiveLimits(
        cpus=tightest_cpus and tightest_cpus[0],
        cpus_at=at(tightest_cpus[1], "cpu") if tightest_cpus else "",
        cpuset_cpus=_effective_cpus(paths),
        memory_bytes=tightest and tightest[0],
        memory_at=at(tightest[1], "memory") if tightest else "",
        memory_swap_bytes=tightest_swap and tightest_swap[0],
        memory_swap_at=at(tightest_swap[1], "memory") if tightest_swap else "",
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
    events = fields("memory.events")
    usage, swap = number("memory.current"), number("memory.swap.current")
    return MemoryCounters(
        usage_bytes=usage,
        peak_bytes=number("memory.peak"),
        swap_bytes=swap,
        total_bytes=_sum(usage, swap),
        file_bytes=stat.get("file"),
        limit_hits=events.get("max"),
        oom_kills=events.get("oom_kill"),
    )
