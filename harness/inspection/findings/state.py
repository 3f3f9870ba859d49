"""Findings of what became of a container, its cgroup, its limits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from harness import units
from harness.cgroup import outside
from harness.inspection.findings.entry import Evidence, Said, entry
from harness.inspection.limits import limit_rows
from harness.inspection.use import used as use_of
from harness.judge import counters
from harness.limits import NOT_SET
from harness.wording import agreeing, counted

STUCK_LOOKS = 3
"""Fewer looks that meet a wait for a disk are chance."""


@entry(
    id="container-ended",
    subject="end",
    grade="bad",
    condition="It ended within the window.",
    source="docker inspect: State.ExitCode, State.OOMKilled",
)
def _ended(of: Evidence) -> Iterator[Said]:
    if of.seen.ended:
        window_s = of.use.window_s
        when = "within" if window_s is None else f"{window_s:.1f} s into"
        yield Said(f"{of.seen.ended}, {when} the window")


@entry(
    id="container-restarted",
    subject="state",
    grade="note",
    condition="Its restart policy has started it again since it was made. Its cgroup is a new one "
    "each time: what killed it, and how often it was throttled, is counted no more.",
    remedy="docker logs, docker events; bench inspect --watch until it ends again.",
    source="docker inspect: RestartCount, State.StartedAt",
)
def _restarted(of: Evidence) -> Iterator[Said]:
    one = of.seen.container
    if one.restarts:
        since = f", last at {one.started_at[:19].replace('T', ' ')} UTC" if one.started_at else ""
        yield Said(f"its restart policy has started it again {counted(one.restarts, 'time')}{since}"
                   ": no counter here is older")  # fmt: skip


@entry(
    id="container-paused",
    subject="state",
    grade="note",
    condition="The engine has paused it: none of its processes runs, its memory stays.",
    remedy="docker unpause",
    source="docker pause; Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst",
)
def _paused(of: Evidence) -> Iterator[Said]:
    if of.seen.container.state == "paused":
        yield Said("it is paused: nothing of it runs, its memory stays",
                   f"docker unpause {of.seen.container.name}")  # fmt: skip


@entry(
    id="container-frozen",
    subject="state",
    grade="bad",
    condition="The kernel's freezer holds it or a cgroup above, and no engine says that it is "
    "paused: nothing of it runs, and no counter of CPU, memory or pressure shows that.",
    remedy="Thaw it: 0 to cgroup.freeze (v2), THAWED to freezer.state (v1), systemctl thaw.",
    source="Documentation/admin-guide/cgroup-v2.rst: cgroup.freeze, cgroup.events; "
    "cgroup-v1/freezer-subsystem.rst",
)
def _frozen(of: Evidence) -> Iterator[Said]:
    if of.seen.frozen and of.seen.container.state != "paused":
        yield Said(f"nothing of it runs: {of.seen.frozen} is frozen, behind the back of whoever "
                   "says that it runs")  # fmt: skip


@entry(
    id="threads-stopped",
    subject="state",
    grade="bad",
    condition="At every look all of its threads were stopped by a signal (SIGSTOP, SIGTSTP) or "
    "by a debugger.",
    remedy="docker kill -s CONT, or end the debugger.",
    source="proc(5), /proc/PID/stat: state T, t",
)
def _stopped(of: Evidence) -> Iterator[Said]:
    program = of.seen.program
    if program.threads_stopped and program.threads_stopped == program.threads:
        them = agreeing(program.threads, "thread is", "threads are")
        yield Said(f"nothing of it runs: its {program.threads} {them} stopped by a signal or a "
                   "debugger")  # fmt: skip


@entry(
    id="threads-stuck",
    subject="state",
    grade="note",
    condition="At every look of three or more some of its threads were in a sleep that no signal "
    "ends (D), and it is neither frozen nor held at its memory limit.",
    remedy="Look at what they wait for: cat /proc/PID/stack as root; a disk, an NFS server that "
    "does not answer.",
    source="proc(5), /proc/PID/stat: state D",
)
def _stuck(of: Evidence) -> Iterator[Said]:
    program = of.seen.program
    held = of.seen.frozen or of.seen.container.state == "paused" or of.use.fullest.under_oom
    if program.threads_stuck and program.looks >= STUCK_LOOKS and not held:
        yield Said(f"{program.threads_stuck} of {counted(program.threads or 0, 'thread')} waited "
                   "in the kernel at every look, in a sleep that no signal ends")  # fmt: skip


@entry(
    id="engine-without-cgroups",
    subject="limits",
    grade="bad",
    condition="The engine makes no cgroups (rootless on cgroup v1: driver none), so no limit is "
    "in force.",
    remedy="Rootless engines need cgroup v2 under systemd, or use the engine of root.",
    source="docker info: CgroupDriver; https://docs.docker.com/engine/security/rootless/",
)
def _without_cgroups(of: Evidence) -> Iterator[Said]:
    if of.engine.no_cgroups:
        yield Said(of.engine.no_cgroups)


@entry(
    id="outside-its-cgroup",
    subject="cgroup",
    grade="bad",
    condition="Its process runs outside the cgroup that bears its id, for some controllers or for "
    "all. No limit of its own binds it there, and what it uses is counted elsewhere.",
    remedy="Restart it. Delegate=yes in the engine's unit keeps systemd from moving it.",
    source="/proc/PID/cgroup; systemd.resource-control(5): Delegate=; "
    "docs/decisions/007-inspect.md",
)
def _outside(of: Evidence) -> Iterator[Said]:
    if of.seen.moved and not of.engine.no_cgroups:
        yield Said(f"{outside(of.seen.moved)}: no limit of its own binds it there")


@entry(
    id="cgroup-not-readable",
    subject="counters",
    grade="note",
    condition="Its cgroup cannot be read from here, mostly since the engine runs on another host.",
    remedy="Run bench on the engine's own host.",
    source="docs/decisions/007-inspect.md",
)
def _not_readable(of: Evidence) -> Iterator[Said]:
    if of.seen.obstacle and not of.seen.moved and not of.engine.no_cgroups:
        yield Said(f"{of.seen.obstacle}: docker stats alone is told, which has no throttling and "
                   "no limit of a cgroup above")  # fmt: skip


@entry(
    id="limits-changed",
    subject="limits",
    grade="note",
    condition="Limits changed within the window. It is told in parts: what was used before, and "
    "all else of the time since.",
    source="the kernel's files, read ten times a second; docker update",
)
def _changed(of: Evidence) -> Iterator[Said]:
    parts = (*of.seen.earlier, of.seen)
    into_s = 0.0
    for part, following in itertools.pairwise(parts):
        into_s += counters.window_s(part.record) or 0.0
        before, after = (
            {row.option: row.kernel for row in limit_rows(one.record, of.engine, of.host)}
            for one in (part, following)
        )
        changed = [
            f"{option} {before.get(option, NOT_SET)} → {after.get(option, NOT_SET)}"
            for option in dict.fromkeys((*before, *after))
            if before.get(option) != after.get(option)
        ]
        when = f"{into_s:.1f} s into" if part.record.first else "within"
        said = f"changed {when} the window: {', '.join(changed) or 'its limits'}"
        use = use_of(part, of.engine, of.host)
        if use.cpus is not None and use.cpus_limit:
            throttled = (
                f", throttled in {use.throttled_periods / use.periods:.0%} of its periods"
                if use.periods and use.throttled_periods is not None
                else ""
            )
            share = use.cpus / use.cpus_limit
            said += (
                f"; before that it used {use.cpus:.3f} of {units.cpus(use.cpus_limit)} "
                f"({share:.0%})"
                f"{throttled}. What follows is of the time since"
            )
        yield Said(said)
