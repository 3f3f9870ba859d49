"""Runs of known numbers for what shows them: from the fake world, then altered on purpose."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from harness.measure import runner
from harness.model import ContainerRecord, Pairs, TrialRecord
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import runs
from harness.store.runs import Run
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World

HOSTILE = "<script>alert(1)</script> \"'& $x_{ | `x` @team \x1b]0;taken\x07\r\u202e\u2603"
"""What a host's name or a workload's output may hold at worst."""


def stored(
    root: Path,
    axis: str = "cpu",
    *,
    options: Options | None = None,
    world: World | None = None,
    status: str | None = "finished",
) -> Path:
    """The folder of a run of an axis in a fake world; without a status it was never finished."""
    plan = planning.build(axis, options or Options(repeats=5), cpus=CPUS)
    run = runs.create(root, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS)
    where = (world or World()).surroundings()
    runner.run_plan(plan, run.info.name, where, run.keep, runner.Listener())
    if status:
        run.finish(status)
    return run.path


def measured(
    root: Path,
    axis: str = "cpu",
    *,
    options: Options | None = None,
    world: World | None = None,
    status: str = "finished",
) -> Run:
    """The same, read back from its folder."""
    return runs.load(stored(root, axis, options=options, world=world, status=status))


def altered(run: Run, alter: Callable[[TrialRecord], TrialRecord]) -> Run:
    """The run with each of its trials altered."""
    return run.holding(alter(trial) for trial in run.trials)


def scattered(run: Run, factors: Mapping[str, float] | None = None, sigma: float = 0.001) -> Run:
    """The run with CPU that scatters from trial to trial, and is off by a factor at some points."""
    rng = random.Random(1)

    def alter(trial: TrialRecord) -> TrialRecord:
        base = (factors or {}).get(trial.point_id, 1.0)
        containers = [_times(c, base * rng.gauss(1, sigma), rng) for c in trial.containers]
        return replace(trial, containers=tuple(containers))

    return altered(run, alter)


def rejected(run: Run, reason: str) -> Run:
    """The run with no trial that counts."""
    return altered(run, lambda trial: replace(trial, invalid=reason))


def _times(container: ContainerRecord, factor: float, rng: random.Random) -> ContainerRecord:
    first, last, inside = container.first, container.last, container.inside
    if first is None or last is None or first.cpu_usage_ns is None or last.cpu_usage_ns is None:
        return container
    used = round(first.cpu_usage_ns + (last.cpu_usage_ns - first.cpu_usage_ns) * factor)
    if inside is not None:
        gaps = [
            (start, max(500_000, round(length + rng.gauss(0, 1_500_000))))
            for start, length in inside.gap_list
        ]
        # Some preemptions between the throttled spans, as any host has them.
        gaps += [(rng.randrange(0, 3_000_000_000), rng.randrange(500_000, 900_000))]
        longest = max(length for _, length in gaps)
        threads = [
            replace(t, cpu_ns=round(t.cpu_ns * factor), gap_max_ns=longest) for t in inside.threads
        ]
        inside = replace(inside, gap_list=Pairs(gaps), threads=tuple(threads))
    return replace(container, last=replace(last, cpu_usage_ns=used), inside=inside)
