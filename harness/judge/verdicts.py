"""Verdicts: what estimates say of laws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness import units
from harness.judge.metrics import METRICS
from harness.judge.points import PointSummary, Result
from harness.limits import ReadBack
from harness.model import (
    Estimate,
    Expectation,
    Scale,
    Status,
    Verdict,
)

MORE_WOULD_DECIDE = "more repeats would decide"


def by_equivalence(estimate: Estimate | None, law: Expectation) -> tuple[Status, str]:
    """The verdict on a deviation, with the reason in words."""
    if law.not_exercisable:
        return Status.NOT_EXERCISABLE, law.not_exercisable
    if estimate is None:
        return Status.INCONCLUSIVE, "no valid trial"
    if estimate.low is None or estimate.high is None:
        return Status.INCONCLUSIVE, f"{estimate.n} valid trial gives no interval"
    span = f"[{error_text(estimate.low, law)}, {error_text(estimate.high, law)}]"
    within = f"[{error_text(law.low, law)}, {error_text(law.high, law)}]"
    if law.low <= estimate.low and estimate.high <= law.high:
        return Status.CONFORMS, f"error {span} lies in {within}"
    if estimate.low > law.high or estimate.high < law.low:
        return Status.DEVIATES, f"error {span} lies outside {within}"
    return Status.INCONCLUSIVE, f"error {span} straddles {within}: {MORE_WOULD_DECIDE}"


def error_text(deviation: float, law: Expectation) -> str:
    """A deviation in words: ``+0.21%``, or in the metric's unit where it is absolute."""
    match law.scale:
        case Scale.ABSOLUTE:
            return units.of(METRICS[law.metric].unit).difference(deviation)
        case Scale.LOG:
            return units.relative(math.expm1(deviation))
        case _:
            return units.relative(deviation)


def judge(summary: PointSummary, result: Result, readbacks: Sequence[ReadBack]) -> Verdict:
    """The verdict of one law on a point, explained where the reason is known."""
    law = result.expectation
    status, reason = by_equivalence(result.deviation, law)
    wrong = [readback.text for readback in readbacks if readback.agrees is False]
    if wrong and status is not Status.NOT_EXERCISABLE:
        # The law is about the limit that was asked for, and another one is in force.
        reason = f"{'; '.join(wrong)}; {reason}"
        if status is Status.CONFORMS:
            status = Status.INCONCLUSIVE
    if law.explanation:
        reason = f"{reason}; {law.explanation}"
    return Verdict(
        point_id=summary.point.id,
        metric=law.metric,
        container=law.container,
        status=status,
        reason=reason,
    )


def overall(statuses: Iterable[Status]) -> Status:
    """The verdict of many: the worst of them; inconclusive where there is none.

    What could not be put to the test makes nothing worse, and nothing well by itself.
    """
    found = set(statuses)
    for status in (Status.DEVIATES, Status.INCONCLUSIVE, Status.CONFORMS, Status.NOT_EXERCISABLE):
        if status in found:
            return status
    return Status.INCONCLUSIVE
