"""``bench show``: the table and verdicts of a run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness import store
from harness.cli.options import json_option, results_option, run_argument


@click.command()
@run_argument
@results_option
@json_option
def show(run: str | None, results: Path, as_json: bool) -> None:
    """Show the table and verdicts of RUN: a name, a part of one, or a path.

    Without RUN, the newest. A run that was interrupted, or is still going on, is shown as far
    as it came.
    """
    from harness.report import view as views

    view = views.build(store.find(results, run))
    if as_json:
        click.echo(json.dumps(views.as_json(view), indent=2))
        return
    from harness.report import terminal

    terminal.print_view(view)
