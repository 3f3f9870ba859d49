"""How commands show runs of claims."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import output as files
from harness.cli.terminal import show_page

if TYPE_CHECKING:
    from harness.store.claims import ClaimsRun


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a run of claims goes, and in which language its sentences are."""

    korean: bool = False
    as_json: bool = False
    markdown: Path | None = None
    html: Path | None = None
    junit: Path | None = None


def conclude(run: ClaimsRun, former: ClaimsRun | None, outputs: Outputs) -> int:
    """Show a run, and what changed since a former one; the exit code."""
    from harness.comparison import claims as comparison
    from harness.show.claims import compared as diffs
    from harness.show.claims import html, junit, markdown, terminal
    from harness.show.claims import view as views

    view = views.build(run, korean=outputs.korean)
    compared = None if former is None else comparison.compare(former, run)
    if outputs.as_json:
        told = views.as_json(view)
        if compared is not None:
            told["against"] = diffs.as_json(compared)
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        show_page(terminal.Page(view))
        if compared is not None:
            show_page(diffs.Page(compared, korean=outputs.korean))
    if outputs.markdown is not None:
        text = markdown.render(view)
        if compared is not None:
            text += "\n" + diffs.as_markdown(compared, korean=outputs.korean)
        files.write(outputs.markdown, text.encode())
    if outputs.html is not None:
        files.write(outputs.html, html.render(view, compared).encode())
    if outputs.junit is not None:
        files.write(outputs.junit, junit.render(view, compared).encode())
    if compared is not None and compared.of("changed"):
        return 1
    return views.exit_code(view)


def compare(before: ClaimsRun, after: ClaimsRun, outputs: Outputs, *, strict: bool) -> int:
    """Show what two runs differ in; the exit code, which tells a change under ``strict`` only."""
    from harness.comparison import claims as comparison
    from harness.show.claims import compared as diffs

    found = comparison.compare(before, after)
    if outputs.as_json:
        click.echo(json.dumps(diffs.as_json(found), indent=2, ensure_ascii=False))
    else:
        show_page(diffs.Page(found))
    if outputs.markdown is not None:
        files.write(outputs.markdown, diffs.as_markdown(found).encode())
    if not strict:
        return 0
    return 1 if found.of("changed") else 3 if found.of("open") else 0


def report(run: ClaimsRun, form: str) -> tuple[str, str, str]:
    """(the report in that form, the verdict on all, the headline) of a run."""
    from harness.show.claims import html, markdown, table
    from harness.show.claims import view as views

    view = views.build(run)
    match form:
        case "html":
            text = html.render(view)
        case "md":
            text = markdown.render(view)
        case "csv":
            text = table.as_csv(view)
        case _:
            text = json.dumps(views.as_json(view), indent=2, ensure_ascii=False) + "\n"
    return text, view.verdict, view.headline
