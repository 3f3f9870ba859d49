"""A report of a fleet that is larger than most: 1,000 hosts × 5 points × 5 trials.

The runs are synthetic, in the format of ``results/``, with trials as large as real ones. Each
report is made by a process of its own, from Python's start on, so that its peak of memory is its
own too: once with nothing kept, and once more, when the levels of each run are kept beside it.
Smaller fleets show how the cost grows.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks import scale
from benchmarks.figures import ROOT, Figure
from harness.model import Plan, PlannedTrial, TrialRecord, WorkloadFacts
from harness.store import runs
from harness.store import trials as store_trials

HOSTS = 1_000
POINTS, REPEATS = 5, 5
RUNTIMES = ("1.1.12", "1.1.13", "1.2.4")
WRONG = 1.05
"""What the last of the runtimes makes of a quota, on one host in twenty."""


def plan() -> Plan:
    """A sweep of ``--cpus`` in five steps."""
    whole = scale.plan(POINTS)
    trials = tuple(
        PlannedTrial(index=block * POINTS + i, block=block, point_id=point.id)
        for block in range(REPEATS)
        for i, point in enumerate(whole.points)
    )
    return replace(whole, trials=trials, repeats=REPEATS)


def make(root: Path, hosts: int) -> None:
    """Write the runs of so many hosts; one in twenty has the runtime that is wrong."""
    of = plan()
    records = list(scale.records(of))
    facts = WorkloadFacts(image_id="none", probe_sha256="none", compiler="none")
    rng = random.Random(1)
    for number in range(hosts):
        wrong = number % 20 == 7
        runtime = RUNTIMES[-1] if wrong else RUNTIMES[number % 2]
        writer = runs.create(
            root, of, host=replace(scale.HOST, hostname=f"host-{number:04}"), workload=facts,
            engine=replace(scale.ENGINE, runtime_version=runtime),
        )  # fmt: skip
        with (writer.path / "trials.jsonl").open("wb") as lines:
            for record in _scattered(records, rng, WRONG if wrong else 1.0):
                lines.write(store_trials.line_of(record))
        writer.finish("finished")
        writer.path.rename(root / f"20260101-000000-cpu-{number:04}")


def _scattered(
    records: list[TrialRecord], rng: random.Random, factor: float
) -> Iterator[TrialRecord]:
    of_host = rng.gauss(factor, 0.001)
    for record in records:
        (one,) = record.containers
        assert one.first is not None
        assert one.last is not None
        assert one.first.cpu_usage_ns is not None
        assert one.last.cpu_usage_ns is not None
        used = one.last.cpu_usage_ns - one.first.cpu_usage_ns
        last = replace(one.last, cpu_usage_ns=round(
            one.first.cpu_usage_ns + used * of_host * rng.gauss(1, 0.001)))  # fmt: skip
        yield replace(record, containers=(replace(one, last=last),))


def report(root: Path) -> tuple[float, float, float, str]:
    """Seconds, peak of memory in MiB, size of the page in MiB, and the first line that it says."""
    before = time.perf_counter()
    page = root / "fleet.html"
    code = (
        "import resource, sys; from harness.cli import cli; "
        "cli.main(sys.argv[1:], standalone_mode=False); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "fleet", "report", "--results", str(root),
         "--html", str(page)],
        cwd=ROOT, env={**os.environ, "COLUMNS": "120"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = done.stdout.strip().splitlines()
    took_s = time.perf_counter() - before
    return took_s, int(said[-1]) / 1024, page.stat().st_size / 2**20, said[0]


def measure(hosts: int = HOSTS) -> list[Figure]:
    """The report of so many hosts, and of a tenth and of three tenths of them."""
    first: dict[int, tuple[float, float, float, str]] = {}
    again: dict[int, tuple[float, float, float, str]] = {}
    for many in sorted({max(1, hosts // 10), max(1, hosts * 3 // 10), hosts}):
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), many)
            first[many], again[many] = report(Path(folder)), report(Path(folder))
    sizes = sorted(first)
    least = sizes[0]
    cost = {many: first[many][0] / many for many in sizes}
    what = f"{hosts} hosts × {POINTS} points × {REPEATS} trials"
    took = "; ".join(f"{many} hosts: {first[many][0]:.1f} s" for many in sizes)
    kept = "; ".join(f"{many} hosts: {again[many][0]:.1f} s" for many in sizes)
    peak = max(first[hosts][1], again[hosts][1])
    peaks = "; ".join(f"{many} hosts: {first[many][1]:.0f} MiB" for many in sizes)
    said, page = first[hosts][3], first[hosts][2]
    return [
        Figure("report of a fleet: time", what, first[hosts][0], 30.0, "s",
               f"nothing kept, {page:.1f} MiB of HTML: {said}"),
        Figure("report of a fleet once more: time", what, again[hosts][0], 10.0, "s", kept),
        Figure("report of a fleet: peak of memory", what, peak, 1024.0, "MiB", peaks),
        Figure("report of a fleet: growth of the time with the hosts", "in proportion",
               cost[hosts] / cost[least], 1.1, "×", took),
    ]  # fmt: skip
