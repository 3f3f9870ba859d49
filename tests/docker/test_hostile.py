"""Workloads that do harm: each trial ends in time, says why, costs little and leaves nothing."""

from __future__ import annotations

import dataclasses
import resource
import time

import pytest

from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.model import ContainerSpec, Limits, Outcome, Program, Spin, TrialRecord
from harness.plan.axes import Options
from tests.docker.leftovers import ours
from tests.docker.measuring import execute
from tests.docker.scripts import needs, shell

pytestmark = [pytest.mark.engine, pytest.mark.beside, pytest.mark.slow]

MIB = 1 << 20
MOST_GROWTH_BYTES = 200 * MIB
MOST_S = 90.0
"""Of a trial that meets each of its time-outs, on a busy host; a hang would last for ever."""


class Impostor(DockerEngine):
    """Starts a script where the probe is expected."""

    def __init__(self, connection: Connection, script: str) -> None:
        super().__init__(connection)
        self._script = script

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        false = dataclasses.replace(spec, workload=shell(self._script))
        return super().create(
            name=name, run=run, spec=false, deadline_s=deadline_s, together=together
        )


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def one_trial(
    engine: DockerEngine, workload: Program | Spin, fixed: Limits | None = None
) -> TrialRecord:
    """A trial of it; nothing of it is left, and it took neither long nor much memory of ours."""
    needs("busybox", "busybox-static")
    options = Options(
        values="0.5", duration_s=0.5, repeats=1, workload=workload, fixed=fixed or Limits()
    )
    engine.prepare_images([shell("")])
    before, began = peak_bytes(), time.monotonic()
    found = execute(engine, "cpu", options)
    assert time.monotonic() - began < MOST_S * len(found.records)
    assert peak_bytes() - before < MOST_GROWTH_BYTES
    assert ours(engine._connection) == []
    return found.records[0]


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


@pytest.mark.parametrize(
    ("printed", "stream"),
    [("tr '\\\\0' x </dev/zero", 1), ("yes", 2), ("cat /dev/urandom", 1)],
    ids=["one line", "many lines", "binary"],
)
def test_output_without_end(engine: DockerEngine, printed: str, stream: int) -> None:
    """A gigabyte before it is ready, which is read until its time is up; then on and on."""
    script = f"{printed} | head -c 1000000000 >&{stream}; echo on; {printed} >&{stream}"
    record = one_trial(engine, shell(script, ready="(?m)on$", signal="SIGKILL"))
    assert record.outcome in (Outcome.COMPLETED, Outcome.TIMED_OUT), record.failure
    if record.outcome is Outcome.TIMED_OUT:
        assert "did not become ready" in (record.failure or "")


def test_what_is_printed_after_the_signal_is_read_and_its_end_kept(engine: DockerEngine) -> None:
    """More than pipes hold: while nobody read, it would not have come to its end."""
    said = """head -c 4000000 /dev/zero; echo; echo '{"loops": 7}'"""
    script = f"end() {{ {said}; exit 0; }}; trap end TERM; echo on; while :; do sleep 0.1; done"
    record = one_trial(engine, shell(script, ready="on"))
    assert record.outcome is Outcome.COMPLETED, record.failure
    assert record.containers[0].metrics == (("loops", 7.0),)
    assert "output-cut" in [note.code for note in record.warnings]


def test_forks_without_end(engine: DockerEngine) -> None:
    bomb = "f() { f | f & }; f; while :; do sleep 1; done"
    record = one_trial(engine, shell(bomb, signal="SIGKILL"), Limits(pids_limit=64))
    assert record.outcome in (Outcome.COMPLETED, Outcome.FAILED)


@pytest.mark.parametrize(
    ("script", "outcome", "reason"),
    [
        ("sleep 1000", Outcome.TIMED_OUT, "did not become ready"),
        ("exit 0", Outcome.FAILED, "ended with code 0"),
        ("echo why >&2; exit 3", Outcome.FAILED, "ended with code 3 before it could become ready"),
    ],
    ids=["never ready", "ends at once", "ends with a word"],
)
def test_never_ready(engine: DockerEngine, script: str, outcome: Outcome, reason: str) -> None:
    record = one_trial(engine, shell(script, ready="ready"))
    assert record.outcome is outcome
    assert reason in (record.failure or "")


def test_fills_what_it_can(engine: DockerEngine) -> None:
    places = "/ /tmp /dev /sys /sys/fs/cgroup /sys/fs/cgroup/memory /proc /dev/shm"
    script = f"for p in {places}; do dd if=/dev/zero of=$p/x bs=1M; done; echo full; sleep 1000"
    limits = Limits(memory_bytes=128 * MIB, memory_swap_bytes=128 * MIB)
    record = one_trial(engine, shell(script, ready="full", signal="SIGKILL"), limits)
    assert record.outcome is Outcome.COMPLETED, record.failure
    (container,) = record.containers
    assert container.memory_last is not None
    assert (container.memory_last.oom_kills or 0) == 0


@pytest.mark.parametrize(
    ("script", "outcome", "reason"),
    [
        ("yes", Outcome.FAILED, "no JSON object"),
        ("tr '\\\\0' x </dev/zero", Outcome.FAILED, "no JSON object"),
        ("cat /dev/urandom", Outcome.FAILED, "no JSON object"),
        ("yes '[' | tr -d '\\n' | head -c 1000000; echo", Outcome.FAILED, "no JSON object"),
        ("""echo '{"probe": "ready"}'; read go; yes""", Outcome.FAILED, "no JSON object"),
        ("""echo '{"probe": "ready"}'; exec sleep 1000""", Outcome.TIMED_OUT, "did not report"),
        ("""echo '{"probe": "ready"}'; exit 0""", Outcome.FAILED, "ended with code 0"),
    ],
    ids=["lines", "one line", "binary", "nested", "after go", "silent", "gone"],
)
def test_garbage_as_the_probe(
    engine_connection: Connection, script: str, outcome: Outcome, reason: str
) -> None:
    record = one_trial(Impostor(engine_connection, script), Spin())
    assert record.outcome is outcome
    assert reason in (record.failure or "")
