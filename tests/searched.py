"""Searches for a limit in the fake world, as ``bench find`` makes them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.limits import Limits
from harness.measure import runner
from harness.measure.calm import Calm
from harness.measure.queue import Queue
from harness.model import Burst, ContainerSpec, ForFind, Load, Plan, Point, SoughtLimit, Spin
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.sizing import finding, ladder
from harness.sizing import goal as goals
from harness.sizing.search import MOST_TRIALS, Search
from harness.store import runs
from harness.store.runs import Run
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World

CPU = SoughtLimit(limit="cpus", least=0.05, most=2.0, step=0.05)
MEMORY = SoughtLimit(limit="memory", least=8 << 20, most=128 << 20, step=1 << 20, relative=False)


def planned(
    goal: str, *limits: SoughtLimit, load: Load | None = None, budget_s: float = 3600.0
) -> tuple[Plan, ForFind]:
    spec = ContainerSpec(limits=Limits(), workload=load or Spin(threads=2))
    template = Point(id=finding.UNLIMITED, axis="file", value="", containers=(spec,))
    parsed, first = goals.parse(goal, template), limits[0]
    values = ladder.settings(first)
    rungs = Search(len(values), width=ladder.width(first), confidence=0.95, seed=1).ladder
    settings: list[finding.Setting] = [((first.limit, values[i]),) for i in rungs]
    settings += [()] * parsed.relative
    points = finding.ordered(finding.point_at(template, one) for one in settings)
    options = Options(repeats=1, duration_s=1.0, cadence_hz=4.0)
    plan = planning.build("find", options, cpus=CPUS, points_of=lambda *_: points)
    purpose = ForFind(goal=parsed.text, limits=limits, confidence=0.95, budget_s=budget_s)
    return replace(plan, most_repeats=MOST_TRIALS), purpose


def searched(  # noqa: PLR0913 - each is one thing that a search has, by name
    root: Path,
    goal: str,
    *limits: SoughtLimit,
    world: World | None = None,
    load: Load | None = None,
    budget_s: float = 3600.0,
    status: str = "finished",
) -> Run:
    """A whole search, read back from its folder."""
    plan, purpose = planned(goal, *(limits or (CPU,)), load=load, budget_s=budget_s)
    run = runs.create(
        root, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS, purpose=purpose
    )
    further, there = finding.Finding(run.info), world or World()
    queue = Queue(plan, ENGINE_FACTS, HOST_FACTS, (), further)
    calm = Calm(run.info, further.budget, there, there._read_host)
    where = replace(there.surroundings(), await_calm=calm)
    runner.run_plan(
        plan, run.info.name, where, run.keep, runner.Listener(), queue=queue, grow=run.grow
    )
    run.finish(status)
    return runs.load(run.path)


def noisy(scatter: float, seed: int = 1, ms_cpus: float = 30.0) -> Callable[[Limits], int]:
    """A tail that falls with the CPUs, and scatters log-normally: 60 ms at half a CPU."""
    rng = random.Random(seed)
    return lambda limits: round(
        ms_cpus * 1e6 / (limits.cpus or 2.0) * math.exp(rng.gauss(0, scatter))
    )


BURST = Burst()
