"""``bench engine``: the private engine by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from harness.cli.dialogue import asker, say
from harness.cli.options import json_option

if TYPE_CHECKING:
    from harness.engine import daemon


@click.group()
def engine() -> None:
    """Start, stop or show the private engine.

    It is a dockerd with its own socket and data, without a bridge and without touching iptables.
    `bench sweep` starts it where no other engine answers, and it goes on until `bench engine stop`.
    BENCH_ENGINE_DIR is its folder (default: /var/lib/limitbench/engine); where dockerd is missing,
    BENCH_INSTALL_ENGINE (auto, ask or never) says what may be done. An engine that others started
    is never touched.
    """


@engine.command()
@json_option
def start(as_json: bool) -> None:
    """Start it, whatever other engine answers. Where it runs already, nothing is done.

    Needs root. Where dockerd is not installed, Debian's docker.io is, if that is allowed.
    """
    from harness.engine.connect import start_private

    _show(start_private(say, asker()), as_json)


@engine.command()
@json_option
def status(as_json: bool) -> int:
    """Tell whether it runs and where. Exits 0 where it answers, 4 where it does not."""
    from harness.engine import daemon

    found = daemon.status()
    _show(found, as_json)
    return 0 if found.answers else 4


@engine.command()
@click.option("--purge", is_flag=True, help="Delete its images, containers and logs too.")
@json_option
def stop(purge: bool, as_json: bool) -> None:
    """End it, with the containers that run in it. Where it does not run, nothing is done.

    Its images are kept for the next start, which --purge changes.
    """
    from harness.engine import daemon

    stopped = daemon.stop(purge=purge)
    if as_json:
        click.echo(json.dumps({"stopped": stopped, "purged": purge}))
        return
    done = "Ended the private engine" if stopped else "The private engine was not running"
    click.echo(f"{done}{'; its folder is deleted' * purge}.")


def _show(status: daemon.Status, as_json: bool) -> None:
    if as_json:
        told: dict[str, Any] = {
            "answers": status.answers,
            "trouble": status.trouble,
            "pid": status.pid,
            "version": status.version,
            "host": status.host,
            "folder": str(status.folder),
            "log": str(status.log),
        }
        click.echo(json.dumps(told, indent=2))
    elif status.answers:
        click.echo(f"The private engine runs: Docker {status.version}, pid {status.pid}.\n"
                   f"DOCKER_HOST={status.host}\nlog: {status.log}")  # fmt: skip
    elif status.pid is not None:
        click.echo(f"The private engine (pid {status.pid}) does not answer: {status.trouble}.\n"
                   f"log: {status.log}")  # fmt: skip
    else:
        click.echo("The private engine does not run.")
