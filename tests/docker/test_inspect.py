"""``bench inspect`` on containers of others: what it tells, and that it changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import cgroup
from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.errors import MeasurementError, UsageError
from harness.host import identity
from harness.inspection import inspection
from harness.inspection.observe import Onlooker
from harness.measure import protocol
from harness.model import ContainerSpec, Limits, Spin
from tests.docker.inspecting import BENCH, MIB, bench, memory_high_is_told

pytestmark = pytest.mark.engine


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


@pytest.fixture
def throttled(engine: DockerEngine) -> Iterator[Container]:
    """One thread that wants a CPU and may have 0.3 of it."""
    limits = Limits(cpus=0.3, memory_bytes=32 * MIB, memory_swap_bytes=32 * MIB)
    spec = ContainerSpec(limits=limits, workload=Spin(threads=1))
    container = engine.create(name="limitbench-onlooked", run="inspect", spec=spec, deadline_s=60)
    try:
        container.start()
        container.read_line(20)
        container.write_line(protocol.go(0, 60_000_000_000))
        time.sleep(0.5)
        yield container
    finally:
        container.remove()


def described(engine: DockerEngine, name: str) -> dict[str, Any]:
    told: dict[str, Any] = engine._connection.api.inspect_container(name)
    return {key: told[key] for key in ("HostConfig", "State", "Config")}


def test_a_throttled_container_is_told_as_it_is_and_left_as_it_was(
    engine: DockerEngine, throttled: Container
) -> None:
    before = described(engine, throttled.id)
    done = bench(engine, "limitbench-onl", "--duration", "3", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    use = told["use"]
    assert use["cpus"] == pytest.approx(0.3, rel=0.1)
    assert use["throttled_periods"] / use["periods"] > 0.8
    tick_s = identity.tick_ns() / 1e9
    # 70 ms, but for whole skipped periods after a burst that overshot.
    assert 0.07 - 3 * tick_s <= use["longest_stretch_s"] <= 0.27
    assert use["memory_limit_bytes"] == 32 * MIB
    assert use["stats_frames"] >= 1
    rows = {row["option"]: row for row in told["limits"]}
    assert rows["--cpus"]["requested"] == "0.3"
    assert rows["--cpus"]["kernel"] == "30000/100000 µs"
    assert any("at its limit" in finding["text"] for finding in told["findings"])
    assert told["enough"]["cpus"]["at_least"]
    assert told["enough"]["cpus"]["cpus"] == pytest.approx(0.3, abs=0.05)
    assert 0 < told["enough"]["memory"]["bytes"] < 32 * MIB
    assert described(engine, throttled.id) == before


def test_strict_is_1_where_a_finding_is_bad(engine: DockerEngine, throttled: Container) -> None:
    fine = bench(engine, throttled.id, "--duration", "1", "--strict")
    assert (fine.returncode, "BAD" in fine.stdout) == (0, False), fine.stdout
    held = cgroup.locate(engine.find(throttled.id).pid, throttled.id).folder("cpu")
    assert held is not None
    if engine.facts().cgroup_version == 1:
        (held / "cpu.cfs_quota_us").write_text("20000")
    else:
        (held / "cpu.max").write_text("20000 100000")
    behind = bench(engine, throttled.id, "--duration", "1", "--strict")
    assert (behind.returncode, "[limit-not-held]" in behind.stdout) == (1, True), behind.stdout
    assert bench(engine, throttled.id, "--duration", "1").returncode == 0


@pytest.mark.parametrize("threads", [1, 4])
def test_a_program_of_many_threads_is_told_what_it_sees(engine: DockerEngine, threads: int) -> None:
    spec = ContainerSpec(limits=Limits(cpus=0.1), workload=Spin(threads=threads))
    container = engine.create(name="limitbench-sees", run="inspect", spec=spec, deadline_s=60)
    try:
        container.start()
        container.read_line(20)
        container.write_line(protocol.go(0, 60_000_000_000))
        time.sleep(0.5)
        done = bench(engine, container.id, "--duration", "2", "--json")
    finally:
        container.remove()
    told = json.loads(done.stdout)
    program = told["program"]
    assert program["affinity_cpus"] == len(os.sched_getaffinity(0))
    assert (program["online_cpus"], program["memory_bytes"] > 0) == (os.cpu_count(), True)
    assert program["threads_at_once"] == threads <= program["threads"]
    many = threads > 1 and program["affinity_cpus"] > 1
    assert ("program-sees-more-cpus" in {one["id"] for one in told["findings"]}) == many


def test_it_fits_80_columns_and_watching_ends_with_ctrl_c(
    engine: DockerEngine, throttled: Container
) -> None:
    done = bench(engine, throttled.id[:12], "--duration", "1")
    assert done.returncode == 0, done.stderr
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "--memory-reservation" in done.stdout
    with subprocess.Popen(
        [*BENCH, "inspect", "--engine-host", engine.facts().host, throttled.id, "--watch",
         "--duration", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    ) as watching:  # fmt: skip
        assert watching.stdout is not None
        head, first, second = (watching.stdout.readline() for _ in range(3))
        watching.send_signal(signal.SIGINT)
        rest, errors = watching.communicate(timeout=20)
    assert "throttled" in head
    assert first.split()[2].endswith("%")
    assert second
    assert "at its limit" in rest
    assert watching.returncode == 0, errors


def test_memory_high_is_told_where_somebody_set_it(engine: DockerEngine) -> None:
    memory_high_is_told(engine)


def test_an_end_within_the_window_is_told(engine: DockerEngine, throttled: Container) -> None:
    found, host_facts = engine.find(throttled.id), identity.facts()
    with Onlooker(engine, found, host_facts) as looking:
        stop = threading.Timer(1.0, throttled.write_line, [protocol.STOP])
        stop.start()
        began = time.monotonic()
        seen = looking.look(20)
        stop.join()
        assert time.monotonic() - began < 10  # it does not wait for what is gone
        assert seen.ended == "it ended with exit code 0"
        told = inspection.inspect(seen, engine.facts(), host_facts)
        assert told.findings[0].text.startswith("it ended with exit code 0, 1.")
        assert told.use.cpus == pytest.approx(0.3, rel=0.2)
        with pytest.raises(
            MeasurementError, match=r"limitbench-onlooked ended before .* exit code"
        ):
            looking.look(1)


def test_watching_ends_with_the_container(engine: DockerEngine, throttled: Container) -> None:
    with subprocess.Popen(
        [*BENCH, "inspect", "--engine-host", engine.facts().host, throttled.id, "--watch",
         "--duration", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    ) as watching:  # fmt: skip
        assert watching.stdout is not None
        watching.stdout.readline()
        watching.stdout.readline()
        time.sleep(0.5)  # into the second window
        throttled.write_line(protocol.STOP)
        rest, errors = watching.communicate(timeout=20)
    assert (watching.returncode, errors) == (0, "")
    row, *findings = rest.splitlines()
    assert row.split()[2].endswith("%")
    assert "it ended with exit code 0, 0." in findings[0]  # no row of a tick before it
    assert "CPU: " in rest


def test_on_another_host_watching_ends_with_the_container_too(
    engine: DockerEngine, throttled: Container, tmp_path: Path
) -> None:
    found = engine.find(throttled.id)
    # With an engine elsewhere the pid is no container's process here.
    with Onlooker(engine, found, identity.facts(), proc=tmp_path) as looking:
        assert looking.look(1).ended == ""
        throttled.write_line(protocol.STOP)
        throttled.wait(10)
        seen = looking.look(1)
    assert seen.obstacle
    assert seen.ended == "it ended with exit code 0"


def test_nothing_is_complained_of_at_the_interpreter_s_end(
    engine: DockerEngine, throttled: Container
) -> None:
    # In development mode Python tells of what fails while it is collected, as 3.14 always does.
    done = subprocess.run(
        [sys.executable, "-X", "dev", *BENCH[1:], "inspect", "--engine-host", engine.facts().host,
         throttled.id, "--duration", "1"],
        env={**os.environ, "PYTHONWARNINGS": "always"}, cwd=Path(__file__).parents[2],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Exception ignored" not in done.stderr
    assert "ResourceWarning" not in done.stderr


def test_what_cannot_be_inspected(engine: DockerEngine, throttled: Container) -> None:
    done = bench(engine, "nobody")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no container 'nobody'" in done.stderr
    assert "limitbench-onlooked" in done.stderr
    with pytest.raises(UsageError):
        engine.find("nobody")
    with pytest.raises(LookupError):
        engine.how_it_ended("nobody")
    assert engine.how_it_ended(throttled.id) is None
    throttled.write_line(protocol.STOP)
    throttled.wait(10)
    with pytest.raises(MeasurementError, match="is not running: exited, exit code 0"):
        engine.find("limitbench-onlooked")


def test_all_containers_are_lines_and_what_ends_is_one_too(
    engine: DockerEngine, throttled: Container
) -> None:
    short = engine.create(
        name="limitbench-short", run="inspect", deadline_s=60,
        spec=ContainerSpec(limits=Limits(cpus=0.5), workload=Spin(threads=1)),
    )  # fmt: skip
    try:
        short.start()
        short.read_line(20)
        ends = threading.Timer(3.0, short.signal, ["KILL"])
        ends.start()
        done = bench(engine, "--all", "--duration", "6", "--sort", "throttled", "--strict")
        ends.join()
    finally:
        short.remove()
    assert done.returncode == 1, done.stderr  # an end in the window is BAD
    lines = {line.split()[-1]: line for line in done.stdout.splitlines()}
    assert max(len(line) - len(name) for name, line in lines.items()) <= 72
    assert "exit code 137" in lines["limitbench-short"]
    held = lines["limitbench-onlooked"].split()
    assert 0 < float(held[0]) < 0.35
    assert held[2].endswith("%")
    assert list(lines).index("limitbench-onlooked") < list(lines).index("limitbench-short")


def test_a_container_s_process_leads_to_its_cgroup_without_its_engine(
    engine: DockerEngine, throttled: Container
) -> None:
    pid = engine.find(throttled.id).pid
    done = bench(engine, "--pid", str(pid), "--duration", "2", "--json", "--engine-host", "tcp://x")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["set_by"] == "its engine"
    assert 0 < told["use"]["cpus"] < 0.35
    rows = {row["option"]: row for row in told["limits"]}
    assert (rows["--cpu-quota"]["engine"], rows["--cpu-quota"]["kernel"]) == (
        "no engine", "30000/100000 µs",
    )  # fmt: skip
    assert rows["--memory"]["kernel"] == "32m"
