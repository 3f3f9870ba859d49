"""What the trials of a point come to, beside what its laws promise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness import limits as rules
from harness.judge import laws
from harness.judge.estimates import estimate, widened
from harness.judge.laws.cpu import cpus_of
from harness.judge.metrics import METRICS, Metric, metric_error, metrics_of
from harness.judge.surroundings import foreign_cpus
from harness.model import (
    ContainerRecord,
    EngineFacts,
    Estimate,
    Expectation,
    HostFacts,
    Outcome,
    Plan,
    Point,
    Scale,
    TrialRecord,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One law of a point beside what was measured."""

    expectation: Expectation
    expected: float | None
    """Median of what the law promised in each window (differs from the promise on a full host)."""
    achieved: Estimate | None
    deviation: Estimate | None
    """Per trial, on the expectation's scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSummary:
    """All that the trials of one point say."""

    point: Point
    trials: int
    valid: int
    rejected: tuple[str, ...]
    """The reasons of trials that do not count."""
    results: tuple[Result, ...]
    """One a law, the main one first; empty for a measurement without a law."""
    estimates: Mapping[tuple[str, int], Estimate]
    """By metric and container; what was not measured is not there."""
    stats_frames: int

    def estimate(self, metric: str, container: int = 0) -> Estimate | None:
        """The estimate of a metric; None where it was not measured."""
        return self.estimates.get((metric, container))


def counts(trial: TrialRecord) -> bool:
    """True for a trial whose numbers enter the estimates.

    A kill for memory is a result where the workload was there to report it.
    """
    ended = trial.outcome is Outcome.COMPLETED or (
        trial.outcome is Outcome.OOM_KILLED
        and all(c.memory or c.take or c.batch or c.requests for c in trial.containers)
    )
    return ended and trial.invalid is None


def expectations_of(
    point: Point,
    trial: TrialRecord | None,
    engine: EngineFacts,
    host: HostFacts,
    *,
    refused: str = "",
) -> tuple[Expectation, ...]:
    """The laws of a point, under the effective limits that a trial of it read back.

    ``refused`` is why none was started, where that is so.
    """
    effective = tuple(c.effective for c in trial.containers) if trial else ()
    given = laws.Circumstances(
        engine=engine,
        host=host,
        effective=effective,
        swap_free_bytes=trial.host_first.swap_free_bytes if trial and trial.host_first else None,
        swap_accounted=_swap_accounted(trial),
        weight_discarded=_any(trial, lambda one: rules.discarded(one.requested, one.engine)),
        weight_unwritten=_any(trial, lambda one: rules.unwritten(one.requested, one.kernel)),
        device=trial.device if trial else None,
        nodes=_nodes(trial),
        refused=refused,
    )
    return laws.expectations(point, given)


def _refused(trials: Sequence[TrialRecord]) -> str:
    """Why the engine started none of the trials; empty where it started one, or none was tried."""
    if any(trial.outcome is not Outcome.NOT_STARTED for trial in trials):
        return ""
    return next((trial.failure for trial in trials if trial.failure), "")


def _nodes(trial: TrialRecord | None) -> int | None:
    last = trial.containers[0].memory_last if trial and trial.containers else None
    return None if last is None or last.node_bytes is None else len(last.node_bytes)


def _swap_accounted(trial: TrialRecord | None) -> bool | None:
    """Whether the kernel counts a container's swap at all; None where nothing was read yet."""
    if trial is None or not trial.containers or trial.containers[0].kernel is None:
        return None
    return trial.containers[0].kernel.memory_swap_bytes is not None


def _any(trial: TrialRecord | None, holds: Callable[[ContainerRecord], bool]) -> bool:
    return trial is not None and any(map(holds, trial.containers))


def deviation(expectation: Expectation, measured: float, expected: float) -> float:
    """How far a measurement lies from what was expected, on the expectation's scale."""
    match expectation.scale:
        case Scale.RELATIVE:
            return measured / expected - 1
        case Scale.LOG:
            return math.log(measured / expected) if measured > 0 else -math.inf
        case Scale.ABSOLUTE:
            return measured - expected


def summarise(
    plan: Plan, trials: Sequence[TrialRecord], engine: EngineFacts, host: HostFacts
) -> list[PointSummary]:
    """One summary a point, in the plan's order, over the trials that are there so far."""
    by_point: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        by_point.setdefault(trial.point_id, []).append(trial)
    out = []
    for point in plan.points:
        mine = by_point.get(point.id, [])
        valid = [t for t in mine if counts(t)]
        found = expectations_of(
            point, valid[-1] if valid else None, engine, host, refused=_refused(mine)
        )
        out.append(
            PointSummary(
                point=point,
                trials=len(mine),
                valid=len(valid),
                rejected=tuple(
                    t.invalid or t.failure or t.outcome.value for t in mine if not counts(t)
                ),
                results=tuple(result(expectation, valid) for expectation in found),
                estimates=_estimates(point, valid),
                stats_frames=sum(len(c.stats) for t in valid for c in t.containers),
            )
        )
    return out


def result(expectation: Expectation, valid: Sequence[TrialRecord]) -> Result:
    """What was measured beside what is expected, a law's or a claim's, in trials that count."""
    metric = METRICS[expectation.metric]
    i = expectation.container
    pairs = [
        (
            measured,
            expectation.expected(foreign_cpus(trial, cpus_of(trial.containers[i]))),
        )
        for trial in valid
        if (measured := metric.of(trial, i)) is not None
    ]
    unit = "ratio" if expectation.scale is not Scale.ABSOLUTE else metric.unit
    achieved = _estimate(metric, i, [m for m, _ in pairs], valid)
    missed = estimate("deviation", unit, [deviation(expectation, m, e) for m, e in pairs])
    if achieved and missed:
        # A share of what was measured, on the scale on which it is judged.
        share = metric_error(metric, i, valid)
        by = {Scale.RELATIVE: 1 + missed.median, Scale.LOG: 1.0, Scale.ABSOLUTE: achieved.median}
        missed = widened(missed, share * by[expectation.scale])
    return Result(
        expectation=expectation,
        expected=statistics.median(e for _, e in pairs) if pairs else None,
        achieved=achieved,
        deviation=missed,
    )


def _estimate(
    metric: Metric, i: int, values: Sequence[float], valid: Sequence[TrialRecord]
) -> Estimate | None:
    found = estimate(metric.name, metric.unit, values)
    return found and widened(found, metric_error(metric, i, valid) * abs(found.median))


def _estimates(point: Point, valid: Sequence[TrialRecord]) -> dict[tuple[str, int], Estimate]:
    out = {}
    for metric in metrics_of(point).values():
        for i in range(len(point.containers)):
            values = [v for trial in valid if (v := metric.of(trial, i)) is not None]
            if found := _estimate(metric, i, values, valid):
                out[metric.name, i] = found
    return out
