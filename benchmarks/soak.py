"""What 500 trials leave behind: nothing but their results."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.engine import daemon
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.host import identity
from harness.measure import runner
from harness.model import PlannedTrial, TrialRecord
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import runs
from harness.units import MIB

TRIALS = 500
WARM = 50
"""By then what is made once is there: caches, pools, threads of libraries."""
MEMORY_BYTES = 8 * MIB
"""What Python's allocator may keep: less than a fiftieth of a trial's raw samples, 500 times."""
DISK_BYTES = 4 * MIB
"""The engine's own logs."""


@dataclass(frozen=True, slots=True)
class Held:
    """What this process and the engine hold at one moment."""

    memory_bytes: int
    descriptors: int
    threads: int
    containers: int
    cgroups: int
    mounts: int
    disk_bytes: int
    """Of the engine's folder, results not among it."""


def report(connection: Connection) -> str:
    """Execute so many trials; in one line what grew between the first ones and the last."""
    return _soaked(connection, TRIALS, WARM)


def _soaked(connection: Connection, trials: int, warm: int) -> str:
    engine = DockerEngine(connection)
    facts = engine.facts()
    options = Options(values="0.5,1", repeats=trials // 2, duration_s=0.5, warmup_s=0.1)
    plan = planning.build("cpu", options, cpus=facts.cpus_to_give)
    watching = _Watching(connection, warm)
    with tempfile.TemporaryDirectory(prefix="limitbench-soak-") as folder:
        host = identity.facts()
        run = runs.create(
            Path(folder), plan, host=host, engine=facts, workload=engine.prepare_images()
        )
        where = runner.real_surroundings(engine, facts, host)
        runner.run_plan(plan, run.info.name, where, run.keep, watching)
        after = _held(connection)
        run.finish("finished")
        kept = len(runs.load(run.path).trials)
        size = _disk(Path(folder))
    assert watching.before is not None
    grown = _grown(watching.before, after)
    bounds = {"memory_bytes": MEMORY_BYTES, "disk_bytes": DISK_BYTES}
    told = ", ".join(f"{name.removesuffix('_bytes')} {more:+d}" for name, more in grown.items())
    too_much = [name for name, more in grown.items() if more > bounds.get(name, 0)]
    verdict = f"grown: {', '.join(too_much)}" if too_much else "nothing grew"
    return f"{kept} trials kept ({size / MIB:.1f} MiB): {told} since trial {warm}; {verdict}"


class _Watching(runner.Listener):
    """Counts once the first trials are over."""

    def __init__(self, connection: Connection, warm: int) -> None:
        self._connection, self._warm = connection, warm
        self.before: Held | None = None

    def phase(self, planned: PlannedTrial, done: int, total: int, phase: str) -> None:
        """Nothing to tell: who waits for 500 trials looks at the end."""

    def finished(self, record: TrialRecord, done: int, total: int) -> None:
        """Count at the right moment."""
        if done == self._warm:
            self.before = _held(self._connection)


def _held(connection: Connection) -> Held:
    pid = daemon.status().pid if connection.private else None
    return Held(
        memory_bytes=int(Path("/proc/self/statm").read_text().split()[1])
        * os.sysconf("SC_PAGE_SIZE"),
        descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - of links that end meanwhile
        threads=threading.active_count(),
        containers=len(connection.api.containers(all=True)),
        cgroups=sum(1 for _ in Path("/sys/fs/cgroup").glob("*/docker/*/")),
        mounts=_mounts("self") + (_mounts(f"{pid}") if pid else 0),
        disk_bytes=_disk(daemon.status().folder) if connection.private else 0,
    )


def _mounts(process: str) -> int:
    return len(Path("/proc", process, "mountinfo").read_text().splitlines())


def _disk(folder: Path) -> int:
    done = subprocess.run(["du", "-sxB1", folder], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0])


def _grown(before: Held, after: Held) -> dict[str, int]:
    first, last = asdict(before), asdict(after)
    return {name: last[name] - first[name] for name in first}
