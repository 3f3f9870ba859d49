"""A device for the containers of a run: what is refused, what is known of it, what goes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from harness.engine import device, leftovers
from harness.errors import BenchError, MeasurementError, UsageError

NUMBER = "8:17"


def sysfs(root: Path, *, schedulers: str = "none [mq-deadline] bfq", cost: str = "") -> Path:
    """A /sys of one disk 8:16 with a partition 8:17."""
    disk = root / "devices/sdb"
    (disk / "queue").mkdir(parents=True)
    (disk / "queue/scheduler").write_text(f"{schedulers}\n")
    (disk / "queue/rotational").write_text("0\n")
    (disk / "dev").write_text("8:16\n")
    (disk / "sdb1").mkdir()
    (disk / "sdb1/partition").write_text("1\n")
    (root / "dev/block").mkdir(parents=True)
    own = Path("/dev/null").stat().st_rdev  # whose number a test can have without a disk
    (root / "dev/block" / f"{os.major(own)}:{os.minor(own)}").symlink_to(disk / "sdb1")
    if cost:
        (root / "fs/cgroup").mkdir(parents=True)
        (root / "fs/cgroup/io.cost.qos").write_text(f"{cost}\n")
    return root


def test_of_a_partition_the_whole_disk_is_meant(tmp_path: Path) -> None:
    found = device.facts_of("/dev/null", "xfs", made=False, sysfs=sysfs(tmp_path))
    assert (found.path, found.number) == ("/dev/sdb", "8:16")
    assert (found.scheduler, found.rotational, found.io_cost) == ("mq-deadline", False, None)


@pytest.mark.parametrize(("cost", "weighs"), [
    ("8:16 enable=1 ctrl=auto", True), ("8:16 enable=0 ctrl=auto", False),
    ("8:0 enable=1 ctrl=auto", False),
])  # fmt: skip
def test_whether_io_cost_weighs_it_is_known(tmp_path: Path, cost: str, weighs: bool) -> None:
    found = device.facts_of("/dev/null", "xfs", made=False, sysfs=sysfs(tmp_path, cost=cost))
    assert found.io_cost is weighs


@pytest.mark.parametrize(("named", "why"), [
    ("/dev/nosuch", "No such file"), ("/etc/hostname", "is no block device"),
    ("/dev/null", "is no block device"),
])  # fmt: skip
def test_what_is_no_device_is_refused(named: str, why: str) -> None:
    with pytest.raises(UsageError, match=why), device.lent(named):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="others are refused before")
def test_a_disk_that_it_would_fill_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "SIZE_BYTES", shutil.disk_usage(tmp_path).free)
    with (
        pytest.raises(MeasurementError, match="are free") as raised,
        device.lent(None, root=tmp_path / "devices"),
    ):
        pass
    assert "--device" in raised.value.remedy
    assert not (tmp_path / "devices").exists()


def test_why_none_can_be_had_is_told_without_making_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    why = device.refusal(None)
    assert isinstance(why, BenchError)
    assert "only root" in str(why)


def test_only_what_a_dead_bench_left_is_removed(tmp_path: Path) -> None:
    mine = leftovers.brief_mark()
    pid = mine.split("-")[0]
    names = {
        "lives": f"limitbench-{mine}.img",
        "died": f"limitbench-{mine.replace(pid, 'p4194303')}.img",
        "of another host": f"limitbench-{mine[:-8]}00000000.img",
        "nobody's": "disk.img",
    }
    for name in names.values():
        (tmp_path / name).touch()
    assert device.remove_left(root=tmp_path) == 1
    assert {one.name for one in tmp_path.iterdir()} == set(names.values()) - {names["died"]}
    assert device.remove_left(root=tmp_path, unknown=True) == 1
    kept = {names["lives"], names["nobody's"]}
    assert {one.name for one in tmp_path.iterdir()} == kept


def test_where_nothing_was_left_nothing_is_removed(tmp_path: Path) -> None:
    assert device.remove_left(root=tmp_path / "nosuch") == 0
