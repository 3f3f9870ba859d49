"""``bench check --openmetrics`` and ``--github``: each exit code, for real, as programs read it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.plan.axes import Options
from harness.store import runs
from tests.command import BENCH, NO_ENGINE, one_line
from tests.command import bench as bench_alone
from tests.fakes import World
from tests.runs import measured

Bench = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.slow
ATTEMPT = {"exit_code", "decided", "end_timestamp_seconds", "duration_seconds"}


@dataclass(frozen=True)
class Told:
    """What stands in the files after a check."""

    metrics: dict[str, list[str]]
    """By family, its lines."""
    summary: str
    outputs: dict[str, str]

    def value(self, family: str) -> float:
        (line,) = self.metrics[family]
        return float(line.rpartition(" ")[2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline, and runs: as it was, with 5 % more, of too few trials, of none that counts."""
    root = tmp_path_factory.mktemp("ending")
    worlds = {
        "good": (World(), 10),
        "bad": (World(quota_factor=1.05), 10),
        "few": (World(), 3),
        "unfit": (World(wrong_cgroup=True), 10),
    }
    for name, (world, repeats) in worlds.items():
        options = Options(values="0.25,0.5", repeats=repeats)
        measured(root / name, options=options, world=world).path.rename(root / f"{name}-run")
    done = bench_alone("baseline", "set", "./good-run", cwd=root)
    assert done.returncode == 0, done.stderr
    (root / "baselines" / "damaged.json").write_text("{")
    return root


def files_of(folder: Path) -> dict[str, str]:
    """GitHub's files, empty, as the runner makes them before a step."""
    files = {name: folder / name for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    for path in files.values():
        path.write_text("")
    return {name: str(path) for name, path in files.items()}


def told(folder: Path) -> Told:
    metrics: dict[str, list[str]] = {}
    for line in (folder / "bench.prom").read_text().splitlines():
        if not line.startswith("#"):
            name = line.partition("{")[0].removeprefix("limitbench_check_")
            metrics.setdefault(name, []).append(line)
    lines = (folder / "GITHUB_OUTPUT").read_text().splitlines()
    outputs = dict(line.split("=", 1) for line in lines)
    return Told(metrics, (folder / "GITHUB_STEP_SUMMARY").read_text(), outputs)


def levels_of(said: str) -> list[str]:
    """The levels of the annotations in a log, as GitHub reads them."""
    return [line[2:].partition(" ")[0] for line in said.splitlines() if line.startswith("::")]


def check(bench: Bench, folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    where = ("--openmetrics", "bench.prom", "--github")
    return bench("check", *args, *where, cwd=folder, **files_of(folder), **env)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["./good-run"], (0, "same", ["notice"])),
        (["./bad-run"], (1, "regressed", ["error"] * 5)),
        (["./few-run"], (3, "inconclusive", ["warning"] * 3)),
        (["--against", "damaged"], (2, "", ["error"])),
        (["--against", "none"], (3, "", ["error"])),
        (["--engine-host", NO_ENGINE], (4, "", ["error"])),
        (["./unfit-run"], (4, "", ["error"])),
    ],
)
def test_each_exit_code_is_told(
    bench: Bench, folder: Path, args: list[str], expected: tuple[int, str, list[str]]
) -> None:
    code, verdict, levels = expected
    began = time.time()
    done = check(bench, folder, *args)
    assert done.returncode == code, done.stderr
    found = told(folder)
    assert found.value("exit_code") == code
    assert found.value("decided") == (code < 2)
    assert began <= found.value("end_timestamp_seconds") <= time.time()
    assert 0 < found.value("duration_seconds") < 60
    if verdict:
        (line,) = [one for one in found.metrics["verdict"] if one.endswith(" 1")]
        assert f'verdict="{verdict}"' in line
        assert 'sweep="cpu",baseline="default"' in line
    else:  # nothing of an earlier check, nor of trials that do not count
        assert found.metrics.keys() == ATTEMPT
        assert found.summary.startswith("### ✗ bench check came to no verdict\n")
    assert levels_of(done.stderr) == levels
    assert "::" not in done.stdout
    assert found.outputs == {"verdict": verdict or "none", "exit-code": f"{code}"}


def test_what_is_known_when_it_fails_is_told(bench: Bench, folder: Path) -> None:
    check(bench, folder, "--engine-host", NO_ENGINE)
    assert 'sweep="cpu",baseline="default"' in told(folder).metrics["exit_code"][0]
    check(bench, folder, "--sweep", "shares", "--engine-host", NO_ENGINE)
    assert 'sweep="shares",baseline="default"' in told(folder).metrics["exit_code"][0]
    check(bench, folder, "--against", "damaged")
    assert 'sweep="",baseline="damaged"' in told(folder).metrics["exit_code"][0]


def test_json_stays_json(bench: Bench, folder: Path) -> None:
    done = check(bench, folder, "./bad-run", "--json")
    assert json.loads(done.stdout)["verdict"] == "regressed"
    assert len(levels_of(done.stderr)) == 5


def test_a_defect_of_ours_is_told(
    bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "find", None)
    done = check(bench, folder, "./good-run")
    assert done.returncode == 70, done.stderr
    assert told(folder).value("exit_code") == 70
    assert levels_of(done.stderr) == ["error"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_told(folder: Path, tmp_path: Path, number: int, code: int) -> None:
    """While an engine is asked that never answers."""
    engine = tmp_path / "engine.sock"
    args = ["check", "--engine-host", f"unix://{engine}", "--openmetrics", "bench.prom", "--github"]
    env = {**os.environ, **files_of(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(engine))
        listening.listen()
        listening.settimeout(60)
        with subprocess.Popen(
            [*BENCH, *args], cwd=folder, env=env, stderr=subprocess.PIPE, text=True
        ) as process:
            asked, _ = listening.accept()
            with asked:
                process.send_signal(number)
                _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert told(folder).value("exit_code") == code
    assert told(folder).metrics.keys() == ATTEMPT
    assert levels_of(said) == ["error"]


def test_the_file_is_there_whole_or_not_at_all(bench: Bench, folder: Path, tmp_path: Path) -> None:
    done = check(bench, folder, "./good-run")
    assert done.returncode == 0
    assert not [path for path in folder.iterdir() if path.name.endswith(".new")]
    missing = str(tmp_path / "none" / "bench.prom")
    done = bench("check", "--openmetrics", missing, "--engine-host", NO_ENGINE, cwd=folder)
    one_line(done, 2, f"cannot write {missing}: no such folder.")  # before anything is measured
    (tmp_path / "folder.prom").mkdir()
    done = bench("check", "./good-run", "--openmetrics", str(tmp_path / "folder.prom"), cwd=folder)
    assert done.returncode == 2
    # Where both fail, the error that came first is the one that counts.
    done = bench("check", "./good-run", "--github", cwd=folder, GITHUB_OUTPUT=str(tmp_path))
    assert done.returncode == 2
    done = bench("check", "./unfit-run", "--github", cwd=folder, GITHUB_OUTPUT=str(tmp_path))
    assert done.returncode == 4
    assert f"bench: cannot write {tmp_path}: " in done.stderr
