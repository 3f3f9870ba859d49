"""``bench runs``: the runs of the results folder."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness import store
from harness.cli.options import json_option, results_option


@click.command()
@results_option
@json_option
def runs(results: Path, as_json: bool) -> None:
    """List the runs of the results folder, newest first."""
    listing = store.list_runs(results)
    if as_json:
        click.echo(
            json.dumps(
                [
                    {
                        "run": run.info.name,
                        "path": str(run.path),
                        "created": run.info.created,
                        "sweep": run.info.plan.sweep,
                        "state": run.info.status,
                        "trials": run.trials,
                        "planned": len(run.info.plan.trials),
                    }
                    for run in listing.runs
                ],
                indent=2,
            )
        )
        return
    for run in listing.runs:
        info = run.info
        click.echo(
            f"{info.name:<32} {info.status:<12} {run.trials:>4} of {len(info.plan.trials):<4} "
            f"trials  {info.host.hostname}"
        )
    for name, reason in listing.unreadable.items():
        click.echo(f"{name}: {reason}", err=True)
    if not listing.runs and not listing.unreadable:
        click.echo(f"No runs in {results}. `bench sweep cpu` makes one.", err=True)
