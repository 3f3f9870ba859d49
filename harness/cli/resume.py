"""``bench resume``: go on with a run that stopped before its end.

It ends as the command would have that began the run: a sweep with its table, a check with its
verdict, a calibration with the runs that it still lacks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness import __version__
from harness.cli.alone import no_wait_option, obtain_alone
from harness.cli.device import device_option, have_device, refuse_another
from harness.cli.dialogue import say
from harness.cli.measuring import execute, refuse_to_starve, resumable, workloads
from harness.cli.options import (
    all_option,
    baselines_option,
    json_option,
    junit_option,
    markdown_option,
    results_option,
    run_argument,
    strict_option,
)
from harness.errors import ComparisonError, UsageError
from harness.model import ForCalibration, ForCheck, ForFind, ForFound, RunInfo
from harness.store import folder, listing, runs

if TYPE_CHECKING:
    from harness.cli.reference import Reference
    from harness.cli.verdict import Outputs
    from harness.engine.boundary import Engine
    from harness.measure.queue import Queue
    from harness.model import Compared, Digest, EngineFacts, HostFacts
    from harness.plan.budget import Budget
    from harness.store.runs import Run

_Conclude = Callable[["Path", "Engine | None"], int]
"""What is done with the whole run, and on which engine where that measures more."""
_TAKES = {
    "sweep": {"--strict"},
    "ab": {"--strict", "--all", "--markdown"},
    "check": {"--all", "--markdown", "--junit"},
    "calibrate": set[str](),
    "find": set[str](),
    "check --found": set[str](),
}
"""Options of the end, by the command that began a run."""


@click.command(
    epilog="""
\b
Examples:
  bench resume                          the newest run that is unfinished
  bench resume 20261125-101500-cpu
  bench resume --allow kernel           although the kernel is another one by now
