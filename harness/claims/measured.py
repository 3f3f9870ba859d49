"""Small sweeps for claims, measured as any sweep is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.claims.claim import NotExercisableError, decided, inconclusive
from harness.engine.laboratory import Laboratory
from harness.host import identity
from harness.judge import points, verdicts
from harness.judge.points import PointSummary
from harness.judge.verdicts import error_text
from harness.measure import runner
from harness.measure.runner import Listener
from harness.model import Expectation, Finding, Number, Status, TrialRecord
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.plan.build import PointsOf

_DECIDED = (Status.CONFORMS, Status.DEVIATES)


@dataclass(frozen=True, slots=True)
class Measured:
    """A small sweep that was made for a claim."""

    summaries: tuple[PointSummary, ...]
    records: tuple[TrialRecord, ...]

    def point(self, point_id: str = "") -> PointSummary:
        """The point of that id; the only one where none is named."""
        if not point_id:
            (only,) = self.summaries
            return only
        return next(one for one in self.summaries if one.point.id == point_id)

    def law(self, metric: str, point_id: str = "", container: int = 0) -> Expectation:
        """What the law of that metric promises there."""
        return next(
            one.expectation
            for one in self.point(point_id).results
            if (one.expectation.metric, one.expectation.container) == (metric, container)
        )


def measure(
    lab: Laboratory,
    axis: str,
    values: str,
    *,
    points_of: PointsOf | None = None,
    options: Options | None = None,
) -> Measured:
    """A sweep of that axis over those values: five trials each, in windows of one second.

    ``options`` are those of a sweep for what else is to be set; ``points_of`` makes other points.
    """
    chosen = replace(options or Options(), values=values)
    chosen = replace(
        chosen, repeats=chosen.repeats or 5, duration_s=chosen.duration_s or 1.0,
        warmup_s=chosen.warmup_s or 0.2,
    )  # fmt: skip
    facts, host = lab.facts, identity.facts()
    where = runner.real_surroundings(lab.engine, facts, host)
    plan = planning.build(axis, chosen, cpus=facts.cpus_to_give, points_of=points_of)
    records: list[TrialRecord] = []
    runner.run_plan(plan, lab.run_name, where, lambda record, _: records.append(record), Listener())
    return Measured(tuple(points.summarise(plan, records, facts, host)), tuple(records))


def needs_cpus(lab: Laboratory, least: int) -> int:
    """How many CPUs the engine has; not exercisable where they are fewer than that."""
    count = lab.facts.cpus_to_give.count
    if count < least:
        raise NotExercisableError(f"the engine has {count} of the {least} CPUs that this needs")
    return count


def law_alone(lab: Laboratory, found: Measured, container: int = 0) -> Expectation:
    """What the law would promise one of the containers of a point if it had no competitor."""
    point = found.point().point
    alone = replace(point, containers=(point.containers[container],))
    return points.expectations_of(alone, None, lab.facts, identity.facts())[0]


def claimed(
    found: Measured, metric: str, value: float, *, point_id: str = "", container: int = 0
) -> Finding:
    """Whether a metric is what a claim says it is, with the tolerance that its law has.

    The claim holds where the whole interval lies so close to ``value`` as the law asks, is refuted
    where it lies wholly outside, and stays open where it straddles, or no trial counted.
    """
    law = found.law(metric, point_id, container)
    return against(found, replace(law, value=value, explanation=""), point_id=point_id)


def against(found: Measured, claim: Expectation, *, point_id: str = "") -> Finding:
    """The same for an expectation of any form: what a claim promises instead of the law."""
    summary = found.point(point_id)
    mine = [one for one in found.records if one.point_id == summary.point.id]
    result = points.result(claim, [one for one in mine if points.counts(one)])
    status, reason = verdicts.by_equivalence(result.deviation, claim)
    numbers: dict[str, Number] = {"claimed": claim.value}
    if result.achieved is None or result.deviation is None or status not in _DECIDED:
        rejected = f" ({summary.rejected[0]})" if summary.rejected else ""
        return inconclusive(f"{claim.metric}: {reason}{rejected}", **numbers)
    numbers[claim.metric] = median = result.achieved.median
    off = error_text(result.deviation.median, claim)
    return decided(
        status is Status.CONFORMS,
        f"{claim.metric} is {median:.4g} where {claim.value:.4g} is claimed: {off}; {reason}",
        **numbers,
    )
