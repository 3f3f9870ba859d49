"""Findings of memory against its limits, with swap."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from harness import units
from harness.inspection.counted import CgroupUse
from harness.inspection.findings.entry import Evidence, Said, entry
from harness.model import UNLIMITED
from harness.wording import counted

MEMORY_NEAR = 0.9
"""From this share of its limit on memory is told to be near it."""

SLAB_TOLD = 0.01
"""From this share of the limit on the kernel's dentries and inodes are told of."""

HOST_SHORT, HOST_SHORT_BYTES = 0.05, 1 << 30
"""Below this share of its memory, and below so much, a host is told to have little left."""

_V1 = "Documentation/admin-guide/cgroup-v1/memory.rst"
_V2 = "Documentation/admin-guide/cgroup-v2.rst"
_GIVES_WAY = f"memory.stat; {_V2}: memory.stat (shmem, inactive_file, unevictable); mm/vmscan.c"


class _Memory(NamedTuple):
    """What is held of one limit: the container's own, or one above it that others fill too."""

    use: CgroupUse
    """Of the cgroup whose limit it is."""
    held_bytes: int
    limit_bytes: int
    at: str = ""
    """The cgroup above that sets it."""
    own_bytes: int | None = None
    """What of it is the container's, in one above."""
    with_swap: bool = False
    """Whether it is v1's limit of memory and swap together: swapping gets nothing below it."""

    @property
    def gives_way_bytes(self) -> int:
        """Where the kernel tells no page cache (a cgroup read in part), none is assumed."""
        return (self.use.evictable_bytes or 0) + (self.use.slab_reclaimable_bytes or 0)

    @property
    def given_way(self) -> str:
        """What can give way, in words: with dentries and inodes where they are worth a word."""
        slab = self.use.slab_reclaimable_bytes or 0
        told = slab >= SLAB_TOLD * self.limit_bytes
        more = f" and {units.size(slab)} the kernel's dentries and inodes" if told else ""
        return f"{units.size(self.use.evictable_bytes or 0)} of it is page cache{more}"

    @property
    def near(self) -> bool:
        return self.held_bytes >= MEMORY_NEAR * self.limit_bytes

    @property
    def stays_near(self) -> bool:
        """Whether it is near its limit with what cannot give way alone."""
        return self.held_bytes - self.gives_way_bytes >= MEMORY_NEAR * self.limit_bytes

    @property
    def hemmed_in(self) -> bool:
        """Whether it is, and still runs."""
        return self.stays_near and not self.use.under_oom

    @property
    def swaps(self) -> bool:
        """Whether swap takes what is beyond the limit, for a while."""
        room = 0 if self.with_swap else self.use.swap_room_bytes or 0
        return room >= self.limit_bytes - MEMORY_NEAR * self.limit_bytes

    @property
    def said(self) -> str:
        held, limit = units.size(self.held_bytes), units.size(self.limit_bytes)
        share = f"{self.held_bytes / self.limit_bytes:.0%}"
        if self.with_swap:
            limit += " of memory and swap together"
        if self.own_bytes is None:
            of_at = f"the {limit} of {self.at}" if self.at else limit
            return f"{held} of {of_at} ({share})"
        others, own = units.size(max(0, self.held_bytes - self.own_bytes)), self.own_bytes
        return (
            f"of the {limit} of {self.at} others hold {others}, it holds {units.size(own)} "
            f"({share} together)"
        )

    @property
    def only_so_much(self) -> str:
        """The same, with what of it can give way."""
        shmem = self.use.shmem_bytes
        of_it = f" ({units.size(shmem)} are tmpfs and shared memory)" if shmem else ""
        said = f"{self.said}, and only {self.given_way} that can give way"
        stays = (
            "; swappiness is 0, so none of it is swapped out at its limit"
            if self.use.swappiness == 0 and not self.with_swap
            else ""
        )
        return f"{said}{of_it}{stays}"

    @property
    def killer(self) -> str:
        return f"the OOM killer of {self.at}" if self.at else "its OOM killer"

    def remedy(self, more: str = "") -> str:
        """To raise what binds; empty where that is the container's own, which the entry says."""
        return f"Raise the memory limit of {self.at}{more}, or move others out." if self.at else ""


