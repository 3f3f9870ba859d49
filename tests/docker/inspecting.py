"""``bench inspect`` on a real engine, and what it must tell with every engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from harness import cgroup
from harness.engine.docker_engine import DockerEngine
from harness.measure import protocol
from harness.model import ContainerSpec, Growth, Limits

MIB = 1 << 20
BENCH = [sys.executable, "-c", "from harness.cli import main; main()"]


def bench(engine: DockerEngine, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BENCH, "inspect", "--engine-host", engine.facts().host, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "COLUMNS": "80"},
        check=False,
    )


def memory_high_is_told(engine: DockerEngine) -> None:
    limits = Limits(memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB)
    spec = ContainerSpec(limits=limits, workload=Growth(target_bytes=48 * MIB, victim="self"))
    container = engine.create(name="limitbench-slowed", run="inspect", spec=spec, deadline_s=60)
    try:
        container.start()
        container.read_line(20)
        folder = cgroup.locate(engine.find(container.id).pid, container.id).folder("memory")
        assert folder is not None
        version = engine.facts().cgroup_version
        if version == 2:
            (folder / "memory.high").write_text(f"{16 * MIB}")
        container.write_line(protocol.go(0, 60_000_000_000))
        done = bench(engine, container.id[:12], "--duration", "3", "--json")
    finally:
        container.remove()
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    rows = {row["option"]: row for row in told["limits"]}
    said = "; ".join(finding["text"] for finding in told["findings"])
    if version == 1:  # which has no such limit
        assert "memory.high" not in rows
        assert told["use"]["high_hits"] is None
        return
    assert (rows["memory.high"]["requested"], rows["memory.high"]["kernel"]) == ("not set", "16m")
    # It would hold 48 MiB in an instant; there is no swap for it to go to.
    assert 15 * MIB < told["use"]["memory_bytes"] < 40 * MIB
    assert told["use"]["high_hits"] > 0
    assert told["use"]["oom_kills"] == 0
    assert "at its memory.high (16.0 MiB)" in said
