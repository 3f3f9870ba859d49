"""Whether a trial counts.

Pure. Invariants reject a trial, and disturbances are told with it. Unreliability is data: a trial
that is rejected is kept and shown, and every note bears its remedy. The thresholds
are shares of what the point leaves free, so that they mean the same on 2 CPUs and on 64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from harness import limits as rules
from harness import units
from harness.judge import (
    counters,
    cpu,
    laws,
    memory,
    points,
    serving,
    surroundings,
    taking,
)
from harness.judge.laws.cpu import CPU_TOLERANCE, cpus_of, pinned_cpus
from harness.judge.remarks import clocks, remarks
from harness.model import (
    UNLIMITED,
    CgroupAbove,
    ContainerRecord,
    EngineFacts,
    Expectation,
    Growth,
    HostFacts,
    HostSample,
    Kept,
    Lifecycle,
    Note,
    Outcome,
    Plan,
    Point,
    Take,
    TrialRecord,
)

ENGINE_CPUS = 0.10
"""Foreign CPU below this never rejects: an engine that answers takes some of it."""
FOREIGN_SHARE_OF_ROOM = 0.5
STEAL_REJECTS = 0.02
STEAL_NOTED = 0.005
MIN_PERIODS = 5
"""A window of fewer quota periods says nothing of the quota."""
MANY_PERIODS = 30
"""From so many on a part of a period at an edge weighs no more than a law's tolerance."""
WHOLE_PERIODS = 0.05
"""The share of a period by which a window of whole periods may miss them."""
INSIDE_TOLERANCE = 0.02
"""Inside and outside look at windows whose edges lie a few ms apart."""


def examine(
    trial: TrialRecord,
    plan: Plan,
    engine: EngineFacts,
    host: HostFacts,
    *,
    engine_cpus: float = ENGINE_CPUS,
) -> tuple[str | None, tuple[Note, ...]]:
    """(why the trial does not count or None, notes) for a finished trial.

    ``engine_cpus`` is what the engine itself may take: so much foreign CPU never rejects.
    """
    if trial.outcome not in (Outcome.COMPLETED, Outcome.OOM_KILLED) or trial.failure:
        return None, ()  # it ended in another way, which its outcome tells
    point = plan.point(trial.point_id)
    if isinstance(point.containers[0].workload, Kept):
        return None, ()  # a file is there or it is not, whoever has the CPU meanwhile
    if isinstance(point.containers[0].workload, Lifecycle):
        return _of_commands(trial, host)
    found = points.expectations_of(point, trial, engine, host)
    given = laws.Circumstances(engine=engine, host=host)
    reasons: list[str] = []
    notes: list[Note] = []
    for container, spec in zip(trial.containers, point.containers, strict=True):
        allowed = cpus_of(container)
        capacity = given.cpus if allowed is None else len(allowed)
        if container.first is None:
            notes.append(_unseen(container))
        if spec.workload.grows:
            reasons += _memory(container)
            continue
        if isinstance(spec.workload, Take):
            reasons += filter(None, [taking.killed_for_other_reasons(container)])
            continue
        reasons += _impossible(container, capacity, host, trial.outcome)
        if spec.workload.has_clocks:
            reasons += _unlike_inside(container, capacity, host)
        reasons += serving.not_kept(container, trial.outcome)
        noted, rejected = _periods(container)
        notes += noted
        reasons += rejected
    wants_cpu = any(spec.workload.wants_cpu for spec in point.containers)
    reasons += _impossible_together(trial, point, given.cpus, host) + _out_of_turn(trial, point)
    if wants_cpu:
        reasons += _others_in_a_quota(trial, host)
    bearable_cpus, pinned = _bearable(trial, point, found, given, engine_cpus)
    for noted, rejected in (
        _foreign(trial, bearable_cpus, pinned),
        _steal(trial, pinned, given.cpus),
    ):
        notes += noted
        if not wants_cpu:
            # It takes longer then; no law asks how long, and what the kernel's own threads do for
            # a disk is foreign CPU as well.
            notes += [_disturbed(reason, trial) for reason in rejected]
        else:
            reasons += rejected
    notes += remarks(trial, engine)
    return ("; ".join(reasons) or None), tuple(notes)


