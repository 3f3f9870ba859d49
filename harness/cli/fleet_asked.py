"""``bench fleet sweep``, ``check``, ``claims``, ``resume``: ask many hosts, collect their runs."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import commandline
from harness.cli import sweep as of_sweep
from harness.cli.check import check as of_check
from harness.cli.dialogue import say
from harness.cli.fleet_options import hosts_option, named, patience_options, run
from harness.cli.options import (
    allow_option,
    baselines_option,
    json_option,
    results_option,
)
from harness.model import ForCheck, Order, Task
from harness.store import fleets, folder
from harness.wording import counted

if TYPE_CHECKING:
    from harness.fleet.controller import Joined, Reach
    from harness.limits import EngineCpus
    from harness.model import Fleet, Plan
    from harness.store.fleets import FleetWriter

_GRACE_S = 5.0
"""After the first of several hosts is there, so long before the others are planned without."""
_HOST = "{host}"


def _with_options_of(
    command: click.Command, *left_out: str
) -> Callable[[click.Command], click.Command]:
    """Those of the command that does the same on one host, but for what a fleet has of its own."""

    def add(mine: click.Command) -> click.Command:
        # Copies, as each is given an environment variable that bears its command's name.
        mine.params[:0] = [copy.copy(one) for one in command.params if one.name not in left_out]
        return mine

    return add


_LEFT_OUT = ("results", "engine_host", "as_json", "no_wait", "device", "force", "verbose")


@_with_options_of(of_sweep.sweep, *_LEFT_OUT)
@click.command(
    epilog="""\b
Examples:
  bench fleet sweep cpu                           on every host that has joined
  bench fleet sweep cpu --hosts web1,web2,db1     where a host does not join, the others go on
  bench fleet sweep night.toml --wait 600
  bench fleet sweep cpu --dry-run                 the hosts, the plan, and how long it takes
"""
)
@hosts_option
@patience_options
@results_option
@json_option
def sweep(
    sweep_name: str,
    hosts: str,
    reach: Reach,
    results: Path,
    dry_run: bool,
    strict: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Sweep a limit on many hosts, each as `bench sweep` does: the same plan for all of them.

    Values that nobody gave are those that fit the smallest host. Hosts measure at the same time;
    each run is kept here as soon as it is whole. Ctrl-C, or the end of this terminal, ends no
    measurement: `bench fleet resume` collects what was left.

    Exits 0 where each host's run is here, 4 where one failed or was not to be reached.
    """
    asked = of_sweep.understood(sweep_name, options)

    def planned(cpus: EngineCpus) -> Plan:
        return of_sweep.built(asked, cpus, lambda: "The hosts of a fleet are lent none.")

    there = _joined(reach, named(hosts))
    plan = planned(_smallest(there.values()))
    order = Order(plan=plan)
    if dry_run:
        say(f"On {counted(len(there), 'host')}: {', '.join(sorted(there))}.")
        of_sweep.print_plan(plan, as_json)
        return 0
    writer = _created(results, order, named(hosts) or sorted(there), reach)
    return _collect(writer, reach, as_json=as_json, strict=strict)


@_with_options_of(
    of_check, *_LEFT_OUT, "run", "found", "against", "allow", "junit", "markdown", "every",
    "baselines", "openmetrics", "github",
)  # fmt: skip
@click.command(
    epilog="""\b
Examples:
  bench fleet check --sweep cpu                   the laws, on every host
  bench fleet check --against web --allow host    a baseline that the group shares
  bench fleet check --against {host}              each against its own
"""
)
@click.option("--against", metavar="NAME", help="The baseline; {host} in it stands for a host's "
              "name.  [default: the laws alone]")  # fmt: skip
