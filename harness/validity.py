"""Whether a trial counts: invariants that reject it, and disturbances that are told with it.

Pure. Unreliability is data: a trial that is rejected is kept and shown, and every note bears
its remedy. The thresholds are shares of what the point leaves free, so that they mean the same
on 2 CPUs and on 64.
"""

from __future__ import annotations

from harness import analysis, check
from harness.laws import CpuLaw
from harness.model import HostFacts, Note, Outcome, TrialRecord

MIN_FOREIGN_CPUS = 0.10
"""Foreign CPU below this never rejects: an engine that answers takes some of it."""
FOREIGN_SHARE_OF_ROOM = 0.5
STEAL_REJECTS = 0.02
STEAL_NOTED = 0.005
INSIDE_TOLERANCE = 0.02
"""Inside and outside look at windows whose edges lie a few ms apart."""


def examine(
    trial: TrialRecord, law: CpuLaw, host: HostFacts
) -> tuple[str | None, tuple[Note, ...]]:
    """(why the trial does not count or None, notes) for a finished trial of one container."""
    if trial.outcome is not Outcome.COMPLETED:
        return None, ()
    reasons: list[str] = []
    notes: list[Note] = []
    container = trial.containers[0]
    achieved, span = analysis.achieved_cpus(container), analysis.window_s(container)
    if achieved is None or span is None:
        return "the container's CPU counter could not be read", ()
    tick_cpus = host.tick_ns / 1e9 / span

    ceiling = law.capacity_cpus + law.capacity_cpus * tick_cpus
    if achieved > ceiling:
        reasons.append(f"{achieved:.3f} CPUs used on {law.capacity_cpus}: impossible")

    inside = analysis.inside_cpus(container)
    if inside is None:
        reasons.append("the workload gave no report from inside")
    else:
        allowed = max(INSIDE_TOLERANCE * inside, 2 * law.capacity_cpus * tick_cpus)
        if abs(achieved - inside) > allowed:
            reasons.append(
                f"the cgroup counted {achieved:.3f} CPUs, the workload itself {inside:.3f}: "
                "not the same thing was measured"
            )

    foreign = analysis.foreign_cpus(trial)
    room = max(0.0, law.capacity_cpus - law.expectation.value)
    most = max(MIN_FOREIGN_CPUS, FOREIGN_SHARE_OF_ROOM * room)
    if foreign is None:
        notes.append(
            Note(
                code="foreign-unknown",
                text="foreign CPU could not be measured: the root cgroup is not visible",
                remedy="run on the engine's host itself, not in a container",
            )
        )
    elif foreign > most:
        reasons.append(f"other processes used {foreign:.2f} CPUs (at most {most:.2f} are borne)")
    elif foreign > most / 2:
        notes.append(
            Note(
                code="foreign-cpu",
                text=f"other processes used {foreign:.2f} CPUs",
                remedy="stop them, or measure when the host is idle",
            )
        )

    steal = analysis.steal_cpus(trial)
    if steal is not None:
        if steal > STEAL_REJECTS * host.cpus:
            reasons.append(f"the hypervisor took {steal:.2f} CPUs away (steal)")
        elif steal > STEAL_NOTED * host.cpus:
            notes.append(
                Note(
                    code="steal",
                    text=f"the hypervisor took {steal:.3f} CPUs away (steal)",
                    remedy="measure on a host of your own, or at another hour",
                )
            )

    notes += [
        Note(
            code="readback",
            text=text,
            remedy="the engine or its runtime altered the limit: see `bench doctor`",
        )
        for text in check.readback_mismatches(container)
    ]
    cost = trial.sampler
    if cost is not None and cost.missed > 0.01 * (cost.ticks + cost.missed):
        notes.append(
            Note(
                code="missed-ticks",
                text=f"the sampler missed {cost.missed} of {cost.ticks + cost.missed} ticks",
                remedy="lower --cadence; the window's totals do not depend on it",
            )
        )
    return ("; ".join(reasons) or None), tuple(notes)