"""
)
@run_argument
@click.option("--allow", metavar="FACTS", multiple=True, help="What may have changed since the "
              "run began, e.g. kernel or engine,runtime; host: its name; all.")  # fmt: skip
@click.option("--force", is_flag=True, help="Go on even where memory takes more than half of what "
              "is free.")  # fmt: skip
@markdown_option
@junit_option
@strict_option
@all_option
@device_option
@no_wait_option
@results_option
@baselines_option
@json_option
def resume(
    run: str | None,
    allow: tuple[str, ...],
    force: bool,
    markdown: Path | None,
    junit: Path | None,
    strict: bool,
    every: bool,
    results: Path,
    baselines: Path,
    as_json: bool,
) -> int:
    """Go on with a run that was interrupted, killed, or failed.

    RUN is a name, a part of one, or a path; without it, the newest unfinished run. The trials that
    are left are measured in the plan's own order and kept in the same folder; then it ends as the
    command does that began it. The run says from then on where it stopped.

    Refused where host, kernel, engine, runtime or image are not those of the run's beginning, or
    the run is still measured.
    """
    from harness.cli import verdict
    from harness.comparison import continued

    permitted = verdict.facts_of(allow, continued.FACTS)
    found = runs.find(results, run) if run is not None else _newest_unfinished(results)
    if found is None:
        say(f"No run in {results} is unfinished: nothing is left to do.")
        return 0
    _refuse_living(found.info, permitted)
    if not _is_open(found, baselines):
        say(f"{found.info.name} is complete: nothing is left to do.")
        return 0
    outputs = verdict.Outputs(as_json, every, markdown, junit)
    _refuse_useless(found.info, outputs, strict=strict)
    conclude = _conclusion(found, baselines, outputs, strict=strict)
    place = None
    if _queue(found, baselines)[0].is_open or _lacks_runs(found):
        refuse_another(found.trials)
        if not force:
            refuse_to_starve(found.info.plan, otherwise=", or take the risk: --force")
        place = _place_again(found, permitted)
        # Who had the host before us, if we have waited, may have gone on with this very run.
        found = runs.load(found.path)
    left = _queue(found, baselines)
    if left[0].is_open or found.info.status != "finished":
        _finish(found, place, left, as_json=as_json)
    return conclude(found.path, place.engine if place else None)


# --- which run, and whether it may be gone on with --------------------------------------------


def _newest_unfinished(results: Path) -> Run | None:
    for one in listing.list_runs(results).runs:
        if one.path.name.startswith(folder.SAMPLE_RUNS):
            continue
        found = runs.load(one.path)
        if one.status != "finished" or _lacks_runs(found):
            return found
    return None


def _queue(run: Run, baselines: Path) -> tuple[Queue, Budget | None]:
    """What is left of a run, and of the budget of a check."""
    from harness.cli import going_on
    from harness.comparison import changes

    if isinstance(run.info.purpose, ForFind):
        from harness.cli import find

        return find.queue_of(run.info, run.trials)
    judged: Callable[[Digest], Compared] = changes.laws_alone
    if isinstance(run.info.purpose, ForCheck):
        held = _held(run.info.purpose, baselines)
        judged = going_on.comparer(held, frozenset(run.info.purpose.allow), baselines)
    return going_on.queue_of(run.info, judged, run.trials)


def _held(purpose: ForCheck, baselines: Path) -> Reference:
    """What a check was begun to be compared with."""
    from harness.cli.reference import Reference, reference

    return reference(purpose.against, baselines) if purpose.against else Reference("", None)


def _is_open(run: Run, baselines: Path) -> bool:
    """Whether something is left of it: a check that has ended may have ended its budget."""
    if run.info.status != "finished" or _lacks_runs(run):
        return True
    if isinstance(run.info.purpose, ForFind):
        return False
    ended = isinstance(run.info.purpose, ForCheck) and run.info.purpose.budget is not None
    return not ended and _queue(run, baselines)[0].is_open


def _lacks_runs(run: Run) -> bool:
    """Whether a calibration has ended with this run before it had them all."""
    purpose = run.info.purpose
    if not isinstance(purpose, ForCalibration) or len(purpose.earlier) + 1 >= purpose.runs:
        return False
    others = listing.list_runs(run.path.parent).runs
    return not any(run.info.name in other.earlier for other in others)


def _refuse_living(info: RunInfo, permitted: frozenset[str]) -> None:
    """UsageError for a run that is still written, or may be as far as can be told here."""
    from harness.comparison.continued import HOST

    if info.status != "running":
        return
    if info.writer is not None and not info.reason:
        raise UsageError(
            f"{info.name} is still measured, by process {info.writer.pid}.", "Wait for its end."
        )
    if HOST not in permitted:
        where = info.writer.host if info.writer else "a host that it does not name"
        raise UsageError(
            f"whether {info.name} is still measured cannot be told here: its process is on "
            f"{where}, or in another container.",
            f"If it has ended: --allow {HOST}.",
        )


def _began_by(info: RunInfo) -> str:
    match info.purpose:
        case ForCheck():
            return "check"
        case ForCalibration():
            return "calibrate"
        case ForFind():
            return "find"
        case ForFound():
            return "check --found"
        case None:
            return "ab" if info.sides else "sweep"


def _refuse_useless(info: RunInfo, outputs: Outputs, *, strict: bool) -> None:
    """UsageError for an option that would do nothing at the end of such a run."""
    given = {
        "--strict": strict,
        "--all": outputs.every,
        "--markdown": outputs.markdown,
        "--junit": outputs.junit,
    }
    kind = _began_by(info)
    for option, value in given.items():
        if value and option not in _TAKES[kind]:
            raise UsageError(
                f"{option} does nothing here: {info.name} was begun by `bench {kind}`.",
                "Leave it away.",
            )


# --- where it goes on --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """The engine and host of before, with what has changed of them and was allowed to."""

    engine: Engine
    facts: dict[str, EngineFacts]
    """By the name of their side; empty where there are none."""
    host: HostFacts
    differences: tuple[str, ...]


def _place_again(run: Run, permitted: frozenset[str]) -> _Place:
    """Where the run was measured; ComparisonError names what is not as it was."""
    from harness.comparison import continued, words
    from harness.host import identity

    info = run.info
    with resumable(run.path):
        engine, facts = _engine_again(info)
    host, workload = identity.facts(), engine.prepare_images(workloads(info.plan))
    found = continued.differences(info, host, facts, workload, permitted)
    refused = [one for one in found if not one.allowed]
    if refused:
        names = ",".join(dict.fromkeys(one.fact for one in refused))
        raise ComparisonError(
            f"{info.name} cannot go on as it began: {words.differing(refused)}.",
            f"If its trials may differ in that: --allow {names}; else measure it anew.",
        )
    said = [words.differing([one]) for one in found]
    if info.harness_version != __version__:
        said.append(f"limitbench was {info.harness_version}, is {__version__}")
    return _Place(engine, facts, host, tuple(said))


def _engine_again(info: RunInfo) -> tuple[Engine, dict[str, EngineFacts]]:
    from harness.engine.connect import address_again
    from harness.engine.docker_engine import DockerEngine
    from harness.engine.sides import Sides

    before = {side.name: side.engine for side in info.sides} or {"": info.engine}
    connections = obtain_alone(*map(address_again, before.values()))
    engines = {side: DockerEngine(one) for side, one in zip(before, connections, strict=True)}
    if not info.sides:
        return engines[""], {"": engines[""].facts()}
    for point in info.plan.points:
        for spec in point.containers:
            engines[spec.side].refuse_runtime(spec.runtime)
    return Sides(engines), {name: one.facts() for name, one in engines.items()}


def _finish(
    found: Run, place: _Place | None, left: tuple[Queue, Budget | None], *, as_json: bool
) -> None:
    """Measure what is left of a run, and close it."""
    from harness.cli.going_on import calmly
    from harness.cli.sweep import tell
    from harness.measure import runner
    from harness.store import resumed

    info, (queue, budget) = found.info, left
    if place is None or not queue.is_open:  # it stopped after its last trial
        resumed.reopen(found).finish("finished")
        return
    # Of a bench of which nothing is known, since it ran elsewhere: their names come again.
    place.engine.remove_all(info.name)
    sides = place.facts if info.sides else {}
    where = runner.real_surroundings(
        place.engine, next(iter(place.facts.values())), place.host, sides=sides
    )
    where = replace(where, device=have_device(info.plan, place.engine))
    run = resumed.reopen(found, place.differences)
    for name in run.info.gaps[-1].aside:
        say(f"Set aside what was torn: {run.path / name}")
    sweeps = _began_by(info) == "sweep"
    execute(
        run, calmly(where, info, budget), queue=queue,
        ended_early=functools.partial(tell, as_json=as_json) if sweeps else None,
    )  # fmt: skip


# --- how it ends -------------------------------------------------------------------------------


def _conclusion(found: Run, baselines: Path, outputs: Outputs, *, strict: bool) -> _Conclude:
    """What is done at the end; it fails at once where that would be in vain."""
    from harness.cli import ab, calibrate, check, find, still, sweep

    match found.info.purpose:
        case ForFind():
            return lambda path, _: find.conclude(path, as_json=outputs.as_json)
        case ForFound():
            return lambda path, _: still.conclude(path, as_json=outputs.as_json)
        case ForCheck() as purpose:
            held = _held(purpose, baselines)
            return lambda path, _: check.conclude(
                runs.load(path), held, frozenset(purpose.allow), baselines, outputs
            )
        case ForCalibration(runs=many, earlier=earlier):
            before = [runs.find(found.path.parent, name).path for name in earlier]

            def calibrated(path: Path, engine: Engine | None) -> int:
                paths = [*before, path]
                if engine is not None:
                    plan = found.info.plan
                    paths = calibrate.measure_rest(plan, engine, path.parent, many, paths)
                return calibrate.conclude(
                    [runs.load(one) for one in paths], baselines, as_json=outputs.as_json
                )

            return calibrated
        case None if found.info.sides:
            return lambda path, _: ab.conclude(path, outputs, strict=strict)
        case None:
            return lambda path, _: sweep.conclude(path, as_json=outputs.as_json, strict=strict)
