"""Where data lies, on a real engine: each place, what is refused, and that nothing is left."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.engine import storage
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.engine.laboratory import Box, Laboratory
from harness.model import IoReport, Outcome
from harness.plan.axes import Options
from tests.docker.measuring import Measured, execute

pytestmark = pytest.mark.engine

TMPFS = 0x01021994
"""include/uapi/linux/magic.h, TMPFS_MAGIC."""
PLACES = ("layer", "volume", "bind", "tmpfs", "shm")
HOLDS = """\
import sys, time
from harness.engine.connect import find_engine
from harness.engine.docker_engine import DockerEngine
from harness.model import ContainerSpec, Io, Limits
spec = ContainerSpec(limits=Limits(), workload=Io(place="bind"))
engine = DockerEngine(find_engine(sys.argv[1]))
made = engine.create(name="limitbench-bound", run="bound", spec=spec, deadline_s=60)
print(made.start(), flush=True)
time.sleep(60)
"""


def folders() -> list[Path]:
    return sorted(storage.FOLDERS.glob("limitbench-folder-*"))


def images(connection: Connection) -> set[str]:
    return {one["Id"] for one in connection.api.images(all=True)}


def volumes(connection: Connection) -> set[str]:
    return {one["Name"] for one in connection.api.volumes().get("Volumes") or []}


def report(found: Measured, point: str) -> IoReport:
    (record,) = [one for one in found.records if one.point_id == f"storage={point}"]
    said = record.containers[0].io
    assert said is not None, record.failure
    return said


def test_each_place_is_written_to_and_nothing_is_left(engine_connection: Connection) -> None:
    DockerEngine(engine_connection).prepare_images()
    before = folders(), volumes(engine_connection), images(engine_connection)
    values = (
        ",".join(f"{place}:fsync" for place in PLACES) + ",image:fsync,tmpfs:full,volume:cached@32m"
    )
    found = execute(
        DockerEngine(engine_connection), "storage",
        Options(values=values, repeats=1, duration_s=0.5, warmup_s=0.1),
    )  # fmt: skip
    assert {record.outcome for record in found.records} == {Outcome.COMPLETED}
    for place in PLACES:
        said = report(found, f"{place}:fsync")
        assert (said.errno, said.refused) == (0, None)
        assert said.ios > 0
        # The place that was asked for is the one that it was done in.
        assert (said.filesystem == TMPFS) == (place in ("tmpfs", "shm"))
    full = report(found, "tmpfs:full")
    assert (full.errno, full.refused, full.ios) == (errno.ENOSPC, "layout", 0)
    assert report(found, "volume:cached@32m").operation == "read"
    # One of the image's is copied up when it is opened, whole; one of the layer's is there.
    copied = report(found, "image:fsync")
    assert copied.errno == 0
    assert copied.filesystem == report(found, "layer:fsync").filesystem
    assert copied.open_ns > report(found, "layer:fsync").open_ns
    # What lies in memory is charged to the container, all of it.
    for place in ("tmpfs", "shm"):
        charged = found.metric(f"storage={place}:fsync", "io_charged_bytes")
        assert charged >= report(found, f"{place}:fsync").file_bytes
    after = folders(), volumes(engine_connection), images(engine_connection)
    assert after == before


def test_files_are_made_and_what_is_left_of_one_is_looked_for(
    engine_connection: Connection,
) -> None:
    before = volumes(engine_connection)
    values = "layer:files,volume:files-fsync,layer:rm,volume:rm,bind:rm,tmpfs:rm,shm:rm"
    found = execute(
        DockerEngine(engine_connection), "storage",
        Options(values=values, repeats=1, duration_s=0.3, warmup_s=0.1),
    )  # fmt: skip
    assert {record.outcome for record in found.records} == {Outcome.COMPLETED}
    for point in ("layer:files", "volume:files-fsync"):
        said = report(found, point)
        assert (said.operation, said.errno, said.bytes) == ("files", 0, 0)
        assert said.ios > 0
    for place in PLACES:
        assert found.error(f"storage={place}:rm", "file_kept") == 0
    assert volumes(engine_connection) == before


class Fresh(Laboratory):
    """A product made wrong on purpose: each container has a volume of its own."""

    def create(self, *words: str, **options: Any) -> Box:
        return super().create(*words, **{**options, "binds": [f"{self.volume()}:/data"]})


class Forgetful(DockerEngine):
    """An engine whose named volumes do not outlive their containers."""

    def laboratory(self, *, run: str, side: str = "") -> Laboratory:
        return Fresh(self._connection, self, run=run)


def test_a_volume_that_does_not_stay_is_found(engine_connection: Connection) -> None:
    wrong = Forgetful(engine_connection)
    found = execute(wrong, "storage", Options(values="volume:rm", repeats=1))
    assert found.error("storage=volume:rm", "file_kept") == -1


def test_a_folder_of_a_bench_that_was_killed_is_found(engine_connection: Connection) -> None:
    before = folders()
    engine = DockerEngine(engine_connection)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, engine_connection.host], text=True, stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            (made,) = set(folders()) - set(before)
            storage.remove_abandoned_folders()
            assert made.is_dir()  # as its bench lives
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    engine.remove(engine.left_behind())
    storage.remove_abandoned_folders()
    assert folders() == before
