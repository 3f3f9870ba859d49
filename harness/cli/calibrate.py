"""``bench calibrate``: how far this host's figures move when nothing changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.alone import no_wait_option, obtain_alone
from harness.cli.device import device_option
from harness.cli.dialogue import say
from harness.cli.measuring import measure, refuse_to_starve, resumable
from harness.cli.noise import keep_noise, settled_digests
from harness.cli.options import (
    baselines_option,
    engine_host_option,
    json_option,
    results_option,
)
from harness.cli.reference import (
    REPEATS,
    digested,
    options_of,
    plan_of,
    reference,
    refuse_useless,
)
from harness.errors import ComparisonError, UsageError
from harness.model import ForCalibration, Scale
from harness.plan import build as planning
from harness.store import folder
from harness.store import runs as store_runs
from harness.wording import counted

if TYPE_CHECKING:
    from harness.engine.boundary import Engine
    from harness.model import Digest, Floor, Noise, Plan
    from harness.store.runs import Run

RUNS = 3


@click.command(
    epilog="""
\b
Examples:
  bench calibrate                       3 runs of the cpu sweep, about 10 minutes
  bench calibrate --sweep shares --runs 5
  bench calibrate 1015-cpu 1022-cpu     from runs that are there already
  bench calibrate --from-history        from all since anything changed: over days
