"""Where a container may write: its mounts, folders of this host, and room on the disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import pytest

from harness.engine import leftovers, storage
from harness.errors import MeasurementError
from harness.model import Io, Place, Spin
from harness.store import writer


def test_each_place_has_its_mount_or_gives_up_a_part_of_the_confinement(tmp_path: Path) -> None:
    found = {
        place: (
            [dict(one) for one in storage.mounts(Io(place=place).scratch, tmp_path)],
            storage.writable(Io(place=place).scratch),
        )
        for place in get_args(Place)
    }
    assert found["layer"] == found["image"] == ([], {"read_only": False})
    assert found["shm"] == ([], {"shm_size": 32 << 20})
    for place, source in (("volume", None), ("bind", str(tmp_path)), ("tmpfs", None)):
        ((mount,), given_up) = found[place]
        assert (mount["Type"], mount["Source"], mount["Target"]) == (place, source, "/scratch")
        assert given_up == {}
    assert found["tmpfs"][0][0]["TmpfsOptions"]["SizeBytes"] == 32 << 20


def test_a_folder_is_made_for_all_and_removed_whole(tmp_path: Path) -> None:
    folder = storage.make_folder(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o777
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    (folder / "left").write_text("by a container")
    storage.remove_folder(folder)
    storage.remove_folder(folder)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_bench_that_died_is_removed_and_no_other(tmp_path: Path) -> None:
    mine = storage.make_folder(tmp_path)
    dead = leftovers.brief_mark().replace(f"-{writer.own().started_s:.2f}-", "-1.00-")
    assert dead != leftovers.brief_mark()
    left = tmp_path / f"limitbench-folder-abc-{dead}"
    (left / "shared").mkdir(parents=True)
    for other in ("limitbench-folder-abc", f"mine-{dead}"):
        (tmp_path / other).mkdir()
    link = tmp_path / f"limitbench-folder-link-{dead}"
    link.symlink_to(tmp_path / f"mine-{dead}")
    storage.remove_abandoned_folders(tmp_path)
    assert not left.exists()
    assert mine.exists()
    assert (tmp_path / "limitbench-folder-abc").exists()
    assert (tmp_path / f"mine-{dead}").exists()  # a link is not followed


def test_a_file_that_would_fill_a_disk_is_refused_before(tmp_path: Path) -> None:
    free = shutil.disk_usage(storage.FOLDERS).free
    huge = Io(file_bytes=2 * free, place="bind")
    with pytest.raises(MeasurementError, match=r"more than half of the .* that are free at"):
        storage.refuse_to_fill([Spin(), huge], "/")
    with pytest.raises(MeasurementError, match="free at /"):
        storage.refuse_to_fill([Io(file_bytes=1 << 60, place="layer")], "/")
    for fits in (Io(), Io(file_bytes=2 * free, place="tmpfs"), Spin()):
        storage.refuse_to_fill([fits], str(tmp_path))
    storage.refuse_to_fill([Io(file_bytes=1 << 60)], "/not/on/this/host")


def test_where_no_folder_can_be_made_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="no folder can be made in"):
        storage.make_folder(tmp_path / "none")