def _memories(of: Evidence) -> list[_Memory]:
    """Each limit that can bind, with what fills it; none where nothing was measured or limits it.

    Of the container's own and those above not the smallest number binds but the fullest.
    """
    use, at = of.use, of.force.memory_at
    if use.memory_bytes is None:
        return []
    found = [
        _Memory(one, one.memory_bytes, one.memory_limit_bytes, one.at, use.memory_bytes)
        for one in use.above
        if one.memory_bytes is not None and one.memory_limit_bytes
    ]
    # Where a tighter one is above, its own is never met.
    if use.memory_limit_bytes and at not in [one.at for one in found]:
        found.insert(0, _Memory(use, use.memory_bytes, use.memory_limit_bytes, at))
    return [*found, *_with_swap(of, [one.at for one in found if one.stays_near])]


def _with_swap(of: Evidence, near: Collection[str]) -> Iterator[_Memory]:
    """v1's limits of both together, where some is swapped out and memory alone is not near its own.

    The total is charged first (mm/memcontrol.c, ``try_charge_memcg``): it ends in a kill whatever
    share of it lies in swap.
    """
    for use, at in ((of.use, of.force.memory_swap_at), *((one, one.at) for one in of.use.above)):
        if use is of.use and at in [one.at for one in of.use.above]:
            continue
        limit, swapped = use.total_limit_bytes, use.swap_bytes
        if limit and swapped and use.memory_bytes is not None and at not in near:
            own = None if use is of.use else (of.use.memory_bytes or 0) + (of.use.swap_bytes or 0)
            yield _Memory(use, use.memory_bytes + swapped, limit, at, own, with_swap=True)


def _beyond_host(of: Evidence) -> bool:
    """Whether its limit is more than the host has: then the host's memory is what ends."""
    return bool(of.host.memory_bytes) and of.use.memory_limit_bytes is not None and (
        of.use.memory_limit_bytes > of.host.memory_bytes
    )  # fmt: skip


def _host_is_short(of: Evidence) -> int | None:
    """What the host has left, with swap, where that is little and less than its limits leave."""
    use, whole = of.use, of.host.memory_bytes
    if use.host_available_bytes is None or use.memory_bytes is None or not whole:
        return None
    left = use.host_available_bytes + (use.host_swap_free_bytes or 0)
    rooms = [one.limit_bytes - one.held_bytes + one.gives_way_bytes for one in _memories(of)]
    short = min(HOST_SHORT * whole, HOST_SHORT_BYTES)
    return left if left < short and left < min(rooms, default=whole) else None


def _calm(of: Evidence) -> _Memory | None:
    """The fullest, where none is near its limit with what cannot give way, nor is the host."""
    found = _memories(of)
    if any(one.stays_near or one.use.under_oom for one in found):
        return None
    slowed = any(_slowings(of))
    if slowed or _beyond_host(of) or _host_is_short(of) is not None:
        return None
    return max(found, key=lambda one: one.held_bytes / one.limit_bytes, default=None)


def raise_above(of: Evidence) -> str:
    """To raise the limit above that was met, where it was and the own one was not; else empty."""
    met = [one for one in _memories(of) if one.use.limit_hits or one.stays_near]
    return met[0].remedy() if met and all(one.at for one in met) else ""


@entry(
    id="memory-oom-killed",
    subject="memory",
    grade="bad",
    condition="The kernel killed a process in it for memory within the window.",
    remedy="Raise --memory, or find the leak.",
    source=f"memory.oom_control and memory.events: oom_kill; {_V2}",
)
def _oom_killed(of: Evidence) -> Iterator[Said]:
    if of.use.oom_kills:
        killed = counted(of.use.oom_kills, "process")
        yield Said(f"the kernel killed {killed} in it for memory just now", raise_above(of))


