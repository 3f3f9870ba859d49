"""``bench fleet worker``, ``up``: what goes on until it is ended."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.dialogue import say
from harness.cli.fleet_options import (
    check_name,
    insecure_option,
    need_asyncssh,
    run,
    scheduler_option,
    tls_options,
)
from harness.cli.options import engine_host_option
from harness.errors import BenchError, UsageError

if TYPE_CHECKING:
    from harness.fleet.reach import Certificates

_LISTEN = "127.0.0.1:8786"


@click.command(
    epilog="""\b
Examples:
  bench fleet worker --scheduler 127.0.0.1:8786
  bench fleet worker --scheduler tls://fleet.example:8786 \\
      --tls-ca ca.pem --tls-cert host.pem --tls-key host.key
"""
)
@scheduler_option
@click.option("--name", help="This host's name in the fleet.  [default: its own]")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
              help="Where tasks and their runs lie until they are collected.  [default: "
              "/var/lib/limitbench/fleet, or the user's own]")  # fmt: skip
@insecure_option
@tls_options
@engine_host_option
def worker(
    scheduler: str,
    name: str | None,
    folder: Path | None,
    insecure: bool,
    tls: Certificates | None,
    engine_host: str | None,
) -> None:
    """Have this host in a fleet, until Ctrl-C: it measures what it is asked for, one at a time.

    A `bench` of its own measures, as one by hand would, with the host's lock. Where the scheduler
    goes away, the worker waits for it and the measurement goes on; where the worker is ended, the
    measurement stops, and goes on in the same run with the next worker of that name. To have it
    started with the host: docs/fleet/limitbench-worker.service.
    """
    from harness.fleet import host as hosts
    from harness.fleet import reach
    from harness.fleet.worker import Joining, serve

    name = check_name(name or socket.gethostname())
    address = reach.address(scheduler, tls)
    where = address.rpartition("://")[2].rpartition(":")[0]
    if warning := reach.refuse_open(where, tls, insecure=insecure):
        say(warning)
    about = _cpus(engine_host)
    root = (folder or hosts.default_folder()) / name
    _prepare(root)
    cpus = hosts.housekeeping_cpus()
    every = frozenset(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "harness", "fleet", "measure"]
    if engine_host:
        command += ["--engine-host", engine_host]
    carries = hosts.Host(
        name, root, lambda task: hosts.Child(command, task, every), hosts.listed(cpus)
    )
    hosts.keep_on(cpus)
    joining = Joining(address, reach.security(tls), name, about, root / "dask")
    try:
        run(serve(joining, carries, say))
    finally:
        carries.close()


def _prepare(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o700)
    except OSError as error:
        raise UsageError(
            f"cannot write to {root}: {error.strerror}.", "Give another with --folder."
        ) from error


def _cpus(engine_host: str | None) -> dict[str, Any]:
    """The CPUs that containers may be given here, which a plan for all hosts must fit."""
    from harness.engine import place
    from harness.engine.connect import find_engine
    from harness.engine.docker_engine import DockerEngine
    from harness.limits import format_cpu_list

    try:
        connection = find_engine(engine_host)
        cpus = (
            DockerEngine(connection).facts().cpus_to_give if connection else place.cpus_of_our_own()
        )
    except BenchError as error:  # it may be there when it is needed
        say(str(error))
        cpus = place.cpus_of_our_own()
    return {"cpus": format_cpu_list(frozenset(cpus.numbers)), "most": cpus.most}


@click.command(
    epilog="""\b
Examples:
  bench fleet up                                      on loopback, for this host alone
  bench fleet up --listen 0.0.0.0:8786 \\
      --tls-ca ca.pem --tls-cert fleet.pem --tls-key fleet.key
  bench fleet up --listen 10.0.0.1:8786 --ssh root@web1,root@web2 --tls-ca ...
"""
)
@click.option("--listen", metavar="ADDRESS", default=_LISTEN, show_default=True,
              help="Where the scheduler listens: host:port.")  # fmt: skip
@click.option("--ssh", metavar="HOST,HOST,...", help="Start a worker on each of these too, by SSH; "
              "it ends with this command.")  # fmt: skip
@click.option("--ssh-config", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="How they are reached, as ssh_config(5) has it.  "
              "[default: the user's own]")  # fmt: skip
@click.option("--ssh-bench", metavar="COMMAND", default="bench", show_default=True,
              help="bench as it is called there; options of `bench fleet worker` may "
              "follow.")  # fmt: skip
@insecure_option
@tls_options
def up(
    listen: str,
    ssh: str | None,
    ssh_config: str | None,
    ssh_bench: str,
    insecure: bool,
    tls: Certificates | None,
) -> None:
    """Start a fleet's scheduler, which workers join and `bench fleet sweep` asks, until Ctrl-C.

    It keeps nothing: where it is started anew, workers come back and hosts are asked again. With
    --ssh the files of --tls-ca, --tls-cert and --tls-key must be on each host too, at the same
    paths.
    """
    from harness.fleet import reach, scheduler

    address = reach.address(listen, tls)
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if warning := reach.refuse_open(host, tls, insecure=insecure):
        say(warning)

    def ready(at: str) -> None:
        click.echo(at)
        sys.stdout.flush()
        say(f"On each host: bench fleet worker --scheduler {at}")

    security = reach.security(tls)
    if ssh is None:
        run(scheduler.serve(scheduler.alone(host, int(port), security), ready))
        return
    from harness.fleet.ssh import Hosts, cluster, refuse_loopback

    names = _ssh_hosts(ssh)
    refuse_loopback(names, host)
    words, more = _called_there(ssh_bench)
    given = [] if tls is None else [
        "--tls-ca", str(tls.ca), "--tls-cert", str(tls.cert), "--tls-key", str(tls.key)
    ]  # fmt: skip
    command = (*words, "fleet", "worker", *more, *given, *["--insecure"] * insecure)
    hosts = Hosts(names, ssh_config, command)
    run(scheduler.serve(cluster(hosts, (host, int(port)), security, say), ready))


def _ssh_hosts(text: str) -> tuple[str, ...]:
    from harness.fleet.ssh import name_of

    need_asyncssh()
    found = tuple(dict.fromkeys(one for one in text.split(",") if one))
    for one in found:
        check_name(name_of(one))
    if len({name_of(one) for one in found}) < max(1, len(found)):
        raise UsageError("--ssh names a host twice, or none.", "Write web1,root@web2.")
    return found


def _called_there(text: str) -> tuple[list[str], list[str]]:
    """(the program, options of a worker) of --ssh-bench."""
    words = shlex.split(text)
    at = next((i for i, word in enumerate(words) if word.startswith("--")), len(words))
    return words[:at], words[at:]
