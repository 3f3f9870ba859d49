"""Commands that run in this process: each start of their own would load scipy again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli

Bench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """The command, as ``tests.command.bench`` runs it."""
    monkeypatch.delenv("BENCH_RESULTS")

    def run(*args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as inside:
            inside.chdir(cwd)
            inside.setattr(sys, "argv", ["bench", *args])
            for name, value in env.items():
                inside.setenv(name, value)
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                cli.main()
        said = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return subprocess.CompletedProcess(args, code, said.out, said.err)

    return run
