"""``bench runs``: the runs of the results folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click

from harness.cli.options import json_option, results_option
from harness.store import claims
from harness.store import listing as listings
from harness.store.claims import ClaimsRun
from harness.store.listing import Listed
from harness.wording import agreeing


@click.command()
@results_option
@json_option
def runs(results: Path, as_json: bool) -> None:
    """List the runs of the results folder, newest first."""
    listing = listings.list_runs(results)
    of_claims, unreadable = claims.listed(results)
    found = [*map(_of_trials, listing.runs), *map(_of_claims, of_claims)]
    found.sort(key=lambda run: run.created, reverse=True)
    if as_json:
        click.echo(json.dumps([run.as_json() for run in found], indent=2))
        return
    for run in found:
        click.echo(
            f"{run.name:<32} {run.state:<12} {run.done:>4} of {run.planned:<4} "
            f"{agreeing(run.planned, run.noun + ' ', run.noun + 's')}  {run.host}"
        )
    reasons = {**listing.unreadable, **unreadable, **listing.changed}
    for name, reason in reasons.items():
        click.echo(f"{name}: {reason}", err=True)
    if not found and not reasons:
        click.echo(f"No runs in {results}. `bench sweep cpu` makes one.", err=True)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A run of either kind, as a line has it."""

    name: str
    path: Path
    created: str
    state: str
    host: str
    noun: str
    """What is counted: ``trial`` or ``claim``."""
    done: int
    planned: int
    sweep: str
    """``claims`` for a run of them."""

    def as_json(self) -> dict[str, str | int]:
        return {
            "run": self.name,
            "path": str(self.path),
            "created": self.created,
            "sweep": self.sweep,
            "state": self.state,
            f"{self.noun}s": self.done,
            "planned": self.planned,
        }


def _of_trials(run: Listed) -> _Listed:
    return _Listed(
        run.name, run.path, run.created, run.status, run.host, "trial", run.trials, run.planned,
        run.sweep,
    )  # fmt: skip


def _of_claims(run: ClaimsRun) -> _Listed:
    info = run.info
    return _Listed(
        info.name, run.path, info.created, info.status, info.host.hostname, "claim",
        len(run.results), len(info.claims), "claims",
    )  # fmt: skip
