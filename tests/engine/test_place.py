"""Whether an engine is on this host: by who listens, and by what it says of its own host."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engine import place
from tests.engine.fake_engines import engine_at
from tests.fakes import ENGINE_FACTS
from tests.trees import make_tree

HERE = {"Name": platform.node(), "KernelVersion": platform.release()}


def processes(proc: Path, **namespaces: str) -> Path:
    """A /proc in which processes are in these cgroup namespaces."""
    for pid, name in namespaces.items():
        folder = proc / pid.removeprefix("p") / "ns"
        folder.mkdir(parents=True)
        (folder / "cgroup").symlink_to(f"cgroup:[{name}]")
    return proc


def test_an_engine_that_listens_here_is_here(folder: Path) -> None:
    with engine_at(folder / "e.sock") as host:
        assert place.is_here(host, HERE)
        # a socket that ssh -L, or a machine's own forwarder, keeps here
        assert not place.is_here(host, HERE | {"Name": "elsewhere"})
        assert not place.is_here(host, HERE | {"KernelVersion": "6.10.14-linuxkit"})


@pytest.mark.parametrize("theirs", ["2", "1"])
def test_an_engine_in_a_container_has_cgroups_of_its_own(folder: Path, theirs: str) -> None:
    proc = processes(folder / "proc", **{"self": "1", f"p{os.getpid()}": theirs})
    with engine_at(folder / "e.sock") as host:
        assert place.is_here(host, HERE, proc) == (theirs == "1")
        # the engine of the host around us: its processes are not seen here
        assert not place.is_here(host, HERE, processes(folder / "other", self="1"))


def test_a_runtime_here_is_asked_what_it_runs(folder: Path) -> None:
    """As nvidia-container-runtime answers: with its own version first."""
    wrapper = folder / "nvidia-container-runtime"
    wrapper.write_text(
        '#!/bin/sh\ntest "$1" = --version || exit 1\n'
        "echo NVIDIA Container Runtime version 1.17.4\necho commit: 9b69590c\necho\n"
        "echo runc version 1.1.5+ds1\necho spec: 1.0.2-dev\n"
    )
    wrapper.chmod(0o755)
    info = HERE | {"Runtimes": {"nvidia": {"path": str(wrapper)}, "runc": {"path": "/nosuch"}}}
    facts = replace(ENGINE_FACTS, cgroup_version=2, runtime="nvidia", runtime_version="1.17.4")
    with engine_at(folder / "e.sock") as host:
        found = place.seen_from_here(replace(facts, host=host), info)
        assert found.limits_by == ("runc", "1.1.5+ds1")
        there = place.seen_from_here(replace(facts, host=host), info | {"Name": "elsewhere"})
        assert there.limits_by == ("nvidia", "1.17.4")
        wrapper.write_text("#!/bin/sh\necho kata-runtime version 3.2.0\n")
        found = place.seen_from_here(replace(facts, host=host), info)
        assert found.limits_by == ("nvidia", "1.17.4")


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "ssh://user@host", "unix:///nosuch.sock"])
def test_an_engine_at_a_distance_is_not_here(host: str) -> None:
    assert not place.is_here(host, HERE)


@pytest.mark.parametrize(
    ("driver", "name", "cpus"),
    [
        ("systemd", "Docker", "0"),
        ("systemd", "Podman", "1"),
        ("cgroupfs", "Docker", "2"),
        ("cgroupfs", "Podman", "3"),
    ],
)
def test_where_containers_lie(tmp_path: Path, driver: str, name: str, cpus: str) -> None:
    proc, fs = tmp_path / "proc", tmp_path / "fs"
    make_tree(proc, {"self/mountinfo": f"30 23 0:26 / {fs} rw - cgroup2 cgroup2 rw\n"})
    parents = ("system.slice", "machine.slice", "docker", "libpod_parent")
    folders = {f"{one}/cpuset.cpus.effective": f"{i}\n" for i, one in enumerate(parents)}
    make_tree(fs, {"cpuset.cpus.effective": "0-3\n"} | folders)
    assert place.cpu_list(driver, name, proc) == cpus
