"""Where a container may run: ``--cpuset-cpus``, ``--cpuset-mems``.

Lists of CPUs and of memory nodes, by their numbers from 0: "0-2" names the first three CPUs. A
cpuset reserves nothing: others may run there too (Documentation/admin-guide/cgroup-v1/cpusets.rst).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness.limits.cpus import EngineCpus
from harness.limits.forms import CPU_LIST, format_cpu_list, parse_cpu_list, parse_list
from harness.limits.row import (
    NOT_SET,
    Force,
    Limit,
    ReadBack,
    Room,
    Sides,
    all_known,
    held,
    limit,
    of_own,
    plain,
)

_CPUSETS = "Documentation/admin-guide/cgroup-v1/cpusets.rst"


def _same(row: Limit, sides: Sides) -> ReadBack | None:
    """By the CPUs that are named, not by how: the engine keeps "0,1", the kernel says "0-1"."""
    found = plain(row, sides)
    if found is None:
        return None
    wanted = parse_cpu_list(getattr(sides.asked, row.field))
    engine = None if sides.engine is None else getattr(sides.engine, row.field)
    kernel = None if sides.kernel is None else getattr(sides.kernel, row.kernel)
    return replace(
        found,
        agrees=all_known(
            False if found.engine == NOT_SET else None,
            *(
                None if told is None else parse_cpu_list(told) == wanted
                for told in (engine, kernel)
            ),
        ),
    )


def _cpus_in_force(_kernel: Any, room: Room) -> Force:
    if room.effective.affinity:
        return f"{room.effective.affinity} (its affinity)", ""
    every = format_cpu_list(frozenset(range(room.cpus)))
    return room.effective.cpuset_cpus or every, room.effective.cpuset_at


@dataclass(frozen=True, kw_only=True)
class Cpuset:
    """What can be asked for."""

    cpuset_cpus: str | None = limit(Limit(
        option="--cpuset-cpus", form=CPU_LIST, help="CPUs, e.g. 0-2,4",
        create="cpuset_cpus", inspect="CpusetCpus", update="--cpuset-cpus",
        kernel="cpuset_cpus", compare=_same, inspected="always", in_force=_cpus_in_force,
        rule="It runs on no other CPU. An offline one is refused; none is reserved for it.",
        made="Taken as it is, as far as every cpuset above allows the CPU.",
        source=_CPUSETS,
    ))  # fmt: skip
    """A list such as ``0-2,4``."""
    cpuset_mems: str | None = limit(Limit(
        option="--cpuset-mems", form=CPU_LIST, help="memory nodes, e.g. 0",
        create="cpuset_mems", inspect="CpusetMems", update="--cpuset-mems",
        kernel="cpuset_mems", compare=_same,
        rule="Its memory comes from these NUMA nodes alone.",
        made="Taken as it is; on a host with one node there is only 0.",
        source=_CPUSETS,
    ))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CpusetHeld:
    """What the kernel holds: what is in effect, where it tells that."""

    cpuset_cpus: str | None = held(
        of_own("cpuset", "cpuset.effective_cpus", "cpuset.cpus", parse=parse_list),
        of_own("cpuset", "cpuset.cpus.effective", "cpuset.cpus", parse=parse_list),
    )
    cpuset_mems: str | None = held(
        of_own("cpuset", "cpuset.effective_mems", "cpuset.mems", parse=parse_list),
        of_own("cpuset", "cpuset.mems.effective", "cpuset.mems", parse=parse_list),
    )
    cpuset_partition: str | None = held(
        v2=of_own("cpuset", "cpuset.cpus.partition", parse=parse_list)
    )
    """v2 only: ``root`` and ``isolated`` have their CPUs from nobody above."""


class _Asked(Protocol):
    @property
    def cpuset_cpus(self) -> str | None: ...

    @property
    def cpuset_mems(self) -> str | None: ...


def check(limits: _Asked, cpus: EngineCpus) -> tuple[str, str] | None:
    """(what is wrong, the remedy) on this engine; None where nothing is.

    Where its CPUs could not be read it says itself which it has not.
    """
    if limits.cpuset_mems is not None:
        parse_cpu_list(limits.cpuset_mems)
    if limits.cpuset_cpus is None:
        return None
    beyond = parse_cpu_list(limits.cpuset_cpus).difference(cpus.numbers)
    if not beyond or not cpus.known:
        return None
    return (
        f"--cpuset-cpus {limits.cpuset_cpus}: CPU {min(beyond)} is not there for containers.",
        f"This engine's containers may run on {cpus.text}.",
    )
