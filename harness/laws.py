"""What the documented semantics predict: from limits, host facts and workload to expectations.

Pure. A law's tolerance is part of the law and has a reason; it is not a knob. ``expectations``
gives the laws that a point puts to the test, the one that the point is about first; none where a
point is a measurement without a law.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness import limits as rules
from harness.model import (
    UNLIMITED,
    ContainerSpec,
    EffectiveLimits,
    EngineFacts,
    Expectation,
    HostFacts,
    Limits,
    Point,
    Scale,
)

CPU_TOLERANCE = 0.01
"""The share by which the mean CPU of a window may miss its law. See docs/decisions/003."""
RATIO_TOLERANCE = 0.02
"""The share by which a ratio of CPU may miss the ratio of weights. See docs/decisions/003."""
OUTSIDE_TOLERANCE_CPUS = 0.0
"""A CPU outside the cpuset gives nothing at all: the scheduler may not put a task there."""

_BANDWIDTH = "Documentation/scheduler/sched-bwc.rst"
_CPUSETS = "Documentation/admin-guide/cgroup-v1/cpusets.rst"
_SHARES = "Documentation/scheduler/sched-design-CFS.rst"
_WEIGHTS = "Documentation/admin-guide/cgroup-v2.rst"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a law needs to know besides the point."""

    engine: EngineFacts
    host: HostFacts
    effective: tuple[EffectiveLimits | None, ...] = ()
    """Of each container, as its path to the root was read; empty where nothing was read yet."""
    swap_free_bytes: int | None = None
    """The host's, before the trial; its total where nothing was read yet."""
    swap_accounted: bool | None = None

    @property
    def swap_bytes(self) -> int:
        """The swap that the host can give."""
        return self.host.swap_bytes if self.swap_free_bytes is None else self.swap_free_bytes

    @property
    def cpus(self) -> int:
        """The CPUs that the engine may give."""
        return self.engine.cpus or self.host.cpus

    def of(self, container: int) -> EffectiveLimits:
        """The effective limits of a container; nothing set where they were not read."""
        found = self.effective[container] if container < len(self.effective) else None
        return found or EffectiveLimits()


def expectations(point: Point, given: Circumstances) -> tuple[Expectation, ...]:
    """The laws that a point puts to the test, the main one first."""
    if len(point.containers) > 1:
        return _competition(point, given)
    (spec,) = point.containers
    if spec.workload.name == "memory":
        return _memory(spec, given)
    cpus = _bandwidth(spec, point.duration_s, given)
    if spec.workload.name == "burst":
        return (_ceiling(cpus),)
    found = [cpus]
    if spec.limits.cpuset_cpus:
        found.append(_nothing_outside())
    if point.axis in ("quota", "period"):
        found += _gap(spec, cpus, given)
    return tuple(found)


# --- CPU time ----------------------------------------------------------------------------------


def allowed_cpus(limits: Limits) -> frozenset[int] | None:
    """The CPUs that a cpuset leaves to a container; None where no cpuset was asked for."""
    return rules.parse_cpu_list(limits.cpuset_cpus) if limits.cpuset_cpus else None


def pinned_cpus(specs: Sequence[ContainerSpec]) -> frozenset[int] | None:
    """The CPUs that containers are pinned to, all together; None where one may run on any."""
    pinned = [allowed_cpus(spec.limits) for spec in specs]
    known = [cpus for cpus in pinned if cpus is not None]
    return frozenset[int]().union(*known) if len(known) == len(pinned) else None


