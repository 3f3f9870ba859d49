"""``bench clean``: remove containers that were left behind."""

from __future__ import annotations

import json

import click

from harness.cli.options import engine_host_option, json_option


@click.command()
@engine_host_option
@json_option
def clean(engine_host: str | None, as_json: bool) -> None:
    """Remove the containers that limitbench left on the engine, found by their label.

    Only needed after a crash or a lost engine: every command removes its own. Do not call it
    while a sweep is running: its containers bear the label too.
    """
    from harness.engine import DockerEngine, find_engine

    connection = find_engine(engine_host)
    removed = DockerEngine(connection).remove_all(None) if connection else 0
    if as_json:
        click.echo(json.dumps({"removed": removed, "engine": connection and connection.host}))
    elif connection is None:
        click.echo("No engine answers, so none holds a container of ours.")
    else:
        click.echo(f"Removed {removed} container{'s' * (removed != 1)} on {connection.host}.")
