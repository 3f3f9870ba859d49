"""Options that several commands share, each in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class Share(click.ParamType[float]):
    """A share, written as a percentage: ``1%``, ``0.5 %``."""

    name = "percent"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The share: 0.01 for ``1%``. Without its sign a number could mean either."""
        if isinstance(value, float):
            return value
        number = str(value).strip()
        try:
            if number.endswith("%"):
                return float(number[:-1]) / 100
        except ValueError:
            pass
        return self.fail(f"'{value}' is not a percentage: write for example 1%.", param, ctx)


results_option = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="BENCH_RESULTS",
    default=Path("results"),
    show_default=True,
    help="Folder of all runs.  [env: BENCH_RESULTS]",
)

engine_host_option = click.option(
    "--engine-host",
    metavar="URL",
    envvar="BENCH_ENGINE_HOST",
    help="Engine to use, e.g. unix:///run/docker.sock. Default: DOCKER_HOST, the current Docker "
    "context, the default socket, then a private engine.  [env: BENCH_ENGINE_HOST]",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")

anonymous_option = click.option(
    "--anonymous",
    is_flag=True,
    help="Leave names of hosts and users, addresses and paths out, to make it public.",
)

run_argument = click.argument("run", required=False)

baselines_option = click.option(
    "--baselines",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="BENCH_BASELINES",
    default=Path("baselines"),
    show_default=True,
    help="Folder of all baselines, to be committed.  [env: BENCH_BASELINES]",
)

allow_option = click.option(
    "--allow",
    metavar="FACTS",
    multiple=True,
    help="What may differ because it is under test, e.g. kernel or engine,runtime; all. Also: "
    "laws, for those that were violated before.",
)

markdown_option = click.option(
    "--markdown",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a summary in Markdown too.",
)

junit_option = click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write JUnit XML too.",
)

language_option = click.option(
    "--lang",
    "language",
    type=click.Choice(["en", "ko"]),
    default="en",
    show_default=True,
    help="Language of the claims: English, or Korean.",
)

all_option = click.option("--all", "every", is_flag=True, help="Show every metric of each point.")

strict_option = click.option(
    "--strict", is_flag=True, help="Exit 1 on a regression, 3 where it is inconclusive."
)

runs_argument = click.argument("runs", nargs=-1, metavar="[RUN]...")
