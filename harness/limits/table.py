"""The table of limits.

All families together, and what follows from their rows: what is sent to the engine, and what is
read back.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from harness.errors import PlanError
from harness.limits import cpu, cpuset, io, memory
from harness.limits.cpu import Cpu, CpuHeld
from harness.limits.cpus import EngineCpus
from harness.limits.cpuset import Cpuset, CpusetHeld
from harness.limits.io import Io, IoHeld
from harness.limits.memory import Memory, MemoryHeld
from harness.limits.processes import Processes, ProcessesHeld
from harness.limits.row import (
    File,
    Limit,
    ReadBack,
    Room,
    Sides,
    Text,
    held_of,
    rows_of,
    smallest,
)
from harness.limits.row import inspected as one_inspected
from harness.limits.row import written as one_written
from harness.limits.shares import Shares, SharesHeld
from harness.limits.tmpfs import Tmpfs, TmpfsHeld
from harness.limits.ulimits import Ulimits, UlimitsHeld


@dataclass(frozen=True, kw_only=True)
class Limits(Io, Tmpfs, Ulimits, Processes, Memory, Cpuset, Shares, Cpu):
    """Resource limits of one container, named as Docker's options. None = not set."""


@dataclass(frozen=True, kw_only=True)
class KernelLimits(
    TmpfsHeld, UlimitsHeld, IoHeld, ProcessesHeld, MemoryHeld, CpusetHeld, SharesHeld, CpuHeld
):
    """What the kernel's files say, in the units of ``Limits``. None = that file is not there."""


LIMITS: tuple[Limit, ...] = rows_of(Limits)
"""Every limit's row: CPU time, shares, cpuset, memory, processes, disks, ulimits, tmpfs."""


def kernel_files(version: int) -> tuple[File, ...]:
    """Every file that ``read_kernel`` may need, for who reads them for us elsewhere."""
    readings = (row.on(version) for _, row in held_of(KernelLimits))
    return tuple(dict.fromkeys(file for one in readings if one for file in one.files))


_HELD = dict(held_of(KernelLimits))
_BOTH = {
    "cpus": ("cpu_quota_us", "cpu_period_us"),
    "cpu_quota_us": ("cpu_quota_us",),
    "cpu_period_us": ("cpu_period_us",),
    "cpu_shares": ("cpu_shares", "cpu_weight"),
}
"""Limits that the kernel does not hold in one field of its own."""


def files_of(row: Limit, version: int) -> tuple[File, ...]:
    """The kernel's files that hold a limit on a cgroup version, the usual one first."""
    if version == 1 and (file := io.v1_file(row.field)):
        return (file,)
    kept = [_HELD[name] for name in _BOTH.get(row.field, (row.kernel,)) if name]
    readings = [one for held in kept if (one := held.on(version))]
    return tuple(dict.fromkeys(file for reading in readings for file in reading.files))


def read_kernel(version: int, texts: tuple[Text, ...]) -> KernelLimits:
    """What the kernel holds: ``texts`` reads the container's own cgroup, then the scope around."""
    return KernelLimits(**{
        name: reading.value(texts)
        for name, row in held_of(KernelLimits)
        if (reading := row.on(version)) is not None
    })  # fmt: skip


def to_engine(limits: Limits) -> dict[str, Any]:
    """The limits as docker-py's host config names them; what is not set is not sent."""
    found: dict[str, Any] = {}
    for row in LIMITS:
        value = getattr(limits, row.field)
        if value is not None:
            told = row.to_engine(value)
            found[row.create] = found[row.create] + told if row.create in found else told
        elif row.unasked is not None:
            found[row.create] = row.unasked
    return found


def from_engine(host_config: dict[str, Any]) -> Limits:
    """The limits in ``HostConfig`` of the engine's ``inspect``.

    Quota and period beside NanoCpus are Podman's, which derives them; nobody can ask for both.
    """
    told = {row.field: row.from_engine(host_config.get(row.inspect)) for row in LIMITS}
    if told["cpus"] is not None:
        told["cpu_quota_us"] = told["cpu_period_us"] = None
    return Limits(**told)


def readbacks(sides: Sides) -> list[ReadBack]:
    """Each limit that was requested or is in force unasked, side by side."""
    found = (row.compare(row, sides) for row in LIMITS if row.compare is not None)
    return [one for one in found if one is not None]


def controller_of(row: Limit) -> str:
    """The controller whose files hold a limit; ``cpu`` of those that the kernel holds as one."""
    held = dict(held_of(KernelLimits)).get(row.kernel)
    readings = (held.v1, held.v2) if held else ()
    return next((one.files[0][0] for one in readings if one), "cpu")


def inspected(sides: Sides, room: Room | None) -> list[ReadBack]:
    """Each limit that is worth a line where a container is inspected, side by side."""
    by_option = (one_inspected(row, sides, room) for row in LIMITS)
    by_file = (
        one_written(name, held.written, sides.kernel, room)
        for name, held in held_of(KernelLimits)
        if held.written is not None
    )
    return [one for one in (*by_option, *by_file) if one is not None]


def caps(kernel: KernelLimits) -> frozenset[str]:
    """Of which counters a cgroup has a cap for all below it: ``cpu``, ``memory``, ``pids``."""
    return frozenset(
        held.caps
        for name, held in held_of(KernelLimits)
        if held.caps and smallest([("", getattr(kernel, name))]) is not None
    )


def validate(limits: Limits, *, cpus: EngineCpus) -> None:
    """Refuse what the engine or the kernel would refuse. PlanError with the remedy."""
    for row in LIMITS:
        value = getattr(limits, row.field)
        if value is not None:
            row.check(value)
    for wrong in (cpu.check(limits, cpus), cpuset.check(limits, cpus), memory.check(limits)):
        if wrong is not None:
            raise PlanError(*wrong)


def merged(stronger: Limits, weaker: Limits) -> Limits:
    """The limits of both; where both set one, the first's."""
    set_ = {one.name: getattr(stronger, one.name) for one in fields(Limits)}
    return replace(weaker, **{name: value for name, value in set_.items() if value is not None})