def disturbance(
    trial: TrialRecord,
    plan: Plan,
    engine: EngineFacts,
    host: HostFacts,
    *,
    meanwhile: tuple[HostSample, HostSample] | None = None,
) -> str:
    """What others took from a trial that does not count for it, in words; empty where nothing.

    With ``meanwhile``, the host at two moments while none of its containers was there: whether the
    same would disturb the trial now.
    """
    if not trial.invalid or trial.host_first is None:
        return ""
    point = plan.point(trial.point_id)
    now = trial
    if meanwhile is not None:
        first, last = meanwhile
        now = replace(trial, neighbours=(), host_first=first, host_last=last)
    if isinstance(point.containers[0].workload, Lifecycle):
        return "; ".join(_steal(now, None, host.cpus)[1])
    if all(spec.workload.grows for spec in point.containers):
        return ""
    found = points.expectations_of(point, trial, engine, host)
    given = laws.Circumstances(engine=engine, host=host)
    bearable_cpus, pinned = _bearable(trial, point, found, given, ENGINE_CPUS)
    if meanwhile is not None:
        now = replace(now, containers=())
    _, foreign = _foreign(now, bearable_cpus, pinned)
    _, steal = _steal(now, pinned, given.cpus)
    return "; ".join((*foreign, *steal))


def _bearable(
    trial: TrialRecord,
    point: Point,
    found: Sequence[Expectation],
    given: laws.Circumstances,
    engine_cpus: float,
) -> tuple[float, frozenset[int] | None]:
    """(foreign CPU that takes nothing from the trial, the CPUs that it is kept to)."""
    allowed = [cpus_of(container) for container in trial.containers]
    capacity = min(given.cpus if cpus is None else len(cpus) for cpus in allowed)
    # Containers that compete want the same CPUs: nothing of them is promised to others.
    room = max(0.0, capacity - _wanted(point, found))
    pinned = pinned_cpus(point.containers, [one.effective for one in trial.containers])
    return max(engine_cpus, FOREIGN_SHARE_OF_ROOM * room), pinned


def _of_commands(trial: TrialRecord, host: HostFacts) -> tuple[str | None, tuple[Note, ...]]:
    """It is the engine that works there, in no window that others of the host could disturb."""
    noted, rejected = _steal(trial, None, host.cpus)
    return ("; ".join(rejected) or None), (*noted, *clocks(trial))


def _unseen(container: ContainerRecord) -> Note:
    why = container.absent.get("cpu_usage_ns", "nothing was read from outside")
    said = "what it used is what the workload itself says"
    if container.memory is None and container.take is None and cpu.inside_cpus(container) is None:
        error = cpu.source_error(container)
        said = "the CPU is that of docker stats"
        if error:
            said += f", whose edges may miss {error:.1%} of it"
    return Note(
        code="unseen",
        text=f"the cgroup's counters could not be read ({why}): {said}; nothing shows what "
        "disturbed it",
        remedy="run bench on the engine's own host, or allow containers to mount /sys/fs/cgroup",
    )


def _disturbed(what: str, trial: TrialRecord) -> Note:
    text = f"{what}: what it does may take longer for it"
    remedy = "measure when the host is idle, on a host of your own"
    if surroundings.mostly_kernel(trial):
        text = f"{what}; the kernel's threads work for the load's own pages and I/O, too"
        remedy = "see that nobody else uses its disk and the swap"
    return Note(code="disturbed", text=text, remedy=remedy)


def _wanted(point: Point, found: Sequence[Expectation]) -> float:
    """The CPUs that the point's law promises; without such a law all that its threads can use."""
    threads = sum(spec.workload.threads for spec in point.containers)
    return next((law.value for law in found if law.metric == "cpus"), float(threads))


