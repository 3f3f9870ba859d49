"""What this host is: its facts, its conditions of the moment."""

from __future__ import annotations

import os
import platform
import socket
import time
from pathlib import Path

from harness import cgroup, privileges
from harness.model import HostConditions, HostFacts

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


def _read_text(path: str | Path) -> str | None:
    """A file's text; None where it cannot be read."""
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


def meminfo_bytes(meminfo: str | None, key: str) -> int:
    """A line of /proc/meminfo in bytes; 0 where there is none."""
    value = _field(meminfo, key)
    return int(value.split()[0]) * 1024 if value else 0


def facts() -> HostFacts:
    """The facts of this host. Nothing is measured, nothing is changed."""
    meminfo, cpuinfo = _read_text("/proc/meminfo"), _read_text("/proc/cpuinfo")
    root = cgroup.root_usage_path()
    slice_us = next((text for path in _SLICE_FILES if (text := _read_text(path))), None)
    governor = _read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    hypervisor = " hypervisor " in f" {_field(cpuinfo, 'flags') or ''} "
    vendor = _read_text("/sys/class/dmi/id/sys_vendor")
    return HostFacts(
        hostname=socket.gethostname(),
        os=_field(_read_text("/etc/os-release"), "PRETTY_NAME", "=") or platform.system(),
        kernel=platform.release(),
        architecture=platform.machine(),
        cpu_model=_field(cpuinfo, "model name") or _field(cpuinfo, "CPU part") or "unknown",
        cpus=os.cpu_count() or 1,
        usable_cpus=len(os.sched_getaffinity(0)),
        tick_ns=tick_ns(),
        memory_bytes=meminfo_bytes(meminfo, "MemTotal"),
        swap_bytes=meminfo_bytes(meminfo, "SwapTotal"),
        page_bytes=os.sysconf("SC_PAGE_SIZE"),
        cgroup_version=root[0].number if root else None,
        cfs_slice_us=int(slice_us) if slice_us else None,
        virtualisation=((vendor or "").strip() or "virtual machine") if hypervisor else None,
        governor=governor.strip() if governor else None,
    )


def conditions() -> HostConditions:
    """What changes from minute to minute: load, steal, and whether this process is root."""
    line = (_read_text("/proc/stat") or "").partition("\n")[0].split()
    times = [int(field) for field in line[1:]]
    # proc(5): guest time (fields 9, 10) is contained in user time already
    total = sum(times[:8])
    steal_share = times[7] / total if total else None
    meminfo = _read_text("/proc/meminfo")
    root = os.geteuid() == 0
    return HostConditions(
        root=root,
        load=os.getloadavg()[0],
        steal_share=steal_share,
        memory_available_bytes=meminfo_bytes(meminfo, "MemAvailable"),
        swap_free_bytes=meminfo_bytes(meminfo, "SwapFree"),
        swap_accounted=cgroup.swap_accounted(),
        raises_priority=privileges.has(privileges.SYS_NICE),
        delegated=None if root else cgroup.delegated_controllers(os.geteuid()),
    )
