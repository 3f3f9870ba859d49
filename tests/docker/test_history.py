"""Since when, on a real engine: a runtime wrapper that writes a larger quota, put in half-way."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from tests.docker.command import BENCH, bench_env
from tests.docker.short_runs import FACTOR, Wrapped, measured

pytest.importorskip("ruptures", reason="ruptures has no wheel for this Python")
pytestmark = pytest.mark.engine

RUNS = 6


def test_the_run_is_named_from_which_on_another_quota_is_in_force(
    engine_connection: Connection, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    names = [
        measured((DockerEngine if i < RUNS / 2 else Wrapped)(engine_connection), results)
        for i in range(RUNS)
    ]
    told = bench(engine_connection, tmp_path, "history", "--metric", "cpus", "--json")
    (series,) = told["series"]
    assert [one["run"] for one in series["entries"]] == names, told["left_out"]
    (change,) = series["changes"]
    assert change["run"] == names[RUNS // 2]
    assert change["change"] == pytest.approx(FACTOR - 1, abs=0.1)
    assert change["facts"] == [], "nothing that is recorded tells of it"
    # What is compared with from now on is how it is since then.
    baseline = bench(engine_connection, tmp_path, "baseline", "set", "--from-history", "--json")
    assert baseline["run"] == f"3 runs, {names[RUNS // 2]} to {names[-1]}"


def bench(connection: Connection, cwd: Path, *args: str) -> dict[str, Any]:
    done = subprocess.run([BENCH, *args], cwd=cwd, env=bench_env(connection), capture_output=True,
                          text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told
