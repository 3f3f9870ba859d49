"""Faults of others while a sweep runs: its engine goes away, its containers are touched."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker.errors
import psutil
import pytest

from harness.engine import daemon
from harness.engine.boundary import LABEL, StatsStream
from harness.engine.connect import Connection, find_engine, start_private
from harness.engine.container import DockerContainer
from harness.engine.docker_engine import DockerEngine
from harness.measure.runner import Listener
from harness.model import Outcome, TrialRecord
from harness.plan.axes import Options
from harness.store import runs
from harness.store.runs import Run
from tests.docker.command import BENCH, bench_env, wait_for_trials
from tests.docker.leftovers import ours
from tests.docker.measuring import execute

pytestmark = [pytest.mark.engine, pytest.mark.beside, pytest.mark.slow]

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="a private engine takes root")


def entered(engine: Connection, id_: str) -> None:
    made = engine.api.exec_create(id_, ["/nosuch"])
    with contextlib.suppress(docker.errors.APIError):  # there is no program to start
        engine.api.exec_start(made["Id"])


TOUCHES: dict[str, Callable[[Connection, str], None]] = {
    "paused, unpaused": lambda engine, id_: (engine.api.pause(id_), engine.api.unpause(id_))[0],
    "updated": lambda engine, id_: engine.api.update_container(id_, cpu_shares=512),
    "renamed": lambda engine, id_: engine.api.rename(id_, f"renamed-{id_[:12]}"),
    "entered by exec": entered,
    "sent a signal": lambda engine, id_: engine.api.kill(id_),
    "removed": lambda engine, id_: engine.api.remove_container(id_, force=True),
}


@pytest.mark.parametrize("done", TOUCHES)
def test_what_others_do_to_a_container_in_the_window_is_told_and_no_measurement(
    engine_connection: Connection, monkeypatch: pytest.MonkeyPatch, done: str
) -> None:
    touching: list[threading.Timer] = []

    def touch() -> None:
        (container,) = engine_connection.api.containers(filters={"label": f"{LABEL}=test"})
        TOUCHES[done](engine_connection, container["Id"])

    class Touched(DockerEngine):
        def create(self, **asked):  # type: ignore[no-untyped-def]
            container = super().create(**asked)
            assert isinstance(container, DockerContainer)
            if not touching:  # the first alone
                touching.append(threading.Timer(0.5, touch))
                follow = container.follow_stats

                def begins() -> StatsStream:  # the last step before the window
                    touching[0].start()
                    return follow()

                monkeypatch.setattr(container, "follow_stats", begins)
            return container

    options = Options(values="0.5", repeats=1, duration_s=1.0)
    first, *others = execute(Touched(engine_connection), "cpu", options).records
    touching[0].join()
    assert first.outcome is Outcome.FAILED
    assert done in (first.failure or "")
    assert first.failure == first.invalid
    assert all("touched" not in (one.failure or "") for one in others)
    assert any(one.outcome is Outcome.COMPLETED for one in others)  # it was repeated
    assert ours(engine_connection) == []


@contextmanager
def sweeping(connection: Connection, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A sweep of three trials, while the second of them is measured."""
    sweep = ("sweep", "cpu", "--values", "0.5", "--duration", "3", "--repeats", "3")
    with subprocess.Popen(
        [BENCH, *sweep], cwd=folder, env=bench_env(connection), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        wait_for_trials(folder, 1)
        time.sleep(2)
        yield process


def ended(process: subprocess.Popen[str], folder: Path) -> tuple[Run, str]:
    _, stderr = process.communicate(timeout=180)
    (path,) = (folder / "results").iterdir()
    return runs.load(path), stderr


@ROOT
def test_an_engine_that_is_started_anew_costs_one_trial(folder: Path, tmp_path: Path) -> None:
    status = start_private(print)
    private = find_engine(daemon.host())
    assert private is not None
    assert status.pid is not None
    with sweeping(private, tmp_path) as process:
        os.kill(status.pid, signal.SIGKILL)
        time.sleep(2)
        start_private(print)
        run, stderr = ended(process, tmp_path)
    assert run.info.status == "finished", stderr
    assert "Waiting up to 1 min 0 s for it." in stderr
    failed = [one for one in run.trials if "stopped answering" in (one.failure or "")]
    assert [one.outcome for one in failed] == [Outcome.FAILED]
    assert run.trials[-1].outcome is Outcome.COMPLETED
    assert ours(private) == []


@ROOT
def test_an_engine_that_is_started_anew_between_two_trials_costs_at_the_most_one(
    folder: Path,
) -> None:
    """By the run's own listener, which is told when a trial is on disk and none has begun."""
    status = start_private(print)
    private = find_engine(daemon.host())
    assert private is not None
    restarted: list[int] = []

    class Restarts(Listener):
        def finished(self, record: TrialRecord, done: int, total: int) -> None:
            if restarted:
                return
            assert status.pid is not None
            restarted.append(status.pid)
            os.kill(status.pid, signal.SIGKILL)
            psutil.Process(status.pid).wait(10)
            start_private(print)

    options = Options(values="0.5", repeats=2, duration_s=0.5)
    found = execute(DockerEngine(private), "cpu", options, listener=Restarts())
    assert len(restarted) == 1
    failed = [one for one in found.records if one.outcome is Outcome.FAILED]
    assert len(failed) <= 1
    assert all("stopped answering" in (one.failure or "") for one in failed)
    assert found.records[-1].outcome is Outcome.COMPLETED
    assert ours(private) == []


@ROOT
def test_a_sweep_outlives_its_containerd(folder: Path, tmp_path: Path) -> None:
    status = start_private(print)
    private = find_engine(daemon.host())
    assert private is not None
    assert status.pid is not None
    of_engine = psutil.Process(status.pid).children()
    (containerd,) = [one for one in of_engine if one.name() == "containerd"]
    with sweeping(private, tmp_path) as process:
        containerd.kill()
        run, stderr = ended(process, tmp_path)
    assert run.info.status == "finished", stderr
    assert all(one.failure for one in run.trials if one.outcome is not Outcome.COMPLETED)
    assert ours(private) == []


@ROOT
def test_an_engine_that_stands_still_costs_one_trial_at_most(folder: Path, tmp_path: Path) -> None:
    status = start_private(print)
    private = find_engine(daemon.host())
    assert private is not None
    assert status.pid is not None
    with sweeping(private, tmp_path) as process:
        os.kill(status.pid, signal.SIGSTOP)
        try:
            time.sleep(20)
        finally:
            os.kill(status.pid, signal.SIGCONT)
        run, stderr = ended(process, tmp_path)
    assert run.info.status == "finished", stderr
    # A call that was under way when it stood still may yet be answered in time.
    failed = [one for one in run.trials if one.outcome is not Outcome.COMPLETED]
    assert len(failed) <= 1
    assert all(one.failure for one in failed)
    assert run.trials[-1].outcome is Outcome.COMPLETED
    assert ours(private) == []
