"""The host: its facts, and its counters at the edges of a window.

Foreign CPU is the root cgroup's usage less the containers' (nanoseconds); /proc/stat and psutil
are charged by the tick and read twice too high here. Steal exists only in /proc/stat.
"""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    return HostConditions(
        root=os.geteuid() == 0,
        load=os.getloadavg()[0],
        steal_share=steal_share,
        memory_available_bytes=_kib(meminfo, "MemAvailable"),
        swap_free_bytes=_kib(meminfo, "SwapFree"),
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
        self._ns_per_jiffy = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

    def read(self) -> HostSample:
        """Root cgroup's CPU time, steal per CPU, and the harness's own CPU time."""
        usage: int | None = None
        percpu: tuple[int, ...] | None = None
        if self._root:
            version, path = self._root
            raw = path.read_bytes()
            if version == 1:
                usage = cgroup.parse_int(raw)
                percpu = self._percpu(path)
            else:
                usec = cgroup.parse_flat(raw).get("usage_usec")
                usage = None if usec is None else usec * 1000
        now = time.monotonic_ns()
        return HostSample(
            t_mono_ns=now,
            root_usage_ns=usage,
            root_percpu_ns=percpu,
            swap_free_bytes=_kib(_read("/proc/meminfo"), "SwapFree"),
            steal_ns=self._steal(),
            harness_cpu_ns=time.process_time_ns(),
        )

    def _percpu(self, path: Path) -> tuple[int, ...] | None:
        text = _read(path.with_name("cpuacct.usage_percpu"))
        return tuple(int(field) for field in text.split()) if text else None

    def _steal(self) -> tuple[int, ...] | None:
        # proc(5): cpuN user nice system idle iowait irq softirq steal …, in USER_HZ ticks
        text = _read("/proc/stat")
        if text is None:
            return None
        out = []
        for line in text.splitlines():
            fields = line.split()
            if len(fields) > 8 and fields[0].startswith("cpu") and fields[0] != "cpu":
                out.append(int(fields[8]) * self._ns_per_jiffy)
        return tuple(out) or None
