"""``bench check --found``: does a limit that was found still do?"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness.cli import commandline
from harness.cli.alone import obtain_alone
from harness.cli.device import refuse_another
from harness.cli.dialogue import say
from harness.cli.measuring import measure, refuse_to_starve
from harness.errors import MeasurementError, UsageError
from harness.model import ForFound
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.sizing import still
from harness.sizing.finding import name_of
from harness.store import folder, runs
from harness.wording import counted


def check_found(
    name: str, engine_host: str | None, results: Path, given: dict[str, Any], *, as_json: bool
) -> int:
    """Measure the answer of a search again; 0 where it still does, 1 where not, 3 where open.

    ``given`` are the command's other options: repeats and seed mean something here, UsageError for
    the rest.
    """
    from harness.engine.docker_engine import DockerEngine
    from harness.show.report import found as reports

    repeats, seed = given.pop("repeats"), given.pop("seed")
    for option, value in given.items():
        if value:
            raise UsageError(
                f"--{option} does nothing beside --found, which has points and goal of its own.",
                "Leave it away.",
            )
    run = runs.find(results, name)
    search = reports.build(run)
    if search is None or search.chosen is None:
        why = "looked for no limit" if search is None else "came to no answer"
        raise UsageError(f"{run.info.name} {why}.", "Name a run of `bench find` that did.")
    refuse_another(run.trials)
    study, setting = search.study, search.chosen
    before = still.points_of(study, setting)
    folder.prepare_root(results)
    (connection,) = obtain_alone(engine_host)
    engine = DockerEngine(connection)
    options = Options(
        repeats=repeats or still.TRIALS, seed=seed, cadence_hz=before.cadence_hz,
        command=commandline.kept(sys.argv[1:]),
    )  # fmt: skip
    plan = planning.build(
        "found", options, cpus=engine.facts().cpus_to_give, points_of=lambda *_: before.points
    )
    plan = replace(plan, points=before.points)  # with the windows that they had
    refuse_to_starve(plan)
    path = measure(plan, engine, results, purpose=still.asked(study, setting))
    say(f"Kept in {path}")
    return conclude(path, as_json=as_json)


def conclude(path: Path, *, as_json: bool) -> int:
    """Tell what a whole run says; the exit code. MeasurementError where no trial counts."""
    run = runs.load(path)
    purpose = run.info.purpose
    assert isinstance(purpose, ForFound)
    now = still.still(run.info, run.trials)
    if not now.trials:
        raise MeasurementError(
            f"no trial of {path.name} counts.", "`bench doctor` tells what disturbs this host."
        )
    answer = {True: "still does", False: "no longer does", None: "inconclusive"}[now.holds]
    if as_json:
        document = {"point": name_of(now.setting), "goal": purpose.goal, "answer": answer,
                    "trials": now.trials, "held": now.held, "run": path.name}  # fmt: skip
        click.echo(json.dumps(document, indent=2))
    else:
        held = f"{now.held} of {counted(now.trials, 'trial')} held"
        click.echo(f"{name_of(now.setting)}: {answer} ({purpose.goal}: {held}).")
    return {True: 0, False: 1, None: 3}[now.holds]
