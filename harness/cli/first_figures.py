"""What a sweep has seen of each point so far: a line as soon as there is a number.

A sweep goes round all points again and again, so that its table is known at its end alone. The
first trial of each tells within seconds whether it measures what was meant.
"""

from __future__ import annotations

from dataclasses import replace

from harness import units
from harness.judge import points
from harness.judge.metrics import METRICS
from harness.model import RunInfo, TrialRecord


class FirstFigures:
    """Says of each point what its first trial that counts came to; ``info`` is the run's."""

    def __init__(self, info: RunInfo) -> None:
        self._info = info
        self._told: set[str] = set()

    def of(self, record: TrialRecord) -> str:
        """A line; empty where the point has had its own, or where there is nothing to tell."""
        info, point_id = self._info, record.point_id
        if point_id in self._told or not points.counts(record):
            return ""
        self._told.add(point_id)
        point = info.plan.point(point_id)
        alone = replace(info.plan, points=(point,))
        (summary,) = points.summarise(alone, [record], info.engine_of(point), info.host)
        for result in summary.results:
            law = result.expectation
            if result.achieved is None:
                continue
            unit = units.of(METRICS[law.metric].unit)
            expected = law.value if result.expected is None else result.expected
            return (
                f"{point_id}: {METRICS[law.metric].title} {unit.text(result.achieved.median)}, "
                f"promised {unit.text(expected)} (its first trial)"
            )
        return ""
