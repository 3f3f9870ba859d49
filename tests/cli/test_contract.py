"""The command line's contract: one line on stderr, the right exit code, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import COMMANDS
from tests.command import NO_ENGINE, bench, one_line
from tests.runs import stored


@pytest.mark.slow
def test_help_lists_every_command_with_the_line_that_stands_in_its_own_help(tmp_path: Path) -> None:
    text = bench("--help", cwd=tmp_path).stdout
    for name, (_, line) in COMMANDS.items():
        assert f"{name} " in text
        assert " ".join(line.split()) in " ".join(text.split())
        own = bench(name, "--help", cwd=tmp_path)
        assert own.returncode == 0, own.stderr
        assert len(own.stdout.splitlines()) > 3


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("swep",), ("unknown command 'swep'", "Did you mean 'sweep'?")),
        (("sweep",), ("Missing argument 'AXIS|all|FILE.toml'",)),
        (("sweep", "cpu", "--repaets", "3"), ("--repeats",)),
        (("sweep", "cpu", "--repeats", "many"), ("'many'",)),
    ],
)
def test_usage_errors(tmp_path: Path, args: tuple[str, ...], words: tuple[str, ...]) -> None:
    one_line(bench(*args, cwd=tmp_path), 2, *words)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("cpus",), ("unknown axis 'cpus'", "Did you mean 'cpu'?")),
        (("cpu", "--values", "0"), ("--cpus 0 is out of range",)),
        (("cpu", "--values", "-1"), ("--cpus -1 is out of range",)),
        (("cpu", "--values", "4096"), ("--cpus 4096 is out of range", "This engine takes")),
        (("cpu", "--values", "half"), ("'half' is not a number",)),
    ],
)
def test_impossible_sweeps_are_refused_before_an_engine_is_started(
    tmp_path: Path, args: tuple[str, ...], words: tuple[str, ...]
) -> None:
    result = bench("sweep", *args, cwd=tmp_path, BENCH_ENGINE_DIR=str(tmp_path / "engine"))
    one_line(result, 2, *words)
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "engine").exists()


@pytest.mark.slow
def test_an_engine_that_was_named_and_does_not_answer(tmp_path: Path) -> None:
    result = bench("sweep", "cpu", "--engine-host", NO_ENGINE, cwd=tmp_path)
    one_line(result, 4, "/nonexistent/docker.sock")
    result = bench("sweep", "cpu", cwd=tmp_path, DOCKER_HOST=NO_ENGINE)
    one_line(result, 4, "/nonexistent/docker.sock", "DOCKER_HOST")


@pytest.mark.slow
def test_a_dry_run_needs_no_engine_and_starts_none(tmp_path: Path) -> None:
    result = bench(
        "sweep", "cpu", "--dry-run", "--values", "0.5", cwd=tmp_path,
        BENCH_ENGINE_DIR=str(tmp_path / "engine"),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "nano_cpus=500000000" in result.stdout
    assert "5 trials" in result.stdout
    assert list(tmp_path.iterdir()) == []
    plan = json.loads(
        bench("sweep", "cpu", "--dry-run", "--json", "--quick", cwd=tmp_path,
              BENCH_ENGINE_DIR=str(tmp_path / "engine")).stdout
    )  # fmt: skip
    assert plan["trials"] == len(plan["order"])


@pytest.mark.slow
def test_old_runs_are_read_without_an_engine(tmp_path: Path) -> None:
    path = stored(tmp_path / "results")
    assert path.name in bench("runs", cwd=tmp_path).stdout
    assert json.loads(bench("runs", "--json", cwd=tmp_path).stdout)[0]["run"] == path.name
    shown = bench("show", cwd=tmp_path, COLUMNS="80")
    assert "cpus" in shown.stdout
    assert max(len(line) for line in shown.stdout.splitlines()) <= 80
    told = json.loads(bench("show", path.name, "--json", cwd=tmp_path).stdout)
    assert told["points"][0]["laws"][0]["promised"] == 0.25
    one_line(bench("show", "nothing", cwd=tmp_path), 2, "no run 'nothing'")


def test_no_runs(tmp_path: Path) -> None:
    assert bench("runs", cwd=tmp_path).returncode == 0
    one_line(bench("show", cwd=tmp_path), 2, "no run in results", "bench sweep cpu")


def test_an_unwritable_results_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = bench(
        "sweep", "cpu", "--results", str(tmp_path / "file" / "x"), cwd=tmp_path,
        BENCH_ENGINE_DIR=str(tmp_path / "engine"),
    )  # fmt: skip
    one_line(result, 2, "cannot write results", "--results")
    assert not (tmp_path / "engine").exists()


def test_a_defect_of_ours_exits_70_and_says_so(tmp_path: Path) -> None:
    broken = "import harness.cli.runs, harness.store.listing as s; s.list_runs = None\n"
    result = subprocess.run(
        [sys.executable, "-c", f"{broken}from harness.cli import main; main()", "runs"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    one_line(result, 70, "internal error", "defect of limitbench", "BENCH_DEBUG=1")


def test_ctrl_c_while_a_class_is_made_is_no_defect(tmp_path: Path) -> None:
    """Python 3.11 makes a RuntimeError of it: whatever loads at that moment makes many classes."""
    interrupted = (
        "class Named:\n"
        "    def __set_name__(self, *_): raise KeyboardInterrupt\n"
        "def list_runs(*_, **__):\n"
        "    class Made: one = Named()\n"
        "import harness.cli.runs, harness.store.listing as s; s.list_runs = list_runs\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", f"{interrupted}from harness.cli import main; main()", "runs"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    one_line(result, 130, "bench: interrupted.")


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['bench', '--help']\n"
        "from harness.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'pandas', 'matplotlib', 'scipy', 'docker', 'rich', 'pydantic', 'pyarrow'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert result.stdout.splitlines()[-1] == "LOADED []"
