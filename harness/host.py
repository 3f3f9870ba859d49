"""The host: its facts, and its counters at the edges of a window.

Foreign CPU is the root cgroup's usage less the containers' (nanoseconds); /proc/stat and psutil
are charged by the tick and read twice too high here. Steal exists only in /proc/stat.
"""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness import cgroup
from harness.model import HostConditions, HostFacts, HostSample

_CLOCK_MONOTONIC_COARSE = 6  # linux/time.h; not named in Python's time module
_SLICE_FILES = (
    Path("/proc/sys/kernel/sched_cfs_bandwidth_slice_us"),
    Path("/sys/kernel/debug/sched/cfs_bandwidth_slice_us"),
)


def tick_ns() -> int:
    """The scheduler tick, 1/HZ, in ns.

    CLOCK_MONOTONIC_COARSE is advanced by the tick, so its resolution is the tick's length
    (kernel/time/posix-timers.c, ``posix_get_coarse_res``): no kernel config is needed.
    """
    return round(time.clock_getres(_CLOCK_MONOTONIC_COARSE) * 1e9)


def _read(path: str | Path) -> str | None:
    try:
        return Path(path).read_text()
    except OSError:
        return None


def _field(text: str | None, key: str, separator: str = ":") -> str | None:
    for line in (text or "").splitlines():
        name, found, value = line.partition(separator)
        if found and name.strip() == key:
            return value.strip().strip('"')
    return None


def _kib(meminfo: str | None, key: str) -> int:
    value = _field(meminfo, key)
    return int(value.split()[0]) * 1024 if value else 0


def facts() -> HostFacts:
    """The facts of this host. Nothing is measured, nothing is changed."""
    meminfo, cpuinfo = _read("/proc/meminfo"), _read("/proc/cpuinfo")
    root = cgroup.root_usage_path()
    slice_us = next((text for path in _SLICE_FILES if (text := _read(path))), None)
    governor = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    hypervisor = " hypervisor " in f" {_field(cpuinfo, 'flags') or ''} "
    vendor = _read("/sys/class/dmi/id/sys_vendor")
    return HostFacts(
        hostname=socket.gethostname(),
        os=_field(_read("/etc/os-release"), "PRETTY_NAME", "=") or platform.system(),
        kernel=platform.release(),
        architecture=platform.machine(),
        cpu_model=_field(cpuinfo, "model name") or _field(cpuinfo, "CPU part") or "unknown",
        cpus=os.cpu_count() or 1,
        usable_cpus=len(os.sched_getaffinity(0)),
        tick_ns=tick_ns(),
        memory_bytes=_kib(meminfo, "MemTotal"),
        swap_bytes=_kib(meminfo, "SwapTotal"),
        cgroup_version=root[0] if root else None,
        cfs_slice_us=int(slice_us) if slice_us else None,
        virtualisation=((vendor or "").strip() or "virtual machine") if hypervisor else None,
        governor=governor.strip() if governor else None,
    )


def conditions() -> HostConditions:
    """What changes from minute to minute: load, steal, and whether this process is root."""
    line = (_read("/proc/stat") or "").partition("\n")[0].split()
    times = [int(field) for field in line[1:]]
    # proc(5): guest time (fields 9, 10) is contained in user time already
    total = sum(times[:8])
    steal_share = times[7] / total if total else None
    meminfo = _read("/proc/meminfo")
    root = os.geteuid() == 0
    return HostConditions(
        root=root,
        load=os.getloadavg()[0],
        steal_share=steal_share,
        memory_available_bytes=_kib(meminfo, "MemAvailable"),
        swap_free_bytes=_kib(meminfo, "SwapFree"),
        swap_accounted=cgroup.swap_accounted(),
        delegated=None if root else cgroup.delegated_controllers(os.geteuid()),
    )


@contextmanager
def kept_from_the_oom_killer() -> Iterator[None]:
    """While memory runs short, let the kernel choose anybody but us; only root may ask for it.

    A container's processes are the engine's children, not ours: they do not inherit it.
    """
    file = Path("/proc/self/oom_score_adj")
    before = _read(file)
    try:
        file.write_text("-900")
    except OSError:
        before = None
    try:
        yield
    finally:
        if before is not None:
            file.write_text(before)


class HostReader:
    """Reads the host's counters at the edges of a window."""

    def __init__(self) -> None:
        self._root = cgroup.root_usage_path()

    def read(self) -> HostSample:
        """Root cgroup's CPU time, steal per CPU, and the harness's own CPU time."""
        version, usage, percpu = 1, None, None
        if self._root:
            version, path = self._root
            usage = _read_bytes(path)
            percpu = _read_bytes(path.with_name("cpuacct.usage_percpu")) if version == 1 else None
        now = time.monotonic_ns()
        files = (usage, percpu, _read_bytes("/proc/stat"), _read_bytes("/proc/meminfo"))
        sample = parse_host_sample(version, now, files)
        return replace(sample, harness_cpu_ns=time.process_time_ns())


def _read_bytes(path: str | Path) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def parse_host_sample(version: int, t_mono_ns: int, files: Sequence[bytes | None]) -> HostSample:
    """A host's counters from its files; None for what is not there.

    The files in their order: the root cgroup's CPU time (v1: cpuacct.usage, v2: cpu.stat), the same
    of each CPU (v1), /proc/stat, /proc/meminfo.
    """
    usage_raw, percpu_raw, stat_raw, meminfo_raw = files
    usage_ns = cgroup.parse_int(usage_raw)
    if version == 2:
        usec = cgroup.parse_flat(usage_raw or b"").get("usage_usec")
        usage_ns = None if usec is None else usec * 1000
    percpu = percpu_raw.split() if percpu_raw and version == 1 else None
    meminfo = meminfo_raw.decode() if meminfo_raw else None
    return HostSample(
        t_mono_ns=t_mono_ns,
        root_usage_ns=usage_ns,
        root_percpu_ns=tuple(int(field) for field in percpu) if percpu else None,
        swap_free_bytes=_kib(meminfo, "SwapFree") if meminfo else None,
        steal_ns=_steal(stat_raw),
    )


def _steal(stat: bytes | None) -> tuple[int, ...] | None:
    # proc(5): cpuN user nice system idle iowait irq softirq steal …, in USER_HZ ticks
    ns_per_jiffy = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    lines = [line.split() for line in (stat or b"").splitlines()]
    found = {
        int(fields[0][3:]): int(fields[8]) * ns_per_jiffy
        for fields in lines
        if len(fields) > 8 and fields[0].startswith(b"cpu") and fields[0] != b"cpu"
    }
    # A CPU that is offline has no line, and keeps its number.
    return tuple(found.get(cpu, 0) for cpu in range(max(found) + 1)) if found else None
