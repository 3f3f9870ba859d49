"""``bench clean``: remove what was left behind, with all that belongs to them."""

from __future__ import annotations

import json

import click

from harness.cli.options import engine_host_option, json_option
from harness.wording import counted


@click.command()
@engine_host_option
@json_option
def clean(engine_host: str | None, as_json: bool) -> None:
    """Remove what limitbench left: containers, what they had, images of claims, devices, cgroups.

    Only needed after a crash or a lost engine: every command removes its own, and what a bench that
    died has left. Processes that an engine left running when it was killed are ended too. Those of
    a measurement that still runs on this host are left alone.
    """
    from harness.cgroup import remove_empty_parents
    from harness.engine import device, leftovers, storage
    from harness.engine.abandoned import remove_abandoned
    from harness.engine.connect import find_engine
    from harness.engine.docker_engine import DockerEngine

    connection = find_engine(engine_host)
    removed = images = volumes = 0
    if connection:
        engine = DockerEngine(connection)
        left = engine.left_behind(unknown=True)
        engine.remove(left)
        removed = len(left)
        images, volumes = remove_abandoned(connection, unknown=True)
    ended = leftovers.end(leftovers.strays())
    devices = device.remove_left(unknown=True)
    folders = storage.remove_abandoned_folders()
    cgroups = remove_empty_parents()
    if as_json:
        told = {
            "removed": removed,
            "images": images,
            "volumes": volumes,
            "devices": devices,
            "folders": folders,
            "cgroups": cgroups,
            "engine": connection and connection.host,
        }
        click.echo(json.dumps({**told, "ended": [one.pid for one in ended]}))
        return
    if connection is None:
        click.echo("No engine answers, so none holds a container of ours.")
    else:
        also = [counted(n, what) for n, what in ((images, "image"), (volumes, "volume")) if n]
        what = ", ".join([counted(removed, "container"), *also])
        click.echo(f"Removed {what} on {connection.host}.")
    if devices:
        click.echo(f"Removed {counted(devices, 'loop device')} with its file.")
    if folders:
        click.echo(f"Removed {counted(folders, 'folder')} of this host that containers had.")
    if cgroups:
        click.echo(f"Removed {counted(cgroups, 'empty cgroup')} of ours on this host.")
    for one in ended:
        click.echo(f"Ended {one}: left running by an engine that is gone.")
