"""How many tasks: ``--pids-limit``.

Threads count; the one too many fails with EAGAIN (Documentation/admin-guide/cgroup-v1/pids.rst).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.limits.forms import NUMBER, UNLIMITED
from harness.limits.row import (
    NOT_SET,
    Engine,
    Force,
    Limit,
    ReadBack,
    Room,
    Sides,
    held,
    levels,
    limit,
    of_own,
    plain,
    smallest,
    tightest_of,
)

DEFAULT_PIDS = 1100
"""Of a container of ours: the probe's most threads, and itself."""

NO_LIMIT = (0, UNLIMITED)


def _due(value: int, engine: Engine) -> Sequence[int]:
    del engine
    return (value if value > 0 else UNLIMITED,)


def _tasks(row: Limit, sides: Sides) -> ReadBack | None:
    """The engine keeps no limit at all where none was wanted: it reads 0 and -1 back as not set."""
    found = plain(row, sides)
    if found is None or sides.asked.pids_limit not in NO_LIMIT or found.engine != NOT_SET:
        return found
    kernel = None if sides.kernel is None else sides.kernel.pids_limit
    return replace(found, agrees=None if kernel is None else kernel == UNLIMITED)


def _tasks_in_force(kernel: Any, room: Room) -> Force:
    found = smallest(levels("pids_limit", kernel, room))
    return ("no limit", "") if found is None else (str(found[0]), found[1])


@dataclass(frozen=True, kw_only=True)
class Processes:
    """What can be asked for."""

    pids_limit: int | None = limit(Limit(
        option="--pids-limit", form=NUMBER, help="most processes and threads, -1 for no limit",
        create="pids_limit", inspect="PidsLimit", update="--pids-limit",
        unasked=DEFAULT_PIDS, least=1, extra=NO_LIMIT,
        refusal="The kernel takes 1 or more, or -1 for no limit, as 0 is.",
        kernel="pids_limit", due=_due, compare=_tasks, inspected="where it is held",
        in_force=_tasks_in_force,
        rule="Exactly so many tasks, threads among them; the next clone fails with EAGAIN. A "
        f"container of a sweep has {DEFAULT_PIDS} where it is not set.",
        made="Taken as it is; 0 and -1 are no limit. Under systemd, Docker 20.10 hands on neither, "
        "and the scope has systemd's DefaultTasksMax (measured: 4684).",
        source="Documentation/admin-guide/cgroup-v1/pids.rst",
    ))  # fmt: skip

    oom_score_adj: int | None = limit(Limit(
        option="--oom-score-adj", form=NUMBER, help="who is killed first, -1000 to 1000",
        create="oom_score_adj", inspect="OomScoreAdj", update=None,
        least=-1000, most=1000, refusal="The kernel takes -1000 to 1000.",
        kernel="oom_score_adj", compare=plain,
        rule="Added, as a share of a thousand of the memory, to how much a process is worth "
        "killing where memory has run out; -1000: never this one.",
        made="Written to its first process, from which others inherit it. Without privilege it "
        "can be raised only.",
        source="Documentation/filesystems/proc.rst, 3.1",
    ))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ProcessesHeld:
    """What the kernel holds."""

    oom_score_adj: int | None = held(
        of_own("process", "oom_score_adj"), of_own("process", "oom_score_adj")
    )

    pids_limit: int | None = held(
        of_own("pids", "pids.max"), tightest_of("pids", "pids.max"), caps="pids"
    )