def _bandwidth(spec: ContainerSpec, duration_s: float, given: Circumstances) -> Expectation:
    """U = min(threads, quota/period, CPUs allowed), in CPUs."""
    allowed = allowed_cpus(spec.limits)
    capacity = given.cpus if allowed is None else len(allowed)
    # On a tie the limit is named before the workload, and both before the host.
    bounds: list[tuple[float, str]] = []
    quota = rules.quota_and_period_us(spec.limits)
    above = given.of(0)
    if quota:
        bounds.append((_held(quota, above, given) / quota[1], "quota"))
    bounds.append((float(spec.workload.threads), "threads"))
    if above.cpus is not None and above.cpus_at:
        bounds.append((above.cpus, above.cpus_at))
    bounds.append((float(capacity), "host" if allowed is None else "cpuset"))
    value, bound = min(bounds, key=lambda pair: pair[0])
    # The kernel charges a running task at the tick: no difference below one tick of the window
    # can be seen, so for small promises that is the tolerance.
    tolerance = max(CPU_TOLERANCE, given.host.tick_ns / 1e9 / (duration_s * value))
    explanation = ""
    low = -tolerance
    if bound == "quota" and quota and quota[1] * 1000 < given.host.tick_ns:
        low = -SUB_TICK_LOSS
        explanation = (
            f"the period is shorter than the scheduler's tick ({given.host.tick_ns / 1e6:g} ms): "
            "run time is charged at the tick, so part of the quota is lost"
        )
    return Expectation(
        metric="cpus",
        value=value,
        low=low,
        high=tolerance,
        law="cpu-bandwidth" if not explanation else "cpu-bandwidth-below-a-tick",
        text="CPUs used = min(threads, quota/period, CPUs allowed)",
        source=_CPUSETS if bound == "cpuset" else _BANDWIDTH,
        bound=bound,
        capacity_cpus=float(capacity) if value >= capacity else None,
        explanation=explanation,
    )


def _held(quota: tuple[int, int], own: EffectiveLimits, given: Circumstances) -> int:
    """The quota (µs) of those that may be in force that is, as far as it was read back."""
    may_be = rules.held_quotas_us(quota, given.engine.cgroup_driver)
    if own.cpus is not None and not own.cpus_at:
        return next((held for held in may_be if held == round(own.cpus * quota[1])), may_be[0])
    return may_be[0]


def _ceiling(cpus: Expectation) -> Expectation:
    """A load that does not want all of its limit may use less, and never more."""
    return replace(
        cpus, low=-1.0, capacity_cpus=None, law="cpu-ceiling",
        text="CPUs used <= min(threads, quota/period, CPUs allowed)",
    )  # fmt: skip


GAP_SHARE = 0.01
SUB_TICK_LOSS = 0.5
"""Below a tick a container may lose up to half of its quota: see docs/decisions/003."""


def _gap(spec: ContainerSpec, cpus: Expectation, given: Circumstances) -> list[Expectation]:
    """The typical time off the CPU, where quota binds and each thread has a CPU of its own.

    n threads on n CPUs use up the quota together after quota/n and are off until the period ends.
    """
    quota = rules.quota_and_period_us(spec.limits)
    threads, tick_us = spec.workload.threads, given.host.tick_ns / 1000
    allowed = allowed_cpus(spec.limits)
    if quota is None or cpus.bound != "quota":
        return []
    if threads > (given.cpus if allowed is None else len(allowed)):
        return []
    running_us = quota[0] / threads
    # A burst shorter than a tick overshoots it and pays the debt in whole skipped periods: then
    # there is no typical gap. A gap that a tick can swallow is none either.
    if running_us < tick_us or quota[1] - running_us < 2 * tick_us:
        return []
    # While it runs others take a little of its CPU: then it runs longer, and is off for less.
    tolerance_s = (tick_us + GAP_SHARE * quota[1]) / 1e6
    return [
        Expectation(
            metric="gap_s",
            value=(quota[1] - running_us) / 1e6,
            low=-tolerance_s,
            high=tolerance_s,
            scale=Scale.ABSOLUTE,
            law="off-cpu-gap",
            text="off-CPU gap = period - quota/threads, within a tick and 1 % of the period",
            source=_BANDWIDTH,
            bound="quota",
        )
    ]


