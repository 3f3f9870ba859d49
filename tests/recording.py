"""Records real containers as the kernel and the engine show them: ``tests/data/cgroup1``, ``…2``.

``python -m tests.recording FOLDER`` needs an engine whose cgroups are visible here. Those of v2
come from a machine of ours: ``python -m tests.vm bookworm --results FOLDER --run 'python -m
tests.recording /root/results/cgroup2'``. Paths and ids stay as they were.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any

from harness import cgroup
from harness.engine.boundary import Container
from harness.engine.connect import Connection, find_engine
from harness.engine.docker_engine import DockerEngine
from harness.measure import protocol
from harness.model import ContainerSpec, Growth, Limits, Spin

MIB = 1 << 20
SPECS = {
    # 0.333 CPUs: the systemd driver rounds what it tells systemd, up to 0.34.
    "busy": ContainerSpec(
        limits=Limits(
            cpus=0.333, cpu_shares=512, cpuset_cpus="0", memory_bytes=64 * MIB,
            memory_swap_bytes=96 * MIB, memory_reservation_bytes=32 * MIB,
        ),
        workload=Spin(threads=2),
    ),
    "killed": ContainerSpec(
        limits=Limits(memory_bytes=16 * MIB, memory_swap_bytes=16 * MIB),
        workload=Growth(target_bytes=64 * MIB),
    ),
    "unlimited": ContainerSpec(limits=Limits(), workload=Spin(threads=1)),
}  # fmt: skip
BUSY_S = 5.0

_CONTROLLER = re.compile(r"(cpu|cpuacct|cpuset|memory|cgroup|io|pids)\.")
_OF_ANCESTORS = re.compile(
    r"cpu\.(max|cfs_.*_us)|cpuset\.cpus.*|memory\.(\w+\.)?(max|high|limit_in_bytes)"
)
_BIG = re.compile(r".*(numa_stat|kmem\..*|percpu.+|procs|threads|clone_children|events\.local)")


def record(engine: DockerEngine, connection: Connection, folder: Path) -> None:
    """Run each of ``SPECS`` and keep what is to be seen of it in ``folder/NAME``."""
    for name, spec in SPECS.items():
        where = folder / name
        container = engine.create(name=f"limitbench-{name}", run="rec", spec=spec, deadline_s=120)
        try:
            pid = container.start()
            container.read_line(60)
            container.write_line(protocol.go(0, round(BUSY_S * 1e9)))
            if spec.workload.name == "memory":
                protocol.expect(protocol.message(container.read_line(60)), "done")
            frames = _frames(connection, container)
            _keep_files(cgroup.locate(pid, container.id), pid, where)
            _keep(where / "inspect.json", connection.api.inspect_container(container.id))
            _keep(where / "stats.json", frames)
            _keep(where / "container.json", {"id": container.id, "pid": pid})
        finally:
            container.remove()
    _keep(folder / "info.json", connection.api.info())
    _keep(folder / "version.json", connection.api.version())


def _frames(connection: Connection, container: Container) -> dict[str, Any]:
    """The first frames of the stream, and a single one asked for with and without waiting."""
    api, id_ = connection.api, container.id
    stream = list(itertools.islice(api.stats(id_, decode=True, stream=True), 3))
    return {
        "stream": stream,
        "single": api.stats(id_, stream=False),
        "one-shot": api.stats(id_, stream=False, one_shot=True),
    }


def _keep(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def _keep_files(paths: cgroup.CgroupPaths, pid: int, where: Path) -> None:
    """The container's own files, and the limits of every cgroup above it."""
    for folder in set(paths.folders.values()):
        for file in sorted(folder.iterdir()):
            if _CONTROLLER.match(file.name) and not _BIG.fullmatch(file.name):
                _copy(file, where)
        for above in folder.parents:
            if above == Path("/sys/fs"):
                break
            for file in sorted(above.glob("*.*")):
                if _OF_ANCESTORS.fullmatch(file.name):
                    _copy(file, where)
    mountinfo = [
        line
        for line in Path("/proc/self/mountinfo").read_text().splitlines(keepends=True)
        if " - cgroup" in line
    ]
    for name, text in (
        (f"proc/{pid}/cgroup", Path(f"/proc/{pid}/cgroup").read_text()),
        ("proc/self/mountinfo", "".join(mountinfo)),
    ):
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_text(text)


def _copy(file: Path, where: Path) -> None:
    try:
        content = file.read_bytes()
    except OSError:  # what can only be written to, or is not supported here
        return
    target = where / str(file.resolve()).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def main() -> int:
    """Record into the folder that is named on the command line."""
    connection = find_engine(None)
    assert connection is not None, "no engine answers"
    record(DockerEngine(connection), connection, Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
