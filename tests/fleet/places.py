"""A fleet on this machine: a scheduler and workers, each a process of its own on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.cli.fleet_asked import text_for
from harness.fleet import controller, reach
from harness.fleet.controller import Listener, Reach
from harness.model import Fleet, FleetHost, Order, Plan
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import fleets
from tests.command import BENCH
from tests.fakes import CPUS
from tests.fleet.bench import FAKED

ROOT = Path(__file__).parents[2]
PATIENCE_S = 180.0
SHORT = Options(values="0.5", repeats=4, duration_s=0.5, cadence_hz=4.0)


def plan(options: Options = SHORT) -> Plan:
    return planning.build("cpu", options, cpus=CPUS)


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


@dataclass
class Place:
    """Where it happens, and what of it runs."""

    folder: Path
    address: str
    tls: tuple[str, ...] = ()
    """Files of the CA, a certificate and its key."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def faults(self) -> Path:
        return self.folder / "faults"

    @property
    def options(self) -> list[str]:
        names = ("--tls-ca", "--tls-cert", "--tls-key") if self.tls else ()
        return [word for pair in zip(names, self.tls, strict=True) for word in pair]

    def _start(self, name: str, command: list[str]) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "DASK_"))}
        env = {**clean, FAKED: str(self.faults), "PYTHONPATH": str(ROOT)}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def scheduler(self) -> None:
        listen = self.address.partition("://")[2]
        self._start("scheduler", [*BENCH, "fleet", "up", "--listen", listen, *self.options])
        until(lambda: _answers(listen), "a scheduler")

    def worker(self, name: str) -> None:
        self._start(
            f"worker-{name}",
            [sys.executable, "-m", "tests.fleet.worker", self.address, name,
             str(self.folder / name), *self.tls],
        )  # fmt: skip

    def bench(self, *args: str) -> subprocess.Popen[bytes]:
        name = f"bench-{len(self.processes)}"
        self._start(name, [*BENCH, *args])
        return self.processes[name]

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(PATIENCE_S)

    def end_all(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def measured(self, name: str) -> list[int]:
        """The trials that a host measured, as it did, of all its tasks."""
        files = sorted((self.folder / name).glob("*/measured"))
        return [int(line) for file in files for line in file.read_text().split()]

    def begun(self, *hosts: str, plan: Plan) -> fleets.FleetWriter:
        return fleets.create(
            self.results, Order(plan=plan), hosts, command="bench fleet sweep cpu",
            scheduler=self.address,
        )  # fmt: skip

    def reach(self, wait_s: float = 30.0) -> Reach:
        return Reach(self.address, reach.security(None), wait_s=wait_s, again_s=0.2)

    async def collect(self, writer: fleets.FleetWriter, wait_s: float = 30.0) -> Fleet:
        await controller.collect(writer, self.reach(wait_s), text_for(writer.fleet), Listener())
        writer.close(ended=True)
        return fleets.load(fleets.find(self.results, writer.fleet.id))

    def collected(self, *hosts: str, wait_s: float = 30.0) -> dict[str, FleetHost]:
        with reach.quiet():
            fleet = asyncio.run(self.collect(self.begun(*hosts, plan=plan()), wait_s))
        return {host.name: host for host in fleet.hosts}


def _answers(listen: str) -> bool:
    host, _, port = listen.partition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


@contextlib.contextmanager
def place(folder: Path, tls: tuple[str, ...] = ()) -> Iterator[Place]:
    """A scheduler at a port of its own, and workers as they are started; none is left."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = Place(folder, f"{'tls' if tls else 'tcp'}://127.0.0.1:{port}", tls)
    made.faults.mkdir()
    try:
        made.scheduler()
        yield made
    finally:
        made.end_all()
