"""Containers below one cgroup that has a limit of memory: who is killed, who is spared."""

from __future__ import annotations

from dataclasses import dataclass

from harness import limits as rules
from harness.judge.laws.circumstances import Circumstances
from harness.model import ContainerSpec, Expectation, Growth, Limits, Point, Scale

NEVER = -1000
"""OOM_SCORE_ADJ_MIN (include/uapi/linux/oom.h)."""
OWN_BYTES = 2 << 20
"""What a container holds besides the memory that its workload touches, at the most."""
NEAR = 0.05
"""Scores that are nearer to each other than this share of the limit tell nothing: what each
container holds besides, page tables, and batches of charges are in them too."""
KEPT_TOLERANCE_BYTES = 1 << 20
"""Pages are taken back in batches of 32 a list (SWAP_CLUSTER_MAX), lists are many."""

_OOM = "mm/oom_kill.c, oom_badness"
_V1 = "Documentation/admin-guide/cgroup-v1/memory.rst, 7; mm/vmscan.c, shrink_zones"
_V2 = "Documentation/admin-guide/cgroup-v2.rst, memory.low"


def expectations(point: Point, parent: Limits, given: Circumstances) -> tuple[Expectation, ...]:
    """The laws of growing containers that share ``parent``'s limit, the main one first."""
    shared = parent.memory_bytes
    if not shared:
        return ()
    loads = [
        _Load(spec, spec.workload) for spec in point.containers if isinstance(spec.workload, Growth)
    ]
    if len(loads) < len(point.containers):
        return ()
    refusal = _not_in_force(shared, given)
    if all(load.growth.kind == "file" for load in loads):
        return _spared(loads[0].spec.limits, loads[0].growth, given, refusal)
    return _killed(loads, shared, refusal, given)


@dataclass(frozen=True, slots=True)
class _Load:
    spec: ContainerSpec
    growth: Growth


def _not_in_force(shared: int, given: Circumstances) -> str:
    """Why the limit around the containers binds nothing; empty where it does, or is not read."""
    if not given.effective:
        return ""
    above = given.of(0)
    if above.memory_bytes == shared and above.memory_at:
        if given.swap_accounted is False and given.swap_bytes:
            return "this kernel does not account for swap (swapaccount=1 is not set)"
        return ""
    held = "none" if above.memory_bytes is None else rules.format_size(above.memory_bytes)
    return (
        f"the limit of {rules.format_size(shared)} around the containers is not in force "
        f"(the tightest is {held}): to set it takes root on the engine's own host"
    )


def scores(
    adjustments: list[int], held_bytes: list[float], limit_bytes: int, page_bytes: int
) -> list[float | None]:
    """How much each is worth killing, in bytes; None where it never is.

    Memory and page tables, and of the adjustment so many thousandths of the limit, by whole
    numbers as the kernel has it: below 1000 pages an adjustment is nothing.
    """
    unit = limit_bytes // page_bytes // 1000 * page_bytes
    return [
        None if adjustment == NEVER else held + adjustment * unit
        for adjustment, held in zip(adjustments, held_bytes, strict=True)
    ]


def _killed(
    loads: list[_Load], shared: int, refusal: str, given: Circumstances
) -> tuple[Expectation, ...]:
    """Of all the one with the highest score, once the last has grown up to the limit."""
    held = [float(load.growth.target_bytes) for load in loads]
    held[-1] = shared - sum(held[:-1])
    adjustments = [load.spec.limits.oom_score_adj or 0 for load in loads]
    if given.refused and min(adjustments) < 0:
        refusal = (
            f"to lower it the engine needs CAP_SYS_RESOURCE, and it started none: {given.refused}"
        )
    found = scores(adjustments, held, shared, given.host.page_bytes)
    ranked = sorted(
        ((score, i) for i, score in enumerate(found) if score is not None), reverse=True
    )
    if not ranked:
        return ()
    (best, victim), *others = ranked
    if others and best - others[0][0] < NEAR * shared:
        refusal = refusal or "two scores are too near to each other to tell who is killed"
    order = [victim, *(i for i in range(len(loads)) if i != victim)]
    told = ", ".join("never" if one is None else f"{one / shared:.2f}" for one in found)
    return tuple(
        Expectation(
            metric="oom_killed", container=i, value=float(i == victim), low=0, high=0,
            scale=Scale.ABSOLUTE, law="oom-choice",
            text="killed is who has the most: memory + oom_score_adj thousandths of the limit",
            source=_OOM, bound="oom_score_adj", not_exercisable=refusal,
            explanation=f"scores, as shares of the limit: {told}" if i == victim else "",
        )
        for i in order
    )  # fmt: skip


def _spared(
    limits: Limits, growth: Growth, given: Circumstances, refusal: str
) -> tuple[Expectation, ...]:
    """What is held below the reservation is taken back after all else, on v2.

    v1 looks at its soft limit where the whole host is short of memory, and nowhere else.
    """
    reserved = limits.memory_reservation_bytes
    if not reserved:
        return ()
    v1 = given.engine.cgroup_version == 1
    if v1:
        refusal = refusal or (
            "the soft limit of cgroup v1 is looked at where the whole host runs out of memory, "
            "and not at a limit around containers; the host is not to be exhausted for this"
        )
    held = float(growth.target_bytes)
    value = max(0.0, min(held, float(reserved - OWN_BYTES)))
    return (
        Expectation(
            metric="kept_bytes", value=value, low=-float(KEPT_TOLERANCE_BYTES),
            high=held - value, scale=Scale.ABSOLUTE, law="reservation-spares",
            text="what is held below --memory-reservation is spared while a neighbour presses",
            source=_V1 if v1 else _V2, bound="--memory-reservation", not_exercisable=refusal,
        ),
    )  # fmt: skip
