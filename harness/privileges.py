"""What of the host this process may do or see, by its capabilities(7), by its namespaces(7).

Root within a container has few of them, and whoever is root of a user namespace has all of them
over what belongs to that namespace alone, which the host's cgroups do not.
"""

from __future__ import annotations

from pathlib import Path

WHERE_VISIBLE = (
    "Run bench on the engine's own host; from a container give that --pid host and "
    "-v /sys/fs/cgroup:/host/cgroup:ro."
)
"""The remedy where a process or its cgroup does not show from here."""
SYS_ADMIN = 21
SYS_NICE = 23
"""include/uapi/linux/capability.h."""
_INITIAL_PIDS = "pid:[4026531836]"
"""include/linux/proc_ns.h, PROC_PID_INIT_INO."""
_WHOLE_MAP = ["0", "0", "4294967295"]
"""user_namespaces(7): what the initial namespace says of itself."""


def sees_every_process(proc: Path = Path("/proc")) -> bool:
    """Whether this process is in the host's own PID namespace: numbers mean others elsewhere."""
    try:
        return str((proc / "self/ns/pid").readlink()) == _INITIAL_PIDS
    except OSError:
        return True  # a proc without namespaces has no other


def has(capability: int, proc: Path = Path("/proc")) -> bool:
    """Whether this process has a capability over the host itself; False where it cannot be told."""
    try:
        status = (proc / "self/status").read_text()
        initial = (proc / "self/uid_map").read_text().split() == _WHOLE_MAP
    except OSError:
        return False
    held = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), "0")
    return initial and bool(int(held, 16) >> capability & 1)
