"""What this process may do or see, from /proc files as containers show them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import cgroup, privileges
from harness.errors import MeasurementError
from tests.trees import make_tree

WHOLE, MAPPED = "         0          0 4294967295\n", "         0       1000          1\n"
OF_ROOT, OF_DOCKER = "CapEff:\t000001ffffffffff\n", "CapEff:\t00000000a80425fb\n"


@pytest.mark.parametrize(
    ("caps", "users", "held"),
    [
        (OF_ROOT, WHOLE, True),
        (OF_DOCKER, WHOLE, False),  # root of a container without privileges
        (OF_ROOT, MAPPED, False),  # root of a user namespace
    ],
)
def test_root_is_what_it_may_do(tmp_path: Path, caps: str, users: str, held: bool) -> None:
    make_tree(tmp_path, {"self/status": f"Name:\tbench\n{caps}", "self/uid_map": users})
    assert privileges.has(privileges.SYS_ADMIN, tmp_path) is held
    assert privileges.has(privileges.SYS_NICE, tmp_path) is held


@pytest.mark.parametrize("there", [True, False])
def test_in_another_pid_namespace_a_number_is_no_process_of_the_engine(
    tmp_path: Path, there: bool
) -> None:
    make_tree(tmp_path, {"self/mountinfo": ""})
    (tmp_path / "self/ns").mkdir()
    (tmp_path / "self/ns/pid").symlink_to("pid:[4026532300]")
    if there:  # some process of the container that bench is in
        make_tree(tmp_path, {"77/cgroup": "0::/\n"})
    with pytest.raises(MeasurementError, match="PID namespace of its own") as refused:
        cgroup.locate(77, "c" * 64, tmp_path)
    assert "--pid host" in refused.value.remedy
