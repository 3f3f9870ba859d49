"""How far a load on memory comes before it is killed, if it is."""

from __future__ import annotations

import math

from harness import limits as rules
from harness.judge.laws import reclaim
from harness.judge.laws.circumstances import Circumstances
from harness.model import (
    UNLIMITED,
    ContainerSpec,
    EffectiveLimits,
    Expectation,
    Growth,
    Limits,
    Scale,
)

MEMORY_TOLERANCE_BYTES = 512 * 1024
SWAP_TOLERANCE_BYTES = 4 << 20
"""The kernel charges in batches of pages a CPU, and swaps in clusters."""
_KERNEL_SHARE = 512
"""One page table entry of 8 bytes for each page of 4096: charged to the container too."""
_OWN_BYTES = 400 * 1024
"""What a container holds besides the memory that its workload touches: stacks, tables, slabs."""
_V1_MEMORY = "Documentation/admin-guide/cgroup-v1/memory.rst"
_V2 = "Documentation/admin-guide/cgroup-v2.rst"


def expectations(
    spec: ContainerSpec, growth: Growth, given: Circumstances
) -> tuple[Expectation, ...]:
    """Anonymous memory and tmpfs are charged and end at the limit; page cache only gives way."""
    found = _growth(spec, growth, given)
    if growth.kind == "mixed":
        return reclaim.mixed(spec, found, given)
    return reclaim.standing(found, given) if spec.limits.oom_kill_disable else found


def _growth(spec: ContainerSpec, growth: Growth, given: Circumstances) -> tuple[Expectation, ...]:
    target = float(growth.target_bytes)
    source = _V1_MEMORY if given.engine.cgroup_version == 1 else _V2
    total, bound, refusal = _most_bytes(spec, given)
    if growth.kind not in ("file", "mixed"):  # page cache gives way at memory.high as at any limit
        refusal = refusal or _slowed(target, total, given.of(0))
    gives_way = growth.kind in ("file", "mixed")
    if gives_way or total is None or usable_bytes(total) >= target:
        text = (
            "page cache gives way: no kill, whatever is written"
            if gives_way
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
    if reclaim.never_swaps(spec.limits, given):
        return float(memory), "--memory-swappiness" if given.swap_bytes else at, ""
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
