"""What gives way at a container's own limit: page cache, swap, nobody."""

from __future__ import annotations

from dataclasses import replace

from harness.judge.laws.circumstances import Circumstances
from harness.model import ContainerSpec, Expectation, Limits, Scale

CHARGES_BYTES = 512 * 1024
"""Swap is the difference of two files, and charges come in batches of 64 pages a CPU."""

_MEMORY = "Documentation/admin-guide/cgroup-v1/memory.rst"
_SWAPPINESS = f"{_MEMORY}, 5.3; mm/vmscan.c, get_scan_count"


def never_swaps(limits: Limits, given: Circumstances) -> bool:
    """Whether nothing of the container is swapped out at its own limit.

    With swappiness 0 the reclaim for a cgroup's limit looks at page cache alone, and kills where
    there is none; that for the host's sake swaps all the same (mm/vmscan.c, ``get_scan_count``).
    """
    return limits.memory_swappiness == 0 and given.engine.cgroup_version == 1


def mixed(
    spec: ContainerSpec, target: tuple[Expectation, ...], given: Circumstances
) -> tuple[Expectation, ...]:
    """Of anonymous memory and page cache together, over the limit: what ``target`` says holds.

    With swappiness 0 none of it is swapped out.
    """
    wanted = spec.limits.memory_swappiness
    if wanted is None:
        return target
    refusal = ""
    if given.engine.cgroup_version != 1:
        refusal = "cgroup v2 has no swappiness of a container: the option is dropped"
    elif not given.host.swap_bytes:
        refusal = "the host has no swap: whatever the swappiness, page cache is what gives way"
    if wanted and not refusal:
        return target
    law = Expectation(
        metric="peak_swap_bytes", value=0.0, low=0.0, high=float(CHARGES_BYTES),
        scale=Scale.ABSOLUTE, law="swappiness-0",
        text="with swappiness 0 nothing is swapped out at the limit",
        source=_SWAPPINESS, bound="--memory-swappiness", not_exercisable=refusal,
    )  # fmt: skip
    return (law, *target)


def standing(laws: tuple[Expectation, ...], given: Circumstances) -> tuple[Expectation, ...]:
    """Where nobody is to be killed: as far as ``laws`` of a kill say, and there it stands still.

    cgroup v2 drops the option, and kills as ever.
    """
    if given.engine.cgroup_version != 1:
        why = "cgroup v2 has no --oom-kill-disable: the option is dropped, and it is killed"
        return tuple(replace(law, explanation=why) for law in laws)
    refusal = next((law.not_exercisable for law in laws), "")
    stands = Expectation(
        metric="under_oom", value=1.0, low=0.0, high=0.0, scale=Scale.ABSOLUTE,
        law="oom-kill-disable", text="at the limit it stands still: under_oom = 1, and none is "
        "killed", source=f"{_MEMORY}, 10", bound="--oom-kill-disable", not_exercisable=refusal,
    )  # fmt: skip
    others = (
        replace(law, value=0.0, text=stands.text) if law.metric == "oom_killed" else law
        for law in laws
    )
    return (stands, *others)