"""
)
@click.argument("runs_given", metavar="[RUN]...", nargs=-1)
@click.option("--sweep", "sweep_name", metavar="AXIS|all|FILE.toml", help="What to measure.  "
              "[default: the points of the baseline 'default', or cpu]")  # fmt: skip
@click.option("--values", metavar="LIST", help="Of --sweep: values of the limit.")
@click.option("--runs", type=click.IntRange(2, 20), help=f"Runs, one after another.  "
              f"[default: {RUNS}]")  # fmt: skip
@click.option("--repeats", type=int, help="Trials of each point in each run: as many as checks "
              f"take.  [default: {REPEATS}]")  # fmt: skip
@click.option("--duration", "duration_s", type=float, metavar="SECONDS", help="Of --sweep: length "
              "of the window.")  # fmt: skip
@click.option("--from-history", is_flag=True, help="From the runs since the last change, up to "
              "RUN or the newest: such as `bench check --keep` left on several days.")  # fmt: skip
@device_option
@no_wait_option
@engine_host_option
@results_option
@baselines_option
@json_option
def calibrate(
    runs_given: tuple[str, ...],
    sweep_name: str | None,
    runs: int | None,
    from_history: bool,
    engine_host: str | None,
    results: Path,
    baselines: Path,
    as_json: bool,
    **options: Any,
) -> int:
    """Find this host's own noise, which no check gates on.

    Measures the same points in several runs of which nothing differs (A/A), or takes RUNs. How far
    a metric moves between them is kept beside the baselines, with the host's fingerprint: `bench
    check` then calls nothing a regression that is not larger.

    What lies between the days of such runs is told apart from what lies between the runs of a day
    and between trials. From 5 days on the intervals of `bench check` and `compare` allow for it.
    """
    asked = {"sweep_name": sweep_name, "runs": runs, **options}
    refuse_useless(asked, there=bool(runs_given) or from_history)
    if from_history:
        if len(runs_given) > 1:
            raise UsageError("--from-history finds the runs by itself.", "Name the newest of them.")
        newest = store_runs.find(results, runs_given[0] if runs_given else None)
        return _concluded(settled_digests(newest, results), baselines, as_json=as_json)
    if runs_given:
        found = [store_runs.find(results, name) for name in runs_given]
        _refuse_twice([run.path.resolve() for run in found])
    else:
        paths = _measured(sweep_name, runs or RUNS, engine_host, results, baselines, options)
        found = [store_runs.load(path) for path in paths]
    return conclude(found, baselines, as_json=as_json)


def conclude(found: Sequence[Run], baselines: Path, *, as_json: bool) -> int:
    """Keep and show the noise between whole runs; the exit code."""
    return _concluded([digested(run) for run in found], baselines, as_json=as_json)


def _concluded(digests: list[Digest], baselines: Path, *, as_json: bool) -> int:
    _refuse_different(digests)
    _show(keep_noise(digests, baselines), as_json)
    return 0


def _measured(
    sweep_name: str | None, runs: int, engine_host: str | None, results: Path, baselines: Path,
    options: dict[str, Any],
) -> list[Path]:  # fmt: skip
    from harness.engine.docker_engine import DockerEngine

    folder.prepare_root(results)
    (connection,) = obtain_alone(engine_host)
    engine = DockerEngine(connection)
    held = reference(None, baselines)
    plan = plan_of(held, sweep_name, options_of(options), engine.facts().cpus_to_give)
    refuse_to_starve(plan)
    minutes = runs * planning.estimated_s(plan) / 60
    say(f"{counted(runs, 'run')}, about {minutes:.0f} minutes in all.")
    return measure_rest(plan, engine, results, runs, [])


def measure_rest(
    plan: Plan, engine: Engine, results: Path, runs: int, finished: Sequence[Path]
) -> list[Path]:
    """The runs that a calibration of that many still lacks; the folders of all."""
    paths = list(finished)
    while len(paths) < runs:
        earlier = tuple(path.name for path in paths)
        with resumable(paths[-1]) if paths else nullcontext():
            purpose = ForCalibration(runs=runs, earlier=earlier)
            paths.append(measure(plan, engine, results, purpose=purpose))
    return paths


def _refuse_twice(paths: list[Path]) -> None:
    """A run has no noise against itself: named twice, it would only hide that of the others."""
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"{path.name} is named twice.", "Name each run once.")


def _refuse_different(digests: list[Digest]) -> None:
    """Noise is what remains where nothing differs."""
    from harness.comparison import changes, words

    if len(digests) < 2:
        raise UsageError("one run has nothing to differ from.", "Name two or more.")
    for other in digests[1:]:
        if found := changes.differences(digests[0].fingerprint, other.fingerprint):
            raise ComparisonError(
                f"{digests[0].run} and {other.run} differ: {words.differing(found)}.",
                "Take runs of which nothing differs.",
            )


def _show(noise: Noise, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({
            "runs": list(noise.runs), "host": noise.hostname, "created": noise.created,
            "repeats": noise.repeats,
            "floors": [
                {"point": one.point_id, "metric": one.metric, "container": one.container,
                 "scale": one.scale.value, "change": one.change} for one in noise.floors
            ],
            "drifts": [
                {"point": one.point_id, "metric": one.metric, "container": one.container,
                 "scale": one.scale.value, "days": one.days, "runs": one.runs,
                 "trials_deviation": one.trials_deviation, "runs_deviation": one.runs_deviation,
                 "days_deviation": one.days_deviation} for one in noise.drifts
            ],
        }, indent=2))  # fmt: skip
        return
    for line in _told(noise):
        click.echo(line)


def _told(noise: Noise) -> Iterator[str]:
    from harness.comparison.drift import LEAST_DAYS
    from harness.comparison.sensitivity import SENSITIVITY

    days = max((one.days for one in noise.drifts), default=1)
    on = f" on {counted(days, 'day')}" * (days > 1)
    yield (
        f"Noise of {noise.hostname} from {counted(len(noise.runs), 'run')}{on}"
        f", at {noise.repeats} or more trials a point:"
    )
    yield "                        the most    standard deviation between"
    yield "  metric            between runs    trials   runs of a day  days         at"
    for metric in SENSITIVITY:
        floors = [one for one in noise.floors if one.metric == metric]
        if not floors:
            continue
        worst = max(floors, key=lambda one: (one.scale is Scale.RELATIVE, one.change))
        most = _text(worst.change, worst)
        drift = next(
            (
                one for one in noise.drifts
                if (one.point_id, one.container, one.metric, one.scale)
                == (worst.point_id, worst.container, metric, worst.scale)
            ), None,
        )  # fmt: skip
        parts = (
            (drift.trials_deviation, drift.runs_deviation, drift.days_deviation)
            if drift
            else (None, None, None)
        )
        told = [_text(one, worst) if one is not None else "not known" for one in parts]
        yield (
            f"  {metric:<16}  {most:>12}    {told[0]:<9}{told[1]:<15}{told[2]:<13}{worst.point_id}"
        )
    yield "`bench check` gates on no change below the first."
    if days < LEAST_DAYS:
        yield (
            f"What moves from day to day takes runs of {LEAST_DAYS} days: keep checks with `bench "
            "check --keep`, then `bench calibrate --from-history`."
        )
    else:
        yield "Where days are known, intervals allow for them instead."


def _text(change: float, of: Floor) -> str:
    from harness.comparison import words

    return words.change_text(change, of).lstrip("+")
