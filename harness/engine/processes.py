"""The engine's own processes: an answer costs their CPU time as much as the client's."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import psutil

_HELPERS = {"containerd"}
"""Asked by dockerd for a container's counters; a service of its own on most hosts."""


def pids(host: str, container_pid: int) -> frozenset[int]:
    """The processes that an engine consists of, as far as they serve one container.

    The daemon is who listens at the socket (unix(7), SO_PEERCRED), with all that descend from it;
    then containerd, and the container's shim, which is its first process's parent. Empty where the
    engine is not on this host.
    """
    if not host.startswith("unix://"):
        return frozenset()
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(5)
            asking.connect(host.removeprefix("unix://"))
            credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    except OSError:
        return frozenset()
    (daemon, _, _) = struct.unpack("iii", credentials)
    parents, names = _table()
    ours = {daemon}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    # A socket that systemd holds for the daemon names systemd, whose descendants are everybody.
    if daemon == 1:
        ours = {pid for pid, name in names.items() if name == "dockerd"}
    ours |= {pid for pid, name in names.items() if name in _HELPERS}
    shim = parents.get(container_pid, 0)
    return frozenset(ours | ({shim} if shim > 1 else set()))


def cpu_ns(pids_: frozenset[int], proc: Path = Path("/proc")) -> int:
    """CPU time (ns) that all threads of these processes have used so far; of those that are left.

    Documentation/scheduler/sched-stats.rst: the first field of a task's ``schedstat``.
    """
    total = 0
    for pid in pids_:
        for file in (proc / str(pid) / "task").glob("*/schedstat"):
            try:
                total += int(file.read_text().split()[0])
            except (OSError, ValueError, IndexError):
                continue  # it ended while we looked
    return total


def _table() -> tuple[dict[int, int], dict[int, str]]:
    """(parent, name) of every process."""
    found = [one.info for one in psutil.process_iter(["pid", "ppid", "name"])]
    return {one["pid"]: one["ppid"] for one in found}, {one["pid"]: one["name"] for one in found}
