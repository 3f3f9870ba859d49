"""``bench report``: a report of one run or several as HTML, Markdown, JSON or CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import claimed
from harness.cli import output as files
from harness.cli.options import anonymous_option, json_option, results_option, runs_argument
from harness.errors import UsageError
from harness.store import claims
from harness.store.anonymous import anonymous as without_names
from harness.store.claims import ClaimsRun
from harness.store.trials import without_collections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.store.runs import Run

_STDOUT = Path("-")


@click.command()
@runs_argument
@click.option("--format", "form", type=click.Choice(["html", "md", "json", "csv"]), default="html",
              show_default=True, help="One HTML file with tables and figures; Markdown, short "
              "enough for a comment; JSON; or the table of verdicts as CSV.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Where to; - is stdout.  [default: report.html in the run's folder for html, of "
              "several runs in the results folder; stdout for md, json and csv]")  # fmt: skip
@anonymous_option
@results_option
@json_option
def report(
    runs: tuple[str, ...],
    form: str,
    output: Path | None,
    anonymous: bool,
    results: Path,
    as_json: bool,
) -> None:
    """Write a report of runs: HTML, Markdown, JSON or CSV.

    RUN is a name, a part of one, or a path; without it, the newest. The HTML file holds all it
    needs, figures included: it can be mailed, archived and read without a network. Several runs
    (of hosts, days, engines, kernels) stand beside each other in one report; whether anything
    changed from one to another, `bench compare` tells.

    With --json, where the report was written is told as JSON; the report itself in JSON is
    --format json.
    """
    found = [claims.find(results, name) for name in dict.fromkeys(runs) or (None,)]
    folder = found[0].path if len(found) == 1 else results
    where = output or (folder / "report.html" if form == "html" else _STDOUT)
    if as_json and where == _STDOUT and form != "json":
        raise click.UsageError("--json tells where a file was written: name it with --output.")
    if anonymous:
        found = [_without_names(run) for run in found]
    # A seventh of the time that a report of a small run takes is looking for garbage among what is
    # imported; of a large one, half of that in which it is judged.
    with without_collections():
        text, verdict, headline = _made(found, form)
    if anonymous and form == "json":  # the runs are read from there, so that they bear it still
        text = _without_paths(text)
    if where == _STDOUT:
        click.echo(text, nl=False)
        return
    files.write(where, text.encode())
    if as_json:
        names = [run.info.name for run in found]
        told = {"run": names[0], "runs": names, "path": str(where), "verdict": verdict}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(f"{headline}\nWritten to {where}")


def _without_names(run: Run | ClaimsRun) -> Run | ClaimsRun:
    return claims.anonymous(run) if isinstance(run, ClaimsRun) else without_names(run)


def _made(found: Sequence[Run | ClaimsRun], form: str) -> tuple[str, str, str]:
    """(the report, the verdict, the headline) of the runs."""
    if len(found) == 1 and isinstance(found[0], ClaimsRun):
        return claimed.report(found[0], form)
    runs = [one for one in found if not isinstance(one, ClaimsRun)]
    if len(runs) < len(found):
        raise UsageError(
            "a report of several runs has none of claims.",
            "`bench compare A B` tells what two of these differ in.",
        )
    return _one(runs[0], form) if len(runs) == 1 else _several(runs, form)


def _without_paths(text: str) -> str:
    document = json.loads(text)
    for one in document.get("runs", [document]):
        del one["path"]
    return json.dumps(document, indent=2) + "\n"


def _one(run: Run, form: str) -> tuple[str, str, str]:
    """(the report, the verdict, the headline) of a run."""
    from harness.show.report import csv_table, html, json_data, markdown
    from harness.show.report import view as views

    view = views.build(run)
    match form:
        case "html":
            text = html.render(view)
        case "md":
            text = markdown.render(view)
        case "csv":
            text = csv_table.render([view])
        case _:
            text = json.dumps(json_data.as_json(view), indent=2) + "\n"
    return text, view.status.value, view.headline


def _several(runs: list[Run], form: str) -> tuple[str, str, str]:
    """The same of several runs beside each other."""
    from harness.show.report import csv_table, several

    beside = several.build(runs)
    match form:
        case "html":
            text = several.render(beside)
        case "md":
            text = several.as_markdown(beside)
        case "csv":
            text = csv_table.render(beside.views)
        case _:
            text = json.dumps(several.as_json(beside), indent=2) + "\n"
    return text, beside.status.value, beside.headline