def _impossible(
    container: ContainerRecord, capacity: int, host: HostFacts, ended: Outcome
) -> list[str]:
    achieved, span = cpu.achieved_cpus(container), counters.window_s(container)
    if achieved is None:
        # A server's cgroup goes with it where the kernel kills it, before the window's end or while
        # it is read the last time: that is a result, not a lack.
        last = container.last
        gone = last is None or last.cpu_usage_ns is None
        return [] if gone and ended is Outcome.OOM_KILLED else [_nothing_to_go_by(container)]
    # Where there was no counter, there are no bounds of one.
    if span is None or achieved <= capacity * (1 + host.tick_ns / 1e9 / span):
        return []
    return [f"{achieved:.3f} CPUs used on {capacity}: impossible"]


def _nothing_to_go_by(container: ContainerRecord) -> str:
    unread = "the container's CPU counter could not be read"
    if container.first is not None:
        return unread
    if len(container.stats) >= cpu.MIN_FRAMES:
        least_ms = cpu.MIN_FOLLOWED_PERIOD_US / 1000
        return f"{unread}, and docker stats reads too low at periods below {least_ms:g} ms"
    return (
        f"{unread}, and of docker stats {len(container.stats)} of {cpu.MIN_FRAMES} frames at "
        "the least lay within the window: give a longer --duration"
    )


def _impossible_together(
    trial: TrialRecord, point: Point, host_cpus: int, host: HostFacts
) -> list[str]:
    """All containers together cannot use more than the CPUs that any of them may run on."""
    found = [
        (used, span)
        for container in trial.containers
        if (used := cpu.achieved_cpus(container)) is not None
        and (span := counters.window_s(container))
    ]
    if len(found) < 2:
        return []
    pinned = pinned_cpus(point.containers, [one.effective for one in trial.containers])
    capacity = host_cpus if pinned is None else len(pinned)
    total = sum(used for used, _ in found)
    # Each counter can be a tick of each CPU ahead.
    slack_cpus = len(found) * capacity * host.tick_ns / 1e9 / min(span for _, span in found)
    if total > capacity + slack_cpus:
        return [f"{total:.3f} CPUs used together on {capacity}: impossible"]
    return []


def _others_in_a_quota(trial: TrialRecord, host: HostFacts) -> list[str]:
    """A quota above that throttled, and that others took a part of: it was promised to nobody."""
    found = []
    for at in dict.fromkeys(one.at for container in trial.containers for one in _above(container)):
        ours = [c for c in trial.containers if at in [one.at for one in _above(c)]]
        above = next(one for one in _above(ours[0]) if one.at == at)
        limit = rules.cpus_of((above.kernel.cpu_quota_us, above.kernel.cpu_period_us))
        span = counters.window_s(ours[0])
        whole_ns = counters.grown(above.first, above.last, "cpu_usage_ns")
        throttled = counters.grown(above.first, above.last, "nr_throttled")
        used = [cpu.achieved_cpus(one) for one in ours]
        if not throttled or whole_ns is None or not span or not math.isfinite(limit):
            continue
        others = whole_ns / 1e9 / span - sum(one for one in used if one is not None)
        # Each counter can be a tick of each CPU ahead.
        slack_cpus = (len(ours) + 1) * host.cpus * host.tick_ns / 1e9 / span
        if others > max(slack_cpus, CPU_TOLERANCE * limit):
            found.append(
                f"others used {others:.3f} of the {units.cpus(limit)} of {at}, which "
                "throttled all in it"
            )
    return found


def _above(container: ContainerRecord) -> tuple[CgroupAbove, ...]:
    return container.above or ()


def _periods(container: ContainerRecord) -> tuple[list[Note], list[str]]:
    """The window against the quota period that the kernel holds, which it may have changed."""
    if container.batch is not None:  # its window is as long as it took
        return serving.ended_otherwise(container), []
    span_s = counters.window_s(container)
    held = [
        kernel.cpu_period_us
        for kernel in (container.kernel, container.kernel_after)
        if kernel is not None and kernel.cpu_quota_us not in (None, UNLIMITED)
        and kernel.cpu_period_us
    ]  # fmt: skip
    # A slice's or a pod's quota that is the tighter one is what throttles.
    if container.effective is not None and container.effective.cpus_period_us:
        held.append(container.effective.cpus_period_us)
    if not held or not span_s:
        return [], []
    periods = span_s * 1e6 / max(held)
    if periods < MIN_PERIODS * (1 - WHOLE_PERIODS):
        return [], [f"the window holds {periods:.1f} quota periods: too few to judge a quota"]
    if periods >= MANY_PERIODS or abs(periods - round(periods)) <= WHOLE_PERIODS:
        return [], []
    note = Note(
        code="window-periods",
        text=f"the window was {periods:.2f} quota periods long: one of its edges lies within a "
        f"period, which weighs up to {1 / periods:.1%}",
        remedy="give --duration as a whole number of the kernel's periods, or 30 of them",
    )
    return [note], []


