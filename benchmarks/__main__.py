"""``make benchmark``: measure the figures that limitbench is held to, and write them down.

Ratios come from interleaved runs. A figure that is not reached is written as such, with the reason.
The host must be idle: absolute times on a busy or noisy host say nothing. ``python -m benchmarks
PART …`` measures some parts again and keeps the others' figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

import click

from benchmarks import accuracy, figures, sampling, scale, startup, turnaround
from benchmarks.figures import Figure
from harness.cli.dialogue import say
from harness.engine import Connection, obtain_engine

PARTS: Mapping[str, Callable[[Connection], list[Figure]]] = {
    "sampling": sampling.measure,
    "accuracy": accuracy.measure,
    "turnaround": turnaround.measure,
    "startup": lambda _: startup.start_up(),
    "sweep": lambda _: startup.sweep(),
    "scale": lambda _: scale.measure(),
}
"""Part → what measures it. Each takes one to four minutes."""


def main() -> None:
    """Measure the parts that are asked for, print the table and write RESULTS.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART",
                        help=f"{', '.join(PARTS)}; all of them by default")  # fmt: skip
    wanted = parser.parse_args().parts or list(PARTS)
    for name in wanted:
        if name not in PARTS:
            parser.error(f"no part '{name}': {', '.join(PARTS)}")
    connection = obtain_engine(None, say)
    for name in wanted:
        say(f"Measuring {name}.")
        figures.keep(name, PARTS[name](connection))
    click.echo(figures.write())


if __name__ == "__main__":
    main()
