"""What a host must have for the tests with containers: swap, made where there is none."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import host

MIB = 1 << 20


@pytest.fixture(scope="session")
def swap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Bytes of free swap: what the host has, else a file of 512 MiB that is removed again."""
    if host.conditions().swap_free_bytes >= 384 * MIB:
        yield host.conditions().swap_free_bytes
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
        yield host.conditions().swap_free_bytes
    finally:
        subprocess.run(["swapoff", file], capture_output=True, check=False)
        file.unlink(missing_ok=True)
