"""Podman behind its Docker-compatible socket: a service of our own, beside whatever else runs.

It has its own storage, settings, locks and socket in a folder of /tmp, and leaves nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine.confined import memory_cap_bytes
from harness.engine.connect import Connection, find_engine
from harness.engine.docker_engine import DockerEngine
from harness.errors import EngineError, EngineRefusedError, NotSupportedError
from harness.model import ContainerSpec, Growth, Limits, Outcome, Point, Status
from harness.plan.axes import Options
from harness.store import runs
from tests.docker.command import BENCH, bench_env, wait_for_trials
from tests.docker.inspecting import memory_high_is_told
from tests.docker.leftovers import left_of, ours
from tests.docker.measuring import CPU_TOLERANCE, EMULATED, execute

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="a Podman whose limits bind takes root"),
]

MIB = 1 << 20
V2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
# As Podman itself chooses. crun refuses a host that mounts cgroup v2 beside v1.
RUNTIME, OTHER = ("crun", "runc") if V2 else ("runc", "crun")
DRIVER = "systemd" if V2 and Path("/run/systemd/system").is_dir() else "cgroupfs"
# The other settings keep to what a container that tests run in allows, and to files of our own.
SETTINGS = f"""
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "{DRIVER}"
events_logger = "file"
lock_type = "file"
runtime = "{RUNTIME}"
"""


def means() -> bool:
    return all(shutil.which(name) for name in ("podman", RUNTIME, "conmon"))


def may_be_missing() -> bool:
    required = os.environ.get("BENCH_REQUIRE_ENGINE", "") not in ("", "0")
    return not required or os.environ.get("BENCH_INSTALL_ENGINE") == "never"


@pytest.fixture(scope="module")
def podman() -> Iterator[Connection]:
    if not means():
        if may_be_missing():
            pytest.skip(f"podman and {RUNTIME} are not installed")
        pytest.fail(f"podman and {RUNTIME} are required here and not installed")
    cgroups = set(Path("/sys/fs/cgroup").glob("*/libpod_parent"))
    # A short path: pytest's own are too long for a socket.
    with tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp") as made:
        folder = Path(made)
        try:
            with served(folder) as connection:
                yield connection
        finally:
            for mount in reversed(mounts_below(folder)):
                subprocess.run(["umount", mount], check=True)
    assert left_of(folder) == []
    for path in set(Path("/sys/fs/cgroup").glob("*/libpod_parent")) - cgroups:
        for child in path.iterdir():
            if child.is_dir():
                child.rmdir()
        path.rmdir()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Connection]:
    settings, log = folder / "containers.conf", folder / "log"
    settings.write_text(SETTINGS)
    host = f"unix://{folder}/podman.sock"
    with log.open("wb") as out:
        service = subprocess.Popen(
            ["podman", "--root", folder / "root", "--runroot", folder / "run",
             "--tmpdir", folder / "tmp", "system", "service", "--time=0", host],
            env={**os.environ, "CONTAINERS_CONF": str(settings)}, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, cwd=folder,  # conmon leaves a file `oom` where it started
        )  # fmt: skip
    try:
        connection = answering(host, service, log)
        try:
            yield connection
        finally:
            DockerEngine(connection).remove_all(None)
            connection.api.close()
    finally:
        service.terminate()
        service.wait(20)


def answering(host: str, service: subprocess.Popen[bytes], log: Path) -> Connection:
    deadline = time.monotonic() + 30
    while True:
        try:
            connection = find_engine(host)
            assert connection is not None
            return connection
        except EngineError:
            if service.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"podman's service does not answer: {log.read_text()}")
            time.sleep(0.1)


def mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [where for line in lines if (where := line.split()[1]).startswith(f"{folder}/")]


@pytest.fixture
def engine(podman: Connection) -> DockerEngine:
    return DockerEngine(podman)


def test_it_says_who_it_is(engine: DockerEngine) -> None:
    facts = engine.facts()
    assert facts.name == "Podman"
    assert facts.runtime == RUNTIME
    assert facts.runtime_version[0].isdecimal()
    assert facts.cgroup_driver == DRIVER
    assert facts.cgroup_version == (2 if V2 else 1)
    assert not facts.rootless


def test_the_command_measures_what_the_limits_promise(podman: Connection, tmp_path: Path) -> None:
    done = subprocess.run(
        [BENCH, "sweep", "cpu", "--values", "0.5", "--duration", "2", "--repeats", "3", "--json"],
        cwd=tmp_path, env=bench_env(podman), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    (point,) = result["points"]
    assert point["valid"] == 3, result["rejected"]
    assert abs(point["laws"][0]["error"]["median"]) <= CPU_TOLERANCE
    assert all(limit["agrees"] for limit in point["limits"])
    run = runs.load(tmp_path / result["path"])
    assert run.info.engine.name == "Podman"
    # An emulated CPU's last read comes too late for whole periods.
    usual = {"foreign-cpu", "steal"} | ({"window-periods"} if EMULATED else set())
    assert {note.code for trial in run.trials for note in trial.warnings} <= usual
    # NanoCpus comes back with quota and period beside it: one limit all the same. A swappiness
    # that nobody set comes back as 0, ulimits and /dev/shm as Podman's own defaults, and memory has
    # the cap that every container of ours has.
    held = run.trials[0].containers[0].engine
    assert held is not None
    cap_bytes = memory_cap_bytes(ContainerSpec(limits=Limits()), run.info.engine.memory_bytes)
    assert cap_bytes is not None
    unasked = ("memory_swappiness", "ulimit_nofile", "ulimit_nproc", "shm_size_bytes")
    assert dataclasses.replace(held, **dict.fromkeys(unasked)) == Limits(
        cpus=0.5, pids_limit=1100, memory_bytes=cap_bytes, memory_swap_bytes=2 * cap_bytes
    )
    assert ours(podman) == []


@pytest.mark.parametrize(
    ("sweep", "value", "point", "metric"),
    [
        ("quota", "50000", "quota=50000", "cpus"),
        ("cpuset", "0", "cpuset=0", "cpus"),
        ("shares", "1024:512", "shares=1024:512", "ratio"),
    ],
)
def test_the_other_limits_of_cpu(
    engine: DockerEngine, sweep: str, value: str, point: str, metric: str
) -> None:
    found = execute(engine, sweep, Options(values=value, duration_s=2.0, repeats=2))
    assert abs(found.error(point, metric)) <= 2 * CPU_TOLERANCE
    assert not [n for r in found.records for n in r.warnings if n.code == "readback"]


def test_memory_ends_where_it_must(engine: DockerEngine) -> None:
    found = execute(engine, "memory", Options(values="32m", repeats=3))
    assert found.outcomes("memory=32m") == [Outcome.OOM_KILLED] * 3
    assert found.status("memory=32m", "oom_killed") is Status.CONFORMS
    assert found.status("memory=32m", "reached_bytes") is Status.CONFORMS
    # Podman 4.3 says false after each of these kills, 5.8 true: the kernel's own number counts, and
    # a false is not taken for an answer.
    assert {c.oom_killed for r in found.records for c in r.containers} <= {None, True}


def test_memory_high_is_told_where_somebody_set_it(engine: DockerEngine) -> None:
    memory_high_is_told(engine)


def test_unlimited_swap_is_told_as_not_supported(engine: DockerEngine) -> None:
    found = execute(engine, "swap", Options(values="-1", repeats=1))
    verdict = found.verdict("memory-swap=-1", "reached_bytes")
    assert verdict.status is Status.NOT_EXERCISABLE
    assert "not supported by this engine" in verdict.reason
    (record,) = found.records
    assert "not-supported" in {note.code for note in record.warnings}
    # When this fails, Podman has learnt it: then limits.not_supported has to go.
    kernel = record.containers[0].kernel
    assert kernel is not None
    assert kernel.memory_swap_bytes == 128 * MIB


def one_point(spec: ContainerSpec) -> Iterable[Point]:
    return [Point(id="p", axis="file", value="p", containers=(spec,))]


def test_a_killed_pid_1_is_not_called_what_nobody_knows(engine: DockerEngine) -> None:
    grower = Growth(target_bytes=64 * MIB, victim="self")
    limits = Limits(memory_bytes=16 * MIB, memory_swap_bytes=16 * MIB)
    spec = ContainerSpec(limits=limits, workload=grower)
    found = execute(engine, "file", Options(repeats=1), points_of=lambda _o, _c: one_point(spec))
    (record,) = found.records
    if V2:  # the engine tells it, or the cgroup above has counted it
        assert record.outcome is Outcome.OOM_KILLED
        return
    assert record.outcome is Outcome.FAILED
    assert "code 137" in (record.failure or "")
    assert "does not tell whether it was killed for memory" in (record.failure or "")


def test_another_runtime_is_refused_and_not_ignored(engine: DockerEngine) -> None:
    spec = ContainerSpec(limits=Limits(), runtime=OTHER)
    with pytest.raises(NotSupportedError, match=f"ignores --runtime {OTHER}"):
        engine.create(name="limitbench-runtime", run="runtime", spec=spec, deadline_s=5)
    same = engine.create(
        name="limitbench-runtime", run="runtime", deadline_s=5,
        spec=dataclasses.replace(spec, runtime=RUNTIME),
    )  # fmt: skip
    same.remove()


def test_limits_that_it_refuses_are_told_in_its_words(engine: DockerEngine) -> None:
    spec = ContainerSpec(limits=Limits(cpuset_cpus="4000"))
    # Docker refuses with 400 at once, Podman with 500, or when the runtime starts it: runc names
    # the value, crun the file that did not take it.
    with pytest.raises(EngineRefusedError, match=r"4000|cpuset\.cpus"):
        engine.create(name="limitbench-refused", run="refused", spec=spec, deadline_s=5).start()


def test_docker_against_podman(
    podman: Connection, engine_connection: Connection, tmp_path: Path
) -> None:
    if engine_connection.host == podman.host:
        pytest.skip("there is one engine only")
    sides = [f"--cpus 0.5 --engine-host {one.host}" for one in (engine_connection, podman)]
    done = subprocess.run(
        [BENCH, "ab", "--a", sides[0], "--b", sides[1], "--duration", "1", "--repeats", "5",
         "--threads", "1", "--json"],
        cwd=tmp_path, env=bench_env(engine_connection), capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr  # 3: five trials may not tell "same"
    told = json.loads(done.stdout)
    (run,) = (runs.load(path) for path in (tmp_path / "results").iterdir())
    names = [side.engine.name for side in run.info.sides]
    assert names[1] == "Podman"
    cpus = next(one for one in told["comparisons"] if one["metric"] == "cpus")
    assert cpus["before"] == pytest.approx(0.5, rel=CPU_TOLERANCE)
    assert cpus["after"] == pytest.approx(0.5, rel=CPU_TOLERANCE)
    assert math.isclose(cpus["change"], 0, abs_tol=2 * CPU_TOLERANCE)
    assert ours(podman) == []
    assert ours(engine_connection) == []


def test_a_check_against_its_own_baseline_and_not_against_another_engines(
    podman: Connection, engine_connection: Connection, tmp_path: Path
) -> None:
    def bench(connection: Connection, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BENCH, *args], cwd=tmp_path, env=bench_env(connection), capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip

    swept = bench(podman, "sweep", "cpu", "--values", "0.5", "--duration", "1", "--repeats", "6")
    assert swept.returncode == 0, swept.stderr
    assert bench(podman, "baseline", "set").returncode == 0
    again = bench(podman, "check", "--json")
    assert again.returncode in (0, 3), again.stderr  # 3: six trials may not tell "same"
    told = json.loads(again.stdout)
    (cpus,) = [one for one in told["comparisons"] if one["metric"] == "cpus"]
    assert cpus["verdict"] in ("same", "inconclusive")
    assert abs(cpus["change"]) <= 2 * CPU_TOLERANCE
    if engine_connection.host != podman.host:
        other = bench(engine_connection, "check")
        assert other.returncode == 3
        assert other.stdout == ""
        assert "engine was Podman" in other.stderr


def test_an_interrupt_leaves_no_container_and_clean_removes_what_a_crash_left(
    podman: Connection, tmp_path: Path
) -> None:
    sweep = [BENCH, "sweep", "cpu", "--values", "0.5", "--duration", "1", "--repeats", "50"]
    for name, signum in (("interrupted", signal.SIGINT), ("killed", signal.SIGKILL)):
        folder = tmp_path / name
        folder.mkdir()
        with subprocess.Popen(
            sweep, cwd=folder, env=bench_env(podman), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            wait_for_trials(folder, 1)
            time.sleep(0.9)  # into a window
            process.send_signal(signum)
            _, stderr = process.communicate(timeout=30)
        assert process.returncode == (130 if signum == signal.SIGINT else -signum), stderr
        assert len(ours(podman)) == (signum == signal.SIGKILL)
    done = subprocess.run(
        [BENCH, "clean", "--json"], env=bench_env(podman), cwd=tmp_path, capture_output=True,
        text=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout)["removed"] == 1
    assert ours(podman) == []


def test_images_of_docker_keep_their_ids_there_and_on_the_way_back(
    podman: Connection, engine_connection: Connection, tmp_path: Path
) -> None:
    if engine_connection.host == podman.host:
        pytest.skip("there is one engine only")

    def image(connection: Connection, *args: str) -> Any:
        done = subprocess.run(
            [BENCH, "image", *args, "--json"], cwd=tmp_path, env=bench_env(connection),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    image(podman, "rm", "--all")
    saved = image(engine_connection, "save", "docker.tar", "spin")
    loaded = image(podman, "load", "docker.tar")
    assert [one["was_there"] for one in loaded["images"]] == [False, False]
    ids = [one["id"] for one in saved["images"]]
    assert [one["engine_id"] for one in loaded["images"]] == ids
    listed = image(podman, "list")
    assert {one["id"] for one in listed} == set(ids)
    assert all(name.startswith("limitbench/") for one in listed for name in one["names"])
    assert DockerEngine(podman).prepare_images().image_id == ids[0]
    back = image(podman, "save", "podman.tar", "spin")
    assert [one["id"] for one in back["images"]] == ids
    assert image(engine_connection, "load", "podman.tar")["images"][0]["was_there"]
    user = DockerEngine(podman).create(
        name="limitbench-user", run="user", spec=ContainerSpec(limits=Limits()), deadline_s=5
    )
    done = subprocess.run(
        [BENCH, "image", "rm", "probe"], cwd=tmp_path, env=bench_env(podman), capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "in use by 1 container: limitbench-user" in done.stderr
    user.remove()
    removed = image(podman, "rm", "--all")
    assert {one["id"] for one in removed["removed"]} == set(ids)
    assert image(podman, "list") == []
