"""Whether a plan fits the host's memory: what it will use against what is free. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness import limits as rules
from harness import units
from harness.model import UNLIMITED, ContainerSpec, Growth, HostConditions, Io, Plan, Point, Take

MOST_SHARE = 0.5
"""A sweep takes at most so much of the memory, and of the swap, that the host has free."""


@dataclass(frozen=True, slots=True)
class Need:
    """What the hungriest point of a plan will use, in bytes."""

    memory_bytes: int
    swap_bytes: int


def need(plan: Plan) -> Need:
    """The most that any trial of the plan uses: all containers of it together."""
    needs = [_together(point) for point in plan.points]
    return Need(
        memory_bytes=max((one.memory_bytes for one in needs), default=0),
        swap_bytes=max((one.swap_bytes for one in needs), default=0),
    )


def refusal(plan: Plan, now: HostConditions) -> str:
    """Why the plan would starve the host, with the numbers; empty where it would not."""
    needed = need(plan)
    for name, wanted, free in (
        ("memory", needed.memory_bytes, now.memory_available_bytes),
        # Without any swap there is none to exhaust: the limit's files are all that is checked.
        ("swap", needed.swap_bytes if now.swap_free_bytes else 0, now.swap_free_bytes),
    ):
        if wanted > MOST_SHARE * free:
            return (
                f"this sweep would use {units.size(wanted)} of {name}, more than half of the "
                f"{units.size(free)} that the host has free."
            )
    return ""


def _together(point: Point) -> Need:
    """All containers of a trial; no more than the cgroup around them may have."""
    each = [_of(spec) for spec in point.containers]
    memory, swap = sum(one.memory_bytes for one in each), sum(one.swap_bytes for one in each)
    shared = point.parent.memory_bytes if point.parent else None
    return Need(memory if shared is None else min(memory, shared), swap)


def _of(spec: ContainerSpec) -> Need:
    growth = spec.workload
    if isinstance(growth, Io):
        room = growth.scratch.size_bytes  # of what lies in memory: other files' pages give way
        return Need(min(growth.file_bytes, room or 0), 0)
    if isinstance(growth, Take):
        taken = growth.most if growth.kind in ("lock", "stack", "file") else 0
        return Need(min(taken, spec.limits.memory_bytes or taken), 0)
    if not isinstance(growth, Growth):
        return Need(0, 0)
    target = growth.target_bytes
    memory = spec.limits.memory_bytes
    if memory is None:
        return Need(target, 0)
    if growth.kind == "file":
        return Need(min(memory, target), 0)  # page cache gives way to itself, never to swap
    total = rules.swap_total_bytes(spec.limits)
    most = target if total in (None, UNLIMITED) else min(target, total or 0)
    return Need(min(memory, most), max(0, most - memory))