def _nothing_outside() -> Expectation:
    return Expectation(
        metric="outside_cpus",
        value=0.0,
        low=0.0,
        high=OUTSIDE_TOLERANCE_CPUS,
        scale=Scale.ABSOLUTE,
        law="cpuset",
        text="CPU time on a CPU outside the cpuset = 0",
        source=_CPUSETS,
        bound="cpuset",
    )


# --- competition -------------------------------------------------------------------------------


def weight(limits: Limits, engine: EngineFacts) -> int:
    """What the kernel weighs a container with: cpu.shares on v1, cpu.weight on v2.

    Shares that are not set are 1024 on v1 and weight 100 on v2.
    """
    if engine.cgroup_version == 1:
        return limits.cpu_shares or 1024
    if not limits.cpu_shares:
        return 100
    return rules.weight_of_shares(limits.cpu_shares, engine.runtime, engine.runtime_version)


def _competition(point: Point, given: Circumstances) -> tuple[Expectation, ...]:
    """Containers that all want one and the same CPU share it as their weights."""
    allowed = [allowed_cpus(spec.limits) for spec in point.containers]
    first = allowed[0]
    pinned = first is not None and len(first) == 1 and all(one == first for one in allowed)
    if not pinned:
        return ()  # the balancer moves whole threads: a measurement, and no law
    weights = [weight(spec.limits, given.engine) for spec in point.containers]
    source = _SHARES if given.engine.cgroup_version == 1 else _WEIGHTS
    tolerance = math.log1p(RATIO_TOLERANCE)
    found = [
        Expectation(
            metric="ratio",
            container=i,
            value=weights[i] / weights[-1],
            low=-tolerance,
            high=tolerance,
            scale=Scale.LOG,
            law="cpu-shares",
            text="CPU time of containers that compete = the ratio of their weights",
            source=source,
            bound="shares",
            explanation=_conversion(given, weights),
        )
        for i in range(len(weights) - 1)
    ]
    return (*found, _nothing_outside())


def _conversion(given: Circumstances, weights: Sequence[int]) -> str:
    if given.engine.cgroup_version == 1:
        return ""
    return (
        f"shares become weights ({', '.join(map(str, weights))}) by the formula of "
        f"{given.engine.runtime} {given.engine.runtime_version}"
    )


# --- memory ------------------------------------------------------------------------------------

MEMORY_TOLERANCE_BYTES = 512 * 1024
SWAP_TOLERANCE_BYTES = 4 << 20
"""The kernel charges in batches of pages a CPU, and swaps in clusters."""
_KERNEL_SHARE = 512
"""One page table entry of 8 bytes for each page of 4096: charged to the container too."""
_OWN_BYTES = 400 * 1024
"""What a container holds besides the memory that its workload touches: stacks, tables, slabs."""
_V1_MEMORY = "Documentation/admin-guide/cgroup-v1/memory.rst"


def _memory(spec: ContainerSpec, given: Circumstances) -> tuple[Expectation, ...]:
    """Anonymous memory and tmpfs are charged and end at the limit; page cache only gives way."""
    target = float(spec.workload.target_bytes or 0)
    source = _V1_MEMORY if given.engine.cgroup_version == 1 else _WEIGHTS
    total, bound, refusal = _most_bytes(spec, given)
    if spec.workload.kind != "file":  # page cache gives way at memory.high as at any limit
        refusal = refusal or _slowed(target, total, given.of(0))
    if spec.workload.kind == "file" or total is None or usable_bytes(total) >= target:
        text = (
            "page cache gives way: no kill, whatever is written"
            if spec.workload.kind == "file"
            else "below every limit: the target is reached"
        )
        return (
            _kill(0, text, source, refusal),
            Expectation(
                metric="reached_bytes", value=target, low=0, high=0, scale=Scale.ABSOLUTE,
                law="memory-target", text=text, source=source, bound="workload",
                not_exercisable=refusal,
            ),
        )  # fmt: skip
    memory, _ = _memory_limit(spec, given)
    swaps = memory is not None and total > memory
    tolerance = float(SWAP_TOLERANCE_BYTES if swaps else MEMORY_TOLERANCE_BYTES)
    text = "memory reached = limit - limit/512 (page tables) - 0.4 MiB"
    return (
        Expectation(
            metric="reached_bytes", value=usable_bytes(total), low=-tolerance, high=tolerance,
            scale=Scale.ABSOLUTE, law="memory-and-swap" if swaps else "memory-limit", text=text,
            source=source, bound=bound, not_exercisable=refusal,
        ),
        _kill(1, "beyond the limit the kernel kills", source, refusal),
    )  # fmt: skip


