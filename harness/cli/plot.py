"""``bench plot``: a run's figures as PNG or SVG."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness import store
from harness.cli import output as files
from harness.cli.options import json_option, results_option, run_argument
from harness.errors import UsageError


@click.command()
@run_argument
@click.option("--format", "form", type=click.Choice(["png", "svg"]), default="png",
              show_default=True, help="PNG for documents and chats, SVG for print and the "
              "web.")  # fmt: skip
@click.option("--figure", "names", multiple=True, metavar="NAME",
              help="achieved, throttling, timeline, gaps or responses; may be given several "
              "times.  [default: all that the run has data for]")  # fmt: skip
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Where to.  [default: plots in the run's folder]")  # fmt: skip
@results_option
@json_option
def plot(
    run: str | None,
    form: str,
    names: tuple[str, ...],
    output: Path | None,
    results: Path,
    as_json: bool,
) -> None:
    """Write a run's figures as PNG or SVG.

    RUN is a name, a part of one, or a path; without it, the newest. Each figure's title states
    what was found. A run of several sweeps has figures of each: cpu-achieved, period-achieved;
    --figure achieved means them all.
    """
    from harness import plots

    found = store.find(results, run)
    here = plots.available(found)
    known = {*here, *plots.FIGURES}
    for name in names:
        if name not in known:
            raise UsageError(f"no figure '{name}'.", f"Known: {', '.join(sorted(known))}.")
    if not here:
        raise UsageError(
            f"{found.info.name} has nothing to draw: no trial of it counts.",
            f"`bench show {found.info.name}` tells why.",
        )
    drawn = plots.pictures(found, names or None)
    if not drawn:
        raise UsageError(
            f"{found.info.name} has no data for {', '.join(names)}.", f"It has: {', '.join(here)}."
        )
    folder = output or found.path / "plots"
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
