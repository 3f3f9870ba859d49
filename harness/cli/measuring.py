"""Executing a plan on an engine into a new run: what sweep, check, ab and calibrate share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness import guard, store
from harness.cli.dialogue import say
from harness.errors import MeasurementError
from harness.model import Plan, Side

if TYPE_CHECKING:
    from harness.engine import Engine


def refuse_to_starve(plan: Plan, *, otherwise: str = "") -> None:
    """MeasurementError where the plan would take more than half of the host's free memory.

    ``otherwise`` is what else the user can do, besides freeing some.
    """
    from harness import host

    if why := guard.refusal(plan, host.conditions()):
        raise MeasurementError(why, f"Free some, or sweep smaller values{otherwise}.")


def measure(
    plan: Plan,
    engine: Engine,
    results: Path,
    *,
    ended_early: Callable[[Path], None] | None = None,
    sides: tuple[Side, ...] = (),
) -> Path:
    """Execute the plan and keep it as a run; the run's folder.

    Where it is interrupted or fails, what was finished is kept and ``ended_early`` called before
    the exception goes on.
    """
    from harness import host, runner
    from harness.cli.progress import progress

    facts, host_facts = engine.facts(), host.facts()
    workload = engine.prepare_images(
        spec.workload for point in plan.points for spec in point.containers
    )
    run = store.create(results, plan, host=host_facts, engine=facts, workload=workload, sides=sides)
    engines = {side.name: side.engine for side in sides}
    where = runner.real_surroundings(engine, facts, host_facts, sides=engines)
    try:
        with host.kept_from_the_oom_killer(), progress(plan) as observer:
            runner.run_plan(plan, run.info.name, where, run.keep, observer)
    except KeyboardInterrupt:
        run.finish("interrupted")
        _tell(ended_early, run.path)
        raise
    except Exception as error:
        run.finish("failed", str(error))
        _tell(ended_early, run.path)
        raise
    run.finish("finished")
    return run.path


def _tell(ended_early: Callable[[Path], None] | None, path: Path) -> None:
    if ended_early is None:
        say(f"What was finished is kept in {path}")
    else:
        ended_early(path)
