"""Whether a trial counts: invariants that reject it, and disturbances that are told with it.

Pure. Unreliability is data: a trial that is rejected is kept and shown, and every note bears
its remedy. The thresholds are shares of what the point leaves free, so that they mean the same
on 2 CPUs and on 64.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness import analysis, check, laws
from harness import limits as rules
from harness.model import (
    UNLIMITED,
    ContainerRecord,
    EngineFacts,
    Expectation,
    HostFacts,
    Note,
    Outcome,
    Plan,
    Point,
    TrialRecord,
)

MIN_FOREIGN_CPUS = 0.10
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
    trial: TrialRecord, plan: Plan, engine: EngineFacts, host: HostFacts
) -> tuple[str | None, tuple[Note, ...]]:
    """(why the trial does not count or None, notes) for a finished trial."""
    if trial.outcome not in (Outcome.COMPLETED, Outcome.OOM_KILLED) or trial.failure:
        return None, ()  # it ended in another way, which its outcome tells
    point = plan.point(trial.point_id)
    found = analysis.expectations_of(point, trial, engine, host)
    given = laws.Circumstances(engine=engine, host=host)
    reasons: list[str] = []
    notes: list[Note] = []
    capacities = []
    for container, spec in zip(trial.containers, point.containers, strict=True):
        allowed = laws.allowed_cpus(spec.limits)
        capacity = given.cpus if allowed is None else len(allowed)
        capacities.append(capacity)
        if container.first is None:
            notes.append(_unseen(container))
        if spec.workload.name == "memory":
            reasons += _memory(container)
            continue
        reasons += _impossible(container, capacity, host)
        if spec.workload.program is None:
            reasons += _unlike_inside(container, capacity, host)
        noted, rejected = _periods(container)
        notes += noted
        reasons += rejected
    reasons += _impossible_together(trial, point, given.cpus, host)
    # Containers that compete want the same CPUs: nothing of them is promised to others.
    room = max(0.0, min(capacities) - _wanted(point, found))
    pinned = laws.pinned_cpus(point.containers)
    on_memory = all(spec.workload.name == "memory" for spec in point.containers)
    for noted, rejected in (_foreign(trial, room, pinned), _steal(trial, pinned, given.cpus)):
        notes += noted
        if on_memory:
            # Its pages take longer then, and the laws of memory do not ask how long.
            notes += [_disturbed(reason) for reason in rejected]
        else:
            reasons += rejected
    notes += _readbacks(trial.containers, engine)
    notes += _missed(trial)
    return ("; ".join(reasons) or None), tuple(notes)


def _unseen(container: ContainerRecord) -> Note:
    why = container.absent.get("cpu_usage_ns", "nothing was read from outside")
    said = "what it used is what the workload itself says"
    if container.memory is None and analysis.inside_cpus(container) is None:
        error = analysis.source_error(container)
        said = "the CPU is that of docker stats"
        if error:
            said += f", whose edges may miss {error:.1%} of it"
    return Note(
        code="unseen",
        text=f"the cgroup's counters could not be read ({why}): {said}; nothing shows what "
        "disturbed it",
        remedy="run bench on the engine's own host, or allow containers to mount /sys/fs/cgroup",
    )


def _disturbed(what: str) -> Note:
    return Note(
        code="disturbed",
        text=f"{what}: times per page may be longer for it",
        remedy="measure when the host is idle, on a host of your own",
    )


def _wanted(point: Point, found: Sequence[Expectation]) -> float:
    """The CPUs that the point's law promises; without such a law all that its threads can use."""
    threads = sum(spec.workload.threads for spec in point.containers)
    return next((law.value for law in found if law.metric == "cpus"), float(threads))


def _impossible(container: ContainerRecord, capacity: int, host: HostFacts) -> list[str]:
    achieved, span = analysis.achieved_cpus(container), analysis.window_s(container)
    if achieved is None:
        return [_nothing_to_go_by(container)]
    if span is None:  # there was no counter, and its bounds are those of a counter
        return []
    tick_cpus = host.tick_ns / 1e9 / span
    if achieved > capacity * (1 + tick_cpus):
        return [f"{achieved:.3f} CPUs used on {capacity}: impossible"]
    return []


