"""The probe's memory mode, as a plain process: how far its victim comes, and what ends it.

Nothing here asserts a speed. Where a memory cgroup can be made, real OOM kills are in it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import signal
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.engine.image import probe_binary
from tests.probing import MS, Running, running

pytestmark = pytest.mark.alone

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGESIZE")
PT_LOAD = 1


@pytest.fixture(scope="module")
def probe() -> Path:
    return probe_binary(platform.machine()).path


@pytest.fixture
def disk(probe: Path, tmp_path: Path) -> Path:
    """A folder that is on no tmpfs."""
    for folder in (tmp_path, Path("/var/tmp"), Path.cwd()):
        options = ("--target", "1", "--deadline", "5", "--kind", "file", "--path", str(folder))
        code, errors = Running(probe, "memory", *options).end()
        if code == 3:
            return folder
        assert "is a tmpfs" in errors
    pytest.skip("every folder that can be written is a tmpfs")


@contextlib.contextmanager
def taking(
    probe: Path, target: int, *more: str, deadline_s: int = 20, before: Sequence[str] = ()
) -> Iterator[Running]:
    options = ("--target", str(target), "--deadline", str(deadline_s), *more)
    with running(probe, "memory", *options, before=before) as started:
        ready = started.hear()
        assert set(ready) == {
            *("probe", "version", "mode", "kind", "victim", "target_bytes", "step_bytes")
        }
        assert (ready["probe"], ready["version"], ready["mode"]) == ("ready", 1, "memory")
        yield started


def measure(
    probe: Path, target: int, *more: str, churn_ms: int = 1, before: Sequence[str] = ()
) -> dict[str, Any]:
    """The report of a victim that was let do what it should, or die."""
    with taking(probe, target, *more, before=before) as memory:
        memory.tell(f"go 0 {churn_ms * MS}")
        done = memory.hear()
        memory.tell("stop")
        report = memory.hear()
        assert done == {"probe": "done", "killed": report["killed"]}
        assert memory.end() == (0, "")
    assert report["complete"] is True
    return report


def child_of(memory: Running) -> int:
    pid = memory.process.pid
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def is_alive(pid: int) -> bool:
    """Whether a process runs: neither gone nor a zombie that nobody waits for."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    return False


def wait_until_gone(pid: int) -> None:
    until = time.monotonic() + 20
    while is_alive(pid):
        assert time.monotonic() < until
        time.sleep(0.01)


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no Anonymous: in smaps_rollup")


# --- what it reports ---------------------------------------------------------------------


def test_report_has_its_whole_shape(probe: Path) -> None:
    before_ns = time.monotonic_ns()
    report = measure(probe, 8 * MIB, "--step", str(MIB))
    assert set(report) == {
        *("probe", "version", "mode", "complete", "kind", "victim", "page_bytes", "target_bytes"),
        *("step_bytes", "own_bytes", "oom_score_adj_raised", "touched_bytes", "killed", "signal"),
        *("errno", "t_start_ns", "t_end_ns", "step_ns"),
        *("churn_pages", "churn_ns", "churn_max_ns"),
    }
    assert (report["probe"], report["version"], report["mode"]) == ("report", 1, "memory")
    assert (report["kind"], report["victim"]) == ("anon", "child")
    assert report["page_bytes"] == PAGE
    assert report["touched_bytes"] == report["target_bytes"] == 8 * MIB
    assert (report["killed"], report["signal"], report["errno"]) == (False, 0, 0)
    assert report["oom_score_adj_raised"] is True
    assert before_ns <= report["t_start_ns"] <= report["t_end_ns"]
    assert len(report["step_ns"]) == 8
    assert sum(report["step_ns"]) == report["t_end_ns"] - report["t_start_ns"]
    assert report["own_bytes"] <= 64 * 1024


def test_churn_lasts_as_long_as_it_was_told(probe: Path) -> None:
    report = measure(probe, 4 * MIB, churn_ms=50)
    assert report["churn_ns"] >= 50 * MS
    assert report["churn_pages"] > 0
    assert report["churn_max_ns"] <= report["churn_ns"]
    assert report["churn_pages"] * report["churn_max_ns"] >= report["churn_ns"]


@pytest.mark.parametrize("pages", [1, 2, 3, 5, 64, 1000])
def test_any_number_of_pages(probe: Path, pages: int) -> None:
    report = measure(probe, pages * PAGE, churn_ms=1)
    assert report["touched_bytes"] == pages * PAGE
    assert report["churn_pages"] > 0


