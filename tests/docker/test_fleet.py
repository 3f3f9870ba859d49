"""A fleet of three on one machine: an engine, a name and a worker each, one scheduler on loopback.

Each host is a process with a UTS and a mount namespace of its own and a private engine; they share
the kernel, so the host's lock has them measure one after another: for what a fleet does, not for
figures. What dies where the engine does not matter is in tests/fleet.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from harness.engine.install import find_tool
from harness.store import fleets, runs
from harness.store.runs import Run
from tests.docker.command import BENCH
from tests.fleet.places import until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.beside,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="private engines and namespaces take root"),
]

HOSTS = ("alpha", "beta", "gamma")
SWEEP = ("cpu", "--values", "0.5", "--repeats", "2", "--duration", "0.5", "--seed", "7")


@dataclass
class Machine:
    """Three hosts on this one."""

    folder: Path
    address: str = ""
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def engine(self, host: str, what: str, *more: str) -> subprocess.CompletedProcess[str]:
        """`bench engine` as that host."""
        return subprocess.run(
            self._as(host, BENCH, "engine", what, *more), env=self._env(host), cwd=self.folder,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def _as(self, host: str, *command: str) -> list[str]:
        named = 'hostname "$0" && exec "$@"'
        return ["unshare", "--uts", "--mount", "sh", "-c", named, host, *command]

    def _env(self, host: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "DOCKER_"))}
        return {**kept, "BENCH_ENGINE_DIR": str(self.folder / host)}

    def socket(self, host: str) -> str:
        return f"unix://{self.folder / host}/docker.sock"

    def start(self, name: str, command: list[str], host: str = "") -> subprocess.Popen[str]:
        with (self.folder / f"{name}.log").open("a") as log:
            self.processes[name] = subprocess.Popen(
                command, env=self._env(host), cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        return self.processes[name]

    def worker(self, host: str) -> None:
        self.start(
            host,
            self._as(
                host, BENCH, "fleet", "worker", "--scheduler", self.address, "--folder",
                str(self.folder / "work"), "--engine-host", self.socket(host),
            ),
            host,
        )  # fmt: skip

    def kill(self, host: str) -> None:
        worker = self.processes.pop(host)
        worker.kill()
        worker.communicate()

    def bench(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BENCH, *args], env=self._env(""), cwd=self.folder, capture_output=True, text=True,
            timeout=200, check=False,
        )  # fmt: skip

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def trials(self, host: str) -> int:
        files = (self.folder / "work" / host).glob("*/runs/*/trials.jsonl")
        return sum(path.read_bytes().count(b"\n") for path in files)


@pytest.fixture
def machine() -> Iterator[Machine]:
    if find_tool("dockerd") is None:
        pytest.skip("dockerd is not installed: the engine in use came from elsewhere")
    with tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp") as made:
        here = Machine(Path(made))
        try:
            up = here.start("up", [BENCH, "fleet", "up", "--listen", "127.0.0.1:0"])
            assert up.stdout is not None
            here.address = up.stdout.readline().strip()
            for host in HOSTS:
                started = here.engine(host, "start")
                assert started.returncode == 0, started.stderr
                here.worker(host)
            yield here
        finally:
            for process in here.processes.values():
                process.send_signal(signal.SIGTERM)
            for process in here.processes.values():
                process.communicate(timeout=90)
            for host in HOSTS:
                here.engine(host, "stop", "--purge")


def run_of(machine: Machine, host: str) -> Run:
    (path,) = (machine.folder / "results").glob(f"*-{host}")
    return runs.load(path)


def test_three_hosts_one_of_which_loses_its_worker_and_one_its_engine(machine: Machine) -> None:
    assert machine.engine("gamma", "stop").returncode == 0
    sweep = machine.start(
        "sweep",
        [BENCH, "fleet", "sweep", *SWEEP, "--hosts", ",".join(HOSTS), "--scheduler",
         machine.address, "--json", "--results", "results"],
    )  # fmt: skip
    until(lambda: "gamma: to be tried again" in machine.said("sweep"), "no engine")
    assert machine.engine("gamma", "start").returncode == 0
    until(lambda: any(machine.trials(host) for host in HOSTS), "a trial")
    measuring = next(host for host in HOSTS if machine.trials(host))
    # In the middle of a trial; its bench ends by itself.
    machine.kill(measuring)
    machine.worker(measuring)
    told = json.loads(sweep.communicate(timeout=150)[0])
    assert sweep.returncode == 0, machine.said("sweep")

    assert {one["host"]: one["status"] for one in told["hosts"]} == dict.fromkeys(HOSTS, "finished")
    for host in HOSTS:
        run = run_of(machine, host)
        assert run.info.host.hostname == host
        assert run.info.engine.host == machine.socket(host)
        assert run.info.status == "finished"
        assert {trial.index for trial in run.trials} >= {one.index for one in run.info.plan.trials}
        assert run.damage == ()
    assert len(run_of(machine, measuring).info.gaps) == 1
    attempts = {one["host"]: one["attempts"] for one in told["hosts"]}
    assert attempts[measuring] == 2
    assert attempts["gamma"] > 1
    (fleet,) = (machine.folder / "results").glob("fleet-*.json")
    kept = fleets.load(fleet)
    assert kept.ended
    # The plan is the one that a sweep by hand would have had.
    plan = json.loads(machine.bench("sweep", *SWEEP, "--dry-run", "--json").stdout)
    assert kept.order.plan is not None
    assert [one.point_id for one in kept.order.plan.trials] == plan["order"]
    work = str(machine.folder / "work")
    lines = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    assert [line for line in lines if f"fleet measure {work}" in line] == []
