"""Who ran beside a window: from a /proc of files, and from this host's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from harness.host.neighbours import Census
from tests.trees import make_tree

OURS, THEIRS = "a" * 64, "b" * 64
HZ = os.sysconf("SC_CLK_TCK")


def process(  # noqa: PLR0913 - each is a field of the file
    proc: Path,
    pid: int,
    name: str,
    cpu_s: float,
    *,
    start: int = 1,
    path: str = "/",
    waited: float = 0,
    parent: int = 0,
    flags: int = 0x400000,
) -> None:
    ticks, of_children = round(cpu_s * HZ), round(waited * HZ)
    before = " ".join([str(parent), *["0"] * 4, str(flags), *["0"] * 4])
    make_tree(proc, {
        f"{pid}/stat": f"{pid} ({name}) R {before} {ticks} 0 {of_children} 0 20 0 1 0 {start} 0\n",
        f"{pid}/cgroup": f"4:cpu,cpuacct:{path}\n0::/\n",
    })  # fmt: skip


def test_the_greatest_are_named_and_a_container_is_one(tmp_path: Path) -> None:
    now = iter((10.0, 14.0))
    make_tree(tmp_path, {"self/status": "", "uptime": ""})
    for pid, name in (
        (5, "idle"),
        (6, "a (b) c"),
        (7, "ours"),
        (8, "web"),
        (9, "web"),
        (10, "old"),
    ):
        path = {7: f"/docker/{OURS}", 8: f"/docker/{THEIRS}", 9: f"/docker/{THEIRS}"}.get(pid, "/")
        process(tmp_path, pid, name, 100, path=path)
    census = Census(tmp_path, lambda: next(now))
    process(tmp_path, 6, "a (b) c", 102)
    process(tmp_path, 7, "ours", 104, path=f"/docker/{OURS}")
    process(tmp_path, 8, "web", 101, path=f"/docker/{THEIRS}")
    process(tmp_path, 9, "web", 102, path=f"/docker/{THEIRS}")
    process(tmp_path, 10, "new", 0.4, start=2)  # the number was given again
    process(tmp_path, 11, "make", 0, waited=0.2)
    found = census.since([OURS])
    assert [(one.name, round(one.cpus, 6)) for one in found] == [
        (f"container {THEIRS[:12]}", 0.75),
        ("a (b) c (pid 6)", 0.5),
        ("new (pid 10)", 0.1),
    ]


def test_what_a_child_had_used_before_is_not_its_parents_when_it_ends(tmp_path: Path) -> None:
    now = iter((10.0, 12.0))
    process(tmp_path, 1, "init", 5, waited=50)
    process(tmp_path, 2, "shell", 1, waited=3, parent=1)
    process(tmp_path, 3, "make", 2, waited=20, parent=2)
    process(tmp_path, 4, "cc", 30, parent=3)
    process(tmp_path, 5, "shell", 1, parent=1)
    process(tmp_path, 6, "orphan", 100, parent=5)  # its parent ends first: init waits for it
    census = Census(tmp_path, lambda: next(now))
    for pid in (3, 4, 5, 6):
        end(tmp_path, pid)
    # In the two seconds cc and the orphan used one more each, and somebody new another.
    process(tmp_path, 2, "shell", 1, waited=3 + 2 + 20 + 31 + 1, parent=1)
    process(tmp_path, 1, "init", 5, waited=50 + 1 + 101)
    found = census.since([])
    assert [(one.name, round(one.cpus, 6)) for one in found] == [
        ("shell (pid 2)", 1.0),
        ("init (pid 1)", 0.5),
    ]


def test_a_child_that_nobody_waited_for_costs_its_parent_nothing(tmp_path: Path) -> None:
    now = iter((10.0, 12.0))
    process(tmp_path, 1, "init", 5, waited=50)
    process(tmp_path, 7, "deaf", 1, parent=1)
    process(tmp_path, 8, "unwaited", 40, parent=7)
    census = Census(tmp_path, lambda: next(now))
    end(tmp_path, 8)
    process(tmp_path, 7, "deaf", 1.5, parent=1)
    assert [(one.name, round(one.cpus, 6)) for one in census.since([])] == [("deaf (pid 7)", 0.25)]


def test_threads_of_the_kernel_are_one_and_known_as_such(tmp_path: Path) -> None:
    now = iter((10.0, 12.0))
    census = Census(tmp_path, lambda: next(now))
    process(tmp_path, 14, "ksoftirqd/0", 0.2, flags=0x4208040, parent=2)
    process(tmp_path, 32, "kworker/u8:1+loop0", 0.6, flags=0x4208060, parent=2)
    process(tmp_path, 35, "web", 0.1)
    assert [(one.name, round(one.cpus, 6), one.kernel) for one in census.since([])] == [
        ("threads of the kernel (kworker/u8:1+loop0 most)", 0.4, True),
        ("web (pid 35)", 0.05, False),
    ]


def end(proc: Path, pid: int) -> None:
    for name in ("stat", "cgroup"):
        (proc / f"{pid}/{name}").unlink()


def test_a_shell_that_waits_for_long_work_is_no_neighbour_of_so_much(tmp_path: Path) -> None:
    work = "(i=0; while [ $i -lt 1000000 ]; do i=$((i + 1)); done; sleep 0.6; :); sleep 9"
    with subprocess.Popen(["sh", "-c", work], start_new_session=True) as shell:
        (tmp_path / str(shell.pid)).symlink_to(f"/proc/{shell.pid}")
        (child,) = once(lambda: children_of(shell.pid))
        once(lambda: children_of(child))  # its sleep: the work is done
        (tmp_path / str(child)).symlink_to(f"/proc/{child}")
        census = Census(tmp_path)
        once(lambda: child not in children_of(shell.pid))
        found = census.since([])
        os.killpg(shell.pid, signal.SIGKILL)
    assert found == ()


def children_of(pid: int) -> list[int]:
    return [one.pid for one in psutil.Process(pid).children()]


T = TypeVar("T")


def once(look: Callable[[], T]) -> T:
    deadline_s = time.monotonic() + 20
    while not (found := look()):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    return found


def test_a_process_of_this_host_is_found(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        (tmp_path / str(busy.pid)).symlink_to(
            f"/proc/{busy.pid}"
        )  # nobody else competes for a word
        census = Census(tmp_path)
        deadline_s = time.monotonic() + 20
        while not (found := census.since([])) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        busy.kill()
    assert [one.name.partition(" (pid")[0] for one in found] == [Path(sys.executable).name]
