"""Whether a trial counts: invariants that reject it, and disturbances that are told with it.

Pure. Unreliability is data: a trial that is rejected is kept and shown, and every note bears
its remedy. The thresholds are shares of what the point leaves free, so that they mean the same
on 2 CPUs and on 64.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness import analysis, check, laws
from harness.model import (
    ContainerRecord,
    EngineFacts,
    Expectation,
    HostFacts,
    Note,
    Outcome,
    Plan,
    TrialRecord,
)

MIN_FOREIGN_CPUS = 0.10
"""Foreign CPU below this never rejects: an engine that answers takes some of it."""
FOREIGN_SHARE_OF_ROOM = 0.5
STEAL_REJECTS = 0.02
STEAL_NOTED = 0.005
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
    if all(spec.workload.name == "memory" for spec in point.containers):
        reasons = [reason for container in trial.containers for reason in _memory(container)]
        return ("; ".join(reasons) or None), tuple(_readbacks(trial.containers, engine))
    reasons = []
    capacities = []
    for container, spec in zip(trial.containers, point.containers, strict=True):
        allowed = laws.allowed_cpus(spec.limits)
        capacity = given.cpus if allowed is None else len(allowed)
        capacities.append(capacity)
        reasons += _impossible(container, capacity, host)
    # Containers that compete want the same CPUs: nothing of them is promised to others.
    room = max(0.0, min(capacities) - _promised(found))
    noted, rejected = _foreign(trial, room)
    notes = list(noted)
    reasons += rejected
    noted, rejected = _steal(trial, host)
    notes += noted
    reasons += rejected
    notes += _readbacks(trial.containers, engine)
    notes += _missed(trial)
    return ("; ".join(reasons) or None), tuple(notes)


def _promised(found: Sequence[Expectation]) -> float:
    """The CPUs that the point's law promises; all there are where it has no such law."""
    return next((law.value for law in found if law.metric == "cpus"), float("inf"))


def _impossible(container: ContainerRecord, capacity: int, host: HostFacts) -> list[str]:
    achieved, span = analysis.achieved_cpus(container), analysis.window_s(container)
    if achieved is None or span is None:
        return ["the container's CPU counter could not be read"]
    tick_cpus = host.tick_ns / 1e9 / span
    reasons = []
    if achieved > capacity * (1 + tick_cpus):
        reasons.append(f"{achieved:.3f} CPUs used on {capacity}: impossible")
    inside = analysis.inside_cpus(container)
    if inside is None:
        reasons.append("the workload gave no report from inside")
    elif abs(achieved - inside) > max(INSIDE_TOLERANCE * inside, 2 * capacity * tick_cpus):
        reasons.append(
            f"the cgroup counted {achieved:.3f} CPUs, the workload itself {inside:.3f}: "
            "not the same thing was measured"
        )
    return reasons


def _memory(container: ContainerRecord) -> list[str]:
    report = container.memory
    if report is None:
        return ["the workload did not live to report"]
    if report.killed and analysis.was_killed(container) == 0:
        return ["the workload was killed, but not for this container's memory"]
    return []


def _foreign(trial: TrialRecord, room: float) -> tuple[list[Note], list[str]]:
    foreign = analysis.foreign_cpus(trial)
    most = max(MIN_FOREIGN_CPUS, FOREIGN_SHARE_OF_ROOM * room)
    if foreign is None:
        note = Note(
            code="foreign-unknown",
            text="foreign CPU could not be measured: the root cgroup is not visible",
            remedy="run on the engine's host itself, not in a container",
        )
        return [note], []
    if foreign > most:
        return [], [f"other processes used {foreign:.2f} CPUs (at most {most:.2f} are borne)"]
    if foreign > most / 2:
        note = Note(
            code="foreign-cpu",
            text=f"other processes used {foreign:.2f} CPUs",
            remedy="stop them, or measure when the host is idle",
        )
        return [note], []
    return [], []


def _steal(trial: TrialRecord, host: HostFacts) -> tuple[list[Note], list[str]]:
    steal = analysis.steal_cpus(trial)
    if steal is None or steal <= STEAL_NOTED * host.cpus:
        return [], []
    if steal > STEAL_REJECTS * host.cpus:
        return [], [f"the hypervisor took {steal:.2f} CPUs away (steal)"]
    note = Note(
        code="steal",
        text=f"the hypervisor took {steal:.3f} CPUs away (steal)",
        remedy="measure on a host of your own, or at another hour",
    )
    return [note], []


def _readbacks(containers: Sequence[ContainerRecord], engine: EngineFacts) -> list[Note]:
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
