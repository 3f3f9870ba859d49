"""``bench fleet measure``: what a worker has a ``bench`` of its own do with a task."""

from __future__ import annotations

import os
import signal
import stat
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness import files
from harness import limits as rules
from harness.cli.alone import no_wait_option, obtain_alone
from harness.cli.device import device_option
from harness.cli.measuring import begin, execute, refuse_to_starve
from harness.cli.options import engine_host_option
from harness.errors import PlanError, UsageError
from harness.fleet.host import BASELINES, RUNS, TASK
from harness.model import ForCheck, Plan, Program, ProgramDescription, Server
from harness.store import baselines, fleets, folder, runs
from harness.wording import counted

if TYPE_CHECKING:
    from harness.limits import EngineCpus
    from harness.model import Order, Task

_LONGEST_S = 3600.0
_MOST_TRIALS = 100_000


@click.command(hidden=True)
@click.argument("task", type=click.Path(exists=True, file_okay=False, path_type=Path))
@device_option
@no_wait_option
@engine_host_option
def measure(task: Path, engine_host: str | None) -> int:
    """Carry out the task in a folder, or go on with it: what `bench fleet worker` calls.

    Ends as if by SIGTERM where its standard input is a pipe that closes: then its worker is gone.
    Exits 0 where the run is whole, whatever it says.
    """
    end_with_worker()
    asked = _read(task / TASK)
    baselines_of(asked, task)
    # First, as a bench of before may still be closing the very run that is gone on with.
    (connection,) = obtain_alone(engine_host)
    found = folder.folders(task / RUNS)
    if asked.order.plan is None:
        if not (found and _is_whole_claims(found[0])):
            _claims(asked.order, task)
        return 0
    if found:
        return _go_on(found[0], task)
    from harness.engine.docker_engine import DockerEngine

    engine = DockerEngine(connection)
    plan = asked.order.plan
    refuse_strange(plan, engine.facts().cpus_to_give)
    refuse_to_starve(plan)
    purpose = asked.order.purpose
    run, where = begin(plan, engine, task / RUNS, purpose=purpose)
    if purpose is None:
        execute(run, where)
        return 0
    from harness.cli.going_on import calmly, comparer, queue_of
    from harness.cli.reference import Reference

    held = Reference(purpose.against or "", asked.baseline)
    queue, budget = queue_of(run.info, comparer(held, frozenset(purpose.allow), task / BASELINES))
    execute(run, calmly(where, run.info, budget), queue=queue)
    return 0


def end_with_worker() -> None:
    """Have this process end as by a signal once nobody holds the other end of its input."""
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="worker", daemon=True).start()


def _read(path: Path) -> Task:
    try:
        return fleets.read_task(files.read(path, fleets.TASK_BYTES))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}.", "") from error


def baselines_of(asked: Task, task: Path) -> None:
    """Have what a check is compared with where `resume` looks for it."""
    purpose = asked.order.purpose
    if isinstance(purpose, ForCheck) and purpose.against and asked.baseline:
        baselines.save(task / BASELINES, purpose.against, asked.baseline)


def _go_on(run: Path, task: Path) -> int:
    """As `bench resume` does; what it would say of the run is not asked here."""
    from harness.cli.resume import resume

    if runs.load(run).info.status != "finished":
        click.get_current_context().invoke(
            resume, run=str(run), results=task / RUNS, baselines=task / BASELINES
        )
    return 0


def _claims(order: Order, task: Path) -> None:
    from harness.cli.claims import claims

    click.get_current_context().invoke(
        claims, names=order.claims, seed=order.seed, results=task / RUNS, engine_host=None
    )


def _is_whole_claims(run: Path) -> bool:
    from harness.store import claims as store

    return store.load(run).info.status == "finished"


def refuse_strange(plan: Plan, cpus: EngineCpus) -> None:
    """PlanError for a plan from elsewhere that could not have been made here.

    Its limits must be possible on this engine, and what runs in its containers must be known to
    this host: a plan may name a program, and never bring one.
    """
    if len(plan.trials) > _MOST_TRIALS:
        raise PlanError(
            f"the plan has {counted(len(plan.trials), 'trial')}, more than {_MOST_TRIALS:,}."
        )
    for point in plan.points:
        if not (point.duration_s <= _LONGEST_S and point.warmup_s <= _LONGEST_S):
            raise PlanError(f"{point.id} takes longer than an hour a trial.")
        for spec in point.containers:
            rules.validate(spec.limits, cpus=cpus)
            if spec.cgroup_parent is not None:
                raise PlanError(f"{point.id} names a cgroup of its host.")
            if isinstance(spec.workload, Program):
                _refuse_unknown(spec.workload)


def _refuse_unknown(program: Program) -> None:
    """PlanError for a program that is none of those that come with this host's limitbench."""
    from harness.engine.image import workloads_root
    from harness.plan import programs

    root = workloads_root()
    known = programs.find(program.name, root) if program.name in programs.names(root) else None
    if known is None or _by_name(known) != _by_name(program):
        raise PlanError(
            f"the plan runs a program {program.name!r:.80} that is not one of this host's own.",
            "A fleet runs those that come with limitbench: the same version on each host.",
        )


def _by_name(program: Program) -> Program:
    """All that it is, wherever limitbench is installed; threads and place are the plan's to say."""
    found = replace(program, threads=1, place="volume", description=_anywhere(program.description))
    if isinstance(found, Server) and found.serving.asker is not None:
        # What loads a server is a program like any other.
        asker = found.serving.asker
        asker = replace(asker, description=_anywhere(asker.description))
        return replace(found, serving=replace(found.serving, asker=asker))
    return found


def _anywhere(description: ProgramDescription) -> ProgramDescription:
    """An archive lies elsewhere on each host."""
    image = description.image
    named = None if image.archive is None else Path(image.archive).name
    return replace(description, image=replace(image, archive=named))
