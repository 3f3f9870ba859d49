"""``bench baseline``: the runs that others are compared with."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import baselines_option, json_option, results_option
from harness.errors import MeasurementError
from harness.store import runs
from harness.wording import agreeing, counted

if TYPE_CHECKING:
    from harness.model import Digest
    from harness.store.baselines import Baseline
    from harness.store.runs import Run

_NAME = "default"


@click.group()
def baseline() -> None:
    r"""Choose runs as references, and list, show or delete them.

    A baseline is a small JSON file in `baselines/`: the values of each trial, the points, and the
    facts of the host. Commit it beside your code; `bench check` compares with it.

    \b
      bench sweep cpu --repeats 10
      bench baseline set            the newest run becomes the baseline 'default'
      bench check                   measures its points again, and compares
      bench baseline set --from-history   the level of the runs since anything changed
    """


@baseline.command("set")
@click.argument("run", required=False)
@click.option("--name", default=_NAME, show_default=True, help="What it is called.")
@click.option("--from-history", is_flag=True, help="The level of all runs since the last change, "
              "up to RUN, and this host's noise between them.")  # fmt: skip
@results_option
@baselines_option
@json_option
def set_(
    run: str | None, name: str, from_history: bool, results: Path, baselines: Path, as_json: bool
) -> None:
    """Make RUN a baseline; without it, the newest run. One of the same name is replaced.

    Each point needs 5 trials that count; 10 tell more. Exits 4 where there are fewer, and 3 where
    --from-history finds fewer than 3 runs.
    """
    from harness.cli.reference import digested
    from harness.store import baselines as files

    found = runs.find(results, run)
    made = _settled(found, results, baselines) if from_history else digested(found)
    _refuse_thin(made)
    before = {one.name: one.digest.run for one in files.listing(baselines).baselines}
    saved = files.save(baselines, name, made)
    if as_json:
        click.echo(json.dumps({**_told(saved), "replaced": before.get(name)}, indent=2))
        return
    replaced = f" (it was {before[name]})" if name in before else ""
    click.echo(f"Baseline '{name}' is {made.run}{replaced}: {saved.path}")
    violated = [
        point.point.id
        for point in made.points
        if any(law.status == "deviates" for law in point.laws)
    ]
    if violated:
        click.echo(
            f"Note: laws are violated at {', '.join(violated)}; `bench check` exits 1 for that "
            "unless --allow laws is given.", err=True,
        )  # fmt: skip


@baseline.command("list")
@baselines_option
@json_option
def list_(baselines: Path, as_json: bool) -> None:
    """List the baselines, and the files that cannot be read."""
    from harness.store import baselines as files

    listing = files.listing(baselines)
    if as_json:
        click.echo(json.dumps([_told(one) for one in listing.baselines], indent=2))
    for one in () if as_json else listing.baselines:
        made = one.digest
        click.echo(
            f"{one.name:<16} {made.run:<32} {len(made.points):>3} "
            f"{agreeing(len(made.points), 'point ', 'points')}  {made.hostname}, "
            f"kernel {made.fingerprint.kernel}"
        )
    for name, reason in listing.unreadable.items():
        click.echo(f"{name}: {reason}", err=True)
    if not listing.baselines and not listing.unreadable and not as_json:
        click.echo(f"No baseline in {baselines}. `bench baseline set` makes one.", err=True)


@baseline.command()
@click.argument("name", default=_NAME)
@baselines_option
@json_option
def show(name: str, baselines: Path, as_json: bool) -> None:
    """Show a baseline: the facts of its host, and the medians of its points."""
    from harness.comparison.changes import FACTS
    from harness.store import baselines as files

    found = files.load(baselines, name)
    made = found.digest
    if as_json:
        click.echo(json.dumps({**_told(found), "points": _medians(made)}, indent=2))
        return
    click.echo(f"{name}: {made.run}, {made.hostname}, {made.created}")
    for fact in FACTS:
        click.echo(f"  {fact:<8} {getattr(made.fingerprint, fact)}")
    for point in made.points:
        laws = ", ".join(f"{law.law} {law.status.value}" for law in point.laws) or "no law"
        click.echo(
            f"{point.point.id}: {point.valid} of {counted(point.trials, 'trial')} "
            f"{agreeing(point.valid, 'counts', 'count')}; {laws}"
        )
        for one in point.series:
            container = f" [{one.container + 1}]" if len(point.point.containers) > 1 else ""
            click.echo(f"  {one.metric + container:<20} {statistics.median(one.values):.6g}")


@baseline.command()
@click.argument("name")
@baselines_option
@json_option
def rm(name: str, baselines: Path, as_json: bool) -> None:
    """Delete a baseline, readable or not."""
    from harness.store import baselines as files

    path = files.remove(baselines, name)
    click.echo(json.dumps({"removed": str(path)}) if as_json else f"Deleted {path}.")


def _settled(newest: Run, results: Path, baselines: Path) -> Digest:
    """The level that a run's points have come to; keeps the noise between the runs of it."""
    from harness.cli.noise import keep_noise, settled_digests
    from harness.comparison import settled

    digests = settled_digests(newest, results)
    keep_noise(digests, baselines)
    return settled.pooled(digests[-settled.MOST_RUNS :])


def _refuse_thin(made: Digest) -> None:
    from harness.comparison.significance import MIN_TRIALS

    thin = [point for point in made.points if point.valid < MIN_TRIALS]
    if thin or not made.points:
        names = ", ".join(f"{point.point.id} ({point.valid})" for point in thin) or "none at all"
        raise MeasurementError(
            f"{made.run} has points with fewer than {MIN_TRIALS} trials that count: {names}.",
            "Measure again with --repeats 10.",
        )


def _told(one: Baseline) -> dict[str, object]:
    made = one.digest
    return {
        "name": one.name,
        "path": str(one.path),
        "run": made.run,
        "created": made.created,
        "host": made.hostname,
        "sweep": made.sweep,
        "fingerprint": {
            name: getattr(made.fingerprint, name) for name in made.fingerprint.__slots__
        },
        "point_ids": [point.point.id for point in made.points],
    }


def _medians(made: Digest) -> list[dict[str, object]]:
    return [
        {
            "point": point.point.id,
            "metric": one.metric,
            "container": one.container,
            "n": len(one.values),
            "median": statistics.median(one.values),
            "values": list(one.values),
        }
        for point in made.points
        for one in point.series
    ]
