"""``bench show``: what came out of a run.

Its table and its verdicts.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli import claimed
from harness.cli.options import json_option, results_option, run_argument
from harness.cli.terminal import show_page
from harness.store import claims


@click.command()
@run_argument
@results_option
@json_option
def show(run: str | None, results: Path, as_json: bool) -> None:
    """Show the table and verdicts of RUN: a name, a part of one, or a path.

    Without RUN, the newest, of a sweep or of claims. A run that was interrupted, or is still going
    on, is shown as far as it came.
    """
    found = claims.find(results, run)
    if isinstance(found, claims.ClaimsRun):
        claimed.conclude(found, None, claimed.Outputs(as_json=as_json))
        return
    from harness.show.report import found as searches
    from harness.show.report import json_data
    from harness.show.report import view as views

    view, search = views.build(found), searches.build(found)
    if as_json:
        document = json_data.as_json(view)
        if search is not None:
            document["found"] = searches.as_json(search)
        click.echo(json.dumps(document, indent=2))
        return
    from harness.show.report import terminal

    # What laws say of points with a trial or two is no answer to what was asked: the report has it.
    show_page(terminal.Page(view) if search is None else searches.Page(search))
