"""``bench report``: a run's report as one HTML file, Markdown or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness import store
from harness.cli import output as files
from harness.cli.options import json_option, results_option, run_argument

if TYPE_CHECKING:
    from harness.report.view import View

_STDOUT = Path("-")


@click.command()
@run_argument
@click.option("--format", "form", type=click.Choice(["html", "md", "json"]), default="html",
              show_default=True, help="One HTML file with tables and figures; Markdown, short "
              "enough for a comment; or JSON.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Where to; - is stdout.  [default: report.html in the run's folder for html, "
              "stdout for md and json]")  # fmt: skip
@results_option
@json_option
def report(run: str | None, form: str, output: Path | None, results: Path, as_json: bool) -> None:
    """Write a run's report: one HTML file, Markdown or JSON.

    RUN is a name, a part of one, or a path; without it, the newest. The HTML file holds all it
    needs, figures included: it can be mailed, archived and read without a network.

    With --json, where the report was written is told as JSON; the report itself in JSON is
    --format json.
    """
    found = store.find(results, run)
    where = output or (found.path / "report.html" if form == "html" else _STDOUT)
    if as_json and where == _STDOUT and form != "json":
        raise click.UsageError("--json tells where a file was written: name it with --output.")
    from harness.report import view as views

    view = views.build(found)
    text = _render(view, form)
    if where == _STDOUT:
        click.echo(text, nl=False)
        return
    files.write(where, text.encode())
    if as_json:
        told = {"run": found.info.name, "path": str(where), "verdict": view.status.value}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(f"{view.headline}\nWritten to {where}")


def _render(view: View, form: str) -> str:
    if form == "html":
        from harness.report import html

        return html.render(view)
    if form == "md":
        from harness.report import markdown

        return markdown.render(view)
    from harness.report import view as views

    return json.dumps(views.as_json(view), indent=2) + "\n"