@entry(
    id="memory-others-oom-killed",
    subject="memory",
    grade="bad",
    condition="A cgroup above met its memory limit within the window, and the kernel killed a "
    "process in it that is not the container's: the next may be.",
    remedy="Raise that limit, or move others out.",
    source=f"memory.events: oom_kill, max; {_V2}",
)
def _others_oom_killed(of: Evidence) -> Iterator[Said]:
    for one in _memories(of):
        others = (one.use.oom_kills or 0) - (of.use.oom_kills or 0)
        if one.at and one.own_bytes is not None and one.use.limit_hits and others > 0:
            killed = counted(others, "process")
            yield Said(f"the kernel killed {killed} of others in {one.at} for memory just now: "
                       "the limit that it met is this one's too", one.remedy())  # fmt: skip


@entry(
    id="memory-oom-killed-before",
    subject="memory",
    grade="note",
    condition="The kernel has killed a process in it for memory since it began, none in the "
    "window.",
    remedy="Raise --memory, or find the leak.",
    source=f"memory.oom_control and memory.events: oom_kill; {_V2}",
)
def _oom_killed_before(of: Evidence) -> Iterator[Said]:
    if of.use.oom_kills_ever and not of.use.oom_kills:
        killed = counted(of.use.oom_kills_ever, "process")
        yield Said(f"the kernel has killed {killed} in it for memory since it began")


@entry(
    id="memory-no-limit",
    subject="memory",
    grade="note",
    condition="No limit of its own or of a cgroup above binds its memory, or it is more than the "
    "host has. memory.high is no such limit: it slows, and ends nothing.",
    remedy="Set --memory where others must be protected from it.",
    source=f"memory.limit_in_bytes, memory.max; {_V2}",
)
def _no_limit(of: Evidence) -> Iterator[Said]:
    limit, high = of.use.memory_limit_bytes, of.force.memory_high_bytes
    if of.use.memory_bytes is None or not (limit is None or _beyond_host(of)):
        return
    none = "no limit that is visible from here" if of.seen.root_unseen else "no limit"
    if limit is not None:
        none = f"its limit of {units.size(limit)} is more than the host's "
        none += units.size(of.host.memory_bytes)
    slows = f" (memory.high slows it above {units.size(high)})" if high is not None else ""
    ends = "the host's memory is all that ends its growth"
    if of.seen.root_unseen:
        ends = "a limit above what is visible may end its growth before the host's memory does"
    yield Said(f"{none}{slows}: it holds {units.size(of.use.memory_bytes)}, and {ends}")


@entry(
    id="memory-host-short",
    subject="memory",
    grade="bad",
    condition=f"The host has less than {HOST_SHORT:.0%} of its memory left, free swap with it, "
    "and less than the container's limits still leave it: the host's own OOM killer comes "
    "first, and chooses among all.",
    remedy="Free memory on the host, or limit those that hold it: limits that add up to more than "
    "the host has protect nobody.",
    source="/proc/meminfo: MemAvailable, SwapFree; mm/oom_kill.c, out_of_memory",
)
def _host_short(of: Evidence) -> Iterator[Said]:
    left = _host_is_short(of)
    if left is not None:
        whole = units.size(of.host.memory_bytes)
        yield Said(
            f"the host has {units.size(left)} of {whole} left, less than its limits leave it: the "
            "host's own OOM killer comes first"
        )


