"""What stands for an option: the environment and the settings file, and which of them wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import bench, one_line


def trials(folder: Path, *args: str, **environment: str) -> int:
    """How many trials a dry run of one point announces: its repeats."""
    result = bench("sweep", *(args or ("cpu", "--values", "0.5")), "--dry-run", cwd=folder,
                   BENCH_ENGINE_DIR=str(folder / "engine"), **environment)  # fmt: skip
    assert result.returncode == 0, result.stderr
    return int(result.stdout.rpartition(" = ")[2].split()[0])


@pytest.mark.slow
def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    assert trials(tmp_path) == 5
    (tmp_path / "pyproject.toml").write_text("[tool.bench.sweep]\nrepeats = 2\n")
    assert trials(tmp_path) == 2
    (tmp_path / "bench.toml").write_text("[sweep]\nrepeats = 3\n")
    assert trials(tmp_path) == 3
    assert trials(tmp_path, BENCH_SWEEP_REPEATS="4") == 4
    given = ("cpu", "--values", "0.5", "--repeats", "6")
    assert trials(tmp_path, *given, BENCH_SWEEP_REPEATS="4") == 6


@pytest.mark.slow
def test_a_sweeps_own_file_stands_between_the_environment_and_the_settings(
    tmp_path: Path,
) -> None:
    (tmp_path / "bench.toml").write_text("[sweep]\nrepeats = 3\n")
    (tmp_path / "mine.toml").write_text("repeats = 7\n[[point]]\ncpus = 0.5\n")
    assert trials(tmp_path, "mine.toml") == 7
    assert trials(tmp_path, "mine.toml", BENCH_SWEEP_REPEATS="4") == 4
    (tmp_path / "mine.toml").write_text("[[point]]\ncpus = 0.5\n")
    assert trials(tmp_path, "mine.toml") == 3


def test_variables_are_named_as_the_options_are_typed(tmp_path: Path) -> None:
    result = bench("sweep", "cpu", "--dry-run", cwd=tmp_path, BENCH_SWEEP_DURATION="2",
                   BENCH_SWEEP_QUICK="1", BENCH_ENGINE_DIR=str(tmp_path / "engine"))  # fmt: skip
    assert "0.5 s + 2 s" in result.stdout
    assert "3 points" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sweep]\nrepaets = 3", ("unknown option 'repaets'", "Did you mean 'repeats'?")),
        ("[swep]\nrepeats = 3", ("unknown command 'swep'", "Did you mean 'sweep'?")),
        ("[engine.strat]\njson = true", ("unknown 'strat'",)),
        ("sweep = 3", ("is no table",)),
        ("[sweep", ("is no TOML",)),
        ("[sweep]\nrepeats = 'many'", ("repeats",)),
    ],
)
def test_settings_that_are_wrong_are_told(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "bench.toml").write_text(text)
    command = ("engine", "status") if "engine" in text else ("sweep", "cpu", "--dry-run")
    one_line(bench(*command, cwd=tmp_path), 2, *words)


def test_a_broken_pyproject_of_somebody_else_is_not_our_business(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[[[")
    assert trials(tmp_path) == 5