def _nothing_to_go_by(container: ContainerRecord) -> str:
    unread = "the container's CPU counter could not be read"
    if container.first is not None:
        return unread
    if len(container.stats) >= analysis.MIN_FRAMES:
        least_ms = analysis.MIN_FOLLOWED_PERIOD_US / 1000
        return f"{unread}, and docker stats reads too low at periods below {least_ms:g} ms"
    return (
        f"{unread}, and of docker stats {len(container.stats)} of {analysis.MIN_FRAMES} frames at "
        "the least lay within the window: give a longer --duration"
    )


def _impossible_together(
    trial: TrialRecord, point: Point, host_cpus: int, host: HostFacts
) -> list[str]:
    """All containers together cannot use more than the CPUs that any of them may run on."""
    found = [
        (used, span)
        for container in trial.containers
        if (used := analysis.achieved_cpus(container)) is not None
        and (span := analysis.window_s(container))
    ]
    if len(found) < 2:
        return []
    pinned = laws.pinned_cpus(point.containers)
    capacity = host_cpus if pinned is None else len(pinned)
    total = sum(used for used, _ in found)
    # Each counter can be a tick of each CPU ahead.
    slack_cpus = len(found) * capacity * host.tick_ns / 1e9 / min(span for _, span in found)
    if total > capacity + slack_cpus:
        return [f"{total:.3f} CPUs used together on {capacity}: impossible"]
    return []


def _periods(container: ContainerRecord) -> tuple[list[Note], list[str]]:
    """The window against the quota period that the kernel holds, which it may have changed."""
    span_s = analysis.window_s(container)
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
    achieved, span = analysis.achieved_cpus(container), analysis.window_s(container)
    inside = analysis.inside_cpus(container)
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
    if report.killed and analysis.was_killed(container) == 0:
        return ["the workload was killed, but not for this container's memory"]
    return []


def _foreign(
    trial: TrialRecord, room: float, pinned: frozenset[int] | None
) -> tuple[list[Note], list[str]]:
    # What runs on another CPU takes nothing from them; v2 does not tell where it ran.
    foreign = analysis.foreign_cpus(trial, pinned)
    if foreign is None:
        foreign = analysis.foreign_cpus(trial)
    most = max(MIN_FOREIGN_CPUS, FOREIGN_SHARE_OF_ROOM * room)
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
    if foreign > most:
        return [], [f"other processes used {foreign:.2f} CPUs, more than {most:.2f}"]
    if foreign > most / 2:
        note = Note(
            code="foreign-cpu",
            text=f"other processes used {foreign:.2f} CPUs",
            remedy="stop them, or measure when the host is idle",
        )
        return [note], []
    return [], []


def _steal(
    trial: TrialRecord, pinned: frozenset[int] | None, host_cpus: int
) -> tuple[list[Note], list[str]]:
    steal = analysis.steal_cpus(trial, pinned)
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


def _readbacks(containers: Sequence[ContainerRecord], engine: EngineFacts) -> list[Note]:
    unsupported = [rules.not_supported(container.requested, engine) for container in containers]
    return [
        *(
            Note(
                code="not-supported",
                text=why,
                remedy="leave that value out, or measure it on an engine that supports it",
            )
            for why in dict.fromkeys(unsupported)
            if why
        ),
        *_altered(containers, engine),
    ]


def _altered(containers: Sequence[ContainerRecord], engine: EngineFacts) -> list[Note]:
    return [
        Note(
            code="readback",
            text=readback.text,
            remedy="the engine or its runtime altered the limit: see `bench doctor`",
        )
        for i, container in enumerate(containers)
        for readback in check.readbacks(container, engine, i)
        if readback.agrees is False
    ]


def _missed(trial: TrialRecord) -> list[Note]:
    cost = trial.sampler
    if cost is None or cost.missed <= 0.01 * (cost.ticks + cost.missed):
        return []
    return [
        Note(
            code="missed-ticks",
            text=f"the sampler missed {cost.missed} of {cost.ticks + cost.missed} ticks",
            remedy="lower --cadence; the window's totals do not depend on it",
        )
    ]