@entry(
    id="memory-not-counted",
    subject="memory",
    grade="note",
    condition="Its CPU time is counted and its memory is not: it has no memory controller, and no "
    "limit of memory holds. An engine discards --memory there with a warning alone.",
    remedy="Boot with cgroup_enable=memory (Raspberry Pi: cmdline.txt); on v2 the cgroups above "
    "must hand it down (cgroup.subtree_control; Delegate=yes of a rootless engine's unit).",
    source=f"/proc/cgroups; {_V2}, Enabling and Disabling",
)
def _not_counted(of: Evidence) -> Iterator[Said]:
    elsewhere = of.seen.named.elsewhere if of.seen.named else {}
    threaded = bool(of.seen.named and of.seen.named.threaded)
    known = threaded or "memory" in of.seen.moved or "memory" in elsewhere
    if of.use.cpus is not None and of.use.memory_bytes is None and not known:
        why = of.record.absent.get("memory_bytes", "its files cannot be read")
        limit = of.force.memory_bytes
        if limit is None or limit == UNLIMITED:
            yield Said(f"it is neither counted nor limited: {why}")
        else:
            whose = f" of {of.force.memory_at}" if of.force.memory_at else ""
            yield Said(f"it is not counted by itself, and {units.size(limit)}{whose} limit it: "
                       f"{why}")  # fmt: skip


@entry(
    id="memory-stands-still",
    subject="memory",
    grade="bad",
    condition="It is at its limit with its OOM killer off (--oom-kill-disable): under_oom is 1, "
    "and its tasks wait until memory is freed.",
    remedy="Raise --memory, or free some of what it holds.",
    source=f"{_V1}, 10. OOM Control: oom_kill_disable, under_oom",
)
def _stands_still(of: Evidence) -> Iterator[Said]:
    for one in _memories(of):
        if one.use.under_oom:
            yield Said(
                f"{one.said}, and {one.killer} is off (--oom-kill-disable): its tasks stand still "
                "at the limit until memory is freed or the limit raised",
                one.remedy(),
            )


@entry(
    id="memory-below-limit",
    subject="memory",
    grade="ok",
    condition=f"It holds less than {MEMORY_NEAR:.0%} of its limit, page cache and all, and so do "
    "all in each cgroup above.",
    source=f"memory.usage_in_bytes, memory.current; {_V2}",
)
def _below_limit(of: Evidence) -> Iterator[Said]:
    if (memory := _calm(of)) and not memory.near:
        yield Said(memory.said)


@entry(
    id="memory-page-cache",
    subject="memory",
    grade="ok",
    condition=f"It holds {MEMORY_NEAR:.0%} of its limit or more, but less than that without the "
    "page cache that the kernel can take back (no tmpfs, no shared memory, nothing that is "
    "mlocked).",
    source=_GIVES_WAY,
)
def _page_cache(of: Evidence) -> Iterator[Said]:
    if (memory := _calm(of)) and memory.near:
        yield Said(f"{memory.said}, but {memory.given_way}, which gives way: that alone kills "
                   "nothing")  # fmt: skip


@entry(
    id="memory-oom-killer-off",
    subject="memory",
    grade="bad",
    condition=f"What cannot give way is {MEMORY_NEAR:.0%} of its limit or more, and its OOM "
    "killer is off: at the limit its tasks will stand still.",
    remedy="Raise --memory.",
    source=f"{_V1}, 10. OOM Control: oom_kill_disable",
)
def _oom_killer_off(of: Evidence) -> Iterator[Said]:
    for one in _memories(of):
        if one.hemmed_in and one.use.oom_kill_disabled:
            yield Said(f"{one.only_so_much}; {one.killer} is off: at the limit its tasks will "
                       "stand still", one.remedy())  # fmt: skip


@entry(
    id="memory-will-swap",
    subject="memory",
    grade="note",
    condition=f"What cannot give way is {MEMORY_NEAR:.0%} of its limit or more, and "
    f"{1 - MEMORY_NEAR:.0%} of the limit or more may still be swapped out: by its own limit, by "
    "those above, and of the host's swap.",
    remedy="Raise --memory where swapping costs too much.",
    source=f"{_GIVES_WAY}; memory.memsw.limit_in_bytes, memory.swap.max",
)
def _will_swap(of: Evidence) -> Iterator[Said]:
    for one in _memories(of):
        if one.hemmed_in and not one.use.oom_kill_disabled and one.swaps:
            left = units.size(one.use.swap_room_bytes or 0)
            yield Said(f"{one.only_so_much}: it will swap, for which {left} are left",
                       one.remedy(" where swapping costs too much"))  # fmt: skip


