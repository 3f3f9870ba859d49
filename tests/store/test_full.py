"""A results folder that is full or cannot be written: one line, and what was finished is safe."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import ResultsError
from harness.plan.axes import Options
from harness.store import folder, runs
from tests.runs import stored

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of so many KiB."""
    path = tmp_path / "small"
    path.mkdir()
    options = ["-o", f"size={request.param}k", "none", str(path)]
    if subprocess.run(["mount", "-t", "tmpfs", *options], check=False).returncode:
        pytest.skip("no mounting here")
    yield path
    # Lazily: a run that was never closed holds its file of trials open.
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize("small", [64], indirect=True)
def test_a_disk_that_grows_full_costs_no_finished_trial(small: Path) -> None:
    with pytest.raises(ResultsError, match=r"No space left on device\. Finished trials are kept\."):
        stored(small, options=Options(repeats=5), status=None)
    (path,) = small.iterdir()
    read = runs.load(path)
    assert 0 < len(read.trials) < 25
    assert read.damage == (), "no line, no part and no run.json of which a half is there"
    sampled = set(read.samples(columns=["trial"])["trial"].to_pylist())
    assert sampled >= {one.index for one in read.trials}
    assert not list(path.rglob(".*"))


@pytest.mark.parametrize("small", [64], indirect=True)
def test_a_run_that_cannot_be_closed_keeps_what_it_has(small: Path) -> None:
    path = stored(small, options=Options(repeats=1, values="0.5"), status=None)
    whole = runs.load(path)
    writer = runs.RunWriter(path, whole.info)
    with (small / "filling").open("wb") as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(small).free)
    with pytest.raises(ResultsError, match="No space left on device"):
        writer.finish("finished")
    read = runs.load(path)
    assert read.trials == whole.trials
    assert read.damage == ()
    assert read.samples().equals(whole.samples())


@pytest.mark.parametrize("small", [8], indirect=True)
def test_a_disk_without_room_for_a_run_is_left_as_it_was(small: Path) -> None:
    with pytest.raises(ResultsError, match="No space left on device") as refused:
        stored(small, options=Options(repeats=5))
    assert len(str(refused.value).splitlines()) == 1
    assert list(small.iterdir()) == []


@pytest.mark.parametrize("small", [64], indirect=True)
def test_a_disk_that_is_read_only_is_told_before_anything_starts(small: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    with pytest.raises(ResultsError, match=r"Read-only file system\. Choose another"):
        folder.prepare_root(small)


def test_a_file_system_that_cannot_sync_a_folder_is_no_error() -> None:
    """That of /proc cannot, as 9p and some of NFS."""
    proc = os.open("/proc/self", os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(OSError, match="Invalid argument"):
        os.fsync(proc)
    os.close(proc)
    folder.sync_folder(Path("/proc/self"))
