"""``make audit``, with a stand-in for what makes the environment of pip-audit, or with no index."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
AUDIT = ROOT / "buildtools" / "audit"
NO_INDEX = "http://127.0.0.1:1/simple"

UV = """#!/bin/sh
[ "$1" = venv ] || exit 0
mkdir -p "$3/bin"
cp "${0%/*}/pip-audit" "$3/bin/"
"""
SAYS = {
    "nothing": ("exit 0", 0),
    "a vulnerability": ("echo 'Name Version ID'; echo 'click 8 PYSEC-1'; exit 1", 1),
    "that nobody answers": ("echo 'ConnectionError: pypi.org' >&2; exit 1", 2),
}


def audited(path: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {**os.environ, "PATH": path, "PYTHON": sys.executable, **env}
    return subprocess.run(
        [AUDIT], env=kept, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("says", SAYS)
def test_what_pip_audit_says_is_its_exit_code(says: str, tmp_path: Path) -> None:
    script, code = SAYS[says]
    for name, text in (("uv", UV), ("pip-audit", f"#!/bin/sh\n{script}\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    done = audited(f"{tmp_path}:/usr/bin:/bin")
    assert done.returncode == code, done.stderr
    assert ("PYSEC-1" in done.stdout) == (code == 1)
    if code == 2:
        told_in_a_line(done, "pypi.org")


def told_in_a_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    (line,) = done.stderr.splitlines()
    assert line.startswith("make audit: "), line
    for word in (*words, "Try again"):
        assert word in line, line


@pytest.mark.slow
@pytest.mark.parametrize("by", ["uv", "pip"])
def test_without_a_package_index_it_says_so_in_a_line(by: str, tmp_path: Path) -> None:
    """Nothing listens there; a cache must not answer in its stead."""
    uv = shutil.which("uv")
    if by == "uv" and uv is None:
        pytest.skip("uv is not installed")
    (tmp_path / "bin").mkdir()
    if by == "uv" and uv:
        (tmp_path / "bin" / "uv").symlink_to(uv)
    path = f"{tmp_path}/bin:/usr/bin:/bin"
    if by == "pip" and shutil.which("uv", path=path):
        pytest.skip("uv is there for everybody")
    done = audited(
        path, PIP_INDEX_URL=NO_INDEX, UV_DEFAULT_INDEX=NO_INDEX, PIP_NO_CACHE_DIR="1",
        UV_NO_CACHE="1", PIP_CONFIG_FILE=os.devnull, UV_NO_CONFIG="1", TMPDIR=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    told_in_a_line(done, "cannot be installed", "package index")
    assert [one.name for one in tmp_path.iterdir()] == ["bin"]
