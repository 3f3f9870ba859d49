"""Does `bench check` cry wolf, does it find what is there? Measured, not promised.

``python -m benchmarks.power collect DIR`` runs `bench check` 42 times, over three starts of the
engine, on a host where nothing changes, and measures trials with faults that are really injected:
another limit than the plan says, a runtime that lets more through, a busy neighbour, another CFS
slice. That takes an hour and a half; ``collect DIR neighbour`` checks once more beside a neighbour
that comes and goes. ``alarms DIR`` and ``power DIR`` resample the runs into some hundred checks,
through the very code that `bench check` runs, ``live DIR`` tells how the checks ended, and each
writes its part of benchmarks/POWER.md. ``freeze DIR`` makes tests/data/bank.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.power.bank import FROZEN, freeze, load
from benchmarks.power.collect import NEIGHBOUR, collect
from benchmarks.power.faults import FAULTS
from benchmarks.power.report import PARTS, about, alarms_part, live_part, power_part

CHECKS = 300
ROOT = Path(__file__).parents[2]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.power", description=__doc__)
    parser.add_argument("what", choices=["collect", "alarms", "power", "live", "freeze"])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "only",
        nargs="*",
        help="of collect and power: names of faults; of collect also checks, default, neighbour",
    )
    parser.add_argument("--checks", type=int, default=CHECKS, help="of alarms (%(default)s)")
    parser.add_argument("--draws", type=int, default=60)
    given = parser.parse_args()
    known = {"checks", "default", NEIGHBOUR, *(fault.name for fault in FAULTS)}
    for name in given.only:
        if name not in known:
            parser.error(f"there is no '{name}': {', '.join(sorted(known))}")
    folder: Path = given.folder
    if given.what == "collect":
        collect(folder, given.only)
        return
    bank = load(folder)
    if given.what == "freeze":
        FROZEN.write_text(freeze(bank) + "\n")
        return
    part: dict[str, Callable[[], str]] = {
        "alarms": lambda: alarms_part(bank, given.checks),
        "power": lambda: power_part(folder, bank, given.only, given.draws),
        "live": lambda: live_part(folder, len(bank.info.plan.points)),
    }
    (folder / f"{given.what}.md").write_text(part[given.what]())
    (folder / "about.md").write_text(about(bank))
    parts = [folder / f"{name}.md" for name in PARTS]
    text = "\n\n".join(one.read_text() for one in parts if one.exists()) + "\n"
    (ROOT / "benchmarks" / "POWER.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
