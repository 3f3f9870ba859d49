"""``bench calibrate``: how far this host's figures move when nothing changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import plan as planning
from harness import store
from harness.cli.dialogue import asker, say
from harness.cli.measuring import measure, refuse_to_starve
from harness.cli.options import (
    baselines_option,
    engine_host_option,
    json_option,
    results_option,
)
from harness.cli.reference import REPEATS, digested, options_of, plan_of, reference, refuse_useless
from harness.errors import ComparisonError, UsageError
from harness.model import Scale

if TYPE_CHECKING:
    from harness.model import Digest, Floor, Noise

RUNS = 3


@click.command(
    epilog="""
\b
Examples:
  bench calibrate                       3 runs of the cpu sweep, about 10 minutes
  bench calibrate --sweep shares --runs 5
  bench calibrate 1015-cpu 1022-cpu     from runs that are there already
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
@engine_host_option
@results_option
@baselines_option
@json_option
def calibrate(
    runs_given: tuple[str, ...],
    sweep_name: str | None,
    runs: int | None,
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
    """
    from harness import baseline, comparing

    asked = {"sweep_name": sweep_name, "runs": runs, **options}
    refuse_useless(asked, there=bool(runs_given))
    if runs_given:
        found = [store.find(results, name) for name in runs_given]
        _refuse_twice([run.path.resolve() for run in found])
    else:
        paths = _measured(sweep_name, runs or RUNS, engine_host, results, baselines, options)
        found = [store.load(path) for path in paths]
    digests = [digested(run) for run in found]
    _refuse_different(digests)
    floors = comparing.floors(digests)
    if not floors:
        raise ComparisonError(
            "the runs have no point in common with 5 trials that count in each.",
            "Measure again with --repeats 10.",
        )
    noise = baseline.save_noise(baselines, digests, floors)
    _show(noise, as_json)
    return 0


def _measured(
    sweep_name: str | None, runs: int, engine_host: str | None, results: Path, baselines: Path,
    options: dict[str, Any],
) -> list[Path]:  # fmt: skip
    from harness.engine import DockerEngine, obtain_engine

    engine = DockerEngine(obtain_engine(engine_host, say, asker()))
    held = reference(None, baselines)
    plan = plan_of(held, sweep_name, options_of(options), engine.facts().cpus)
    refuse_to_starve(plan)
    store.prepare_root(results)
    minutes = runs * planning.estimated_s(plan) / 60
    say(f"{runs} runs, about {minutes:.0f} minutes in all.")
    return [measure(plan, engine, results) for _ in range(runs)]


def _refuse_twice(paths: list[Path]) -> None:
    """A run has no noise against itself: named twice, it would only hide that of the others."""
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"{path.name} is named twice.", "Name each run once.")


def _refuse_different(digests: list[Digest]) -> None:
    """Noise is what remains where nothing differs."""
    from harness import comparing

    if len(digests) < 2:
        raise UsageError("one run has nothing to differ from.", "Name two or more.")
    for other in digests[1:]:
        if found := comparing.differences(digests[0].fingerprint, other.fingerprint):
            raise ComparisonError(
                f"{digests[0].run} and {other.run} differ: {comparing.differing(found)}.",
                "Take runs of which nothing differs.",
            )


def _show(noise: Noise, as_json: bool) -> None:
    from harness.comparing import SENSITIVITY

    if as_json:
        click.echo(json.dumps({
            "runs": list(noise.runs), "host": noise.hostname, "created": noise.created,
            "repeats": noise.repeats,
            "floors": [
                {"point": one.point_id, "metric": one.metric, "container": one.container,
                 "scale": one.scale.value, "change": one.change} for one in noise.floors
            ],
        }, indent=2))  # fmt: skip
        return
    click.echo(f"Noise of {noise.hostname} from {len(noise.runs)} runs, at {noise.repeats} or more "
               "trials a point:")  # fmt: skip
    for kind in SENSITIVITY.values():
        mine = [one for one in noise.floors if one.metric == kind.metric]
        if mine:
            worst = max(mine, key=lambda one: (one.scale is Scale.RELATIVE, one.change))
            click.echo(f"  {kind.metric:<16} up to {_amount(worst):>8}  at {worst.point_id}")
    click.echo("`bench check` gates on no change below these.")


def _amount(floor: Floor) -> str:
    if floor.scale is Scale.RELATIVE:
        return f"{floor.change:.2%}"
    return f"{floor.change:.3g}"
