"""Exactly so many, then this errno or that signal: limits that refuse, where others slow.

Of all limits that a workload may meet the tightest refuses, in its own way. Nothing here is
measured with an error of its own: but for memory and CPU time, a unit more or less deviates.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness import limits as rules
from harness.judge.laws.circumstances import Circumstances
from harness.judge.laws.memory import MEMORY_TOLERANCE_BYTES, usable_bytes
from harness.judge.taking import TASKS
from harness.limits.processes import DEFAULT_PIDS, NO_LIMIT
from harness.limits.tmpfs import DEFAULT_SHM_BYTES, SHM, sizes_of, whole_pages
from harness.limits.ulimits import soft_and_hard
from harness.model import UNLIMITED, ContainerSpec, Expectation, Limits, Point, Scale, Take

CPU_TOLERANCE_S = 0.45
"""The kernel counts CPU time against the limit in whole ticks, each for whoever runs when it comes:
beside others up to a third more or less than the clock says. Limits are whole seconds apart, so
this still tells one from the next. See docs/decisions/032."""
_PIDS = "Documentation/admin-guide/cgroup-v1/pids.rst"
_RLIMITS = "getrlimit(2)"
_TMPFS = "Documentation/filesystems/tmpfs.rst"
_MEMORY = "Documentation/admin-guide/cgroup-v1/memory.rst"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """One limit as a workload meets it: so many units, in the kind's own, and then this."""

    most: int
    bound: str
    refusal: int
    """An errno, minus a signal, or 0: the workload was content."""
    law: str
    text: str
    source: str
    low: float = 0.0
    high: float = 0.0


def expectations(point: Point, given: Circumstances) -> tuple[Expectation, ...]:
    """How many units each container gets and what refuses it; of one user's tasks, all of them."""
    each = [_walls(spec, given, i) for i, spec in enumerate(point.containers)]
    if len(each) > 1:
        return tuple(_together(each))
    (walls,) = each
    if not walls:
        return ()
    spec = point.containers[0]
    wall = min(walls, key=lambda one: one.most)
    found = [_so_many(spec, wall), _refused(wall)]
    if wall.law == "pids-limit" and wall.bound == "--pids-limit":
        found.append(_counted())
    if _kind(spec) == "file" and wall.refusal >= 0:  # who is killed gives back what it had
        found.append(_charged(wall))
    return tuple(found)


def _kind(spec: ContainerSpec) -> str:
    return spec.workload.kind if isinstance(spec.workload, Take) else ""


def _walls(spec: ContainerSpec, given: Circumstances, container: int) -> list[Wall]:
    """What may end a workload, the limits first: on a tie they are named before the workload."""
    take, limits, page_bytes = spec.workload, spec.limits, given.host.page_bytes
    if not isinstance(take, Take):
        return []
    match take.kind:
        case "process" | "thread":
            found = [*_of_user(limits), *_of_container(limits, given, container)]
        case "descriptor":
            found = list(_ulimit(limits.ulimit_nofile, "nofile", errno.EMFILE))
        case "lock":
            found = list(_locked(limits.ulimit_memlock, page_bytes))
        case "stack":
            found = list(_ulimit(limits.ulimit_stack, "stack", -signal.SIGSEGV, page_bytes))
        case "file":
            found = list(_file(limits, take.path, page_bytes))
        case _:
            found = list(_cpu(limits.ulimit_cpu))
    if not found and take.kind not in TASKS:
        return []  # what the engine or the kernel has where nobody asked is nobody's promise
    if take.kind in ("lock", "stack", "file"):
        found += _memory(limits, given, container)
    content = Wall(
        most=take.most, bound="workload", refusal=0, law="not-refused",
        text="below every limit nothing is refused", source=_RLIMITS,
    )  # fmt: skip
    return [*found, content]


def _of_container(limits: Limits, given: Circumstances, container: int) -> Iterator[Wall]:
    own = DEFAULT_PIDS if limits.pids_limit is None else limits.pids_limit
    above = given.of(container)
    caps = [] if own in NO_LIMIT else [(own, "--pids-limit")]
    if above.pids is not None and above.pids_at:
        caps.append((above.pids, above.pids_at))
    for most, bound in caps:
        yield Wall(
            most=most, bound=bound, refusal=errno.EAGAIN, law="pids-limit", source=_PIDS,
            text="tasks of the container = the limit, threads among them; then EAGAIN",
        )  # fmt: skip


def _of_user(limits: Limits) -> Iterator[Wall]:
    return _ulimit(limits.ulimit_nproc, "nproc", errno.EAGAIN)


def _ulimit(text: str | None, name: str, refusal: int, unit: int = 1) -> Iterator[Wall]:
    soft = UNLIMITED if text is None else soft_and_hard(text)[0]
    if soft != UNLIMITED:
        yield Wall(
            most=soft // unit * unit, bound=f"--ulimit {name}", refusal=refusal,
            law=f"ulimit-{name}", text=_TEXTS[name], source=f"{_RLIMITS}, RLIMIT_{name.upper()}",
        )  # fmt: skip


_TEXTS = {
    "nofile": "descriptors of a process = the soft limit; then EMFILE",
    "nproc": "tasks of the user, over containers = the soft limit; then EAGAIN",
    "fsize": "bytes of a file = the soft limit; then SIGXFSZ",
    "stack": "bytes of stack = the soft limit in whole pages; then SIGSEGV",
    "memlock": "bytes locked = the soft limit in whole pages; then ENOMEM, at 0 EPERM",
}


