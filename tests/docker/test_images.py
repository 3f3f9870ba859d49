"""Images carried to another engine, where there is no compiler, program, registry or network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine import daemon
from harness.engine.connect import Connection, find_engine, start_private
from harness.engine.docker_engine import DockerEngine
from harness.model import PROBE, ContainerSpec, Limits, Outcome
from harness.store import runs
from tests.docker.command import BENCH, bench_env
from tests.docker.scripts import needs

pytestmark = [pytest.mark.engine, pytest.mark.beside]

WORKLOAD = """
command = ["busybox", "sh", "-c", "echo on; while :; do :; done"]
ready = "on"
stop-signal = "SIGKILL"
[image]
pack = "busybox"
"""


@pytest.fixture
def empty(folder: Path) -> Iterator[Connection]:
    """A new engine that holds no image."""
    assert folder.name
    start_private(lambda _: None)
    connection = find_engine(daemon.host())
    assert connection is not None
    assert connection.api.images() == []
    yield connection
    connection.api.close()


def bench(
    connection: Connection, folder: Path, *args: str, code: int | None = 0, **env: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [BENCH, *args], cwd=folder, env={**bench_env(connection), **env}, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert code is None or done.returncode == code, done.stderr
    return done


def told(connection: Connection, folder: Path, *args: str) -> Any:
    return json.loads(bench(connection, folder, *args, "--json").stdout)


def test_an_engine_with_nothing_runs_what_was_saved_on_another(
    engine_connection: Connection, empty: Connection, tmp_path: Path
) -> None:
    needs("busybox", "busybox-static")
    (tmp_path / "mine.toml").write_text(WORKLOAD)
    saved = told(engine_connection, tmp_path, "image", "save", "images.tar", "mine.toml")
    assert saved["bytes"] == (tmp_path / "images.tar").stat().st_size
    ids = {user: one["id"] for one in saved["images"] for user in one["workloads"]}
    assert set(ids) == {*PROBE, "bench claims", "mine.toml"}
    assert ids["spin"] == DockerEngine(engine_connection).prepare_images().image_id

    loaded = told(empty, tmp_path, "image", "load", "images.tar")
    assert [one["engine_id"] for one in loaded["images"]] == [one["id"] for one in saved["images"]]
    assert not any(one["was_there"] for one in loaded["images"])
    assert {one["Id"] for one in empty.api.images()} == set(ids.values())
    listed = told(empty, tmp_path, "image", "list")
    assert {one["id"] for one in listed} == set(ids.values())
    (probe,) = (one for one in listed if "spin" in one["workloads"])
    assert probe["compiler"]
    assert probe["chosen"]

    # No compiler, no busybox, no index of packages. What else runs on this host rejects trials of
    # CPU: they have run all the same.
    nothing = {"PATH": str(tmp_path), "PIP_NO_INDEX": "1"}
    short = ("--values", "0.5", "--repeats", "1", "--duration", "0.5")
    bench(empty, tmp_path, "sweep", "cpu", "--workload", "mine.toml", *short, code=None, **nothing)
    (path,) = (tmp_path / "results").iterdir()
    run = runs.load(path)
    assert {trial.outcome for trial in run.trials} == {Outcome.COMPLETED}
    assert run.info.workload.programs == (("mine", ids["mine.toml"]),)
    assert run.info.workload.image_id == ids["spin"]
    assert run.info.workload.probe_sha256 == probe["binary_sha256"]

    bench(empty, tmp_path, "image", "rm", "--all")
    assert empty.api.images() == []
    done = bench(empty, tmp_path, "sweep", "memory", "--values", "16m", code=4, **nothing)
    assert "no cc on PATH" in done.stderr
    assert "bench image load" in done.stderr


def test_one_that_a_container_is_made_of_stays(empty: Connection, tmp_path: Path) -> None:
    engine = DockerEngine(empty)
    spec = ContainerSpec(limits=Limits())
    container = engine.create(name="limitbench-user", run="user", spec=spec, deadline_s=5)
    (line,) = bench(empty, tmp_path, "image", "rm", "--all", code=2).stderr.splitlines()
    assert "in use by 1 container: limitbench-user" in line
    container.remove()
    built = told(empty, tmp_path, "image", "build", "spin")
    assert [one["workloads"] for one in built] == [[*PROBE], ["bench claims"]]
    empty.api.tag(built[0]["id"], "theirs", "1")
    assert "it goes on as theirs:1" in bench(empty, tmp_path, "image", "rm", "probe").stdout
    bench(empty, tmp_path, "image", "rm", "--all")
    (left,) = empty.api.images()
    assert left["RepoTags"] == ["theirs:1"]


def test_a_registry_that_is_not_reached_is_one_line(empty: Connection, tmp_path: Path) -> None:
    (tmp_path / "theirs.toml").write_text(
        'command = ["x"]\n[image]\nreference = "127.0.0.1:9/x:1"\n'
    )
    done = bench(empty, tmp_path, "image", "pull", "theirs.toml", code=4)
    line = done.stderr.splitlines()[-1]
    assert "pull 127.0.0.1:9/x:1" in line
    assert "connection refused" in line
    assert "bench image load" in line
    # What has its name is left as it is.
    image = DockerEngine(empty).prepare_images().image_id
    empty.api.tag(image, "127.0.0.1:9/x", "1")
    assert told(empty, tmp_path, "image", "pull", "theirs.toml")["pulled"] is False
