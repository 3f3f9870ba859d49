"""The cgroup of our own around containers, on files of either version."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import cgroup
from harness.model import Limits
from tests.trees import ID, make_tree

SHARED = Limits(memory_bytes=64 << 20, memory_swap_bytes=96 << 20)
HELD = {
    1: {"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "100663296"},
    2: {"memory.max": "67108864", "memory.swap.max": "33554432"},
}
VERSIONS = pytest.mark.parametrize("version", [1, 2])


def host(tmp_path: Path, version: int, parent: str, *, swap: bool = True) -> tuple[Path, Path]:
    """(proc, the memory folder of the parent) of a host with a container below it."""
    fs = tmp_path / "fs"
    kind = "cgroup2 cgroup2 rw" if version == 2 else "cgroup cgroup rw,memory"
    member = "0:" if version == 2 else "1:memory"
    make_tree(tmp_path, {
        "proc/77/cgroup": f"{member}:{parent}/{ID}\n",
        "proc/self/mountinfo": f"30 23 0:26 / {fs} rw - {kind}\n",
        f"fs/{parent}/{ID}/cgroup.controllers": "cpu memory\n",
        **{f"fs/{parent}/{name}": "max\n" for name in list(HELD[version])[: 2 if swap else 1]},
    })  # fmt: skip
    return tmp_path / "proc", fs / parent.lstrip("/")


@VERSIONS
def test_its_limits_are_written_and_the_total_is_split_where_each_has_its_own(
    tmp_path: Path, version: int
) -> None:
    proc, folder = host(tmp_path, version, "/limitbench_run_3")
    assert cgroup.limit_parent(77, ID, "/limitbench_run_3", SHARED, proc) == ""
    for name, text in HELD[version].items():
        assert (folder / name).read_text() == text


@VERSIONS
def test_without_swap_accounting_its_memory_is_limited_all_the_same(
    tmp_path: Path, version: int
) -> None:
    proc, folder = host(tmp_path, version, "/limitbench_run_3", swap=False)
    assert cgroup.limit_parent(77, ID, "/limitbench_run_3", SHARED, proc) == ""
    memory, swap = HELD[version]
    assert (folder / memory).read_text() == "67108864"
    assert not (folder / swap).exists()


def test_a_container_that_is_elsewhere_gets_nobody_else_limited(tmp_path: Path) -> None:
    proc, folder = host(tmp_path, 1, "/docker")
    why = cgroup.limit_parent(77, ID, "/limitbench_run_3", SHARED, proc)
    assert why == "no cgroup /limitbench_run_3 is seen above its containers"
    assert (folder / "memory.limit_in_bytes").read_text() == "max\n"


def test_a_container_that_is_not_seen_is_told(tmp_path: Path) -> None:
    assert cgroup.limit_parent(77, ID, "/limitbench_run_3", SHARED, tmp_path / "proc")


@pytest.mark.parametrize(
    ("driver", "name"),
    [("cgroupfs", "/limitbench_20260101_a_7"), ("systemd", "limitbench_20260101_a_7.slice")],
)
def test_a_slice_has_no_dash_that_would_be_a_slice_around_it(driver: str, name: str) -> None:
    assert cgroup.parent_name("20260101-a-7", driver) == name
    assert cgroup.parent_name("limitbench-20260101-a-7", driver) == name


def test_it_is_removed_with_what_an_engine_left_in_it(tmp_path: Path) -> None:
    """Folders alone: a kernel's files go with theirs."""
    fs = tmp_path / "fs"
    make_tree(tmp_path, {"proc/self/mountinfo": f"30 23 0:26 / {fs} rw - cgroup2 cgroup2 rw\n"})
    (fs / "limitbench_a_1/monitor").mkdir(parents=True)
    (fs / "docker").mkdir()
    cgroup.remove_parent("/limitbench_a_1", tmp_path / "proc")
    assert [one.name for one in fs.iterdir()] == ["docker"]


def test_empty_ones_are_found_by_their_name_and_others_stay(tmp_path: Path) -> None:
    fs = tmp_path / "fs"
    make_tree(tmp_path, {"proc/self/mountinfo": f"30 23 0:26 / {fs} rw - cgroup2 cgroup2 rw\n"})
    for name in ("limitbench_a_1", "limitbench_b_2.slice", "limitbench_c_3/inner", "docker"):
        (fs / name).mkdir(parents=True)
    assert cgroup.remove_empty_parents(tmp_path / "proc") == 2
    # One in which a container lies is a measurement's.
    assert {one.name for one in fs.iterdir()} == {"limitbench_c_3", "docker"}
    assert cgroup.remove_empty_parents(tmp_path / "nowhere") == 0
