"""How much memory: ``--memory``.

With it come ``--memory-swap``, ``--memory-reservation`` and their kin.

Anonymous memory, tmpfs and kernel memory are charged and end at the limit with a kill; page cache
gives way (Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst). ``--memory-swap`` is
memory and swap **together**.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness import units
from harness.limits.forms import (
    FLAG,
    NUMBER,
    SIZE,
    UNLIMITED,
    format_size,
    parse_int,
    parse_v1_size,
)
from harness.limits.row import (
    NOT_READ,
    NOT_SET,
    Chosen,
    Engine,
    Force,
    Levels,
    Limit,
    ReadBack,
    Reading,
    Room,
    Sides,
    Text,
    Written,
    held,
    just,
    limit,
    nearest,
    of_outermost,
    of_own,
    plain,
    tightest,
    tightest_of,
    told,
)

MIN_MEMORY_BYTES = 6 * 1024 * 1024
"""The least ``--memory`` of engines since 20.10; 4 MiB before."""
PAGE_BYTES = 4096
"""The kernel keeps memory limits in pages, rounded down."""
PODMAN = "Podman"
"""``EngineFacts.name`` of Podman behind its Docker-compatible socket."""

_V1 = "Documentation/admin-guide/cgroup-v1/memory.rst"
_V2 = "Documentation/admin-guide/cgroup-v2.rst"


class _Asked(Protocol):
    @property
    def memory_bytes(self) -> int | None: ...

    @property
    def memory_swap_bytes(self) -> int | None: ...

    @property
    def memory_reservation_bytes(self) -> int | None: ...


def swap_total_bytes(limits: _Asked) -> int | None:
    """What ``--memory`` and ``--memory-swap`` allow together: memory and swap, in bytes.

    Not set, or 0, means twice the memory; -1 means no limit (UNLIMITED). None without ``--memory``.
    """
    if limits.memory_bytes is None:
        return None
    if not limits.memory_swap_bytes:
        return 2 * limits.memory_bytes
    return limits.memory_swap_bytes


def not_supported(limits: _Asked, engine: Engine) -> str:
    """What an engine takes without a word and does not do, in words; empty where there is none.

    Podman's compatible API passes ``MemorySwap`` on only where it is positive (measured on 4.3:
    -1 came out as twice the memory, in its inspect and in the kernel).
    """
    if engine.name == PODMAN and limits.memory_swap_bytes == UNLIMITED and limits.memory_bytes:
        return (
            f"not supported by this engine: {engine.name} {engine.version} takes --memory-swap -1 "
            "for not set, which is twice --memory"
        )
    return ""


def _pages(value: int, engine: Engine) -> Sequence[int]:
    del engine
    return (value if value == UNLIMITED else value // PAGE_BYTES * PAGE_BYTES,)


def _total(row: Limit, sides: Sides) -> ReadBack | None:
    """What was asked for is the total that follows from both options."""
    wanted = swap_total_bytes(sides.asked)
    if wanted is None:
        return None
    engine = None if sides.engine is None else sides.engine.memory_swap_bytes
    kernel = None if sides.kernel is None else sides.kernel.memory_swap_bytes
    found = told(row, sides, wanted, engine, kernel)
    # No mismatch: it is told as what the engine does not support.
    return replace(found, agrees=None) if not_supported(sides.asked, sides.of) else found


def _ignored(row: Limit, sides: Sides) -> ReadBack | None:
    """An option that does nothing on any current engine: that is what is told, and no mismatch."""
    wanted = sides.asked.kernel_memory_bytes
    if wanted is None:
        return None
    engine = None if sides.engine is None else sides.engine.kernel_memory_bytes or 0
    kernel = None if sides.kernel is None else sides.kernel.kernel_memory_bytes
    said = "no such file: ignored" if kernel is None else format_size(kernel)
    if kernel is not None and kernel != wanted:
        said += ": ignored"
    return ReadBack(
        option=row.option,
        requested=format_size(wanted),
        engine=NOT_READ if engine is None else format_size(engine) if engine else NOT_SET,
        kernel=NOT_READ if sides.kernel is None else said,
        agrees=None,
    )


def _no_swappiness(value: int, engine: Engine) -> str:
    del value
    return "dropped: cgroup v2 has no swappiness" if engine.cgroup_version == 2 else ""


def _no_oom_control(value: bool, engine: Engine) -> str:
    del value
    return "dropped: cgroup v2 always kills" if engine.cgroup_version == 2 else ""


def _kill_disabled(raw: bytes | None) -> bool | None:
    """The first line of memory.oom_control; None where there is none."""
    words = (raw or b"").split()
    return words[1] != b"0" if words[:1] == [b"oom_kill_disable"] else None


def _v2_total(texts: Sequence[Text]) -> int | None:
    """v2 caps memory and swap each for itself; together they may have the sum."""
    files = (("memory", "memory.max"), ("memory", "memory.swap.max"))
    memory, swap = (tightest([parse_int(text(file)) for text in texts]) for file in files)
    if memory is None or swap is None:
        return None
    return UNLIMITED if UNLIMITED in (memory, swap) else memory + swap


def _memory_in_force(kernel: Any, room: Room) -> Force:
    force = room.effective
    held = None if kernel is None else kernel.memory_bytes
    return _or_host(held, room.memory_bytes, force.memory_bytes, force.memory_at)


def _total_in_force(kernel: Any, room: Room) -> Force:
    """Without a limit of swap the host's is what there is; memory can be limited all the same."""
    force = room.effective
    most = min(room.memory_bytes, force.memory_bytes or room.memory_bytes) + room.swap_bytes
    held = None if kernel is None else kernel.memory_swap_bytes
    return _or_host(held, most, force.memory_swap_bytes, force.memory_swap_at)


