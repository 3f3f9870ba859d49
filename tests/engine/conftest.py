"""A folder for a private engine, and a PATH that holds nothing but what a test puts there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.engine import daemon, install


@pytest.fixture
def folder() -> Iterator[Path]:
    """A new folder with a short path: pytest's own are too long for the engine's sockets."""
    with tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture
def private_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    private = folder / "e"
    monkeypatch.setenv("BENCH_ENGINE_DIR", str(private))
    yield private
    if os.geteuid() == 0:
        daemon.stop(purge=True)


@pytest.fixture
def program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Makes programs that are the first on a PATH with nothing but them and what they need."""
    programs = folder / "programs"
    programs.mkdir()
    for needed in ("unshare", "sh", "cat", "sleep", "touch", "rm", "cp", "mount", "mkdir"):
        found = install.find_tool(needed)
        assert found is not None
        (programs / needed).symlink_to(found)
    monkeypatch.setenv("PATH", str(programs))

    def make(name: str, text: str) -> Path:
        path = programs / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    return make