def _locked(text: str | None, page_bytes: int) -> Iterator[Wall]:
    refused = errno.EPERM if text is not None and soft_and_hard(text)[0] == 0 else errno.ENOMEM
    return _ulimit(text, "memlock", refused, page_bytes)


def _file(limits: Limits, path: str, page_bytes: int) -> Iterator[Wall]:
    yield from _ulimit(limits.ulimit_fsize, "fsize", -signal.SIGXFSZ)
    sizes = sizes_of(limits.tmpfs) if limits.tmpfs else {}
    asked, bound = sizes.get(path), f"--tmpfs {path}"
    if path == SHM and asked is None:
        asked, bound = limits.shm_size_bytes or DEFAULT_SHM_BYTES, "--shm-size"
    if asked is not None:
        yield Wall(
            most=whole_pages(asked, page_bytes), bound=bound, refusal=errno.ENOSPC,
            law="tmpfs-size", source=_TMPFS,
            text="bytes of files = the size in whole pages; then ENOSPC",
        )  # fmt: skip


def _memory(limits: Limits, given: Circumstances, container: int) -> Iterator[Wall]:
    """What is taken is charged to the container, whose limit may come first."""
    above = given.of(container)
    caps = [] if limits.memory_bytes is None else [(limits.memory_bytes, "--memory")]
    if above.memory_bytes is not None and above.memory_at:
        caps.append((above.memory_bytes, above.memory_at))
    total = rules.swap_total_bytes(limits)
    if given.swap_bytes and total is not None and total != limits.memory_bytes:
        # Swap takes what is beyond; how far that goes is the law of --memory-swap, and not this.
        caps = [] if total == UNLIMITED else [(total, "--memory-swap")]
    for limit, bound in caps:
        yield Wall(
            most=round(usable_bytes(limit)), bound=bound, refusal=-signal.SIGKILL,
            law="memory-limit", source=_MEMORY,
            text="bytes taken = limit - limit/512 (page tables) - 0.4 MiB; then the OOM killer",
            low=-float(MEMORY_TOLERANCE_BYTES), high=float(MEMORY_TOLERANCE_BYTES),
        )  # fmt: skip


def _cpu(text: str | None) -> Iterator[Wall]:
    """The hard limit is looked at first: where one number is both there is no SIGXCPU.

    kernel/time/posix-cpu-timers.c, ``check_process_timers``.
    """
    soft, hard = (UNLIMITED, UNLIMITED) if text is None else soft_and_hard(text)
    if soft != UNLIMITED:
        refusal = -(signal.SIGKILL if soft == hard else signal.SIGXCPU)
        yield Wall(
            most=soft * 10**9, bound="--ulimit cpu", refusal=refusal, law="ulimit-cpu",
            text="CPU time of a process = the soft limit; then SIGXCPU, or SIGKILL where both "
            "limits are the same",
            source="getrlimit(2), RLIMIT_CPU; kernel/time/posix-cpu-timers.c",
            low=-CPU_TOLERANCE_S, high=CPU_TOLERANCE_S,
        )  # fmt: skip


def _so_many(spec: ContainerSpec, wall: Wall) -> Expectation:
    kind = _kind(spec)
    metric = "taken_cpu_s" if kind == "cpu" else "taken_bytes"
    if kind in (*TASKS, "descriptor"):
        metric = "taken"
    return Expectation(
        metric=metric, value=wall.most / 1e9 if kind == "cpu" else float(wall.most),
        low=wall.low, high=wall.high, scale=Scale.ABSOLUTE, law=wall.law, text=wall.text,
        source=wall.source, bound=wall.bound,
    )  # fmt: skip


def _refused(wall: Wall, container: int = 0) -> Expectation:
    return Expectation(
        metric="refusal", value=float(wall.refusal), low=0, high=0, scale=Scale.ABSOLUTE,
        law=f"{wall.law}-refusal", text=wall.text, source=wall.source, bound=wall.bound,
        container=container,
    )  # fmt: skip


def _counted() -> Expectation:
    return Expectation(
        metric="tasks_refused", value=1.0, low=0, high=0, scale=Scale.ABSOLUTE,
        law="pids-events", text="pids.events counts the one task that was refused", source=_PIDS,
        bound="--pids-limit",
    )  # fmt: skip


def _charged(wall: Wall) -> Expectation:
    """The kernel charges in batches of pages a CPU."""
    tolerance = float(MEMORY_TOLERANCE_BYTES)
    return Expectation(
        metric="charged_bytes", value=float(wall.most), low=-tolerance, high=tolerance,
        scale=Scale.ABSOLUTE, law="tmpfs-is-charged", source=_MEMORY, bound=wall.bound,
        text="files in memory are charged to the container that wrote them",
    )  # fmt: skip


def _together(each: Sequence[Sequence[Wall]]) -> Iterator[Expectation]:
    """Tasks of one user, in several containers: their sum, where no container's own limit binds."""
    users = [next((one for one in walls if one.law == "ulimit-nproc"), None) for walls in each]
    first = users[0]
    if first is None or any(one is None or one.most != first.most for one in users):
        return
    if any(one.most < first.most for walls in each for one in walls):
        return
    yield Expectation(
        metric="taken_together", value=float(first.most), low=0, high=0, scale=Scale.ABSOLUTE,
        law=first.law, text=first.text, source=first.source, bound=first.bound,
    )  # fmt: skip
    for i in range(len(each)):
        yield _refused(first, i)