def usable_bytes(limit_bytes: float) -> float:
    """What a workload can touch below a limit on memory, or on memory and swap.

    Measured: 0.4 to 0.6 MiB short of it at 6 to 64 MiB, 1.3 at 512, 4.4 at 2048.
    """
    return limit_bytes - limit_bytes / _KERNEL_SHARE - _OWN_BYTES


def _most_bytes(spec: ContainerSpec, given: Circumstances) -> tuple[float | None, str, str]:
    """(memory and swap that the container can have, what binds, why that is not exercisable)."""
    memory, at = _memory_limit(spec, given)
    if memory is None:
        return None, "host", ""
    total = rules.swap_total_bytes(spec.limits)
    wanted = total not in (None, spec.limits.memory_bytes)
    # Where swap is not accounted for, no total holds: swap is then taken unasked, if there is any.
    if (wanted or (given.swap_accounted is False and given.swap_bytes)) and (
        why := _no_swap(spec.limits, given)
    ):
        return float(memory), at, why
    # On a tie the limit is named before what is above it, and both before the host.
    found: list[tuple[int, str]] = []
    if total not in (None, UNLIMITED):
        found.append((total, "--memory-swap"))
    above = given.of(0)
    if above.memory_swap_bytes is not None and above.memory_swap_at:
        found.append((above.memory_swap_bytes, above.memory_swap_at))
    found.append((memory + given.swap_bytes, "host swap"))
    most, bound = min(found, key=lambda pair: pair[0])
    # Where swap was asked for and none is left, what takes it away is what binds.
    return float(most), at if most <= memory and not wanted else bound, ""


def _memory_limit(spec: ContainerSpec, given: Circumstances) -> tuple[int | None, str]:
    """(memory that the container can have, what binds); None where nothing does."""
    own, above = spec.limits.memory_bytes, given.of(0)
    ancestor = above.memory_bytes if above.memory_at else None
    if ancestor is not None and (own is None or ancestor < own):
        return ancestor, above.memory_at
    return (None, "host") if own is None else (own, "--memory")


def _slowed(target: float, total: float | None, above: EffectiveLimits) -> str:
    """Why memory.high keeps a load from its target or its limit; empty where it does not.

    Above it every charge reclaims first and sleeps, up to 2 s at a time (mm/memcontrol.c,
    ``mem_cgroup_handle_over_high``): how far a load comes then is a matter of time alone.
    """
    high = above.memory_high_bytes
    if high is None or high >= min(target, math.inf if total is None else total):
        return ""
    where = f" of {above.memory_high_at}" if above.memory_high_at else ""
    return f"memory.high{where} ({rules.format_size(high)}) slows it before that"


def _no_swap(limits: Limits, given: Circumstances) -> str:
    """Why what was asked for beyond ``--memory`` cannot be had here; empty where it can."""
    if why := rules.not_supported(limits, given.engine):
        return why
    if not given.host.swap_bytes:
        return "the host has no swap: only the limit's files can be checked"
    if given.swap_accounted is False:
        return "this kernel does not account for swap (swapaccount=1 is not set)"
    return ""


def _kill(expected: int, text: str, source: str, refusal: str) -> Expectation:
    return Expectation(
        metric="oom_killed", value=float(expected), low=0, high=0, scale=Scale.ABSOLUTE,
        law="oom-kill", text=text, source=source, not_exercisable=refusal,
    )  # fmt: skip
