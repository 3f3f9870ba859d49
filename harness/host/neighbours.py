"""Which others used the host's CPUs between two moments, by name.

By proc(5): the time of each process, that of its ended and waited-for children with it, so that
what a compiler's driver starts is the driver's. What those had used before the first moment is
taken off: a shell that waits for an hour's work is no neighbour of an hour. A container, whoever
runs it, is told as one, and so are the kernel's own threads.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.host.process import stat_fields
from harness.model import Neighbour

TOLD = 3
"""So many at the most, the greatest first."""
LEAST_CPUS = 0.02
_PF_KTHREAD = 0x00200000
"""Of the flags (include/linux/sched.h): a thread of the kernel's."""
_CONTAINER = re.compile(rb"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Process:
    name: str
    container: str
    """The id in its cgroup's path; empty outside of containers."""
    parent: int
    ticks: int
    """Its own."""
    waited: int
    """Those of its children that have ended and were waited for, each with all its life."""
    kernel: bool


_Key = tuple[int, int]
"""Pid and start: a number is given again."""


class Census:
    """The host's processes at its making, to be set beside those of a later moment."""

    def __init__(
        self, proc: Path = Path("/proc"), now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._proc, self._now_s = proc, now_s
        self._at_s, self._before = now_s(), _processes(proc)

    def since(self, ours: Collection[str]) -> tuple[Neighbour, ...]:
        """Who used CPU since then, but for the containers of these ids; the greatest first.

        What began since counts from its beginning, so a share can be too large by what a process
        had used before it came into sight, and what ended unseen and unwaited-for is missing.
        """
        span_s = self._now_s() - self._at_s
        if span_s <= 0:
            return ()
        now = _processes(self._proc)
        waited = self._waited(now)
        ticks, of_kernel = Counter[str](), Counter[str]()
        for key, process in now.items():
            if process.container and process.container in ours:
                continue
            before = self._before.get(key)
            grown = process.ticks - (before.ticks if before else 0) + waited[key]
            if process.kernel:
                of_kernel[process.name] += grown
            elif process.container:
                ticks[f"container {process.container[:12]}"] += grown
            else:
                ticks[f"{process.name} (pid {key[0]})"] += grown
        per_cpu = span_s * os.sysconf("SC_CLK_TCK")
        found = [Neighbour(name=name, cpus=grown / per_cpu) for name, grown in ticks.items()]
        for name, _ in of_kernel.most_common(1):
            found.append(Neighbour(
                name=f"threads of the kernel ({name} most)", cpus=of_kernel.total() / per_cpu,
                kernel=True,
            ))  # fmt: skip
        noted = sorted((one for one in found if one.cpus >= LEAST_CPUS), key=lambda one: -one.cpus)
        return tuple(noted[:TOLD])

    def _waited(self, now: Mapping[_Key, _Process]) -> dict[_Key, int]:
        """By how much the time of children grew, but for what those had used before.

        Whoever waits for a child is given all that it ever used. That is the nearest that lives of
        those it descended from, or one further up, where it was handed on.
        """
        grown = {
            key: process.waited - (was.waited if (was := self._before.get(key)) else 0)
            for key, process in now.items()
        }
        known = {pid: (pid, start) for pid, start in self._before}
        for key, ended in self._before.items():
            if key in now:
                continue
            used, above, passed = ended.ticks + ended.waited, known.get(ended.parent), {key}
            while used > 0 and above is not None and above not in passed:
                passed.add(above)  # what changes while it is read could be a circle
                taken = min(used, grown.get(above, 0))
                if taken:
                    grown[above] -= taken
                    used -= taken
                above = known.get(self._before[above].parent)
        return grown


def _processes(proc: Path) -> dict[_Key, _Process]:
    # By names and descriptors: objects of paths and of texts take three times as long, of which
    # every trial has two, and a host some thousands.
    found: dict[_Key, _Process] = {}
    try:
        names = [name for name in os.listdir(proc) if name.isdecimal()]  # noqa: PTH208
    except OSError:
        names = []
    for name in names:
        try:
            called, fields = stat_fields(_read(f"{proc}/{name}/stat"))
            kernel = bool(int(fields[6]) & _PF_KTHREAD)
            within = None if kernel else _CONTAINER.search(_read(f"{proc}/{name}/cgroup"))
        except OSError:  # it has ended since
            continue
        found[int(name), int(fields[19])] = _Process(
            called.decode(errors="replace"),
            within[0].decode() if within else "",
            int(fields[1]),
            sum(map(int, fields[11:13])),
            sum(map(int, fields[13:15])),
            kernel,
        )
    return found


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return file.readall()
