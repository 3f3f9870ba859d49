"""How many of something, until one is refused: tasks, descriptors, bytes, CPU time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from harness import limits as rules
from harness.errors import PlanError
from harness.limits import EngineCpus
from harness.limits.processes import DEFAULT_PIDS, NO_LIMIT
from harness.limits.tmpfs import SHM, sizes_of
from harness.limits.ulimits import soft_and_hard
from harness.model import SCRATCH, UNLIMITED, ContainerSpec, Limits, Point, Take
from harness.plan.axes.axis import Axis, Options, limit, point, texts, whole, with_limits

BEYOND = 1.5
"""A workload wants so many times its limit, so that the limit and not the workload ends it."""
UNLIMITED_TASKS = DEFAULT_PIDS + 100
"""Without a limit on tasks: more than there are where it was dropped, and few for a host."""
LEAST_TASKS, MOST_TASKS = 2, 10_000
DEFAULT_PIDS_VALUES = ("2", "16", "256", "64@thread", "0", "-1")
DEFAULT_ULIMITS = (
    "nofile=64", "nproc=64", "nproc=64@2", "fsize=1048576", "stack=1048576", "memlock=65536",
    "cpu=1", "cpu=1:2",
)  # fmt: skip
QUICK_ULIMITS = ("nofile=64", "nproc=64@2", "fsize=1048576", "stack=1048576", "memlock=65536")
DEFAULT_SIZES = ("1m", "64m", "64m@memory=16m")


def _check_tasks(tasks: int, text: str) -> None:
    if not LEAST_TASKS <= tasks <= MOST_TASKS:
        raise PlanError(
            f"'{text}' cannot be shown: the workload itself is {LEAST_TASKS} tasks, and of more "
            f"than {MOST_TASKS} the host would have too few left.",
            f"Give {LEAST_TASKS} to {MOST_TASKS}.",
        )


def _beyond(most: int) -> int:
    return max(4, int(most * BEYOND))


def _pids(options: Options, _cpus: EngineCpus) -> Iterable[Point]:
    default = ("16", "64@thread", "-1") if options.quick else DEFAULT_PIDS_VALUES
    for text in texts(options, default):
        value, _, kind = text.partition("@")
        if kind and kind not in ("process", "thread"):
            raise PlanError(f"'{kind}' is no kind of task.", "Known: process, thread.")
        tasks = whole(value)
        if tasks not in NO_LIMIT:
            _check_tasks(tasks, text)
        most = UNLIMITED_TASKS if tasks in NO_LIMIT else _beyond(tasks)
        spec = ContainerSpec(
            limits=with_limits(options.fixed, pids_limit=tasks),
            workload=Take(kind=kind or "process", most=most),
        )
        yield point("pids", "pids", f"{value} {kind}" if kind == "thread" else value, spec)


_KIND = {
    "nofile": "descriptor", "nproc": "process", "fsize": "file", "stack": "stack",
    "memlock": "lock", "cpu": "cpu",
}  # fmt: skip


def _ulimit(options: Options, _cpus: EngineCpus) -> Iterable[Point]:
    default = QUICK_ULIMITS if options.quick else DEFAULT_ULIMITS
    for text in texts(options, default):
        setting, _, several = text.partition("@")
        name, _, value = setting.partition("=")
        if name not in _KIND:
            raise PlanError(f"'{name}' is no ulimit of this sweep.", f"Known: {', '.join(_KIND)}.")
        soft, _hard = soft_and_hard(value)
        if soft == UNLIMITED:
            raise PlanError(f"{setting} limits nothing.", "Give a number: nothing ends it else.")
        if name == "nproc":
            _check_tasks(soft, text)
        containers = whole(several) if several else 1
        if containers != 1 and (name != "nproc" or not 1 <= containers <= _MOST_CONTAINERS):
            raise PlanError(
                f"'{text}' is no point of this sweep.",
                f"nproc alone is counted over containers, 2 to {_MOST_CONTAINERS} of them.",
            )
        most = soft * 2 * 10**9 if name == "cpu" else _beyond(soft)
        spec = ContainerSpec(
            limits=with_limits(options.fixed, **{f"ulimit_{name}": value}),
            workload=Take(kind=_KIND[name], most=most, path=SHM if name == "fsize" else ""),
        )
        said = f"{setting} in {containers}" if containers > 1 else setting
        yield point("ulimit", "ulimit", said, *[spec] * containers)


_MOST_CONTAINERS = 8


def _of_size(
    axis: str, path: str, limit_of: Callable[[int], dict[str, Any]]
) -> Callable[[Options, EngineCpus], Iterable[Point]]:
    def make(options: Options, _cpus: EngineCpus) -> Iterable[Point]:
        default = ("1m", "64m@memory=16m") if options.quick else DEFAULT_SIZES
        for text in texts(options, default):
            size, _, beside = text.partition("@")
            size_bytes = rules.parse_size(size)
            limits = with_limits(options.fixed, **limit_of(size_bytes))
            if beside:
                limits = _with_memory(limits, beside, text)
            workload = Take(kind="file", most=_beyond(size_bytes), path=path)
            said = f"{size} {beside}" if beside else size
            yield point(axis, axis, said, ContainerSpec(limits=limits, workload=workload))

    return make


def _with_memory(limits: Limits, beside: str, text: str) -> Limits:
    option, _, value = beside.partition("=")
    if option != "memory":
        raise PlanError(f"'{text}' is no point of this sweep.", "Write 64m, or 64m@memory=16m.")
    memory = rules.parse_size(value)
    return with_limits(limits, memory_bytes=memory, memory_swap_bytes=memory)


def _scratch(size_bytes: int) -> dict[str, Any]:
    text = f"{SCRATCH}:size={rules.format_size(size_bytes)}"
    sizes_of(text)  # refuses what has no room
    return {"tmpfs": text}


AXES = (
    Axis(
        "pids", "--pids-limit", "how many tasks, and what refuses the next",
        "--values 16,64@thread,-1", _pids, metric="taken", x=limit("pids_limit"), log=True,
    ),
    Axis(
        "ulimit", "--ulimit", "each by its errno or signal at its value",
        "--values nofile=64,nproc=64@2,cpu=1:2", _ulimit, metric="refusal",
    ),
    Axis(
        "shm", "--shm-size", "ENOSPC at the size of /dev/shm, or the memory limit before it",
        "--values 1m,64m@memory=16m",
        _of_size("shm", SHM, lambda size: {"shm_size_bytes": size}),
        metric="taken_bytes", x=limit("shm_size_bytes"),
    ),
    Axis(
        "tmpfs", "--tmpfs", "the same of a tmpfs of one's own", "--values 1m,64m@memory=16m",
        _of_size("tmpfs", SCRATCH, _scratch),
        metric="taken_bytes",
    ),
)  # fmt: skip
