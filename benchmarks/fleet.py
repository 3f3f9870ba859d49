"""What a fleet of many hosts costs: simulated hosts, a real scheduler, real connections.

The scheduler and the controller are processes of their own, and the hosts are named workers, many a
process, each with Dask's whole protocol; what they measure is one run of a fake engine, made once
and sent as each host's own. Asked for by ``python -m benchmarks fleet --hosts 1000``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from distributed.worker import Worker

from benchmarks.figures import Figure
from harness.cli.fleet_asked import text_for
from harness.fleet import controller, parcel, reach
from harness.fleet.controller import Reach
from harness.fleet.worker import FleetWorker, Joining
from harness.measure import runner
from harness.model import FleetHost, Order, Plan, Reply
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import fleets, runs
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World

HOSTS = 1000
POINTS, TRIALS = "0.25,0.5,0.75,1,1.5", 5
_PROCESSES = 4
_BEGIN = [sys.executable, "-m", "harness", "fleet", "up", "--listen", "127.0.0.1:0"]
_MOST_MIB, _MOST_MS = 1024, 5.0


def plan() -> Plan:
    """5 points × 5 trials."""
    options = Options(values=POINTS, repeats=TRIALS, duration_s=1.0, cadence_hz=10.0)
    return planning.build("cpu", options, cpus=CPUS)


class Simulated:
    """A host that has measured already."""

    def __init__(self, name: str, run: Path) -> None:
        self._name, self._run = name, run

    def measure(
        self, text: bytes, tell: Callable[[str], None], left: threading.Event
    ) -> bytes | None:
        """The same run for each, with its own name in the facts."""
        fleets.read_task(text)
        tell("25 of 25")
        info = json.loads((self._run / "run.json").read_text())
        reply = Reply(host=self._name, run=info["name"], code=0, reason="", attempts=1)
        return parcel.pack(reply, self._run)


def _measured(folder: Path) -> Path:
    run = runs.create(folder, plan(), host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS)
    where = World().surroundings()
    runner.run_plan(plan(), run.info.name, where, run.keep, runner.Listener())
    run.finish("finished")
    return run.path


def _serve(address: str, names: list[str], run: Path, local: Path) -> None:
    """Many named workers in one process, until it is terminated."""

    async def serving() -> None:
        made = [
            FleetWorker(
                Joining(
                    address, reach.security(None), name, {"cpus": "0-1", "most": 2}, local / name
                ),
                Simulated(name, run),
            )
            for name in names
        ]
        for at in range(0, len(made), 50):
            await asyncio.gather(*(_started(one) for one in made[at : at + 50]))
        await asyncio.Event().wait()

    with reach.quiet(), contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serving())


async def _started(worker: Worker) -> None:
    await worker


@contextlib.contextmanager
def _scheduler() -> Iterator[str]:
    with subprocess.Popen(
        _BEGIN, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@dataclass(slots=True)
class Cost:
    """What a fleet of that many hosts took."""

    hosts: int
    joined_s: float = 0.0
    collected_s: float = 0.0
    scheduler_cpu_s: float = 0.0
    """From the first task to the last reply."""
    scheduler_mib: float = 0.0
    idle_share: float = 0.0
    """Of a CPU, that the scheduler takes where all have joined and nothing is asked."""
    controller_mib: float = 0.0
    """The most of it, imports included."""
    controller_cpu_s: float = 0.0
    parcel_kib: float = 0.0


class _Counted(controller.Listener):
    def __init__(self) -> None:
        self.stored_ = 0

    def stored(self, host: FleetHost, run: Path) -> None:
        self.stored_ += 1


def cost(hosts: int, folder: Path) -> Cost:
    """Start that many hosts, ask each, collect all; what it took."""
    found, run = Cost(hosts), _measured(folder / "source")
    names = [f"host{number:05d}" for number in range(hosts)]
    sample = Simulated(names[0], run)
    order = Order(plan=plan())
    with _scheduler() as address:
        context = multiprocessing.get_context("spawn")
        shares = [names[at::_PROCESSES] for at in range(_PROCESSES)]
        processes = [
            context.Process(target=_serve, args=(address, share, run, folder / "dask"))
            for share in shares
            if share
        ]
        for process in processes:
            process.start()
        try:
            asyncio.run(_asked(found, address, names, order, folder))
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()
    parcelled = parcel.pack(
        Reply(host=names[0], run=run.name, code=0, reason="", attempts=1), sample._run
    )
    found.parcel_kib = len(parcelled) / 1024
    return found


async def _asked(found: Cost, address: str, names: list[str], order: Order, folder: Path) -> None:
    where = Reach(address, reach.security(None), wait_s=600.0)
    scheduler = _listening(address)
    began = time.monotonic()
    with reach.quiet():
        there = await controller.awaited(where, names, grace_s=600.0)
        found.joined_s = time.monotonic() - began
        assert len(there) == len(names)
        before = _cpu_s(scheduler)
        await asyncio.sleep(10)
        found.idle_share = (_cpu_s(scheduler) - before) / 10
        writer = fleets.create(folder / "results", order, names, command="", scheduler=address)
        counted, own = _Counted(), psutil.Process()
        before, mine, began = _cpu_s(scheduler), _cpu_s(own), time.monotonic()
        await controller.collect(writer, where, text_for(writer.fleet), counted)
        found.collected_s = time.monotonic() - began
        found.scheduler_cpu_s = _cpu_s(scheduler) - before
        found.controller_cpu_s = _cpu_s(own) - mine
        writer.close(ended=True)
    assert counted.stored_ == len(names)
    found.scheduler_mib = scheduler.memory_info().rss / (1 << 20)
    found.controller_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _listening(address: str) -> psutil.Process:
    """Of our children the one that listens there."""
    port = int(address.rpartition(":")[2])
    listening = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    return psutil.Process(
        next(one.pid for one in listening if one.laddr and one.laddr.port == port)
    )


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def figures(hosts: int = HOSTS) -> list[Figure]:
    """The figures that the scheduler and the controller are held to; growth from a tenth of it."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as small:
        few = cost(max(10, hosts // 10), Path(small))
    with tempfile.TemporaryDirectory(prefix="fleet-") as large:
        many = cost(hosts, Path(large))
    against = f"{hosts} simulated hosts, 5 points × 5 trials each"
    a_task_ms = 1000 * many.scheduler_cpu_s / hosts
    growth = (many.collected_s / many.hosts) / (few.collected_s / few.hosts)
    said = (
        f"{many.collected_s:.1f} s to collect, {1000 * many.controller_cpu_s / hosts:.1f} ms of "
        f"the controller's CPU a host, parcels of {many.parcel_kib:.0f} KiB, joined in "
        f"{many.joined_s:.0f} s; the scheduler: {many.scheduler_mib:.0f} MiB, "
        f"{many.idle_share:.1%} of a CPU where nothing is asked"
    )
    return [
        Figure("fleet: CPU of the scheduler a task", against, a_task_ms, _MOST_MS, "ms", said),
        Figure("fleet: peak of the controller's memory", against, many.controller_mib, _MOST_MIB,
               "MiB", said),
        Figure("fleet: growth of the time to collect with the hosts", "in proportion", growth, 1.2,
               "×", f"{few.hosts} hosts: {few.collected_s:.1f} s; {many.hosts}: "
               f"{many.collected_s:.1f} s"),
    ]  # fmt: skip
