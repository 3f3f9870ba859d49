"""``bench fleet``: the same measurement on many hosts.

The group alone; each command is in a module of its own beside this one.
"""

from __future__ import annotations

import click

from harness.cli.fleet_asked import check, claims, resume, sweep
from harness.cli.fleet_measure import measure
from harness.cli.fleet_report import report
from harness.cli.fleet_served import up, worker


@click.group(
    epilog="""\b
Examples:
  bench fleet up                               a scheduler, on loopback
  bench fleet worker --scheduler 127.0.0.1     this host joins it
  bench fleet sweep cpu                        on every host that has joined
  bench fleet sweep cpu --hosts web1,web2 --dry-run
  bench fleet report                           hosts side by side: which differ, and by what
  bench fleet resume                           collect what a controller that died left open
"""
)
def fleet() -> None:
    """Measure the same on many hosts: one worker a host, one task a host.

    Each host is measured as `bench sweep` measures it, and its run is kept here like any other. It
    needs the extra `fleet` (Dask distributed) here and on each host; docs/fleet.md tells how
    workers come to hosts, and how ports are guarded.
    """


for _command in (sweep, check, claims, resume, report, up, worker, measure):
    fleet.add_command(_command)