def _unlike_inside(container: ContainerRecord, capacity: int, host: HostFacts) -> list[str]:
    """The workload's own clocks must agree; a program of the user's own has none to ask."""
    achieved, span = cpu.achieved_cpus(container), counters.window_s(container)
    inside = cpu.inside_cpus(container)
    if inside is None:
        return ["the workload gave no report from inside"]
    if achieved is None or span is None:
        return []
    tick_cpus = host.tick_ns / 1e9 / span
    if abs(achieved - inside) > max(INSIDE_TOLERANCE * inside, 2 * capacity * tick_cpus):
        cgroup_said = f"the cgroup counted {achieved:.3f} CPUs, the workload itself {inside:.3f}"
        return [f"{cgroup_said}: not the same thing was measured"]
    return []


def _memory(container: ContainerRecord) -> list[str]:
    report = container.memory
    if report is None:
        return ["the workload did not live to report"]
    if report.killed and memory.was_killed(container) == 0:
        return ["the workload was killed, but not for this container's memory"]
    return []


def _out_of_turn(trial: TrialRecord, point: Point) -> list[str]:
    """Those below one limit that come first must have all that they want before the last begins."""
    loads = [(spec.workload, one.memory) for spec, one in
             zip(point.containers, trial.containers, strict=True)]  # fmt: skip
    later = [
        report.t_start_ns
        for load, report in loads
        if isinstance(load, Growth) and load.after_s and report and report.t_start_ns
    ]
    if not later or any(report is None for _, report in loads):
        return []
    late = [
        load
        for load, report in loads
        if isinstance(load, Growth) and not load.after_s and report
        and (report.t_end_ns is None or report.t_end_ns > min(later))
    ]  # fmt: skip
    return ["a container had not all of its memory when the last one began"] if late else []


def _foreign(
    trial: TrialRecord, bearable_cpus: float, pinned: frozenset[int] | None
) -> tuple[list[Note], list[str]]:
    # What runs on another CPU takes nothing from them; v2 does not tell where it ran.
    foreign = surroundings.foreign_cpus(trial, pinned)
    if foreign is None:
        foreign = surroundings.foreign_cpus(trial)
    if foreign is None:
        first = trial.host_first
        hidden = first is None or first.root_usage_ns is None
        why = "the root cgroup is" if hidden else "the counters of all of its containers are"
        note = Note(
            code="foreign-unknown",
            text=f"foreign CPU could not be measured: {why} not visible",
            remedy="run on the engine's host itself, not in a container",
        )
        return [note], []
    if foreign > bearable_cpus:
        who = surroundings.named(trial)
        said = f"other processes used {foreign:.2f} CPUs, more than {bearable_cpus:.2f}{who}"
        return [], [said]
    if foreign > bearable_cpus / 2:
        note = Note(
            code="foreign-cpu",
            text=f"other processes used {foreign:.2f} CPUs{surroundings.named(trial)}",
            remedy="stop them, or measure when the host is idle",
        )
        return [note], []
    return [], []


def _steal(
    trial: TrialRecord, pinned: frozenset[int] | None, host_cpus: int
) -> tuple[list[Note], list[str]]:
    steal = surroundings.steal_cpus(trial, pinned)
    cpus = host_cpus if pinned is None else len(pinned)
    if steal is None or steal <= STEAL_NOTED * cpus:
        return [], []
    if steal > STEAL_REJECTS * cpus:
        return [], [f"the hypervisor took {steal:.2f} CPUs away (steal)"]
    note = Note(
        code="steal",
        text=f"the hypervisor took {steal:.3f} CPUs away (steal)",
        remedy="measure on a host of your own, or at another hour",
    )
    return [note], []