def _or_host(held: int | None, host: int, tightest_bytes: int | None, at: str) -> Force:
    if tightest_bytes is None or tightest_bytes > host:
        return (f"{units.size(host)} (host)" if held is not None else NOT_READ), ""
    return units.size(tightest_bytes), at


def _spared(levels: Levels) -> Chosen | None:
    """A protection is worth what each cgroup above has of it, of which siblings take their part.

    A cgroup of its own without one shares what the nearest above has (mm/page_counter.c,
    ``effective_protection``; the mount option memory_recursiveprot).
    """
    known = [(value, at) for at, value in levels if value is not None]
    if levels and levels[0][1]:
        return min(known, key=lambda one: one[0])
    return nearest(levels)


def _so(words: str) -> Callable[[Any], str]:
    """In force at a size: ``slowed at 24.0 MiB``."""
    return lambda size_bytes: f"{words} {units.size(size_bytes)}"


def _from_swappiness(told: Any) -> int | None:
    return None if told in (None, UNLIMITED) else int(told)  # -1: Podman's "not set"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What can be asked for."""

    memory_bytes: int | None = limit(Limit(
        option="--memory", form=SIZE, help="memory, e.g. 64m",
        create="mem_limit", inspect="Memory", update="--memory",
        least=MIN_MEMORY_BYTES, refusal="Docker takes 6m or more.",
        kernel="memory_bytes", due=_pages, compare=plain, inspected="always",
        in_force=_memory_in_force,
        rule="What is charged ends here: anonymous memory, tmpfs and shared memory by a kill, page "
        "cache by giving way. At least 6 MiB.",
        made="Rounded down to a page. Lowered below what is in use, v1 refuses; v2 may kill.",
        source=f"{_V1}; {_V2}",
    ))  # fmt: skip
    memory_swap_bytes: int | None = limit(Limit(
        option="--memory-swap", form=SIZE, help="memory and swap together; -1 for no limit",
        create="memswap_limit", inspect="MemorySwap", update="--memory-swap",
        kernel="memory_swap_bytes", due=_pages, compare=_total, inspected="always",
        in_force=_total_in_force,
        rule="Memory and swap together. Unset or 0: twice --memory; equal to it: no swap; -1: as "
        "much as the host has. Needs --memory, and is not below it.",
        made="v1: the total, as it is. v2: the difference, as memory.swap.max. Podman takes -1 for "
        "not set. Without swap accounting nothing is limited.",
        source="moby daemon/daemon_unix.go, verifyPlatformContainerResources",
    ))  # fmt: skip
    memory_reservation_bytes: int | None = limit(Limit(
        option="--memory-reservation", form=SIZE, help="soft limit of memory",
        least=MIN_MEMORY_BYTES, extra=(0, UNLIMITED), refusal="Docker takes 6m or more.",
        create="mem_reservation", inspect="MemoryReservation", update="--memory-reservation",
        kernel="memory_reservation_bytes", due=_pages, compare=plain, inspected="always",
        in_force=just("no cap"),
        rule="No cap: what it holds below this is spared while others are reclaimed. Not above "
        "--memory.",
        made="v1: the soft limit. v2: memory.low.",
        source=f"{_V1}; {_V2}",
    ))  # fmt: skip
    kernel_memory_bytes: int | None = limit(Limit(
        option="--kernel-memory", form=SIZE, help="ignored since runc 1.0; shown so",
        create="kernel_memory", inspect="KernelMemory", update=None,
        kernel="kernel_memory_bytes", compare=_ignored,
        rule="Does nothing: kernel memory is charged to --memory.",
        made="Gone from current engines, ignored by runc since 1.0, by the kernel since 5.16.",
        source="runc libcontainer/cgroups/fs/memory.go",
    ))  # fmt: skip
    memory_swappiness: int | None = limit(Limit(
        option="--memory-swappiness", form=NUMBER, help="0 to 100",
        create="mem_swappiness", inspect="MemorySwappiness", update=None,
        from_engine=_from_swappiness, least=0, most=100, refusal="Docker takes 0 to 100.",
        kernel="memory_swappiness", dropped=_no_swappiness, compare=plain,
        rule="How readily anonymous memory is swapped out rather than page cache dropped; 0: never "
        "at the container's own limit, where it is killed with swap free.",
        made="v2 has no such file: dropped.",
        source=_V1,
    ))  # fmt: skip

    oom_kill_disable: bool | None = limit(Limit(
        option="--oom-kill-disable", form=FLAG, help="nobody is killed at the limit (v1)",
        create="oom_kill_disable", inspect="OomKillDisable", update=None,
        kernel="oom_kill_disable", dropped=_no_oom_control, compare=plain,
        rule="At --memory nobody is killed: who needs more stands still until some is free. "
        "docker top and exec stand still with it; stop, kill and rm end it.",
        made="v2 has no such thing: dropped, and it is killed.",
        source=_V1,
    ))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MemoryHeld:
    """What the kernel holds. ``memory_swap_bytes`` is the total of both on either version."""

    memory_bytes: int | None = held(
        of_own("memory", "memory.limit_in_bytes", parse=parse_v1_size),
        tightest_of("memory", "memory.max"),
        caps="memory",
    )
    memory_swap_bytes: int | None = held(
        of_own("memory", "memory.memsw.limit_in_bytes", parse=parse_v1_size),
        Reading((("memory", "memory.swap.max"), ("memory", "memory.max")), _v2_total),
        caps="memory",
    )
    swap_bytes: int | None = held(v2=tightest_of("memory", "memory.swap.max"), caps="memory")
    """v2 only: memory.swap.max, which caps swap for itself."""
    memory_reservation_bytes: int | None = held(
        of_own("memory", "memory.soft_limit_in_bytes", parse=parse_v1_size),
        of_outermost("memory", "memory.low"),
    )
    memory_high_bytes: int | None = held(
        v2=tightest_of("memory", "memory.high"), caps="memory",
        written=Written(
            name="memory.high", words=SIZE.words, in_force=_so("slowed at"),
            rule="Above it the kernel takes pages back and slows, and never kills.",
            source=_V2,
        ),
    )  # fmt: skip
    memory_low_bytes: int | None = held(
        v2=of_outermost("memory", "memory.low"),
        written=Written(
            name="memory.low", words=SIZE.words, in_force=_so("spared below"), of=_spared,
            rule="What it holds below this is taken back after all else; no more than each cgroup "
            "above has of it. What --memory-reservation is made.",
            source=_V2,
        ),
    )  # fmt: skip
    memory_min_bytes: int | None = held(
        v2=of_outermost("memory", "memory.min"),
        written=Written(
            name="memory.min", words=SIZE.words, in_force=_so("kept below"), of=_spared,
            rule="What it holds below this is never taken back; no more than each cgroup above "
            "has of it.",
            source=_V2,
        ),
    )  # fmt: skip
    kernel_memory_bytes: int | None = held(
        of_own("memory", "memory.kmem.limit_in_bytes", parse=parse_v1_size)
    )
    """v1 only: memory.kmem.limit_in_bytes, which runc has left alone since 1.0."""
    memory_swappiness: int | None = held(of_own("memory", "memory.swappiness"))
    oom_kill_disable: bool | None = held(
        of_own("memory", "memory.oom_control", parse=_kill_disabled)
    )


def check(limits: _Asked) -> tuple[str, str] | None:
    """(what is wrong, the remedy) of those that stand together; None where nothing is."""
    memory, swap = limits.memory_bytes, limits.memory_swap_bytes
    if swap is not None and swap > 0:
        if memory is None:
            return "--memory-swap needs --memory.", "It is the total of both."
        if swap < memory:
            return (
                f"--memory-swap {format_size(swap)} is below --memory {format_size(memory)}.",
                "It is the total of memory and swap.",
            )
    reservation = limits.memory_reservation_bytes
    if reservation is not None and memory is not None and reservation > memory:
        sizes = f"{format_size(reservation)} is above --memory {format_size(memory)}"
        return f"--memory-reservation {sizes}.", "It must not exceed it."
    return None
