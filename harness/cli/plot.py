"""``bench plot``: the figures of one run or several as PNG or SVG."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli import output as files
from harness.cli.options import json_option, results_option, runs_argument
from harness.errors import UsageError
from harness.store import runs as store_runs


@click.command()
@runs_argument
@click.option("--format", "form", type=click.Choice(["png", "svg"]), default="png",
              show_default=True, help="PNG for documents and chats, SVG for print and the "
              "web.")  # fmt: skip
@click.option(
    "--figure",
    "names",
    multiple=True,
    metavar="NAME",
    help="achieved, shares, reached, taken, reclaimed, killed, throttling, timeline, gaps, heat, "
    "responses, answers, latencies, pages, growth, storage, lifecycle, neighbour or pressure; may "
    "be given several times.  [default: all that there is data for]",
)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Where to.  [default: plots in the run's folder, of several runs in the "
              "results folder]")  # fmt: skip
@results_option
@json_option
def plot(
    runs: tuple[str, ...],
    form: str,
    names: tuple[str, ...],
    output: Path | None,
    results: Path,
    as_json: bool,
) -> None:
    """Write the figures of runs as PNG or SVG.

    RUN is a name, a part of one, or a path; without it, the newest. Each figure's title states
    what was found. A run of several sweeps has figures of each: cpu-achieved, period-achieved;
    --figure achieved means them all. Of several runs (hosts, days, engines, kernels) each figure
    has a panel a run, with the same axes in all.
    """
    from harness.show import plots

    found = [store_runs.find(results, name) for name in dict.fromkeys(runs)] or [
        store_runs.find(results, None)
    ]
    called = " and ".join(run.info.name for run in found)
    here = plots.available(*found)
    known = {*here, *plots.FIGURES}
    for name in names:
        if name not in known:
            raise UsageError(f"no figure '{name}'.", f"Known: {', '.join(sorted(known))}.")
    if not here:
        raise UsageError(
            f"{called}: nothing to draw, since no trial counts.",
            f"`bench show {found[0].info.name}` tells why.",
        )
    drawn = plots.pictures(*found, names=names or None)
    if not drawn:
        raise UsageError(f"{called}: no data for {', '.join(names)}.",
                         f"There is: {', '.join(here)}.")  # fmt: skip
    folder = output or (found[0].path if len(found) == 1 else results) / "plots"
    files.make_folder(folder)
    written = []
    for picture in drawn:
        path = folder / f"{picture.name}.{form}"
        data = plots.png(picture) if form == "png" else plots.svg(picture).encode()
        files.write(path, data)
        written.append(
            {
                "figure": picture.name,
                "title": picture.title.replace("\N{NO-BREAK SPACE}", " "),
                "path": str(path),
            }
        )
    if as_json:
        click.echo(json.dumps(written, indent=2))
        return
    for one in written:
        click.echo(f"{one['path']}: {one['title']}")
