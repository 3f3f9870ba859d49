"""Where no engine can be had, that is said; where one is required, that is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize(("required", "code"), [("", 0), ("1", 1)])
def test_without_an_engine_or_the_means_to_get_one(
    tmp_path: Path, required: str, code: int
) -> None:
    without = {
        "PATH": str(tmp_path),  # neither dockerd nor apt-get
        "DOCKER_HOST": f"unix://{tmp_path}/docker.sock",
        "BENCH_ENGINE_DIR": str(tmp_path),
        "BENCH_REQUIRE_ENGINE": required,
        "PYTEST_XDIST_WORKER": "",
    }
    session = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/docker"],
        cwd=ROOT,
        env={**os.environ, **without},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert session.returncode == code, session.stdout
    assert " passed" not in session.stdout
    assert ("TESTS WITH REAL CONTAINERS WERE SKIPPED" in session.stdout) is not bool(required)
