"""What the program in a container sees of its host, beside what it may use of it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.cgroup import CgroupPaths, thread_ids
from harness.limits import parse_cpu_list
from harness.model import HostFacts
from harness.mountinfo import parse

_OF_CPUS = (
    "/proc/cpuinfo",
    "/proc/stat",
    "/sys/devices/system/cpu",
    "/sys/devices/system/cpu/online",
)
_OF_MEMORY = ("/proc/meminfo",)

_ISOLATED = "sys/devices/system/cpu/isolated"

_STOPPED = (b"T", b"t")
"""By a signal, by a debugger (proc(5), /proc/PID/stat: state)."""

_LOOK_EVERY_NS = 100_000_000
_COST_SHARE = 0.02
"""A look at a thousand threads takes 15 ms: so much of the time at the most is spent in them."""

AT_ONCE_SHARE = 0.05
AT_ONCE_LEAST = 2
"""Threads are said to run at once where so large a share of the looks saw that many, and no less
than that number of looks: two that met by chance are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What it sees, and how many threads it has. None = not read, or not known from outside."""

    affinity_cpus: int | None = None
    """CPUs by sched_getaffinity(2) of its first process: what a cpuset leaves, no quota."""
    isolated_cpus: int | None = None
    """Those of them over which the scheduler spreads nothing (isolcpus=, isolated partitions)."""
    online_cpus: int | None = None
    """CPUs by /proc/cpuinfo and /sys: the host's, None where another file system stands there."""
    memory_bytes: int | None = None
    """MemTotal of /proc/meminfo, likewise."""
    threads: int | None = None
    """The most at any moment that was looked at."""
    threads_at_once: int | None = None
    """So many that can run were seen at once, throttled ones included, in ``AT_ONCE_SHARE`` of the
    looks."""
    threads_stopped: int | None = None
    """The least at any look that a signal or a debugger had stopped (T, t)."""
    threads_stuck: int | None = None
    """Likewise in a sleep that no signal ends (D): a disk, a network file system, the kernel."""
    looks: int = 0


class ProgramReader:
    """Looks at a container's program from outside; a few times a second at its threads."""

    def __init__(
        self, process: Path, paths: CgroupPaths, host: HostFacts, now_ns: Callable[[], int]
    ) -> None:
        self._isolated = process.parent.parent / _ISOLATED
        self._process, self._paths, self._host, self._now_ns = process, paths, host, now_ns
        self._seen: list[tuple[int, int, int, frozenset[tuple[int, bytes]]]] = []
        """(threads, that can run, that are stopped; which no signal wakes, with their CPU time)"""
        self._next_ns = 0

    def look(self) -> None:
        """Count its threads, where it is time to."""
        began_ns = self._now_ns()
        if began_ns < self._next_ns:
            return
        ids = thread_ids(self._paths)
        if ids:
            told = list(_states(self._process.parent, ids))
            states = [state for _, state, _ in told]
            stopped = sum(map(states.count, _STOPPED))
            # One that used CPU in between has waited for something else since.
            stuck = frozenset((one, time) for one, state, time in told if state == b"D")
            self._seen.append((len(states), states.count(b"R"), stopped, stuck))
        cost_ns = self._now_ns() - began_ns
        self._next_ns = began_ns + max(_LOOK_EVERY_NS, round(cost_ns / _COST_SHARE))

    def taken(self) -> Program:
        """What was seen since the last time that this was asked."""
        seen, self._seen = self._seen, []
        replaced, affinity = self._replaced(), self._affinity()
        return Program(
            affinity_cpus=None if affinity is None else len(affinity),
            isolated_cpus=None if affinity is None else self._isolated_of(affinity),
            online_cpus=None if replaced is None or replaced & {*_OF_CPUS} else self._host.cpus,
            memory_bytes=(
                None if replaced is None or replaced & {*_OF_MEMORY} else self._host.memory_bytes
            ),
            threads=max((threads for threads, *_ in seen), default=None),
            threads_at_once=_often([running for _, running, *_ in seen]),
            threads_stopped=min((stopped for *_, stopped, _ in seen), default=None),
            threads_stuck=(
                len(frozenset.intersection(*(stuck for *_, stuck in seen))) if seen else None
            ),
            looks=len(seen),
        )

    def _isolated_of(self, cpus: frozenset[int]) -> int | None:
        try:
            listed = self._isolated.read_text().strip()
        except OSError:
            return None
        return len(cpus & parse_cpu_list(listed)) if listed else 0

    def _affinity(self) -> frozenset[int] | None:
        try:
            text = (self._process / "status").read_text()
        except OSError:
            return None
        of = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        listed = of.get("Cpus_allowed_list", "").strip()
        return parse_cpu_list(listed) if listed else None

    def _replaced(self) -> set[str] | None:
        """Points over which something is mounted for this process, as lxcfs does; None unread.

        Whoever reads a file of lxcfs is told of its own cgroup, so it cannot be read from here.
        """
        try:
            text = (self._process / "mountinfo").read_bytes()
        except OSError:
            return None
        return {one.point for one in parse(text)}


def where_stopped(process: Path, paths: CgroupPaths) -> Program:
    """Its threads as they are at this moment, where all may be stopped; else nothing of them.

    Of hundreds of containers that is one read each: of the first process, which runs in most.
    """
    first = [state for _, state, _ in _states(process.parent, [int(process.name)])]
    ids = thread_ids(paths) if first and first[0] in _STOPPED else None
    if not ids:
        return Program()
    states = [state for _, state, _ in _states(process.parent, ids)]
    return Program(
        threads=len(states), threads_stopped=sum(map(states.count, _STOPPED)), looks=1
    )  # fmt: skip


def _states(proc: Path, ids: list[int]) -> Iterator[tuple[int, bytes, bytes]]:
    """(thread, its state, its CPU time in ticks) of each that there is."""
    for one in ids:
        try:
            text = _beginning(f"{proc}/{one}/stat")
        except OSError:
            continue  # it has ended
        # proc(5), field 3; a throttled thread can run (R), it only waits for its turn.
        fields = text[text.rindex(b")") + 2 :].split()
        yield one, fields[0], b" ".join(fields[11:13])


def _beginning(path: str) -> bytes:
    """Of a file: a third of what pathlib takes, which counts for hundreds of threads."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 512)
    finally:
        os.close(descriptor)


def _often(counts: list[int]) -> int | None:
    """The highest that was seen in a share of the looks that is no chance."""
    needed = max(AT_ONCE_LEAST, math.ceil(AT_ONCE_SHARE * len(counts)))
    return sorted(counts, reverse=True)[needed - 1] if len(counts) >= needed else None