@entry(
    id="memory-oom-near",
    subject="memory",
    grade="bad",
    condition=f"What cannot give way is {MEMORY_NEAR:.0%} of its limit or more, and less than "
    f"{1 - MEMORY_NEAR:.0%} of the limit can be swapped out.",
    remedy="Raise --memory.",
    source=_GIVES_WAY,
)
def _oom_near(of: Evidence) -> Iterator[Said]:
    for one in _memories(of):
        if one.hemmed_in and not one.use.oom_kill_disabled and not one.swaps:
            yield Said(f"{one.only_so_much}: an OOM kill is near", one.remedy())


@entry(
    id="memory-limit-met",
    subject="memory",
    grade="note",
    condition="Its limit, or that of a cgroup above, was met within the window, and the kernel had "
    "to take pages back before there was more.",
    remedy="Raise --memory where that costs too much.",
    source=f"memory.failcnt; memory.events: max; {_V2}",
)
def _limit_met(of: Evidence) -> Iterator[Said]:
    if of.use.limit_hits and of.use.memory_bytes is not None:
        yield Said(f"it met its limit {counted(of.use.limit_hits, 'time')} in the window, and the "
                   "kernel had to take pages back first")  # fmt: skip
    for one in of.use.above:
        if one.limit_hits:
            yield Said(
                f"all in {one.at} met its limit {counted(one.limit_hits, 'time')} in the window, "
                "and the kernel had to take pages back first, whoever's they were",
                f"Raise the memory limit of {one.at} where that costs too much.",
            )


@entry(
    id="memory-slowed-at-high",
    subject="memory",
    grade="note",
    condition="It was slowed at memory.high within the window, its own or that of a cgroup above: "
    "above it the kernel takes pages back and lets it wait, and kills nothing.",
    remedy="Raise memory.high: whoever runs the slice or the pod sets it.",
    source=f"memory.events: high; {_V2}: memory.high",
)
def _slowed_at_high(of: Evidence) -> Iterator[Said]:
    for whose, hits, high_bytes in _slowings(of):
        yield Said(f"it was slowed {counted(hits, 'time')} at {whose} "
                   f"({units.size(high_bytes)}): above it the kernel takes pages back and "
                   "lets it wait, and kills nothing")  # fmt: skip


def _slowings(of: Evidence) -> Iterator[tuple[str, int, int]]:
    """(whose memory.high, how often in the window, its bytes)."""
    own = None if of.force.memory_high_at else of.force.memory_high_bytes
    high = [("its memory.high", of.use.high_hits, own)]
    high += [
        (f"memory.high of {one.at}", one.high_hits, one.memory_high_bytes) for one in of.use.above
    ]
    for whose, hits, high_bytes in high:
        if hits and high_bytes is not None:
            yield whose, hits, high_bytes


@entry(
    id="swap-used",
    subject="swap",
    grade="note",
    condition="Some of its memory is swapped out.",
    remedy="Raise --memory, or set --memory-swap equal to it.",
    source=f"memory.memsw.usage_in_bytes, memory.swap.current; {_V2}",
)
def _swap_used(of: Evidence) -> Iterator[Said]:
    if of.use.swap_bytes and of.use.memory_bytes is not None:
        yield Said(f"{units.size(of.use.swap_bytes)} of it is swapped out")


@entry(
    id="swap-not-accounted",
    subject="swap",
    grade="note",
    condition="--memory-swap was asked for, and this kernel does not account for a container's "
    "swap.",
    remedy="Boot with swapaccount=1.",
    source="Documentation/admin-guide/kernel-parameters.txt: swapaccount=",
)
def _swap_not_accounted(of: Evidence) -> Iterator[Said]:
    absent, asked = of.record.absent, of.record.requested.memory_swap_bytes
    if "total_bytes" in absent and asked and of.use.memory_bytes is not None:
        yield Said("this kernel does not account for a container's swap, so --memory-swap limits "
                   "nothing")  # fmt: skip
