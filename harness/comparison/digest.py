"""From a run to its digest: what a comparison needs of it, small enough to be committed. Pure.

Per point, metric and container: the value of each trial that counts. The replicate is the trial,
so nothing is lost that a comparison of two runs could use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness import limits as rules
from harness import units
from harness.comparison.looks import look_of
from harness.comparison.sensitivity import SENSITIVITY
from harness.judge import metrics, surroundings
from harness.judge.laws.cpu import cpus_of
from harness.judge.metrics import METRICS
from harness.judge.run import JudgedPoint, judge
from harness.model import (
    Digest,
    DigestedPoint,
    EngineFacts,
    Expectation,
    Fingerprint,
    ForCheck,
    HostFacts,
    JudgedLaw,
    Point,
    Program,
    RunInfo,
    Series,
    TrialRecord,
    Workload,
    WorkloadFacts,
)

DIGITS = 7
"""Significant digits of a value in a digest: a baseline is read by people too."""


def digest(info: RunInfo, trials: Sequence[TrialRecord], side: str = "") -> Digest:
    """The digest of a run, or of one side of an A/B run, as far as it came.

    Points of a side lose its name, so that those of the other can be put beside them.
    """
    engine = next((one.engine for one in info.sides if one.name == side), info.engine)
    points = [point for point in info.plan.points if point.side == side]
    alone = replace(info, plan=replace(info.plan, points=tuple(points)))
    return Digest(
        run=f"{info.name} {side}".strip(),
        created=info.created,
        hostname=info.host.hostname,
        sweep=info.plan.sweep,
        seed=info.plan.seed,
        cadence_hz=info.plan.cadence_hz,
        tick_s=info.host.tick_ns / 1e9,
        fingerprint=fingerprint(info.host, engine, info.workload, points),
        conditions=_conditions(info, engine),
        points=(found := tuple(_point(one, engine) for one in judge(alone, trials))),
        look=_look(info, found),
    )


def _look(info: RunInfo, found: Sequence[DigestedPoint]) -> int:
    """How often a check that goes on has looked at its trials, told by how many they are."""
    if not isinstance(info.purpose, ForCheck) or info.purpose.budget is None:
        return 0
    return look_of(info.plan.repeats, max((one.valid for one in found), default=0))


def fingerprint(
    host: HostFacts, engine: EngineFacts, workload: WorkloadFacts, points: Sequence[Point] = ()
) -> Fingerprint:
    """The facts that make two runs comparable; the runtime is that of the points if they set it."""
    own = [spec for point in points for spec in point.containers]
    engine = engine.running(next((spec.runtime for spec in own if spec.runtime), None))
    weights = "cpu.shares"
    if engine.cgroup_version == 2:
        weights = rules.weight_formula(*engine.limits_by) or rules.UNKNOWN_WEIGHTS
    return Fingerprint(
        kernel=engine.kernel,
        tick=f"{units.milliseconds(host.tick_ns)} ({round(1e9 / host.tick_ns)} Hz)",
        cgroup=f"v{engine.cgroup_version}",
        driver=engine.cgroup_driver,
        engine=f"{engine.name} {engine.version}",
        runtime=f"{engine.runtime} {engine.runtime_version}",
        weights=weights,
        cpu=host.cpu_model,
        cpus=f"{host.cpus}",
        swap=f"{host.swap_bytes >> 20} MiB",
        image=_images(workload, [spec.workload for spec in own]),
        probe=workload.probe_sha256,
    )


def _images(workload: WorkloadFacts, ran: Iterable[Workload]) -> str:
    """What ran: the programs of other images where points have such, else the probe's own."""
    names = {one.name for one in ran if isinstance(one, Program)}
    programs = [f"{name} {image_id}" for name, image_id in workload.programs if name in names]
    return ", ".join(programs) or workload.image_id


def _conditions(info: RunInfo, engine: EngineFacts) -> dict[str, str]:
    """What may explain a change, and is no identity: a sysctl may be the thing under test."""
    found = {
        "operating system": info.host.os,
        "virtualisation": info.host.virtualisation,
        "governor": info.host.governor,
        "sched_cfs_bandwidth_slice_us": info.host.cfs_slice_us,
        "CPUs that the engine may use": engine.cpus,
        "storage driver": engine.storage_driver,
        "limitbench": info.harness_version,
    }
    return {name: f"{value}" for name, value in found.items() if value is not None}


# --- points ------------------------------------------------------------------------------------


def bare(point: Point) -> Point:
    """A point without the name of its side: what both sides of an A/B run call it."""
    if not point.side:
        return point
    return replace(
        point,
        id=point.id.removeprefix(f"{point.side}: "),
        containers=tuple(replace(spec, side="") for spec in point.containers),
    )


def sided(point: Point, side: str, runtime: str | None = None) -> Point:
    """The point as side ``a`` or ``b`` of an A/B run has it: what ``bare`` takes away again."""
    return replace(
        point,
        id=f"{side}: {point.id}",
        containers=tuple(replace(one, side=side, runtime=runtime) for one in point.containers),
    )


def _point(judged: JudgedPoint, engine: EngineFacts) -> DigestedPoint:
    summary, mine = judged.summary, judged.counted
    point = summary.point
    laws = [result.expectation for result in summary.results]
    wants_cpu = any(spec.workload.wants_cpu for spec in point.containers)
    weights: tuple[int | None, ...] = ()
    if mine and engine.cgroup_version == 2:
        weights = tuple(c.kernel.cpu_weight if c.kernel else None for c in mine[-1].containers)
    return DigestedPoint(
        point=bare(point),
        trials=summary.trials,
        valid=summary.valid,
        rejected=summary.rejected[0] if summary.rejected else "",
        series=tuple(
            found
            for name, kind in SENSITIVITY.items()
            if kind.of_growth or wants_cpu
            for i in range(len(point.containers))
            if (found := _series(name, i, mine, laws)).values
        ),
        laws=tuple(
            JudgedLaw(
                law=result.expectation.law,
                metric=result.expectation.metric,
                container=result.expectation.container,
                promised=result.expectation.value,
                status=verdict.status,
                reason=verdict.reason,
                bound=result.expectation.bound,
                explanation=result.expectation.explanation,
                settles=result.expectation.settled,
            )
            for result, verdict in zip(summary.results, judged.verdicts, strict=True)
        ),
        weights=weights,
    )


def _series(
    metric: str, container: int, trials: Sequence[TrialRecord], laws: Sequence[Expectation]
) -> Series:
    law = next((one for one in laws if (one.metric, one.container) == (metric, container)), None)
    values = []
    for trial in trials:
        value = METRICS[metric].of(trial, container)
        if value is None:
            continue
        if law is not None and law.capacity_cpus is not None:
            # A point that wants every CPU gets what others leave of them, which is a condition of
            # the moment: compared is what it would have got from an idle host.
            cpus = cpus_of(trial.containers[container])
            left = law.expected(surroundings.foreign_cpus(trial, cpus))
            value *= law.value / left if left > 0 else 1
        values.append(float(f"{value:.{DIGITS}g}"))
    error = metrics.metric_error(METRICS[metric], container, trials)
    return Series(
        metric=metric, container=container, values=tuple(values),
        error=float(f"{error:.{DIGITS}g}") or None,
    )  # fmt: skip
