"""Hosts side by side, measured on a real engine: the one with another quota in force is told."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from tests.docker.command import BENCH, bench_env
from tests.docker.short_runs import FACTOR, Wrapped, measured

pytestmark = pytest.mark.engine

HOSTS = 6


def test_the_host_behind_whose_engine_another_quota_is_in_force(
    engine_connection: Connection, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    for i in range(HOSTS):
        kind = Wrapped if i == HOSTS - 1 else DockerEngine
        measured(kind(engine_connection), results, trials=5, host=f"web{i}")
    done = subprocess.run(
        [BENCH, "fleet", "report", "--metric", "cpus", "--json", "--strict"], cwd=tmp_path,
        env=bench_env(engine_connection), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert [one["host"] for one in told["hosts"]] == [f"web{i}" for i in range(HOSTS)]
    assert [one["standing"] == "deviates" for one in told["hosts"]] == [False] * 5 + [True]
    (apart,) = told["hosts"][-1]["apart"]
    assert apart["change"] == pytest.approx(FACTOR - 1, abs=0.1)
    assert not any(one["apart"] for one in told["hosts"][:-1])
    assert done.returncode == 1
