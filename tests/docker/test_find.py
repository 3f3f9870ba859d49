"""`bench find` on a real engine: a need that is known beforehand, by kills and by the CPU given."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from harness.engine.connect import Connection
from harness.store import runs
from tests.docker.command import BENCH, bench_env, wait_for_trials

pytestmark = pytest.mark.engine

MIB = 1 << 20
MEMORY = ("memory", "--goal", "no-kill", "--workload", "memory", "--target", "24m")
RANGE = ("--from", "8m", "--to", "64m", "--resolution", "1m", "--budget", "3m")


def find(
    connection: Connection, folder: Path, *args: str, command: str = "find"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BENCH, command, *args], cwd=folder, env=bench_env(connection), capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.beside
def test_a_known_need_of_memory_is_found_to_a_mib_also_after_a_kill(
    engine_connection: Connection, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [BENCH, "find", *MEMORY, *RANGE], cwd=tmp_path, env=bench_env(engine_connection),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for_trials(tmp_path, 9)  # seven of the ladder: then the plan has grown
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    (path,) = (tmp_path / "results").iterdir()
    done = find(engine_connection, tmp_path, path.name, "--json", command="resume")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # What it touches, its own pages beside that, and the kernel's batches of pages.
    assert 24 * MIB < told["chosen"]["memory"] <= 26 * MIB
    (limit,) = told["limits"]
    assert limit["holds"] - limit["fails"] == MIB
    run = runs.load(path)
    assert run.damage == ()
    assert run.info.gaps
    assert_a_killed_check_goes_on_to_its_verdict(engine_connection, path, tmp_path / "again")
    # The limit that was found, and one step below it, by another command.
    values = ",".join(f"{round(limit[end] / MIB)}m" for end in ("fails", "holds"))
    fixed = shlex.split(f"--values {values} --repeats 1")
    assert find(engine_connection, tmp_path, "memory", *fixed, command="sweep").returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="a loop device takes root")
def test_the_rate_of_a_disk_that_a_load_needs_is_found(
    engine_connection: Connection, tmp_path: Path
) -> None:
    asked = ("write-bps", "--goal", "p99 < 100ms", "--workload", "io", "--duration", "1")
    narrow = ("--from", "1m", "--to", "16m", "--resolution", "10%", "--budget", "4m", "--json")
    done = find(engine_connection, tmp_path, *asked, *narrow)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # 64 writes of 64 KiB a second. What is lacking adds up over warm-up and window, 1.5 s: to the
    # 100 ms of the goal where a fifteenth is.
    assert 4 * MIB * (1 - 0.1 / 1.5) / 1.1 < told["chosen"]["write-bps"] < 4 * MIB * 1.2
    (path,) = (tmp_path / "results").iterdir()
    for trial in runs.load(path).trials:
        (one,) = trial.containers
        assert one.kernel is not None
        assert one.kernel.io_max
        assert one.kernel.io_max[0][1] == one.requested.device_write_bps
    # 64 reads a second: 200 and more of them are always enough.
    reads = find(engine_connection, tmp_path, "read-iops", *asked[1:], *narrow[4:], "--from", "200",
                 "--to", "800")  # fmt: skip
    assert reads.returncode == 0, reads.stderr
    assert json.loads(reads.stdout)["ending"] == "always holds"


def assert_a_killed_check_goes_on_to_its_verdict(
    connection: Connection, search: Path, folder: Path
) -> None:
    folder.mkdir()
    process = subprocess.Popen(
        [BENCH, "check", "--found", search, "--repeats", "6"], cwd=folder, text=True,
        env=bench_env(connection), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for_trials(folder, 2)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    still = find(connection, folder, command="resume")
    assert still.returncode == 0, still.stderr
    assert "still does (no-kill: 6 of 6 trials held)" in still.stdout


@pytest.mark.beside
def test_no_limit_will_do_below_the_need_and_bad_ranges_are_one_line(
    engine_connection: Connection, tmp_path: Path
) -> None:
    none = find(engine_connection, tmp_path, *MEMORY, "--from", "8m", "--to", "16m")
    assert none.returncode == 1, none.stderr
    assert "No limit will do" in none.stdout
    for wrong in (("--from", "64m", "--to", "16m"), ("--resolution", "0%"), ("--from", "much")):
        refused = find(engine_connection, tmp_path, *MEMORY, *wrong)
        assert refused.returncode == 2
        assert len(refused.stderr.strip().splitlines()) == 1
    dry = find(engine_connection, tmp_path, *MEMORY, "--dry-run")
    assert dry.returncode == 0
    assert "First, in this order: memory=" in dry.stdout