def test_target_and_step_are_whole_pages(probe: Path) -> None:
    report = measure(probe, 10 * PAGE + 1, "--step", str(3 * PAGE + 1))
    assert report["target_bytes"] == report["touched_bytes"] == 11 * PAGE
    assert report["step_bytes"] == 4 * PAGE
    assert len(report["step_ns"]) == 3


def test_no_more_steps_than_are_kept(probe: Path) -> None:
    report = measure(probe, 5000 * PAGE, "--step", "1")
    assert report["step_bytes"] == 2 * PAGE
    assert len(report["step_ns"]) == 2500


def test_memory_is_taken_after_go_and_held_until_stop(probe: Path) -> None:
    with taking(probe, 32 * MIB) as memory:
        pids = (memory.process.pid, child_of(memory))
        own_bytes = sum(map(resident_bytes, pids))
        assert own_bytes < MIB
        memory.tell(f"go {50 * MS} {MS}")
        memory.hear()
        time.sleep(0.05)
        parent, child = map(resident_bytes, pids)
        assert parent < MIB
        assert 32 * MIB <= child < 33 * MIB
        memory.tell("stop")
        report = memory.hear()
        wait_until_gone(pids[1])
    assert report["complete"] is True


def test_warm_up_comes_before_the_growth(probe: Path) -> None:
    with taking(probe, MIB) as memory:
        before_ns = time.monotonic_ns()
        memory.tell(f"go {50 * MS} {MS}")
        memory.hear()
        memory.tell("stop")
        assert memory.hear()["t_start_ns"] >= before_ns + 50 * MS


@pytest.mark.parametrize("victim", ["child", "self"])
def test_either_victim_reports_the_same_where_nothing_is_short(probe: Path, victim: str) -> None:
    report = measure(probe, 4 * MIB, "--victim", victim)
    assert (report["victim"], report["touched_bytes"]) == (victim, 4 * MIB)
    assert report["oom_score_adj_raised"] is (victim == "child")


# --- files -------------------------------------------------------------------------------


def test_file_leaves_nothing_behind(probe: Path, disk: Path) -> None:
    before = sorted(disk.iterdir())
    more = ("--kind", "file", "--path", str(disk), "--step", str(MIB))
    report = measure(probe, 4 * MIB, *more)
    assert (report["kind"], report["errno"]) == ("file", 0)
    assert report["touched_bytes"] == 4 * MIB
    assert len(report["step_ns"]) == 4
    assert (report["churn_pages"], report["churn_ns"], report["churn_max_ns"]) == (0, 0, 0)
    assert sorted(disk.iterdir()) == before


def test_tmpfs_is_held_until_stop_and_then_free(probe: Path) -> None:
    free = os.statvfs("/dev/shm")
    if free.f_bavail * free.f_frsize < 16 * MIB:
        pytest.skip("/dev/shm has no 16 MiB left")
    with taking(probe, 8 * MIB, "--kind", "tmpfs") as memory:
        child = child_of(memory)
        memory.tell(f"go 0 {MS}")
        memory.hear()
        held = [path.stat().st_size for path in Path(f"/proc/{child}/fd").iterdir()]
        assert 8 * MIB in held
        assert not list(Path("/dev/shm").glob("probe-*"))
        memory.tell("stop")
        assert memory.hear()["touched_bytes"] == 8 * MIB
        wait_until_gone(child)


def test_a_full_file_system_is_an_errno(probe: Path) -> None:
    free = os.statvfs("/dev/shm")
    limit = ("sh", "-c", 'ulimit -f 2048; exec "$@"', "sh")  # blocks of 512 bytes: 1 MiB
    if free.f_bavail * free.f_frsize < 2 * MIB:
        pytest.skip("/dev/shm has no 2 MiB left")
    report = measure(probe, 4 * MIB, "--kind", "tmpfs", before=limit)
    assert os.strerror(report["errno"]) == "File too large"
    assert (report["killed"], report["touched_bytes"]) == (False, MIB)
    assert len(report["step_ns"]) == 4


