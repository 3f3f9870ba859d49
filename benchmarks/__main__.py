"""``make benchmark``: the figures that limitbench is held to, measured here.

Ratios come from interleaved runs. A figure that is not reached is written as such, with the reason.
The host must be idle: absolute times on a busy or noisy host say nothing. ``python -m benchmarks
PART …`` measures some parts again and keeps the others' figures; ``kills``, ``soak``,
``find``, ``found``, ``faults``, ``recipe`` and ``history_real`` are campaigns, which count: they
have no figure.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable, Mapping

import click

from benchmarks import (
    accuracy,
    faults,
    figures,
    find,
    first_start,
    fleet,
    fleet_idle,
    fleet_report,
    found,
    history_real,
    inspect_all,
    io,
    kills,
    recipe,
    sampling,
    scale,
    soak,
    startup,
    turnaround,
)
from benchmarks.figures import Figure
from harness.cli.dialogue import say
from harness.engine.connect import Connection, obtain_engine

PARTS: Mapping[str, Callable[[Connection], list[Figure]]] = {
    "sampling": sampling.measure,
    "accuracy": accuracy.measure,
    "turnaround": turnaround.measure,
    "startup": lambda _: startup.start_up(),
    "sweep": lambda _: startup.sweep(),
    "first_start": lambda _: first_start.measure(),
    "scale": lambda _: scale.measure(),
    "fleet_report": lambda _: fleet_report.measure(),
    "inspect_all": inspect_all.measure,
    "io": io.measure,
    "fleet": lambda _: fleet.figures(),
    "fleet_idle": fleet_idle.figures,
}
"""Part → what measures it. Each takes one to seven minutes."""

CAMPAIGNS: Mapping[str, Callable[[Connection], str]] = {
    "faults": faults.report,
    "find": find.report,
    "found": found.report,
    "history_real": history_real.report,
    "kills": kills.report,
    "recipe": recipe.report,
    "soak": soak.report,
}
"""Only when asked for: each is minutes long, and says in a line what it found."""


def main() -> None:
    """Measure the parts that are asked for, print the table and write RESULTS.md."""
    # As on most hosts: else each command compiles what it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART",
                        help=f"{', '.join(PARTS)}: all of them by default; or "
                        f"{', '.join(CAMPAIGNS)}")  # fmt: skip
    parser.add_argument("--stopped", type=float, default=faults.STOPPED_S, metavar="S",
                        help="how long the engine stands still in faults (600)")  # fmt: skip
    parser.add_argument("--finds", type=int, default=find.FINDS, metavar="N",
                        help=f"how often find looks for each limit ({find.FINDS})")  # fmt: skip
    parser.add_argument("--checks", type=int, default=recipe.CHECKS, metavar="N",
                        help=f"how often recipe checks ({recipe.CHECKS})")  # fmt: skip
    parser.add_argument("--only", metavar="PROGRAMS", help="What found is about, e.g. redis,xz "
                        f"({','.join(found.PROGRAMS)}), find ({','.join(find.KNOWN)}) "
                        f"or recipe ({','.join(recipe.KNOWN)})")  # fmt: skip
    parser.add_argument("--hosts", type=int, default=fleet.HOSTS, metavar="N",
                        help="how many hosts fleet and fleet_report have (1000)")  # fmt: skip
    asked = parser.parse_args()
    wanted = asked.parts or list(PARTS)
    for name in wanted:
        if name not in {**PARTS, **CAMPAIGNS}:
            parser.error(f"no part '{name}': {', '.join([*PARTS, *CAMPAIGNS])}")
    campaigns: dict[str, Callable[[Connection], str]] = {
        **CAMPAIGNS, "faults": functools.partial(faults.report, stopped_s=asked.stopped),
        "find": functools.partial(find.report, finds=asked.finds, only=asked.only),
        "found": functools.partial(found.report, only=asked.only),
        "recipe": functools.partial(recipe.report, checks=asked.checks, only=asked.only),
    }  # fmt: skip
    parts: dict[str, Callable[[Connection], list[Figure]]] = {
        **PARTS, "fleet": lambda _: fleet.figures(asked.hosts),
        "fleet_report": lambda _: fleet_report.measure(asked.hosts),
    }  # fmt: skip
    connection = obtain_engine(None, say)
    for name in wanted:
        say(f"Measuring {name}.")
        if name in CAMPAIGNS:
            click.echo(campaigns[name](connection))
        else:
            figures.keep(name, parts[name](connection))
    if set(wanted) & set(PARTS):
        click.echo(figures.write())


if __name__ == "__main__":
    main()
