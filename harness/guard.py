"""Whether a plan fits the host's memory: what it will use against what is free. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness import limits as rules
from harness.model import UNLIMITED, ContainerSpec, HostConditions, Plan

MOST_SHARE = 0.5
"""A sweep takes at most so much of the memory, and of the swap, that the host has free."""


@dataclass(frozen=True, slots=True)
class Need:
    """What the hungriest point of a plan will use, in bytes."""

    memory_bytes: int
    swap_bytes: int


def need(plan: Plan) -> Need:
    """The most that any trial of the plan uses: all containers of it together."""
    needs = [[_of(spec) for spec in point.containers] for point in plan.points]
    return Need(
        memory_bytes=max((sum(one.memory_bytes for one in trial) for trial in needs), default=0),
        swap_bytes=max((sum(one.swap_bytes for one in trial) for trial in needs), default=0),
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
                f"this sweep would use {_mib(wanted)} of {name}, more than half of the "
                f"{_mib(free)} that the host has free."
            )
    return ""


def _of(spec: ContainerSpec) -> Need:
    target = spec.workload.target_bytes
    if spec.workload.name != "memory" or target is None:
        return Need(0, 0)
    memory = spec.limits.memory_bytes
    if memory is None:
        return Need(target, 0)
    if spec.workload.kind == "file":
        return Need(min(memory, target), 0)  # page cache gives way to itself, never to swap
    total = rules.swap_total_bytes(spec.limits)
    most = target if total in (None, UNLIMITED) else min(target, total or 0)
    return Need(min(memory, most), max(0, most - memory))


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"
