"""CPU time: how much a container can have, on which CPUs, off them for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness import limits as rules
from harness import units
from harness.judge.laws.circumstances import Circumstances
from harness.model import (
    ContainerRecord,
    ContainerSpec,
    EffectiveLimits,
    Expectation,
    Limits,
    Scale,
)

CPU_TOLERANCE = 0.01
"""The share by which the mean CPU of a window may miss its law. See docs/decisions/003."""
OUTSIDE_TOLERANCE_CPUS = 0.0
"""A CPU outside the cpuset gives nothing at all: the scheduler may not put a task there."""
GAP_SHARE = 0.01
SUB_TICK_LOSS = 0.5
"""Below a tick a container may lose up to half of its quota: see docs/decisions/003."""
BELOW_A_TICK = "cpu-bandwidth-below-a-tick"
"""The law of a point where nothing is steady."""

_BANDWIDTH = "Documentation/scheduler/sched-bwc.rst"
_CPUSETS = "Documentation/admin-guide/cgroup-v1/cpusets.rst"


def allowed_cpus(limits: Limits, effective: EffectiveLimits | None = None) -> frozenset[int] | None:
    """The CPUs that cpusets and its affinity leave to a container; None where neither is set.

    A cpuset above loses CPUs by hot-plug, where a VM is resized, by a slice's AllowedCPUs: what is
    in effect below it is never more. An engine may hand its own affinity on.
    """
    asked = rules.parse_cpu_list(limits.cpuset_cpus) if limits.cpuset_cpus else None
    if effective is None:
        return asked
    if effective.affinity:
        return rules.parse_cpu_list(effective.affinity)
    if not effective.cpuset_at or not effective.cpuset_cpus:
        return asked
    above = rules.parse_cpu_list(effective.cpuset_cpus)
    return above if asked is None else asked & above


def cpus_of(container: ContainerRecord) -> frozenset[int] | None:
    """The CPUs that cpusets left to a container that ran; None where it could run on any."""
    return allowed_cpus(container.requested, container.effective)


def pinned_cpus(
    specs: Sequence[ContainerSpec], effective: Sequence[EffectiveLimits | None] = ()
) -> frozenset[int] | None:
    """The CPUs that containers are kept to, all together; None where one may run on any."""
    above = [*effective, *[None] * (len(specs) - len(effective))]
    pinned = [allowed_cpus(spec.limits, at) for spec, at in zip(specs, above, strict=True)]
    known = [cpus for cpus in pinned if cpus is not None]
    return frozenset[int]().union(*known) if len(known) == len(pinned) else None


def bandwidth(spec: ContainerSpec, duration_s: float, given: Circumstances) -> Expectation:
    """U = min(threads, quota/period, CPUs allowed), in CPUs."""
    above = given.of(0)
    allowed = allowed_cpus(spec.limits, above)
    capacity = given.cpus if allowed is None else len(allowed)
    cut = allowed is not None and allowed != allowed_cpus(spec.limits)
    # On a tie the limit is named before the workload, and both before the host.
    bounds: list[tuple[float, str]] = []
    quota = rules.quota_and_period_us(spec.limits)
    if quota:
        bounds.append((_held(quota, above, given) / quota[1], "quota"))
    bounds.append((float(spec.workload.threads), "threads"))
    if above.cpus is not None and above.cpus_at:
        bounds.append((above.cpus, above.cpus_at))
    of_cpus = "host" if allowed is None else "cpuset"
    if cut:
        of_cpus = "affinity" if above.affinity else above.cpuset_at
    bounds.append((float(capacity), of_cpus))
    value, bound = min(bounds, key=lambda pair: pair[0])
    # The kernel charges a running task at the tick: no difference below one tick of the window
    # can be seen, so for small promises that is the tolerance.
    tolerance = max(CPU_TOLERANCE, given.host.tick_ns / 1e9 / (duration_s * value))
    explanation = ""
    low = -tolerance
    # What was saved before may be used in the window, once (sched-bwc.rst, "CFS bandwidth burst").
    saved = (above.cpus_burst_us or 0) / 1e6 / (duration_s * value) if value == above.cpus else 0.0
    if bound == "quota" and quota and quota[1] * 1000 < given.host.tick_ns:
        low = -SUB_TICK_LOSS
        explanation = (
            "the period is shorter than the scheduler's tick "
            f"({units.milliseconds(given.host.tick_ns)}): run time is charged at the tick, so "
            "part of the quota is lost"
        )
    return Expectation(
        metric="cpus",
        value=value,
        low=low,
        high=tolerance + saved,
        law="cpu-bandwidth" if not explanation else BELOW_A_TICK,
        text="CPUs used = min(threads, quota/period, CPUs allowed)",
        source=_CPUSETS if bound == of_cpus != "host" else _BANDWIDTH,
        bound=bound,
        capacity_cpus=float(capacity) if value >= capacity else None,
        explanation=explanation,
        settles=_settled(bound, quota, min(spec.workload.threads, capacity), given)
        if not explanation
        else (),
    )


def _settled(
    bound: str, quota: tuple[int, int] | None, running: int, given: Circumstances
) -> tuple[str, ...]:
    """The metrics that a quota's law makes steady.

    Whether a period is throttled is settled only where the quota is plainly used up before the
    period ends, and is a case of the border elsewhere: where quota and CPUs are the same number, a
    tick more or less decides.
    """
    if bound != "quota" or quota is None or not _stops(quota, running, given):
        return ("cpus",)
    return ("cpus", "throttled_share")


def _stops(quota: tuple[int, int], running: int, given: Circumstances) -> bool:
    """Whether so many running threads plainly stand still at the end of each period.

    A burst shorter than a tick overshoots it and pays the debt in whole skipped periods, and a gap
    that a tick can swallow is none.
    """
    tick_us, running_us = given.host.tick_ns / 1000, quota[0] / running
    return running_us >= tick_us and quota[1] - running_us >= 2 * tick_us


def _held(quota: tuple[int, int], own: EffectiveLimits, given: Circumstances) -> int:
    """The quota (µs) of those that may be in force that is, as far as it was read back."""
    may_be = rules.held_quotas_us(quota, given.engine.cgroup_driver)
    if own.cpus is not None and not own.cpus_at:
        return next((held for held in may_be if held == round(own.cpus * quota[1])), may_be[0])
    return may_be[0]


def ceiling(cpus: Expectation) -> Expectation:
    """A load that does not want all of its limit may use less, and never more."""
    return replace(
        cpus, low=-1.0, capacity_cpus=None, law="cpu-ceiling",
        text="CPUs used <= min(threads, quota/period, CPUs allowed)",
    )  # fmt: skip


def gap(spec: ContainerSpec, cpus: Expectation, given: Circumstances) -> list[Expectation]:
    """The typical time off the CPU, where quota binds and each thread has a CPU of its own.

    n threads on n CPUs use up the quota together after quota/n and are off until the period ends.
    """
    quota = rules.quota_and_period_us(spec.limits)
    threads, tick_us = spec.workload.threads, given.host.tick_ns / 1000
    allowed = allowed_cpus(spec.limits, given.of(0))
    if quota is None or cpus.bound != "quota":
        return []
    if threads > (given.cpus if allowed is None else len(allowed)):
        return []
    if not _stops(quota, threads, given):  # then there is no typical gap
        return []
    # While it runs others take a little of its CPU: then it runs longer, and is off for less.
    tolerance_s = (tick_us + GAP_SHARE * quota[1]) / 1e6
    return [
        Expectation(
            metric="gap_s",
            value=_still_s(quota, threads),
            low=-tolerance_s,
            high=tolerance_s,
            scale=Scale.ABSOLUTE,
            law="off-cpu-gap",
            text="off-CPU gap = period - quota/threads, within a tick and 1 % of the period",
            source=_BANDWIDTH,
            bound="quota",
        )
    ]


def _still_s(quota: tuple[int, int], threads: int) -> float:
    """How long threads that all want the CPU stand still in each period."""
    return (quota[1] - quota[0] / threads) / 1e6


def standstill_s(spec: ContainerSpec) -> float | None:
    """What a throttled period holds a container's threads back for; None where no quota can."""
    quota, threads = rules.quota_and_period_us(spec.limits), spec.workload.threads
    if quota is None or quota[0] >= threads * quota[1]:
        return None
    return _still_s(quota, threads)


def nothing_outside() -> Expectation:
    """A CPU outside the cpuset does nothing."""
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
