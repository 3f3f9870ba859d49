"""What a cgroup's ordinary counters do not show: that it is frozen, and kills in those below it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cgroup import V1, V2, CgroupPaths, frozen_by, locate
from tests.trees import ID, make_tree, v1_host, v2_host


def test_on_v1_kills_of_the_cgroups_below_are_added_up(tmp_path: Path) -> None:
    """The kernel counts a kill where the process was: a nested engine's, in its own cgroup."""
    oom = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
    make_tree(tmp_path, {
        "memory.oom_control": oom.format(1),
        "docker/abc/memory.oom_control": oom.format(2),
        "docker/memory.oom_control": oom.format(0),
        "init/memory.oom_control": "oom_kill_disable 0\n",
    })  # fmt: skip
    assert V1.memory_counters(tmp_path, None).oom_kills == 3
    assert V1.memory_counters(tmp_path / "docker/abc", None).oom_kills == 2
    assert V1.memory_counters(tmp_path / "init", None).oom_kills is None


@pytest.mark.parametrize(
    ("state", "own", "said"),
    [
        ("THAWED", "0", ""),
        ("FROZEN", "1", "its own cgroup"),
        ("FREEZING", "1", "its own cgroup"),
        ("FROZEN", "0", "a cgroup above it"),
    ],
)
def test_a_frozen_cgroup_of_v1_is_found_by_its_own_hierarchy(
    tmp_path: Path, state: str, own: str, said: str
) -> None:
    proc = v1_host(tmp_path)
    freezer = tmp_path / "fs/freezer"
    mounts, member = proc / "self/mountinfo", proc / "77/cgroup"
    mounts.write_text(
        mounts.read_text() + f"50 31 0:50 / {freezer} rw - cgroup cgroup rw,freezer\n"
    )
    member.write_text(f"9:freezer:/docker/{ID}\n" + member.read_text())
    make_tree(freezer / f"docker/{ID}", {
        "freezer.state": f"{state}\n", "freezer.self_freezing": f"{own}\n",
    })  # fmt: skip
    assert frozen_by(locate(77, ID, proc)) == said


@pytest.mark.parametrize(
    ("events", "own", "said"),
    [
        ("populated 1\nfrozen 0\n", "0", ""),
        ("populated 1\n", "0", ""),  # before kernel 5.2
        ("populated 1\nfrozen 1\n", "1", "its own cgroup"),
        ("populated 1\nfrozen 1\n", "0", "a cgroup above it"),
    ],
)
def test_a_frozen_cgroup_of_v2_is_told_by_its_events(
    tmp_path: Path, events: str, own: str, said: str
) -> None:
    make_tree(tmp_path, {"cgroup.events": events, "cgroup.freeze": f"{own}\n"})
    assert frozen_by(CgroupPaths(V2, {"unified": tmp_path})) == said


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("nested", [False, True])
def test_an_engines_container_in_a_namespace_may_be_bound_from_above(
    tmp_path: Path, version: int, nested: bool
) -> None:
    """Docker in Docker, kind, a CI runner: what is mounted as the root is a cgroup."""
    proc = v1_host(tmp_path) if version == 1 else v2_host(tmp_path)
    assert not locate(77, ID, proc).root_unseen
    if nested:
        make_tree(proc, {"self/ns/pid": ""})
        (proc / "self/ns/cgroup").symlink_to("cgroup:[4026532999]")
    else:  # a cgroup that was mounted as if it were the root
        (tmp_path / "fs/cpuacct/release_agent").unlink(missing_ok=True)
        make_tree(tmp_path / "fs", {"cgroup.type": "domain\n"} if version == 2 else {})
    assert locate(77, ID, proc).root_unseen
