"""Findings of tasks against their limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.inspection.findings.entry import Evidence, Said, entry
from harness.inspection.use import latest_tasks
from harness.judge import counters
from harness.model import UNLIMITED, Sample
from harness.wording import counted

TASKS_NEAR = 0.9
"""From this share of pids.max on a container is told to be near it."""

_PIDS = "Documentation/admin-guide/cgroup-v1/pids.rst; pids.current, pids.max"


@entry(
    id="tasks-refused",
    subject="tasks",
    grade="bad",
    condition="pids.max refused a process or a thread in the window.",
    remedy="Raise --pids-limit, or find out what starts so many: its clone failed with EAGAIN.",
    source=f"{_PIDS}, pids.events",
)
def _refused(of: Evidence) -> Iterator[Said]:
    # Who is refused counts it on v1, and on v2 before kernel 6.12; then whose limit it was, and all
    # those above: what one above counts may have met a limit beside this one.
    for at, samples, most in _each(of):
        read = [one for one in samples if one.tasks_refused is not None]
        more = counters.grown(read[0], read[-1], "tasks_refused") if read else None
        peak = max((one.tasks for one in samples if one.tasks is not None), default=0)
        met = not at or bool(most and peak >= TASKS_NEAR * most)
        if more and met:
            where = f" of {at}" if at else _where(of)
            remedy = f"Raise pids.max of {at} (TasksMax=, a pod's podPidsLimit)." if at else ""
            yield Said(f"{counted(more, 'task')} refused at pids.max{where}", remedy)


@entry(
    id="tasks-refused-before",
    subject="tasks",
    grade="note",
    condition="pids.max refused a process or a thread since its cgroup was made, none in the "
    "window.",
    remedy="Raise --pids-limit, or find out what starts so many: its clone failed with EAGAIN.",
    source=f"{_PIDS}, pids.events",
)
def _refused_before(of: Evidence) -> Iterator[Said]:
    read = [one for one in of.seen.samples if one.tasks_refused is not None]
    if read and read[0].tasks_refused and read[-1].tasks_refused == read[0].tasks_refused:
        yield Said(f"{counted(read[0].tasks_refused, 'task')} refused at pids.max since it began, "
                   "none in this window")  # fmt: skip


@entry(
    id="tasks-near-limit",
    subject="tasks",
    grade="note",
    condition=f"Its processes and threads are {TASKS_NEAR:.0%} of pids.max or more, or those of "
    "all in a cgroup above are of that one's.",
    remedy="Raise --pids-limit before the next clone fails with EAGAIN.",
    source=_PIDS,
)
def _near(of: Evidence) -> Iterator[Said]:
    for at, samples, most in _each(of):
        tasks = latest_tasks(samples)
        if tasks is None or not most or tasks < TASKS_NEAR * most:
            continue
        share = f"{counted(most, 'task')} ({tasks / most:.0%})"
        remedy = f"Raise pids.max of {at} (TasksMax=, a pod's podPidsLimit)." if at else ""
        whose = f"all in {at} have {tasks} of {share}" if at else f"{tasks} of {share}"
        yield Said(whose, remedy)


def _each(of: Evidence) -> Iterator[tuple[str, Sequence[Sample], int | None]]:
    """Its own cgroup and those above, with pids.max of each; None without one."""
    own = None if of.force.pids_at else of.force.pids
    yield "", of.seen.samples, own
    for one, samples in zip(of.record.above or (), of.seen.above, strict=True):
        most = one.kernel.pids_limit
        yield one.at, samples, None if most == UNLIMITED else most


def _where(of: Evidence) -> str:
    return f" of {of.force.pids_at}" if of.force.pids_at else f" ({of.force.pids})"
