"""Options that several commands share, each in one place."""

from __future__ import annotations

from pathlib import Path

import click

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

run_argument = click.argument("run", required=False)
