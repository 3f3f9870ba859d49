"""bench doctor: what each kind of host and engine is told, and the remedy with it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness import cgroup, doctor
from harness.model import EngineFacts, HostConditions
from tests.fakes import ENGINE_FACTS, HOST_FACTS

NOW = HostConditions(root=True, load=0.0, steal_share=0.0, swap_accounted=True)
USER = dataclasses.replace(NOW, root=False)
V2 = dataclasses.replace(ENGINE_FACTS, cgroup_version=2, cgroup_driver="systemd")
ROOTLESS = dataclasses.replace(V2, rootless=True)


def told(engine: EngineFacts, now: HostConditions) -> dict[str, doctor.Finding]:
    return {one.subject: one for one in doctor.examine(HOST_FACTS, engine, now)}


def test_a_plain_docker_has_nothing_to_tell() -> None:
    found = told(ENGINE_FACTS, NOW)
    assert {found[name].grade for name in ("engine", "driver", "limits", "swap limit")} == {"ok"}
    assert not {"rootless", "Podman", "docker stats"} & found.keys()


@pytest.mark.parametrize(
    ("driver", "grade", "remedy"),
    [
        ("cgroupfs", "ok", ""),
        ("systemd", "note", "two decimals"),
        ("none", "bad", "systemd.unified_cgroup_hierarchy=1"),
    ],
)
def test_the_driver(driver: str, grade: str, remedy: str) -> None:
    found = told(dataclasses.replace(ENGINE_FACTS, cgroup_driver=driver), NOW)["driver"]
    assert found.grade == grade
    assert remedy in found.remedy


@pytest.mark.parametrize(
    ("cpu_list", "cpus", "grade", "text"),
    [
        ("0-1", 2, "ok", "CPUs 0-1"),
        (None, 2, "note", "cannot be seen from here: taken for CPUs 0-1"),
        ("0-1", 1, "note", "kept to 1 of them: it refuses more --cpus than 1"),
        ("0", 2, "note", "CPU 0 of the engine's 2"),
    ],
)
def test_the_cpus_of_containers(cpu_list: str | None, cpus: int, grade: str, text: str) -> None:
    engine = dataclasses.replace(ENGINE_FACTS, cpu_list=cpu_list, cpus=cpus)
    found = told(engine, NOW)["containers' CPUs"]
    assert found.grade == grade
    assert text in found.text
    assert bool(found.remedy) == (grade == "note")


NO_SWAP = ("No swap limit support",)


@pytest.mark.parametrize(
    ("warnings", "accounted", "grade", "remedy"),
    [
        ((), True, "ok", ""),
        ((), None, "ok", ""),
        ((), False, "note", "swapaccount=1"),
        (NO_SWAP, False, "note", "swapaccount=1"),
        (NO_SWAP, None, "note", "swapaccount=1"),
        (NO_SWAP, True, "note", "service of systemd"),  # dockerd in the root cgroup of v2
    ],
)
def test_swap_accounting(
    warnings: tuple[str, ...], accounted: bool | None, grade: str, remedy: str
) -> None:
    engine = dataclasses.replace(ENGINE_FACTS, warnings=warnings)
    found = told(engine, dataclasses.replace(NOW, swap_accounted=accounted))
    assert found["swap limit"].grade == grade
    assert remedy in found["swap limit"].remedy
    assert found["limits"].grade == "ok"  # swap is told once


def test_limits_that_an_engine_lacks() -> None:
    found = told(dataclasses.replace(ENGINE_FACTS, warnings=("No cpuset support",)), NOW)
    assert found["limits"].grade == "note"
    assert "No cpuset support" in found["limits"].text


@pytest.mark.parametrize(
    ("engine", "delegated", "grade", "words"),
    [
        (ROOTLESS, ("cpu", "cpuset", "io", "memory", "pids"), "ok", "has been given"),
        (ROOTLESS, ("memory", "pids"), "bad", "not been given cpu, cpuset:"),
        (ROOTLESS, None, "note", "cannot be seen"),
        (dataclasses.replace(ROOTLESS, cgroup_version=1), (), "bad", "limits are ignored"),
    ],
)
def test_rootless_has_what_its_user_was_given(
    engine: EngineFacts, delegated: tuple[str, ...] | None, grade: str, words: str
) -> None:
    found = told(engine, dataclasses.replace(USER, delegated=delegated))["rootless"]
    assert found.grade == grade
    assert words in found.text
    if grade == "bad":
        assert "Delegate=cpu cpuset" in found.remedy or "unified_cgroup" in found.remedy


def test_podman_is_told_with_what_it_leaves_out() -> None:
    found = told(dataclasses.replace(ENGINE_FACTS, name="Podman", version="4.3.1"), NOW)
    assert "--runtime" in found["Podman"].text
    assert "5 s" in found["docker stats"].text


# --- what the host's files say -----------------------------------------------------------------


def mounted(proc: Path, *mounts: tuple[str, Path, str]) -> Path:
    """A /proc whose own mounts are these: (type, where, options)."""
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "mountinfo").write_text(
        "".join(f"3{i} 25 0:2{i} / {at} rw shared:9 - {kind} {kind} rw,{options}\n"
                for i, (kind, at, options) in enumerate(mounts))
    )  # fmt: skip
    return proc


def test_swap_accounting_and_delegation_of_v1(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    proc = mounted(tmp_path / "proc", ("cgroup", memory, "memory"))
    assert cgroup.swap_accounted(proc) is False
    (memory / "memory.memsw.limit_in_bytes").touch()
    assert cgroup.swap_accounted(proc) is True
    assert cgroup.delegated_controllers(1000, proc) == ()


def test_swap_accounting_and_delegation_of_v2(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    proc = mounted(tmp_path / "proc", ("cgroup2", root, "nsdelegate"))
    user = root / "user.slice/user-1000.slice/user@1000.service"
    user.mkdir(parents=True)
    assert cgroup.swap_accounted(proc) is None  # nothing below the root has memory
    assert cgroup.delegated_controllers(1000, proc) is None
    (root / "user.slice" / "memory.max").touch()
    assert cgroup.swap_accounted(proc) is False
    (root / "user.slice" / "memory.swap.max").touch()
    assert cgroup.swap_accounted(proc) is True
    (user / "cgroup.controllers").write_text("memory pids\n")
    assert cgroup.delegated_controllers(1000, proc) == ("memory", "pids")
    assert cgroup.delegated_controllers(1001, proc) is None


def test_a_host_whose_mounts_cannot_be_read(tmp_path: Path) -> None:
    assert cgroup.swap_accounted(tmp_path) is None
    assert cgroup.delegated_controllers(1000, tmp_path) is None


def test_root_without_its_capabilities_is_told_what_it_lacks() -> None:
    found = told(ENGINE_FACTS, dataclasses.replace(NOW, raises_priority=False))["root"]
    assert found.grade == "note"
    assert "--cap-add SYS_NICE" in found.remedy


def test_what_is_not_visible_here_is_read_by_a_container_of_a_sweep() -> None:
    within = dataclasses.replace(HOST_FACTS, cgroup_version=None)
    found = {one.subject: one for one in doctor.examine(within, ENGINE_FACTS, NOW)}["cgroup"]
    assert "a container that a sweep starts" in found.text
    assert "--pid host" in found.remedy
