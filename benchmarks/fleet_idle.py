"""Whether a fleet's idle worker moves a figure: the same sweep with and without it, A/A, in pairs.

The worker is a real one, joined to a real scheduler, and is started for one run of each pair and
ended after it; which comes first alternates. The scheduler is there all the time: it is of another
host. All runs of a side are then held against those of the other as `bench compare` holds two runs.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.figures import Figure
from harness.cli.dialogue import say
from harness.comparison.changes import compare
from harness.comparison.digest import digest
from harness.comparison.settled import pooled
from harness.engine.connect import Connection
from harness.errors import ResultsError
from harness.model import Change, Compared, Digest
from harness.store import runs

PAIRS = 8
_BENCH = [sys.executable, "-m", "harness"]
_SWEEP = ("sweep", "cpu", "--values", "0.5,1", "--repeats", "5")
_SETTLED_S = 5.0
"""After a worker has joined, and after one has ended: what starting takes is none of being idle."""


def figures(connection: Connection) -> list[Figure]:
    """The largest change of a median beside an idle worker, as a part of what matters."""
    with tempfile.TemporaryDirectory(prefix="limitbench-fleet-idle-") as made:
        folder = Path(made)
        environment = {**os.environ, "BENCH_ENGINE_HOST": connection.host}
        taken = []
        with _scheduler(environment) as address:
            for pair in range(PAIRS):
                for beside in (pair % 2 == 0, pair % 2 == 1):
                    if beside:
                        with _worker(address, folder / "worker", environment) as worker:
                            taken.append(_swept(folder / "with", environment, worker))
                    else:
                        _swept(folder / "without", environment, None)
        compared = compare(_of(folder / "without"), _of(folder / "with"))
    say(sentence(compared, taken))
    return [_figure(compared, taken)]


def _figure(compared: Compared, taken: list[float]) -> Figure:
    rows = [one for one in compared.rows if one.change is not None and one.effect and one.decides]
    if not rows:
        raise ResultsError(
            "too few trials count for the two sides to be compared.", "Measure on an idle host."
        )
    most = max(rows, key=lambda one: abs(one.change or 0.0) / one.effect)
    apart = [one for one in rows if one.status in (Change.REGRESSED, Change.IMPROVED)]
    explanation = "; ".join(f"{one.metric} of {one.point_id}: {one.reason}" for one in apart)
    return Figure(
        "fleet: largest change of a figure beside an idle worker, as a part of what matters",
        f"the same sweep without it, {PAIRS} pairs", abs(most.change or 0.0) / most.effect, 1.0,
        "×", sentence(compared, taken), explanation=explanation,
    )  # fmt: skip


def sentence(compared: Compared, taken: list[float]) -> str:
    """What came of it; ``taken`` is the worker's share of a CPU in each run."""
    return (
        f"{PAIRS} sweeps beside an idle worker of a fleet against {PAIRS} without: "
        f"{compared.headline.rstrip('.')}; it took {100 * sum(taken) / len(taken):.2f} % of a CPU"
    )


def _swept(results: Path, environment: dict[str, str], worker: psutil.Process | None) -> float:
    """One sweep into that folder; the share of a CPU that the worker took meanwhile."""
    time.sleep(_SETTLED_S)
    before, began = _cpu_s(worker), time.monotonic()
    done = subprocess.run(
        [*_BENCH, *_SWEEP, "--results", str(results)], env=environment, check=False, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise ResultsError(
            f"a sweep ended with exit code {done.returncode}: {last}", "Measure on an idle host."
        )
    return (_cpu_s(worker) - before) / (time.monotonic() - began)


def _cpu_s(worker: psutil.Process | None) -> float:
    if worker is None:
        return 0.0
    times = worker.cpu_times()
    return times.user + times.system


def _of(results: Path) -> Digest:
    """One digest of all runs of a folder."""
    made = [runs.load(path) for path in sorted(results.iterdir()) if (path / "run.json").exists()]
    assert len(made) == PAIRS
    return pooled([digest(run.info, run.trials) for run in made])


@contextlib.contextmanager
def _scheduler(environment: dict[str, str]) -> Iterator[str]:
    with subprocess.Popen(
        [*_BENCH, "fleet", "up", "--listen", "127.0.0.1:0"], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextlib.contextmanager
def _worker(address: str, folder: Path, environment: dict[str, str]) -> Iterator[psutil.Process]:
    """A worker that has joined, until it is no longer wanted."""
    with subprocess.Popen(
        [*_BENCH, "fleet", "worker", "--scheduler", address, "--name", "idle",
         "--folder", str(folder)],
        env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if " is there for " in line:
                    break
            else:
                raise AssertionError("the worker ended before it had joined")
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
