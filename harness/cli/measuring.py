"""How a command makes a new run from a plan.

Sweep, check, ab and calibrate share it: the plan is executed on an engine and kept.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from harness.cli import logs
from harness.cli.device import have_device
from harness.cli.dialogue import say
from harness.cli.output import ReaderGoneError
from harness.errors import MeasurementError, ResultsError
from harness.model import Plan, Purpose, Side, Workload
from harness.plan import memory_need
from harness.store import runs

if TYPE_CHECKING:
    from harness.engine.boundary import Engine
    from harness.measure.queue import Queue
    from harness.measure.runner import Surroundings
    from harness.store.runs import RunWriter


_TAKEN = ("results", "baselines", "as_json", "strict", "every", "markdown", "junit", "force")
"""Options of the commands that measure, which `bench resume` has too."""


def refuse_to_starve(plan: Plan, *, otherwise: str = "") -> None:
    """MeasurementError where the plan would take more than half of the host's free memory.

    ``otherwise`` is what else the user can do, besides freeing some.
    """
    from harness.host import identity

    if why := memory_need.refusal(plan, identity.conditions()):
        raise MeasurementError(why, f"Free some, or sweep smaller values{otherwise}.")


def measure(
    plan: Plan,
    engine: Engine,
    results: Path,
    *,
    sides: tuple[Side, ...] = (),
    purpose: Purpose | None = None,
) -> Path:
    """Begin a run, execute it, close it; the run's folder."""
    run, where = begin(plan, engine, results, sides=sides, purpose=purpose)
    return execute(run, where)


def begin(
    plan: Plan,
    engine: Engine,
    results: Path,
    *,
    sides: tuple[Side, ...] = (),
    purpose: Purpose | None = None,
) -> tuple[RunWriter, Surroundings]:
    """The images that the plan needs, a folder for its run, and where it will be measured."""
    from harness.host import identity
    from harness.measure import runner

    facts, host_facts = engine.facts(), identity.facts()
    workload = engine.prepare_images(workloads(plan))
    device = have_device(plan, engine)
    run = runs.create(
        results, plan, host=host_facts, engine=facts, workload=workload, sides=sides,
        purpose=purpose,
    )  # fmt: skip
    engines = {side.name: side.engine for side in sides}
    where = runner.real_surroundings(engine, facts, host_facts, sides=engines)
    return run, replace(where, device=device)


def workloads(plan: Plan) -> Iterator[Workload]:
    """What runs in the plan's containers."""
    return (spec.workload for point in plan.points for spec in point.containers)


def execute(
    run: RunWriter,
    where: Surroundings,
    *,
    ended_early: Callable[[Path], object] | None = None,
    queue: Queue | None = None,
) -> Path:
    """Measure each trial, and keep it before the next begins; the run's folder.

    ``queue`` is that of a run that is resumed. Where it is interrupted or fails, what was finished
    is kept and ``ended_early`` called before the exception goes on, which bears the command that
    resumes.
    """
    with resumable(run.path), logs.kept_in(run.path):
        _execute(run, where, ended_early, queue)
    return run.path


def _execute(
    run: RunWriter,
    where: Surroundings,
    ended_early: Callable[[Path], object] | None,
    queue: Queue | None,
) -> None:
    from harness.cli.progress import progress
    from harness.host import process
    from harness.measure import runner

    done = queue.done if queue else 0
    try:
        with process.kept_from_the_oom_killer(), progress(run.info, done) as listener:
            runner.run_plan(
                run.info.plan,
                run.info.name,
                where,
                run.keep,
                listener,
                queue=queue,
                grow=run.grow,
            )
    except (KeyboardInterrupt, Exception) as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        try:
            run.finish(*(("interrupted",) if interrupted else ("failed", str(error))))
        except ResultsError as lost:
            if not isinstance(error, ResultsError):  # which has said it already
                say(str(lost))
        else:
            # Where nobody hears it any more, what ended the run is still what is told.
            with contextlib.suppress(ResultsError, ReaderGoneError):
                _tell(ended_early, run.path)
        raise
    run.finish("finished")


@contextlib.contextmanager
def resumable(run: Path) -> Iterator[None]:
    """Have each exception bear the command that goes on with a run, unless it bears one."""
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if not hasattr(error, "__notes__"):
            error.add_note(f"To go on: {resuming(run)}")
        raise


def resuming(path: Path) -> str:
    """The command that goes on with a run, to the same end as the one that is executed now."""
    ctx = click.get_current_context(silent=True)
    if ctx is None:
        return shlex.join(["bench", "resume", str(path)])
    run = path.name if path.parent == ctx.params["results"] else str(path)
    taken = set(_TAKEN)
    if ctx.command.name == "resume":
        taken.add("allow")  # elsewhere it names other facts: those that may differ from a baseline
    words: list[str] = []
    for option in ctx.command.params:
        given = ctx.params.get(option.name or "")
        is_default = ctx.get_parameter_source(option.name or "") is ParameterSource.DEFAULT
        if option.name in taken and given and not is_default:
            values = given if isinstance(given, tuple) else (given,)
            for value in values:
                words += [max(option.opts, key=len), *([] if value is True else [str(value)])]
    return shlex.join(["bench", "resume", run, *words])


def _tell(ended_early: Callable[[Path], object] | None, path: Path) -> None:
    if ended_early is None:
        say(f"What was finished is kept in {path}")
    else:
        ended_early(path)
