"""What the tests with real containers share: executing a sweep, and looking at its points."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass

from harness import analysis, check, host, runner, validity
from harness import plan as planning
from harness.analysis import PointSummary
from harness.axes import Options
from harness.engine import DockerEngine
from harness.model import Plan, Status, TrialRecord, Verdict
from harness.plan import PointsOf
from harness.runner import Surroundings

EMULATED = bool(os.environ.get("LIMITBENCH_TEST_EMULATED"))
"""Whether this machine's CPUs are themselves a program, as ``tests.vm`` says where it is so.

They are ten times slower, the engine and the sampler with them, and no clock of theirs is quite
steady. Tolerances of measured time are wider there, here and nowhere else; no conclusion is.
"""
CPU_TOLERANCE = 0.04 if EMULATED else 0.02
"""Twice what the law allows: these tests run beside whatever else the machine does."""
RATIO_TOLERANCE = 0.06 if EMULATED else 0.04
CADENCE_HZ = 5.0 if EMULATED else None
"""What sampling takes counts as others' CPU, of which a trial bears little."""
if EMULATED:
    # What an emulated engine itself takes for its stats: 0.10 to 0.13 CPUs, measured.
    validity.MIN_FOREIGN_CPUS = 0.25


@dataclass(frozen=True)
class Measured:
    """A sweep that was executed."""

    plan: Plan
    records: list[TrialRecord]
    where: Surroundings

    def summary(self, point: str) -> PointSummary:
        found = analysis.summarise(
            self.plan, self.records, self.where.engine_facts, self.where.host_facts
        )
        return next(summary for summary in found if summary.point.id == point)

    def error(self, point: str, metric: str = "cpus") -> float:
        """The median deviation of a metric from its law, on the law's scale."""
        summary = self.summary(point)
        result = next(r for r in summary.results if r.expectation.metric == metric)
        assert result.deviation is not None, summary.rejected
        return result.deviation.median

    def metric(self, point: str, metric: str, container: int = 0) -> float:
        summary = self.summary(point)
        found = summary.estimate(metric, container)
        assert found is not None, summary.rejected
        return found.median

    def verdict(self, point: str, metric: str = "cpus") -> Verdict:
        summary = self.summary(point)
        held = [
            one
            for record in self.records
            if record.point_id == point and analysis.counts(record)
            for i, container in enumerate(record.containers)
            for one in check.readbacks(container, self.where.engine_facts, i)
        ]
        verdicts = [check.judge(summary, result, held) for result in summary.results]
        return next(verdict for verdict in verdicts if verdict.metric == metric)

    def status(self, point: str, metric: str = "cpus") -> Status:
        return self.verdict(point, metric).status

    def outcomes(self, point: str) -> list[str]:
        return [r.outcome.value for r in self.records if r.point_id == point]


def execute(
    engine: DockerEngine,
    sweep: str,
    options: Options,
    *,
    points_of: PointsOf | None = None,
    change: Callable[[Surroundings], Surroundings] = lambda where: where,
) -> Measured:
    """A sweep on a real engine, without the command line and the disk."""
    options = dataclasses.replace(options, cadence_hz=options.cadence_hz or CADENCE_HZ)
    facts = engine.facts()
    where = change(runner.real_surroundings(engine, facts, host.facts()))
    plan = planning.build(sweep, options, host_cpus=facts.cpus, points_of=points_of)
    records: list[TrialRecord] = []
    runner.run_plan(
        plan, "test", where, lambda record, samples: records.append(record), runner.Observer()
    )
    return Measured(plan, records, where)
