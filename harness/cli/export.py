"""``bench export``: a run's frames as CSV, Parquet or JSON Lines."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import output as files
from harness.cli.dialogue import say
from harness.cli.options import anonymous_option, json_option, results_option, runs_argument
from harness.errors import UsageError
from harness.store import runs as store_runs
from harness.store.anonymous import anonymous as without_names

if TYPE_CHECKING:
    from harness.store.runs import Run

_STDOUT = Path("-")


@click.command()
@runs_argument
@click.option("--format", "form", type=click.Choice(["csv", "parquet", "jsonl"]), default="csv",
              show_default=True, help="CSV, Parquet, or JSON Lines.")  # fmt: skip
@click.option("--frame", "names", multiple=True, metavar="NAME",
              help="points, trials, estimates, verdicts, errors, gaps, growth or samples; may be "
              "given several times.  [default: all that have rows]")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR",
              help="Where to; - is stdout, for one frame.  [default: export in the run's folder, "
              "of several runs in the results folder]")  # fmt: skip
@anonymous_option
@results_option
@json_option
def export(
    runs: tuple[str, ...],
    form: str,
    names: tuple[str, ...],
    output: Path | None,
    anonymous: bool,
    results: Path,
    as_json: bool,
) -> None:
    """Write runs as tables: CSV, Parquet or JSON Lines.

    RUN is a name, a part of one, or a path; without it, the newest; several runs share the files.
    What each column means stands in docs/notebooks.md.
    """
    from harness.show import export as exporting

    for name in names:
        if name not in exporting.NAMES:
            raise UsageError(f"no frame '{name}'.", f"Known: {', '.join(exporting.NAMES)}.")
    found = [store_runs.find(results, name) for name in runs or (None,)]
    if anonymous:
        found = [without_names(run) for run in found]
    if output == _STDOUT:
        if len(names) != 1 or as_json:
            raise UsageError("stdout takes one frame, and nothing beside it.",
                             "Name it with --frame.")  # fmt: skip
        exporting.write(found, names[0], form, sys.stdout.buffer)
        _tell(found)
        return
    folder = output or (found[0].path if len(found) == 1 else results) / "export"
    files.make_folder(folder)
    written = []
    for name in names or exporting.NAMES:
        path = folder / f"{name}.{form}"
        with files.writing(path) as out:
            rows = exporting.write(found, name, form, out)
        if not rows and not names:
            with contextlib.suppress(OSError):
                path.unlink()
            continue
        written.append({"frame": name, "rows": rows, "path": str(path)})
    _tell(found)
    if as_json:
        click.echo(json.dumps(written, indent=2))
        return
    for one in written:
        click.echo(f"{one['path']}: {one['rows']} rows")


def _tell(found: list[Run]) -> None:
    """What of the runs is in no table, since it could not be read."""
    for run in found:
        for text in run.damage:
            say(f"{run.info.name}: {text}.")