@pytest.mark.parametrize("victim", ["child", "self"])
def test_memory_that_is_refused_is_an_errno(probe: Path, victim: str) -> None:
    limit = ("sh", "-c", 'ulimit -v 65536; exec "$@"', "sh")  # KiB of address space
    report = measure(probe, 256 * MIB, "--victim", victim, before=limit)
    assert os.strerror(report["errno"]) == "Cannot allocate memory"
    assert (report["killed"], report["touched_bytes"], report["step_ns"]) == (False, 0, [])
    assert report["churn_pages"] == 0


def test_kind_and_file_system_must_fit(probe: Path, disk: Path) -> None:
    for kind, folder, reason in (
        ("file", Path("/dev/shm"), "/dev/shm is a tmpfs"),
        ("tmpfs", disk, f"{disk} is no tmpfs"),
        ("file", disk / "none", f"{disk / 'none'}: No such file or directory"),
    ):
        options = ("--target", "1", "--deadline", "5", "--kind", kind, "--path", str(folder))
        code, errors = Running(probe, "memory", *options).end()
        assert (code, errors) == (1, f"probe: {reason}\n")


# --- how it ends -------------------------------------------------------------------------


def test_a_killed_child_is_reported_as_far_as_it_came(probe: Path) -> None:
    # So much that it is not done, and a limit of address space would be no matter.
    with taking(probe, 1 << 40, "--step", str(256 * MIB)) as memory:
        child = child_of(memory)
        memory.tell(f"go {200 * MS} {MS}")
        # In the warm-up: what it has not begun has no times.
        os.kill(child, signal.SIGKILL)
        assert memory.hear() == {"probe": "done", "killed": True}
        memory.tell("stop")
        report = memory.hear()
        assert memory.end() == (0, "")
    assert (report["complete"], report["killed"], report["signal"]) == (True, True, 9)
    assert (report["t_start_ns"], report["t_end_ns"]) == (None, None)
    assert (report["touched_bytes"], report["step_ns"]) == (0, [])


def test_a_child_killed_in_the_churn_has_its_times_and_pages(probe: Path) -> None:
    with taking(probe, MIB) as memory:
        child = child_of(memory)
        memory.tell(f"go 0 {10_000 * MS}")
        time.sleep(0.1)
        os.kill(child, signal.SIGKILL)
        assert memory.hear() == {"probe": "done", "killed": True}
        memory.tell("stop")
        report = memory.hear()
    assert (report["complete"], report["killed"], report["touched_bytes"]) == (True, True, MIB)
    assert report["t_start_ns"] < report["t_end_ns"]
    assert 0 < report["churn_ns"] < 10_000 * MS
    assert report["churn_pages"] > 0


def test_a_child_killed_while_it_holds_is_in_the_report(probe: Path) -> None:
    with taking(probe, MIB) as memory:
        child = child_of(memory)
        memory.tell(f"go 0 {MS}")
        assert memory.hear() == {"probe": "done", "killed": False}
        os.kill(child, signal.SIGKILL)
        time.sleep(0.05)
        memory.tell("stop")
        report = memory.hear()
    assert (report["killed"], report["signal"], report["touched_bytes"]) == (True, 9, MIB)


@pytest.mark.parametrize("victim", ["child", "self"])
@pytest.mark.parametrize("warmup_ms", [0, 10_000], ids=["in the churn", "in the warm-up"])
def test_early_stop_is_our_own_doing(probe: Path, victim: str, warmup_ms: int) -> None:
    with taking(probe, MIB, "--victim", victim) as memory:
        memory.tell(f"go {warmup_ms * MS} {10_000 * MS}")
        time.sleep(0.1)
        memory.tell("stop")
        report = memory.hear()
        assert memory.end() == (0, "")
    assert report["probe"] == "report"
    assert (report["complete"], report["killed"]) == (False, False)
    assert report["signal"] == (signal.SIGTERM if victim == "child" else 0)
    assert report["touched_bytes"] == (0 if warmup_ms else MIB)
    assert (report["t_start_ns"] is None) == (report["t_end_ns"] is None) == bool(warmup_ms)


def test_end_of_input(probe: Path) -> None:
    with taking(probe, MIB) as memory:
        child = child_of(memory)
        assert memory.end() == (3, "")
        wait_until_gone(child)
    with taking(probe, MIB) as memory:
        memory.tell(f"go 0 {MS}")
        memory.hear()
        assert memory.process.stdin is not None
        memory.process.stdin.close()
        assert memory.hear()["complete"] is True
        assert memory.process.wait(timeout=20) == 0


