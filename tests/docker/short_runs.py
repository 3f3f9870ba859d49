"""Short runs of one point on a real engine, in a process that can be told otherwise."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

from harness.comparison.levels import levels
from harness.engine.boundary import Container
from harness.engine.docker_engine import DockerEngine
from harness.host import identity
from harness.measure import runner
from harness.model import ContainerSpec
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import runs as store_runs
from tests.docker.measuring import ENGINE_CPUS

SECONDS = 0.5
DISTURBED_AGAIN, DISTURBED_WAIT_S = 4, 5.0
FACTOR = 1.3
"""Of the quota in force behind ``Wrapped``: far beyond what any host scatters by."""


class Wrapped(DockerEngine):
    """What a wrapper of the runtime does: the quota in force is larger than the one asked for."""

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        assert spec.limits.cpu_quota_us is not None
        quota_us = round(spec.limits.cpu_quota_us * FACTOR)
        limits = dataclasses.replace(spec.limits, cpu_quota_us=quota_us)
        wrong = dataclasses.replace(spec, limits=limits)
        return super().create(
            name=name, run=run, spec=wrong, deadline_s=deadline_s, together=together
        )


def measured(
    engine: DockerEngine, results: Path, *, trials: int = 6, host: str | None = None
) -> str:
    """A short run of one point on that engine, as of a host of that name; its name.

    One that was disturbed is made again.
    """
    facts, host_facts = engine.facts(), identity.facts()
    host_facts = dataclasses.replace(host_facts, hostname=host or host_facts.hostname)
    # Many periods in a short window.
    options = Options(values="20000", duration_s=SECONDS, warmup_s=0.1, repeats=trials)
    plan = planning.build("period", options, cpus=facts.cpus_to_give)
    real = runner.real_surroundings(engine, facts, host_facts)
    where = dataclasses.replace(real, engine_cpus=ENGINE_CPUS)
    why = ""
    for again in range(DISTURBED_AGAIN):
        time.sleep(DISTURBED_WAIT_S * (again > 0))
        run = store_runs.create(results, plan, host=host_facts, engine=facts,
                                workload=engine.prepare_images(()))  # fmt: skip
        runner.run_plan(plan, run.info.name, where, run.keep, runner.Listener())
        run.finish("finished")
        found = store_runs.load(run.path)
        made = levels(found.info, found.trials)
        if all(point.levels for point in made.points):
            return run.info.name
        why = made.points[0].rejected
        shutil.rmtree(run.path)
    raise AssertionError(f"too disturbed, so often: {why}")
