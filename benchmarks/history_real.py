"""A history of real runs, half of which have a larger quota in force: what is found of it.

The later half goes through an engine that hands on another quota than it is asked for, as a wrapper
of the runtime may. `bench history` is asked about the folder as anybody would ask it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import ROOT
from harness.cli.dialogue import say
from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.host import identity
from harness.measure import runner
from harness.model import ContainerSpec
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import runs

RUNS = 24
FACTOR = 1.03
"""Of the quota that is in force from the middle on: small, and yet found by `bench check`."""
PICTURE = ROOT / "docs" / "pictures" / "history.png"
PAGE = ROOT / "benchmarks" / "HISTORY.md"
HEADING = "## Real runs (`python -m benchmarks history_real`)"


class Wrapped(DockerEngine):
    """What a wrapper of the runtime does: the quota in force is larger than the one asked for."""

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        """As the engine does, with ``FACTOR`` times the quota."""
        limits = spec.limits
        assert limits.cpus is not None
        wrong = dataclasses.replace(
            spec, limits=dataclasses.replace(limits, cpus=round(limits.cpus * FACTOR, 4))
        )
        return super().create(
            name=name, run=run, spec=wrong, deadline_s=deadline_s, together=together
        )


def report(connection: Connection) -> str:
    """Measure, ask, keep the picture and the page's part; in a sentence what was found."""
    with tempfile.TemporaryDirectory(prefix="limitbench-history-") as made:
        results = Path(made)
        names = []
        for number in range(RUNS):
            engine = DockerEngine if number < RUNS // 2 else Wrapped
            names.append(_measured(engine(connection), results))
            say(f"{number + 1} of {RUNS} runs")
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "harness", "history", "--metric", "cpus", "--json",
             "--figure", str(PICTURE), str(results)],
            capture_output=True, text=True, check=False, cwd=results,
        )  # fmt: skip
    if done.returncode:
        return f"history_real: nothing is kept: {done.stderr.strip()}"
    said = sentence(json.loads(done.stdout), names)
    PAGE.write_text(page(PAGE.read_text(), said))
    return said


def _measured(engine: DockerEngine, results: Path) -> str:
    """`bench sweep cpu --values 0.5 --repeats 5` on that engine; the run's name."""
    facts, host = engine.facts(), identity.facts()
    options = Options(values="0.5", repeats=5, command="sweep cpu --values 0.5 --repeats 5")
    plan = planning.build("cpu", options, cpus=facts.cpus_to_give)
    where = runner.real_surroundings(engine, facts, host)
    run = runs.create(
        results, plan, host=host, engine=facts, workload=engine.prepare_images(())
    )  # fmt: skip
    runner.run_plan(plan, run.info.name, where, run.keep, runner.Listener())
    run.finish("finished")
    return run.info.name


def sentence(told: dict[str, Any], names: list[str]) -> str:
    """What `bench history` says of these runs, and how far that is from what was done."""
    (series,) = told["series"]
    injected = names[len(names) // 2]
    entries = [one["run"] for one in series["entries"]]
    said = (
        f"{len(entries)} of {len(names)} runs of {series['point']} count; from {injected} on, run "
        f"{names.index(injected) + 1}, a quota {FACTOR - 1:.1%} larger was in force. "
    )
    if not series["changes"]:
        return f"{said}No change was found."
    found = "; ".join(
        f"since {one['run']}, run {names.index(one['run']) + 1}, {one['change']:+.2%} "
        f"({one['low']:+.2%} to {one['high']:+.2%})"
        for one in series["changes"]
    )
    return f"{said}Found: {found}."


def page(text: str, said: str) -> str:
    """The page with this part in place of the one that it had, at its end else."""
    before, _, after = text.partition(HEADING)
    rest = after.partition("\n## ")
    more = f"\n## {rest[2]}" if rest[1] else ""
    host = os.uname()
    return (
        f"{before.rstrip()}\n\n{HEADING}\n\n{said}\n\n"
        f"![Run by run, the median CPUs](../{PICTURE.relative_to(ROOT)})\n\n"
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} CPUs, kernel {host.release}, "
        f"a run after the other: it has no days between them.\n{more}"
    )
