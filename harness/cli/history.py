"""``bench history``: since when is it so?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import output as files
from harness.cli.options import all_option, json_option, results_option
from harness.cli.reference import refuse_unknown
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.model import History


@click.command(
    epilog="""
\b
Examples:
  bench history                           every run and check that is kept
  bench history --sweep cpu --metric throttled_share
  bench history results ci-results --html history.html
  bench history --figure history.png
"""
)
@click.argument("folders", nargs=-1, metavar="[FOLDER]...",
                type=click.Path(file_okay=False, path_type=Path))  # fmt: skip
@click.option("--sweep", "sweep_name", metavar="AXIS|NAME", help="Points of one axis, or runs of a "
              "sweep of that name.")  # fmt: skip
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="One metric, e.g. cpus or "
              "throttled_share; may be given several times.")  # fmt: skip
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write the figure too, as PNG or SVG by its ending.")  # fmt: skip
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write one HTML file with figure and tables too.")  # fmt: skip
@all_option
@results_option
@json_option
def history(
    folders: tuple[Path, ...],
    sweep_name: str | None,
    metrics: tuple[str, ...],
    figure: Path | None,
    page: Path | None,
    every: bool,
    results: Path,
    as_json: bool,
) -> None:
    """Tell since when limits behave as they do: where a level moved, and what else changed there.

    Every run and check of the results folder, or of FOLDERs, as series: a metric of a point of a
    host, run by run. Where its level moved is told with its interval, and with the facts that
    changed there: kernel, engine, runtime, cgroup driver, limitbench. Points whose limits, load or
    window differ are series of their own.

    Needs ruptures: pip install 'limitbench[history]'.
    """
    from harness.cli.terminal import show_page
    from harness.show.report import history as words
    from harness.show.report.history_page import Page

    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise UsageError(f"{figure} is neither .png nor .svg.", "Its ending says what is written.")
    found = of_folders(folders or (results,), sweep_name, metrics)
    if as_json:
        click.echo(json.dumps(words.as_json(found), indent=2))
    else:
        show_page(Page(found, every=every))
    if figure is not None:
        _draw(found, figure)
    if page is not None:
        from harness.show.report import history_html

        files.write(page, history_html.render(found).encode())


def of_folders(
    folders: tuple[Path, ...], sweep: str | None = None, metrics: tuple[str, ...] = ()
) -> History:
    """The history of these folders; UsageError for what cannot be found in any, with what can."""
    from harness.comparison import changepoints, collected
    from harness.comparison import history as histories
    from harness.comparison.sensitivity import SENSITIVITY

    changepoints.refuse_missing()
    for name in metrics:
        if name not in SENSITIVITY:
            raise UsageError(
                f"no metric '{name}' is compared.", f"Known: {', '.join(SENSITIVITY)}."
            )
    there = collected.collected(folders)
    found = histories.history(there, sweep=sweep, metrics=metrics)
    if not found.series:
        if sweep is not None:
            refuse_unknown(sweep)
        names = " and ".join(str(folder) for folder in folders)
        what = f" of {sweep}" * bool(sweep) + f" with {' or '.join(metrics)}" * bool(metrics)
        why = f" ({there.left_out[0][0]}: {there.left_out[0][1]})" if there.left_out else ""
        raise UsageError(f"no run{what} in {names} can be followed{why}.",
                         "`bench sweep cpu --repeats 10` makes one.")  # fmt: skip
    return found


def _draw(found: History, where: Path) -> None:
    from harness.show import plots
    from harness.show.plots import history as drawing

    picture = drawing.picture(found)
    assert picture is not None
    data = plots.png(picture) if where.suffix == ".png" else plots.svg(picture).encode()
    files.write(where, data)
