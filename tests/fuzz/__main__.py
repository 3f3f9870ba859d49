"""``make fuzz``: malformed inputs, each in bounded time and memory, and what became of them.

Run folders are copies of real ones, as an older limitbench wrote them and with checksums: changed
in what they mean, or in their bytes. What such a folder shows is held against what it showed
before. Every other input is one of ``tests.malformed``; ``tests.fuzz.coverage`` mutates those by
the code that they reach.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import BenchError
from harness.show.report import csv_table, json_data
from harness.show.report import view as views
from harness.store import checks, runs
from tests import mutations
from tests.malformed import TARGETS, mangled

MOST_S, MOST_BYTES = 1.0, 500 << 20
"""What one input may take more than a sound one: CPU time, and growth of this process."""
HANG_S, STILL_S = 30, 600
"""Of CPU time, since a busy host takes its time; and by the clock, for what only waits."""


@dataclass(slots=True)
class Tally:
    """What became of the inputs."""

    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    grown_bytes: int = 0

    def add(self, what: str, kind: str, said: str) -> None:
        """Count one; a kind in capitals is a fault, and is kept in words."""
        self.kinds[f"{what}: {kind}"] += 1
        if kind.isupper():
            self.faults.append(f"{what}: {kind}: {said}")
            sys.stderr.write(f"{self.faults[-1]}\n")  # at once: it may be ended early

    def watched(self, what: str, said: str, before: tuple[float, int]) -> None:
        """What it took since then."""
        now = _now()
        took, grown = now[0] - before[0], now[1] - before[1]
        self.slowest_s = max(self.slowest_s, took)
        self.grown_bytes = max(self.grown_bytes, grown)
        if took > MOST_S:
            self.add(what, "SLOW", f"{took:.1f} s of CPU: {said}")
        if grown > MOST_BYTES:
            self.add(what, "LARGE", f"{grown >> 20} MiB: {said}")


def _now() -> tuple[float, int]:
    return time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def bases(root: Path) -> list[Path]:
    """Twelve trials of each real run, as it was written and with checksums."""
    out = []
    for number, source in enumerate(mutations.SOURCES):
        plain = Path(shutil.copytree(source, root / f"plain-{number}"))
        lines = (plain / "trials.jsonl").read_text().splitlines(keepends=True)
        some = random.Random(number).sample(lines, 12)
        (plain / "trials.jsonl").write_text("".join(some))
        stamped = Path(shutil.copytree(plain, root / f"stamped-{number}"))
        stamp(stamped)
        with (stamped / "samples.parquet").open("r+b") as file:
            checks.stamp_file(file)
        out += [plain, stamped]
    return out


def stamp(folder: Path) -> None:
    """Give texts the checksums that they would have if they had been written so."""
    path = folder / "run.json"
    text = json.dumps({**json.loads(path.read_text()), "checks": True}).encode()
    path.write_bytes(checks.stamped(text))
    path = folder / "trials.jsonl"
    path.write_bytes(
        b"".join(checks.stamped(one) + b"\n" for one in path.read_bytes().split(b"\n") if one)
    )


def shown(folder: Path) -> tuple[str, bool]:
    """All numbers that a run shows, as text, and whether it says that something is damaged."""
    run = runs.load(folder)
    view = views.build(run)
    told = {**json_data.as_json(view), "run": "", "path": "", "remarks": []}
    numbers = json.dumps(told, sort_keys=True) + csv_table.render([view]).replace(run.info.name, "")
    numbers += str(run.samples().to_pydict()) if run.damage == () else ""
    return numbers, bool(run.damage)


def of_folder(base: Path, sound: str, rng: random.Random, number: int) -> tuple[str, str]:
    """(kind, what was changed) of one mutated folder."""
    folder = base.parent / "work" / "mutated"  # alone: the newest run is looked for there
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    if flipped := rng.random() < 0.5:
        path = folder / rng.choice(("run.json", "trials.jsonl", "trials.jsonl", "samples.parquet"))
        path.write_bytes(mangled(path.read_bytes(), rng))
        said = f"bytes of {path.name}"
    else:
        said = mutations.mutate(folder, rng)
        if base.name.startswith("stamped") and rng.random() < 0.5:
            try:
                stamp(folder)  # by somebody who knows how, so that all the rest is tried too
                flipped = False
            except ValueError:
                pass
        else:
            flipped = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            numbers, damaged = shown(folder)
            if number % 10 == 0:
                mutations.read_everything(folder, figures=number % 50 == 0)
    except BenchError as error:
        return ("refused" if len(str(error).splitlines()) == 1 else "LINES"), said
    except Exception:  # noqa: BLE001 - what is looked for
        return "EXCEPTION", f"{said}\n{traceback.format_exc()}"
    if numbers == sound:
        return "the same", said
    if damaged:
        return "told", said
    return ("SILENT" if flipped and base.name.startswith("stamped") else "another run"), said


def of_target(name: str, rng: random.Random) -> tuple[str, str]:
    """The same of one other input."""
    data = mangled(rng.choice(TARGETS[name].seeds), rng)
    try:
        return ("refused" if TARGETS[name].refuses(data) else "read"), repr(data)
    except Exception:  # noqa: BLE001 - what is looked for
        return "EXCEPTION", f"{data!r}\n{traceback.format_exc()}"


def _hangs(*_: object) -> None:
    raise TimeoutError(f"more than {HANG_S} s of CPU, or {STILL_S} s")


def _watch(cpu_s: int, clock_s: int) -> None:
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    signal.alarm(clock_s)


def fuzz(tally: Tally, folders: int, others: int, seed: int) -> None:
    """So many folders and so many of each other input."""
    for one in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(one, _hangs)
    with tempfile.TemporaryDirectory() as scratch:
        known = [(base, shown(base)[0]) for base in bases(Path(scratch))]
        for number in range(folders):
            rng = random.Random(f"{seed}/{number}")
            base, sound = rng.choice(known)
            what = base.name.partition("-")[0] + " folder"
            before = _now()
            _watch(HANG_S, STILL_S)
            kind, said = of_folder(base, sound, rng, number)
            _watch(0, 0)
            tally.add(what, kind, f"{number}: {said}")
            if number % 10:
                tally.watched(what, f"{number}: {said}", before)
            if number % 1000 == 999:
                sys.stderr.write(f"{number + 1} folders, {len(tally.faults)} faults\n")
        for name in TARGETS:
            for number in range(others):
                before = _now()
                _watch(HANG_S, STILL_S)
                kind, said = of_target(name, random.Random(f"{seed}/{name}/{number}"))
                _watch(0, 0)
                tally.add(name, kind, said)
                tally.watched(name, said[:300], before)


def main() -> int:
    """Print what became of the inputs; 1 where one was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--folders", type=int, default=3_000, help="mutated run folders")
    parser.add_argument("--others", type=int, default=1_000, help="of each other kind of input")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable()
    begun, tally = time.monotonic(), Tally()
    with contextlib.suppress(KeyboardInterrupt):  # what was found until then is told
        fuzz(tally, given.folders, given.others, given.seed)
    out = [f"{count:>7}  {kind}" for kind, count in sorted(tally.kinds.items())]
    out += ["", *tally.faults[:20]] if tally.faults else []
    out.append(
        f"{sum(tally.kinds.values())} inputs in {time.monotonic() - begun:.0f} s, "
        f"{len(tally.faults)} faults; the slowest took {tally.slowest_s:.2f} s of CPU, "
        f"memory grew by {tally.grown_bytes >> 20} MiB at the most"
    )
    sys.stdout.write("\n".join(out) + "\n")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
