"""The host's counters, as they are read at the edges of a window."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness import cgroup
from harness.cgroup import CgroupVersion
from harness.host.identity import meminfo_bytes
from harness.limits import parse_int
from harness.model import HostSample


class HostReader:
    """Reads the host's counters at the edges of a window."""

    def __init__(self) -> None:
        self._version, self._paths = host_files()

    def read(self) -> HostSample:
        """Root cgroup's CPU time, steal per CPU, and the harness's own CPU time."""
        first, *rest = self._paths
        texts = [_read_bytes(first)]
        now = time.monotonic_ns()
        texts += map(_read_bytes, rest)
        return replace(
            parse_host_sample(self._version, now, texts),
            harness_cpu_ns=time.process_time_ns(),
            t_real_ns=time.time_ns(),
            t_boot_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        )


OF_EVERY_HOST = ("/proc/stat", "/proc/meminfo", "/proc/sys/vm/swappiness")
"""Read at an edge whether or not the root cgroup is seen."""


def host_files() -> tuple[CgroupVersion | None, list[str]]:
    """(whose root cgroup there is, the files of ``parse_host_sample`` in its order) of this host.

    None where the root cgroup is not visible: then none of its files is among them.
    """
    found = cgroup.root_usage_path()
    if found is None:
        return None, [*OF_EVERY_HOST]
    version, path = found
    root = [str(path.with_name(name)) for _, name in version.usage_files]
    return version, [*root, *OF_EVERY_HOST]


def _read_bytes(path: str | Path) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def parse_host_sample(
    version: CgroupVersion | None, t_mono_ns: int, texts: Sequence[bytes | None]
) -> HostSample:
    """A host's counters from its files; None for what is not there.

    The files in their order: ``usage_files`` of the root cgroup, unless that is not visible (None),
    then ``OF_EVERY_HOST``.
    """
    *root, stat_raw, meminfo_raw, swappiness = texts
    usage_ns, percpu_ns = version.usage(root) if version else (None, None)
    meminfo = meminfo_raw.decode() if meminfo_raw else None
    return HostSample(
        t_mono_ns=t_mono_ns,
        root_usage_ns=usage_ns,
        root_percpu_ns=percpu_ns,
        swap_free_bytes=meminfo_bytes(meminfo, "SwapFree") if meminfo else None,
        memory_available_bytes=meminfo_bytes(meminfo, "MemAvailable") if meminfo else None,
        swappiness=parse_int(swappiness),
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
