"""What is left where a container writes: which file systems are asked, and what is told of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.inspection.findings import Evidence, findings
from harness.inspection.space import Space, Spaces
from harness.inspection.use import used
from tests.fakes import ENGINE_FACTS, HOST_FACTS
from tests.observations import observation, schedule

MIB, GIB = 1 << 20, 1 << 30
CALM = schedule(quota_ms=50, threads=1, busy_ms=10)
MOUNTS = """\
600 500 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a,upperdir=/b
601 600 0:51 / /proc rw - proc proc rw
602 600 0:52 / /dev/shm rw,nosuid - tmpfs shm rw,size=65536k
603 600 8:1 /etc/hosts /etc/hosts rw - ext4 /dev/sda1 rw
604 600 0:53 / /secret ro - tmpfs tmpfs rw,size=1024k
605 600 0:54 / /squashed rw - tmpfs tmpfs ro
606 600 0:55 / /far rw - nfs4 server:/ rw
607 606 0:56 / /far/near rw - tmpfs tmpfs rw
608 600 8:1 /data /with\\040blank rw - ext4 /dev/sda1 rw
609 600 8:1 /data /hidden rw - ext4 /dev/sda1 rw
610 609 0:57 / /hidden rw - fuse.sshfs host: rw
line of no use
"""


@pytest.fixture
def process(tmp_path: Path) -> Path:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    for at in ("dev/shm", "secret", "squashed", "far/near", "with blank", "hidden", "etc"):
        (tmp_path / "root" / at).mkdir(parents=True)
    (tmp_path / "root/etc/hosts").write_text("")
    return tmp_path


def asked_of(process: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The mounts that are asked."""
    asked: list[str] = []
    real = os.statvfs

    def statvfs(path: str) -> os.statvfs_result:
        asked.append(path.removeprefix(f"{process}/root"))
        return real(path)

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert [one.at for one in Spaces(process).now()] == asked
    return asked


def test_local_file_systems_for_writing_alone_are_asked(
    process: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not local may never answer, nor what is mounted below it."""
    assert asked_of(process, monkeypatch) == ["/", "/dev/shm", "/with blank"]


def test_below_a_root_that_is_not_local_nothing_is_asked(
    process: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = MOUNTS.replace("- overlay overlay", "- fuse.fuse-overlayfs overlay")
    (process / "mountinfo").write_text(far)
    assert asked_of(process, monkeypatch) == []


def test_one_that_is_mounted_several_times_is_told_once_and_two_that_look_alike_are_two(
    process: Path,
) -> None:
    """All are the test's own file system here, as alike as two tmpfs that are empty."""
    twice = MOUNTS + "611 600 0:50 /a /secret rw - overlay overlay rw,lowerdir=/a\n"
    (process / "mountinfo").write_text(twice)
    found = Spaces(process).now()
    assert [one.at for one in found] == ["/", "/dev/shm", "/with blank"]
    told = os.statvfs(process)
    assert {one.size_bytes for one in found} == {told.f_blocks * told.f_frsize}


def test_a_process_that_is_gone_has_none(tmp_path: Path) -> None:
    assert Spaces(tmp_path / "1").now() == ()


def told(*there: Space) -> list[str]:
    seen = replace(observation(CALM), spaces=there)
    use = used(seen, ENGINE_FACTS, HOST_FACTS)
    of = findings(Evidence(seen, use, ENGINE_FACTS, HOST_FACTS))
    return [one.text for one in of if one.id == "disk-full"]


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (Space("/dev/shm", 64 * MIB, 0, 0, 100, 50), "0 KiB of the 64.0 MiB at /dev/shm are left:"),
        (Space("/", 252 * GIB, 0, 9 * GIB, 0, 0), "are left (9.0 GiB more to root alone): what"),
        (Space("/data", 8 * GIB, 7 * GIB, 0, 1000, 0), "0 files more of 1000 fit at /data"),
    ],
)
def test_what_is_full_is_told(space: Space, says: str) -> None:
    (text,) = told(space)
    assert says in text


@pytest.mark.parametrize(
    "space",
    [
        Space("/dev/shm", 64 * MIB, 1 * MIB, 0, 0, 0),
        Space("/", 4000 * GIB, 2 * GIB, 0, 0, 0),  # of a large disk 2 GiB are something
        Space("/endless", 0, 0, 0, 0, 0),
    ],
)
def test_what_is_not_is_not(space: Space) -> None:
    assert told(space) == []
