"""What the tests with real containers share: executing a sweep, and looking at its points."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.engine.docker_engine import DockerEngine
from harness.host import identity
from harness.judge import points, validity, verdicts
from harness.judge import run as judge_run
from harness.judge.points import PointSummary
from harness.measure import runner
from harness.measure.runner import Surroundings
from harness.model import Plan, Status, TrialRecord, Verdict
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.plan.build import PointsOf

EMULATED = bool(os.environ.get("LIMITBENCH_TEST_EMULATED"))
"""Whether this machine's CPUs are themselves a program, as ``tests.vm`` says where it is so.

They are ten times slower, the engine and the sampler with them, and no clock of theirs is quite
steady. Tolerances of measured time are wider there, here and nowhere else; no conclusion is.
"""
CPU_TOLERANCE = 0.04 if EMULATED else 0.02
"""Twice what the law allows: these tests run beside whatever else the machine does."""
RATIO_TOLERANCE = 0.06 if EMULATED else 0.04
ROBBED_AGAIN = 3
"""So often a sweep is measured anew where the hypervisor took the CPU of trials: no test does."""
ROBBED_WAIT_S = 20.0
CADENCE_HZ = 5.0 if EMULATED else None
"""What sampling takes counts as others' CPU, of which a trial bears little."""
ENGINE_CPUS = 0.5 if EMULATED else validity.ENGINE_CPUS
"""An emulated engine and the harness took 0.2 to 0.4 CPUs, measured on two machines."""


@dataclass(frozen=True)
class Measured:
    """A sweep that was executed."""

    plan: Plan
    records: list[TrialRecord]
    where: Surroundings

    def summary(self, point: str) -> PointSummary:
        found = points.summarise(
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
        mine = [record for record in self.records if record.point_id == point]
        held = judge_run.readbacks(mine, self.where.engine_facts)
        result = next(r for r in summary.results if r.expectation.metric == metric)
        return verdicts.judge(summary, result, held)

    def status(self, point: str, metric: str = "cpus") -> Status:
        return self.verdict(point, metric).status

    def robbed(self) -> bool:
        """Whether a point has fewer trials that count than were planned, for steal alone."""
        summaries = map(self.summary, (point.id for point in self.plan.points))
        return any(
            summary.valid < self.plan.repeats
            and summary.rejected
            and all("(steal)" in reason for reason in summary.rejected)
            for summary in summaries
        )

    def outcomes(self, point: str) -> list[str]:
        return [r.outcome.value for r in self.records if r.point_id == point]


def execute(  # noqa: PLR0913 - each is one thing that a test may want otherwise
    engine: DockerEngine,
    sweep: str,
    options: Options,
    *,
    points_of: PointsOf | None = None,
    change: Callable[[Surroundings], Surroundings] = lambda where: where,
    listener: runner.Listener | None = None,
) -> Measured:
    """A sweep on a real engine, without the command line and the disk."""
    options = dataclasses.replace(options, cadence_hz=options.cadence_hz or CADENCE_HZ)
    facts = engine.facts()
    real = runner.real_surroundings(engine, facts, identity.facts())
    where = change(dataclasses.replace(real, engine_cpus=ENGINE_CPUS))
    plan = planning.build(sweep, options, cpus=facts.cpus_to_give, points_of=points_of)
    found = _measured(plan, where, listener or runner.Listener())
    for _ in range(ROBBED_AGAIN):
        if not found.robbed():
            break
        time.sleep(ROBBED_WAIT_S)
        found = _measured(plan, where, listener or runner.Listener())
    return found


def _measured(plan: Plan, where: Surroundings, listener: runner.Listener) -> Measured:
    records: list[TrialRecord] = []
    runner.run_plan(plan, "test", where, lambda record, samples: records.append(record), listener)
    return Measured(plan, records, where)