def test_go_and_stop_may_come_at_once(probe: Path) -> None:
    with taking(probe, MIB) as memory:
        memory.tell("go 0 10000000000\nstop")
        report = memory.hear()
    assert (report["complete"], report["killed"], report["signal"]) == (False, False, 15)


@pytest.mark.parametrize(
    ("end", "code"),
    [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGALRM, 124)],
    ids=["killed", "terminated", "deadline"],
)
@pytest.mark.parametrize("busy", [False, True], ids=["parked", "at work"])
def test_the_child_ends_with_its_parent(
    probe: Path, end: signal.Signals, code: int, busy: bool
) -> None:
    with taking(probe, MIB) as memory:
        child = child_of(memory)
        if busy:
            memory.tell(f"go 0 {10_000 * MS}")
            time.sleep(0.05)
        memory.process.send_signal(end)
        assert memory.process.wait(timeout=20) == code
        wait_until_gone(child)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["child", "self"])
def test_deadline(probe: Path, victim: str) -> None:
    with taking(probe, MIB, "--victim", victim, deadline_s=1) as memory:
        memory.tell(f"go 0 {10_000 * MS}")
        assert memory.process.wait(timeout=20) == 124


@pytest.mark.slow
def test_the_child_has_the_deadline_of_its_own(probe: Path) -> None:
    with taking(probe, MIB, deadline_s=1) as memory:
        child = child_of(memory)
        memory.process.send_signal(signal.SIGSTOP)  # it can neither act nor end
        wait_until_gone(child)


def test_the_child_is_the_one_that_the_oom_killer_takes(probe: Path) -> None:
    with taking(probe, MIB) as memory:
        child = child_of(memory)
        assert Path(f"/proc/{child}/oom_score_adj").read_text() == "1000\n"
        ours = Path("/proc/self/oom_score_adj").read_text()
        assert Path(f"/proc/{memory.process.pid}/oom_score_adj").read_text() == ours


def test_a_rival_keeps_the_value_that_it_was_given(probe: Path) -> None:
    with taking(probe, MIB, "--victim", "rival") as memory:
        ours = Path("/proc/self/oom_score_adj").read_text()
        assert Path(f"/proc/{child_of(memory)}/oom_score_adj").read_text() == ours
        memory.tell(f"go 0 {MS}")
        memory.hear()
        memory.tell("stop")
        assert memory.hear()["oom_score_adj_raised"] is False


def test_mixed_is_both_by_turns_and_reads_the_file_again(probe: Path, disk: Path) -> None:
    pages = 1025  # odd: a page of either kind is the least
    with taking(probe, pages * PAGE, "--kind", "mixed", "--path", str(disk)) as memory:
        memory.tell(f"go 0 {20 * MS}")
        memory.hear()
        child = child_of(memory)
        (file,) = [
            Path(f"/proc/{child}/fd/{one.name}")
            for one in Path(f"/proc/{child}/fd").iterdir()
            if str(disk) in str(one.readlink())
        ]
        assert file.stat().st_size == 513 * PAGE
        anon = Path(f"/proc/{child}/smaps_rollup").read_text()
        anon_kib = int(next(x for x in anon.splitlines() if x.startswith("Anonymous:")).split()[1])
        assert 513 * PAGE <= anon_kib * 1024 < 513 * PAGE + MIB
        memory.tell("stop")
        report = memory.hear()
    assert report["touched_bytes"] == report["target_bytes"] == 1026 * PAGE
    assert report["errno"] == 0
    assert report["churn_pages"] > 513
    assert list(disk.glob("probe-*")) == []


# --- real OOM kills, in a memory cgroup of our own -----------------------------------------