@allow_option
@hosts_option
@patience_options
@results_option
@baselines_option
@json_option
def check(
    sweep_name: str | None,
    against: str | None,
    allow: tuple[str, ...],
    hosts: str,
    reach: Reach,
    results: Path,
    baselines: Path,
    budget: float | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Tell of many hosts whether limits behave there as they did, and as they should.

    Each host is compared with a baseline that is here, one for all of them or its own, as
    `bench check` does; without --against, with the laws alone.

    Exits 1 where a host regressed or violates a law, else 4 where one failed or was not to be
    reached, else 3 where one stayed open.
    """
    from harness.cli import going_on, verdict
    from harness.cli import reference as references

    given = {"sweep_name": sweep_name, "budget": budget, **options}
    references.refuse_useless(given, there=False)
    permitted = verdict.allowed(allow)
    factor = going_on.budget_of(budget, options["until"])
    asked = references.options_of(options)
    there = _joined(reach, named(hosts))
    held = references.Reference("", None)
    if against is not None:
        # Of several, the first one's points: what all are compared in is one plan.
        held = references.reference(against.replace(_HOST, min(there)), baselines)
    plan = references.plan_of(held, sweep_name, asked, _smallest(there.values()))
    purpose = ForCheck(against=against, allow=tuple(sorted(permitted)), budget=factor)
    order = Order(plan=going_on.with_room(plan, factor), purpose=purpose)
    for host in there if against and _HOST in against else ():
        _baseline(order, host, baselines)  # a missing one is told before anything is measured
    writer = _created(results, order, named(hosts) or sorted(there), reach, baselines)
    return _collect(writer, reach, as_json=as_json, strict=True)


@click.command(
    epilog="""\b
Examples:
  bench fleet claims                              all of them, on every host
  bench fleet claims memory --hosts web1,web2
"""
)
@click.argument("names", nargs=-1, metavar="[ID|TOPIC]...")
@click.option("--seed", type=click.IntRange(0, 1 << 31), default=1, show_default=True,
              help="Seed of the order.")  # fmt: skip
@hosts_option
@patience_options
@results_option
@json_option
def claims(
    names: tuple[str, ...], seed: int, hosts: str, reach: Reach, results: Path, as_json: bool
) -> int:
    """Put the textbook to the test on many hosts, each as `bench claims` does.

    Exits 1 where a verdict is not the one to be expected, else 4 where a host failed or was not to
    be reached, else 3 where one stayed open.
    """
    from harness.claims import catalogue

    catalogue.chosen(names)
    there = _joined(reach, named(hosts))
    order = Order(claims=names, seed=seed)
    writer = _created(results, order, named(hosts) or sorted(there), reach)
    return _collect(writer, reach, as_json=as_json, strict=True)


@click.command(
    epilog="""\b
Examples:
  bench fleet resume                              the newest fleet that is not whole
  bench fleet resume 20261125-101500-cpu          also its hosts that failed
"""
)
@click.argument("fleet", required=False)
@click.option("--strict", is_flag=True, help="Of a sweep: exit 1 where a law is violated, 3 where "
              "a point is inconclusive.")  # fmt: skip
@patience_options
@results_option
@json_option
def resume(fleet: str | None, strict: bool, reach: Reach, results: Path, as_json: bool) -> int:
    """Go on with a fleet whose command ended before it, and ask again what failed.

    FLEET is its name; without it, the newest that is not whole. Hosts that measured meanwhile send
    what they have; those that stopped go on in the run that they began. What is stored stays.
    """
    found = fleets.load(fleets.find(results, fleet))
    writer = fleets.reopen(results, found)
    return _collect(writer, reach, as_json=as_json, strict=strict or found.kind != "sweep")


# --- the hosts, and what is asked of them ------------------------------------------------------


def _joined(reach: Reach, wanted: tuple[str, ...] | None) -> dict[str, Joined]:
    from harness import __version__
    from harness.fleet import controller

    there = run(controller.awaited(reach, wanted, _GRACE_S))
    for one in there.values():
        if one.version != __version__:
            say(f"{one.name} has limitbench {one.version}, here is {__version__}.")
    return there


def _smallest(there: Any) -> EngineCpus:
    """The CPUs that a plan for all of them may use."""
    from harness.limits import EngineCpus

    found = [
        EngineCpus.listed(one.cpus, one.most) if one.cpus else EngineCpus.first(max(1, one.most))
        for one in there
    ]
    smallest = found[0]
    for one in found[1:]:
        smallest = smallest.shared(one)
    return smallest if smallest.numbers else min(found, key=lambda one: one.most)


def _created(
    results: Path, order: Order, hosts: Iterable[str], reach: Reach, baselines: Path | None = None
) -> FleetWriter:
    folder.prepare_root(results)
    return fleets.create(
        results, order, hosts, command=commandline.kept(sys.argv[1:]), scheduler=reach.address,
        baselines=str(baselines or ""),
    )  # fmt: skip


def _baseline(order: Order, host: str, baselines: Path) -> Any:
    """(the order with the baseline's own name, its digest) for a host."""
    from harness.store import baselines as store

    purpose = order.purpose
    if purpose is None or purpose.against is None:
        return order, None
    name = purpose.against.replace(_HOST, host)
    digest = store.load(baselines, name).digest
    return replace(order, purpose=replace(purpose, against=name)), digest


def text_for(fleet: Fleet) -> Callable[[str], bytes]:
    """What each host of a fleet is sent, by its name."""

    def text(host: str) -> bytes:
        order, digest = _baseline(fleet.order, host, Path(fleet.baselines))
        return fleets.task_text(
            Task(schema=fleets.SCHEMA, fleet=fleet.id, host=host, order=order, baseline=digest)
        )

    return text


# --- collecting --------------------------------------------------------------------------------


def _collect(writer: FleetWriter, reach: Reach, *, as_json: bool, strict: bool) -> int:
    """Until nothing is open; then the table of hosts and the exit code."""
    from harness.cli import fleet_ending
    from harness.fleet import controller

    fleet = writer.fleet
    say(f"{fleet.id}: {counted(len(fleet.hosts), 'host')}. Ctrl-C ends no measurement.")
    told = fleet_ending.Told(writer)
    whole = False
    try:
        run(controller.collect(writer, reach, text_for(fleet), told))
        whole = fleet_ending.is_whole(writer.fleet)
    except (KeyboardInterrupt, Exception) as error:
        error.add_note(f"Hosts measure on. To collect: bench fleet resume {fleet.id}")
        raise
    finally:
        writer.close(ended=whole)
    return fleet_ending.conclude(writer.fleet, writer.root, as_json=as_json, strict=strict)
