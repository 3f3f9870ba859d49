"""``bench notebook``: a notebook for a run.

Opens it, or executes it and writes what came of it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import click

from harness.cli import output as files
from harness.cli.options import json_option, results_option, runs_argument
from harness.show import notebook as notebooks
from harness.store import runs as store_runs


@click.command()
@runs_argument
@click.option("--notebook", "name", metavar="NAME",
              help="Which: its number, its name or a part of it, or a file.  [default: the one "
              "that explores a run, for several runs the one that compares them]")  # fmt: skip
@click.option("--execute", is_flag=True, help="Run it from top to bottom and write a page, "
              "instead of opening it.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["html", "ipynb"]), default="html",
              show_default=True, help="With --execute: one HTML file, or the notebook with its "
              "outputs.")  # fmt: skip
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="With --execute: where to.  [default: beside the run]")  # fmt: skip
@results_option
@json_option
def notebook(
    runs: tuple[str, ...],
    name: str | None,
    execute: bool,
    form: str,
    output: Path | None,
    results: Path,
    as_json: bool,
) -> int:
    """Open a notebook for runs, or execute it.

    RUN is a name, a part of one, or a path. Without it, each notebook takes the newest run that it
    fits, or the sample run that comes with limitbench. What is opened is a copy beside the run: the
    notebooks themselves stay as they are.
    """
    if not execute and (output is not None or as_json):
        raise click.UsageError("--output and --json go with --execute.")
    found = [store_runs.find(results, run) for run in runs]
    path = notebooks.find(name, len(found))
    environ = notebooks.environment([run.path for run in found], results)
    folder = found[0].path if len(found) == 1 else results
    if not execute:
        command = notebooks.jupyter()
        copy = folder / "notebooks" / path.name
        files.make_folder(copy.parent)
        if not copy.exists():
            shutil.copy(path, copy)
        click.echo(f"Opening {copy}", err=True)
        return subprocess.run([*command, str(copy)], env=environ, check=False).returncode
    document = notebooks.execute(path, environ)
    where = output or folder / f"{path.stem}.{form}"
    if form == "html":
        from harness.show.report import notebook as pages

        data = pages.render(document, path.stem).encode()
    else:
        data = notebooks.as_file(document)
    files.write(where, data)
    if as_json:
        told = {"notebook": path.name, "runs": [run.info.name for run in found],
                "path": str(where)}  # fmt: skip
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(f"Written to {where}")
    return 0
