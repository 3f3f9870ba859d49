"""Findings of limits themselves: held otherwise than asked for, bound from above, unfit."""

from __future__ import annotations

from collections.abc import Iterator

from harness import limits as rules
from harness import units
from harness.inspection.findings.entry import Evidence, Said, entry
from harness.judge import readbacks
from harness.model import UNLIMITED


@entry(
    id="limit-not-held",
    subject="limits",
    grade="bad",
    condition="The kernel holds another value than the engine says now.",
    remedy="It was changed behind the engine's back: docker update sets it again; with Podman "
    "create it again.",
    source="docker inspect: HostConfig, beside the kernel's files; docs/limits.md",
)
def _not_held(of: Evidence) -> Iterator[Said]:
    again = "docker update sets it again." if of.engine.name != rules.PODMAN else "create it again."
    for one in readbacks.readbacks(of.record, of.engine) if of.record.engine else ():
        if one.agrees is False:
            yield Said(one.text, f"It was changed behind the engine's back: {again}")


@entry(
    id="limit-bound-above",
    subject="limits",
    grade="note",
    condition="A cgroup above the container is tighter than its own limit.",
    remedy="Raise that limit first.",
    source="Documentation/admin-guide/cgroup-v2.rst, Top-down Constraint; the same files, from its "
    "cgroup up to the root",
)
def _bound_above(of: Evidence) -> Iterator[Said]:
    force = of.force
    total = units.size(force.memory_swap_bytes or 0)
    for what, at, most in (
        ("CPU", force.cpus_at, f"allows {units.cpus(force.cpus or 0)}"),
        ("memory", force.memory_at, f"allows {units.size(force.memory_bytes or 0)}"),
        ("memory with swap", force.memory_swap_at, f"leaves {total} of both together"),
    ):
        if at:
            yield Said(f"{what} is bound above the container: {at} {most}")


@entry(
    id="period-below-tick",
    subject="period",
    grade="note",
    condition="The period of its quota is shorter than the scheduler's tick: CPU time is charged "
    "tick by tick, so part of the quota is lost.",
    remedy="Use a period of several ticks; the default is 100 ms.",
    source="Documentation/scheduler/sched-bwc.rst; kernel/sched/fair.c",
)
def _below_tick(of: Evidence) -> Iterator[Said]:
    quota_us, period_us = of.kernel.cpu_quota_us, of.kernel.cpu_period_us
    if quota_us in (None, UNLIMITED) or not period_us or period_us * 1000 >= of.host.tick_ns:
        return
    yield Said(f"its period of {period_us} µs is shorter than the scheduler's tick "
               f"({units.milliseconds(of.host.tick_ns)}): part of the quota is lost")  # fmt: skip
