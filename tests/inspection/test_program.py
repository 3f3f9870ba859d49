"""What the program inside sees, from a /proc and cgroups that are files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.cgroup import locate
from harness.inspection.inspection import inspect
from harness.inspection.program import Program, ProgramReader, where_stopped
from tests.fakes import ENGINE_FACTS, HOST_FACTS
from tests.observations import observation, schedule
from tests.trees import ID, make_tree, v1_host, v2_host

MS = 1_000_000
THREADS_FILES: dict[Callable[[Path], Path], str] = {
    v1_host: f"fs/cpu/docker/{ID}/tasks",
    v2_host: f"fs/system.slice/docker-{ID}.scope/cgroup.threads",
}
BOTH = pytest.mark.parametrize("host", THREADS_FILES, ids=["v1", "v2"])


@dataclass
class Clock:
    now: int = 0
    each: int = 0
    """What every call takes."""

    def now_ns(self) -> int:
        self.now += self.each
        return self.now


def states(proc: Path, letters: str) -> str:
    """Threads 77, 78 … in these states; their ids as the cgroup lists them."""
    tids = range(77, 77 + len(letters))
    make_tree(
        proc,
        {
            f"{tid}/stat": f"{tid} (a b) R) {letter} 1 77 77 0 -1\n"
            for tid, letter in zip(tids, letters, strict=True)
        },
    )
    return "".join(f"{tid}\n" for tid in tids)


def reader(tmp_path: Path, host: Callable[[Path], Path], clock: Clock) -> ProgramReader:
    proc = host(tmp_path)
    make_tree(
        proc,
        {
            "77/status": "Name:\ta b) R\nCpus_allowed:\tf\nCpus_allowed_list:\t0-2,5\n",
            "77/mountinfo": "1 0 0:5 / /proc rw - proc proc rw\n",
        },
    )
    make_tree(tmp_path, {THREADS_FILES[host]: states(proc, "RRRS")})
    facts = replace(HOST_FACTS, cpus=16, memory_bytes=1 << 34)
    return ProgramReader(proc / "77", locate(77, ID, proc), facts, clock.now_ns)


@BOTH
def test_what_it_sees_and_how_many_threads_run_at_once(
    host: Callable[[Path], Path], tmp_path: Path
) -> None:
    clock = Clock()
    looking = reader(tmp_path, host, clock)
    below = Path(THREADS_FILES[host]).parent / "inner" / Path(THREADS_FILES[host]).name
    make_tree(tmp_path, {str(below): "999\n"})  # which has ended
    for letters in ("RRRS", "RRRR", "RRSS", "RRRS", "SSSS"):
        states(tmp_path / "proc", letters)
        looking.look()
        looking.look()  # at once again: too soon
        clock.now += 100 * MS
    seen = looking.taken()
    assert (seen.affinity_cpus, seen.online_cpus, seen.memory_bytes) == (4, 16, 1 << 34)
    assert (seen.looks, seen.threads) == (5, 4)
    assert seen.threads_at_once == 3  # once it was four, which is a chance
    again = looking.taken()
    assert (again.looks, again.threads, again.threads_at_once) == (0, None, None)


def test_what_lxcfs_stands_over_is_not_known_from_outside(tmp_path: Path) -> None:
    looking = reader(tmp_path, v1_host, Clock())
    mounts = tmp_path / "proc/77/mountinfo"
    lxcfs = "rw - fuse.lxcfs lxcfs rw\n"
    mounts.write_text(f"{mounts.read_text()}2 1 0:6 /proc/meminfo /proc/meminfo {lxcfs}")
    seen = looking.taken()
    assert (seen.online_cpus, seen.memory_bytes) == (16, None)
    mounts.write_text(f"2 1 0:6 /proc/cpuinfo /proc/cpuinfo {lxcfs}")
    assert looking.taken().online_cpus is None
    mounts.unlink()
    assert looking.taken().memory_bytes is None


def test_looks_that_cost_much_are_made_less_often(tmp_path: Path) -> None:
    clock = Clock(each=10 * MS)
    looking = reader(tmp_path, v1_host, clock)
    for _ in range(100):
        looking.look()
    assert looking.taken().looks == 3  # in a second at 10 ms each: at once, then in half a second


@pytest.mark.parametrize(
    ("threads", "sees", "busy_ms", "told"),
    [
        (16, 16, 100, True),
        (1, 16, 100, False),  # throttled all the same, and nothing to gain
        (16, 1, 100, False),  # it sees no more than it may use
        (16, 16, 3, False),  # not throttled: many threads, with little to do
        (None, 16, 100, False),
    ],
)
def test_it_is_told_where_fewer_threads_would_help(
    threads: int | None, sees: int, busy_ms: float, told: bool
) -> None:
    seen = observation(schedule(quota_ms=50, threads=threads or 1, busy_ms=busy_ms))
    program = replace(seen.program, affinity_cpus=sees, threads_at_once=threads)
    found = inspect(replace(seen, program=program), ENGINE_FACTS, HOST_FACTS)
    said = [one for one in found.findings if one.id == "program-sees-more-cpus"]
    assert bool(said) == told
    if told:
        assert "sees 16 CPUs, may use 0.5, and runs 16 threads at once" in said[0].text
        assert "GOMAXPROCS=1" in said[0].remedy


@BOTH
def test_one_thread_after_another_at_a_disk_is_none_that_is_stuck(
    tmp_path: Path, host: Callable[[Path], Path]
) -> None:
    clock = Clock()
    read = reader(tmp_path, host, clock)
    for letters in ("SDSD", "SDDS", "DSSD"):
        make_tree(tmp_path, {THREADS_FILES[host]: states(tmp_path / "proc", letters)})
        read.look()
        clock.now += 1000 * MS
    assert read.taken().threads_stuck == 0


@BOTH
def test_threads_that_stand_still_are_counted_where_they_do_at_every_look(
    tmp_path: Path, host: Callable[[Path], Path]
) -> None:
    clock = Clock()
    read = reader(tmp_path, host, clock)
    for letters in ("TtDD", "TSDS"):
        make_tree(tmp_path, {THREADS_FILES[host]: states(tmp_path / "proc", letters)})
        read.look()
        clock.now += 1000 * MS
    found = read.taken()
    assert (found.threads_stopped, found.threads_stuck, found.looks) == (1, 1, 2)


@BOTH
@pytest.mark.parametrize(
    ("letters", "threads", "stopped"),
    [("TtT", 3, 3), ("TSR", 3, 1), ("STT", None, None), ("RRR", None, None)],
)
def test_one_look_tells_whether_all_are_stopped(
    tmp_path: Path, host: Callable[[Path], Path], letters: str, threads: int, stopped: int
) -> None:
    """The first process decides whether the others are looked at."""
    proc = host(tmp_path)
    make_tree(tmp_path, {THREADS_FILES[host]: states(proc, letters)})
    found = where_stopped(proc / "77", locate(77, ID, proc))
    assert (found.threads, found.threads_stopped) == (threads, stopped)


@BOTH
def test_a_process_that_is_gone_is_not_stopped(
    tmp_path: Path, host: Callable[[Path], Path]
) -> None:
    proc = host(tmp_path)
    paths = locate(77, ID, proc)
    assert where_stopped(proc / "4711", paths) == Program()


@BOTH
@pytest.mark.parametrize(
    ("isolated", "many"), [("1-3,5\n", 3), ("\n", 0), ("6\n", 0), (None, None)]
)
def test_isolated_cpus_of_its_affinity_are_counted(
    tmp_path: Path, host: Callable[[Path], Path], isolated: str | None, many: int | None
) -> None:
    read = reader(tmp_path, host, Clock())
    if isolated is not None:
        make_tree(tmp_path, {"sys/devices/system/cpu/isolated": isolated})
    assert (read.taken().affinity_cpus, read.taken().isolated_cpus) == (4, many)