def memory_cgroup_parent() -> tuple[Path, str] | None:
    """The folder in which a memory cgroup can be made, and the file for its limit."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Path(f"/sys/fs/cgroup/memory{path}"), "memory.limit_in_bytes"
        if controllers == "":
            parent = Path(f"/sys/fs/cgroup{path}")
            enabled = parent / "cgroup.subtree_control"
            if enabled.is_file() and "memory" in enabled.read_text().split():
                return parent, "memory.max"
    return None


LIMIT = 16 * MIB


@pytest.fixture
def small_cgroup() -> Iterator[Sequence[str]]:
    """A command that starts another in a memory cgroup of 16 MiB, without swap."""
    found = memory_cgroup_parent()
    if found is None:
        pytest.skip("no memory cgroup of our own")
    parent, limit_file = found
    cgroup = parent / f"limitbench-test-{os.getpid()}"
    try:
        cgroup.mkdir()
    except OSError as error:
        pytest.skip(f"no memory cgroup of our own: {error}")
    try:
        (cgroup / limit_file).write_text(str(LIMIT))
        for name, value in (
            ("memory.memsw.limit_in_bytes", LIMIT),
            ("memory.swappiness", 0),
            ("memory.swap.max", 0),
        ):
            if (cgroup / name).exists():
                (cgroup / name).write_text(str(value))
        yield ("sh", "-c", f'echo $$ > {cgroup}/cgroup.procs; exec "$@"', "sh")
    finally:
        until = time.monotonic() + 20
        while True:
            try:
                cgroup.rmdir()
            except OSError:  # what was in it is still ending
                assert time.monotonic() < until
                time.sleep(0.01)
            else:
                break


@pytest.mark.parametrize("kind", ["anon", "tmpfs"])
def test_oom_kill_takes_the_child_and_the_parent_tells(
    probe: Path, kind: str, small_cgroup: Sequence[str]
) -> None:
    report = measure(probe, 2 * LIMIT, "--kind", kind, before=small_cgroup)
    assert (report["killed"], report["signal"], report["errno"]) == (True, 9, 0)
    # Below the limit by what the processes themselves and their page tables take.
    assert LIMIT / 2 < report["touched_bytes"] < LIMIT
    assert report["touched_bytes"] % PAGE == 0
    assert len(report["step_ns"]) == report["touched_bytes"] // report["step_bytes"]
    assert report["t_end_ns"] - report["t_start_ns"] >= sum(report["step_ns"])


def test_oom_kill_of_itself_leaves_no_report(probe: Path, small_cgroup: Sequence[str]) -> None:
    with taking(probe, 2 * LIMIT, "--victim", "self", before=small_cgroup) as memory:
        memory.tell(f"go 0 {MS}")
        assert memory.process.wait(timeout=20) == -signal.SIGKILL
        assert memory.process.stdout is not None
        assert memory.process.stdout.read() == ""


@pytest.mark.parametrize(("kind", "most"), [("file", 4.0), ("mixed", 1.25)])
def test_page_cache_beyond_the_limit_kills_nobody(
    probe: Path, disk: Path, small_cgroup: Sequence[str], kind: str, most: float
) -> None:
    """Of mixed ones, where what is anonymous is below the limit."""
    more = ("--kind", kind, "--path", str(disk))
    report = measure(probe, round(most * LIMIT), *more, before=small_cgroup)
    assert (report["killed"], report["errno"]) == (False, 0)
    assert report["touched_bytes"] == most * LIMIT


# --- the command line --------------------------------------------------------------------

COMPLETE = {"--target": "4096", "--deadline": "1"}


@pytest.mark.parametrize(
    "changed",
    [
        *({name: None} for name in COMPLETE),
        *({"--target": value} for value in ("0", "16m", str((1 << 46) + 1))),
        *({"--step": value} for value in ("0", "-1")),
        *({"--kind": value} for value in ("", "swap")),
        {"--kind": "file"},
        {"--kind": "mixed"},
        {"--path": "/tmp"},
        {"--victim": "parent"},
        {"--threads": "1"},
    ],
    ids=str,
)
def test_bad_command_line(probe: Path, changed: dict[str, str | None]) -> None:
    options = {name: value for name, value in {**COMPLETE, **changed}.items() if value is not None}
    code, errors = Running(probe, "memory", *itertools.chain(*options.items())).end()
    assert code == 2
    assert "usage: probe spin" in errors


def test_what_is_static_is_smaller_than_a_huge_page(probe: Path) -> None:
    """Else the C library's first touch takes a whole one, before main() can say no."""
    assert static_bytes(probe.read_bytes()) < 1 * MIB


def static_bytes(elf: bytes) -> int:
    """The largest segment that is loaded, of a 64-bit ELF file (man 5 elf)."""
    at, size, count = (struct.unpack_from(form, elf, where)[0]
                       for form, where in (("<Q", 0x20), ("<H", 0x36), ("<H", 0x38)))  # fmt: skip
    headers = [struct.unpack_from("<II6Q", elf, at + i * size) for i in range(count)]
    return max(int(header[6]) for header in headers if header[0] == PT_LOAD)
