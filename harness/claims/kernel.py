"""What the kernel holds for the container of an experiment, with what it counts."""

from __future__ import annotations

import time
from pathlib import Path

from harness import cgroup, limits
from harness.claims.claim import NotExercisableError
from harness.engine.laboratory import Box
from harness.errors import MeasurementError
from harness.model import KernelLimits, MemoryCounters, Sample

_BECOMES_S, _LOOK_S = 5.0, 0.02


def paths_of(box: Box) -> cgroup.CgroupPaths:
    """Where the cgroups of a running container are; not exercisable where they are not seen."""
    try:
        return cgroup.locate(box.pid, box.id)
    except MeasurementError as error:
        raise NotExercisableError(f"the kernel's files are not visible: {error.message}") from None


def limits_of(box: Box) -> KernelLimits:
    """What the kernel holds for it now."""
    return cgroup.kernel_limits(paths_of(box))


def memory_of(box: Box) -> MemoryCounters:
    """What is charged to it now, and its kills."""
    return cgroup.memory_counters(paths_of(box))


def counted(paths: cgroup.CgroupPaths) -> Sample:
    """All that a cgroup has counted so far."""
    reader = cgroup.CounterReader(paths)
    try:
        return reader.parse(*reader.read_edge())
    finally:
        reader.close()


def sample_of(box: Box) -> Sample:
    """Its counters at this moment."""
    return counted(paths_of(box))


def cpu_ns(box: Box) -> int:
    """The CPU time that its cgroup has used so far, in nanoseconds."""
    used = sample_of(box).cpu_usage_ns
    if used is None:
        raise NotExercisableError("the container's CPU time is not visible")
    return used


def throttled(paths: cgroup.CgroupPaths) -> int:
    """In how many quota periods a cgroup was stopped so far; 0 where it has had no quota."""
    return counted(paths).nr_throttled or 0


def set_quota(paths: cgroup.CgroupPaths, quota_us: int) -> None:
    """Write a quota for each 100 ms into a cgroup's file, past the engine; -1 takes it away."""
    name, text = "cpu.cfs_quota_us", f"{quota_us}"
    if paths.version == 2:
        name, text = "cpu.max", f"{'max' if quota_us < 0 else quota_us} 100000"
    _write(paths, name, text)


def set_weight(paths: cgroup.CgroupPaths, weight: int) -> None:
    """Write cpu.shares (v1) or cpu.weight (v2), past the engine."""
    _write(paths, "cpu.shares" if paths.version == 1 else "cpu.weight", f"{weight}")


def _write(paths: cgroup.CgroupPaths, name: str, text: str) -> None:
    folder = paths.folder("cpu")
    if folder is None:
        raise NotExercisableError("the cpu controller is not visible here")
    try:
        (folder / name).write_text(text)
    except OSError as error:
        why = f"{name} cannot be written here ({error.strerror}): that takes root on this host"
        raise NotExercisableError(why) from None


def cpus_last_used(box: Box) -> set[int]:
    """The CPU that each thread of it ran on last (proc(5), field 39 of ``stat``)."""
    found = set()
    for tasks in (Path("/proc") / str(box.pid) / "task").iterdir():
        fields = (tasks / "stat").read_text().rpartition(")")[2].split()
        found.add(int(fields[36]))
    return found


def cpus_allowed(box: Box) -> frozenset[int]:
    """The CPUs that its first process may run on."""
    lines = dict(line.split(":", 1) for line in proc(box, "status").splitlines())
    return limits.parse_cpu_list(lines["Cpus_allowed_list"].strip())


def proc(box: Box, name: str) -> str:
    """A file of its first process in the host's /proc (``status``, ``cgroup``, …)."""
    return (Path("/proc") / str(box.pid) / name).read_text()


def runs(box: Box, program: str) -> bool:
    """Whether the host's /proc shows its first process as this program, now or in a moment.

    The engine's start returns when the runtime's process is told to become the program (runc's
    exec.fifo), which on a busy host is some time before it is.
    """
    until = time.monotonic() + _BECOMES_S
    while not (seen := proc(box, "cmdline").split("\0", 1)[0] == program):
        if time.monotonic() > until:
            break
        time.sleep(_LOOK_S)
    return seen
