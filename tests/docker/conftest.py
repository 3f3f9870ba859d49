"""What tests with containers need of a host: swap, an engine that a test may break."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.engine import daemon
from harness.engine.connect import Connection
from harness.engine.install import find_tool
from harness.host import identity
from tests.docker.leftovers import left_of

MIB = 1 << 20


@pytest.fixture(scope="session")
def swap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Bytes of free swap: what the host has, else a file of 512 MiB that is removed again."""
    if identity.conditions().swap_free_bytes >= 384 * MIB:
        yield identity.conditions().swap_free_bytes
        return
    # Not under /tmp, which is memory itself on some hosts.
    file = Path("/var/tmp") / f"limitbench-test-{tmp_path_factory.getbasetemp().name}.swap"
    try:
        with file.open("wb") as out:
            for _ in range(512):
                out.write(bytes(MIB))
        file.chmod(0o600)
        for tool in ("mkswap", "swapon"):
            done = subprocess.run([tool, file], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"no swap, and none can be made here: {done.stderr.strip()}")
        yield identity.conditions().swap_free_bytes
    finally:
        subprocess.run(["swapoff", file], capture_output=True, check=False)
        file.unlink(missing_ok=True)


@pytest.fixture
def folder(engine_connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That of a private engine of the test's own. Afterwards nothing of it is left."""
    if find_tool("dockerd") is None:
        pytest.skip("dockerd is not installed: the engine in use came from elsewhere")
    sockets = sorted(Path("/run/containerd").rglob("*"))
    # A short path: pytest's own are too long for the engine's sockets.
    with tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp") as made:
        folder = Path(made) / "e"
        monkeypatch.setenv("BENCH_ENGINE_DIR", str(folder))
        try:
            yield folder
        finally:
            daemon.stop(purge=True)
        assert not folder.exists()
        assert left_of(folder) == []
    assert sorted(Path("/run/containerd").rglob("*")) == sockets
