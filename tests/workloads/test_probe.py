"""The real probe, compiled and run as a plain process: its protocol and what it reports.

Nothing here asserts a speed: the machine may be busy. Only what holds on any machine.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine.image import probe_binary
from tests.probing import MS, Running, running

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def probe() -> Path:
    return probe_binary(platform.machine()).path


@contextlib.contextmanager
def spinning(probe: Path, threads: int = 1, deadline_s: int = 20, *more: str) -> Iterator[Running]:
    options = ("--threads", str(threads), "--deadline", str(deadline_s), *more)
    with running(probe, "spin", *options) as started:
        assert started.hear() == {
            "probe": "ready",
            "version": 1,
            "mode": "spin",
            "threads": threads,
        }
        yield started


def measure(probe: Path, threads: int, warmup_ms: int, window_ms: int) -> dict[str, Any]:
    with spinning(probe, threads) as spinner:
        spinner.tell(f"go {warmup_ms * MS} {window_ms * MS}")
        time.sleep((warmup_ms + window_ms) / 1e3 + 0.05)
        spinner.tell("stop")
        report = spinner.hear()
        assert spinner.end() == (0, "")
    return report


def test_report_has_its_whole_shape_in_integers(probe: Path) -> None:
    before_ns = time.monotonic_ns()
    report = measure(probe, threads=2, warmup_ms=20, window_ms=100)
    assert set(report) == {
        *("probe", "version", "mode", "complete", "t_start_ns", "t_end_ns"),
        *("gap_threshold_ns", "gap_edges_ns", "gap_histogram", "gap_list", "threads"),
    }
    assert (report["probe"], report["version"], report["mode"]) == ("report", 1, "spin")
    assert report["complete"] is True
    assert report["t_end_ns"] - report["t_start_ns"] == 100 * MS
    assert report["t_start_ns"] >= before_ns + 20 * MS
    assert len(report["threads"]) == 2
    for thread in report["threads"]:
        assert set(thread) == {
            *("t_start_ns", "t_end_ns", "cpu_ns", "work", "gaps", "gap_total_ns", "gap_max_ns"),
            "cpus",
        }
        assert all(len(count) == 2 for count in thread["cpus"])
        numbers = itertools.chain(thread.values(), *thread.pop("cpus"))
        assert all(type(value) is int for value in numbers)


def test_a_thread_uses_no_more_cpu_than_there_is_time(probe: Path) -> None:
    report = measure(probe, threads=2, warmup_ms=0, window_ms=100)
    for thread in report["threads"]:
        # The clock and the CPU clock are read one after the other at each edge.
        slack_ns = MS
        assert report["t_start_ns"] <= thread["t_start_ns"] <= thread["t_end_ns"]
        assert thread["t_end_ns"] >= report["t_end_ns"]
        assert thread["cpu_ns"] <= thread["t_end_ns"] - thread["t_start_ns"] + slack_ns
        assert thread["cpu_ns"] <= 100 * MS + slack_ns
        assert (thread["work"] > 0) == (thread["t_start_ns"] < report["t_end_ns"])
        assert thread["gap_max_ns"] <= thread["gap_total_ns"] <= 100 * MS


def test_every_unit_was_done_on_a_cpu_that_it_may_run_on(probe: Path) -> None:
    report = measure(probe, threads=3, warmup_ms=10, window_ms=100)
    for thread in report["threads"]:
        cpus = [cpu for cpu, _ in thread["cpus"]]
        assert len(set(cpus)) == len(cpus)
        assert set(cpus) <= os.sched_getaffinity(0)
        assert all(units > 0 for _, units in thread["cpus"])
        assert sum(units for _, units in thread["cpus"]) == thread["work"]


@pytest.mark.slow
def test_a_pinned_thread_is_seen_on_its_cpu_and_after_a_move_on_the_other(probe: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    first, last = allowed[0], allowed[-1]
    with spinning(probe, 2) as spinner:
        threads = [int(path.name) for path in Path(f"/proc/{spinner.process.pid}/task").iterdir()]
        move(threads, first)
        spinner.tell(f"go {20 * MS} {400 * MS}")
        time.sleep(0.2)
        move(threads, last)
        time.sleep(0.3)
        spinner.tell("stop")
        report = spinner.hear()
    for thread in report["threads"]:
        assert {cpu for cpu, _ in thread["cpus"]} == {first, last}


def move(threads: list[int], cpu: int) -> None:
    for thread in threads:
        os.sched_setaffinity(thread, {cpu})


def test_histogram_counts_every_gap_once(probe: Path) -> None:
    # More threads than any machine of ours has CPUs to itself: each has gaps.
    threads = 4 * (os.cpu_count() or 1)
    report = measure(probe, threads=threads, warmup_ms=10, window_ms=200)
    edges, histogram = report["gap_edges_ns"], report["gap_histogram"]
    assert len(edges) == len(histogram) + 1
    assert edges == sorted(set(edges))
    assert edges[0] == report["gap_threshold_ns"] == 500_000
    assert edges[-2] < 30e9 <= edges[-1]
    assert sum(histogram) == sum(thread["gaps"] for thread in report["threads"]) > 0
    longest_bin = max(i for i, count in enumerate(histogram) if count)
    longest_ns = max(thread["gap_max_ns"] for thread in report["threads"])
    assert edges[longest_bin] <= longest_ns < edges[longest_bin + 1]


def test_listed_gaps_are_those_that_were_counted(probe: Path) -> None:
    threads = 4 * (os.cpu_count() or 1)
    report = measure(probe, threads=threads, warmup_ms=10, window_ms=200)
    left = list(report["gap_list"])
    for thread in report["threads"]:
        # Room for 4096 of all threads, which so short a window cannot fill.
        listed, left = left[: thread["gaps"]], left[thread["gaps"] :]
        assert sum(length for _, length in listed) == thread["gap_total_ns"]
        assert max((length for _, length in listed), default=0) == thread["gap_max_ns"]
        end = 0
        for start, length in listed:
            assert end <= start
            assert length >= report["gap_threshold_ns"]
            end = start + length
        assert end <= 200 * MS
    assert left == []


@pytest.mark.slow
def test_no_more_gaps_are_listed_than_there_is_room_for(probe: Path) -> None:
    with spinning(probe, 1024, 20, "--gap-us", "10") as spinner:
        spinner.tell(f"go 0 {300 * MS}")
        time.sleep(0.35)
        spinner.tell("stop")
        report = spinner.hear()
    listed = sum(min(thread["gaps"], 4) for thread in report["threads"])
    assert len(report["gap_list"]) == listed


def test_edges_follow_the_threshold(probe: Path) -> None:
    with spinning(probe, 1, 20, "--gap-us", "1000") as spinner:
        spinner.tell(f"go 0 {MS}")
        time.sleep(0.05)
        spinner.tell("stop")
        report = spinner.hear()
    assert report["gap_threshold_ns"] == MS
    assert report["gap_edges_ns"][:2] == [1_000_000, 1_333_521]
    assert report["gap_edges_ns"][8::8] == [10 * MS, 100 * MS, 1000 * MS, 10_000 * MS]


def stop_for(spinner: Running, seconds: float) -> None:
    spinner.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    spinner.process.send_signal(signal.SIGCONT)


@pytest.mark.slow
def test_a_stopped_process_shows_as_a_gap_of_every_thread(probe: Path) -> None:
    with spinning(probe, 2) as spinner:
        spinner.tell(f"go 0 {400 * MS}")
        time.sleep(0.1)
        stop_for(spinner, 0.1)
        time.sleep(0.3)
        spinner.tell("stop")
        report = spinner.hear()
    for thread in report["threads"]:
        # Signals take effect when the process next enters the kernel, at the tick at the latest.
        assert thread["gap_max_ns"] >= 80 * MS
        assert thread["cpu_ns"] <= (400 - 80) * MS


@pytest.mark.slow
def test_a_gap_across_an_edge_counts_with_what_lies_inside(probe: Path) -> None:
    with spinning(probe, 1) as spinner:
        # The window is 200 to 600 ms after go; off the CPU from 50 to 300 ms after it.
        spinner.tell(f"go {200 * MS} {400 * MS}")
        time.sleep(0.05)
        stop_for(spinner, 0.25)
        time.sleep(0.35)
        spinner.tell("stop")
        report = spinner.hear()
    (thread,) = report["threads"]
    late_ns = thread["t_start_ns"] - report["t_start_ns"]
    assert late_ns >= 50 * MS
    assert thread["gap_max_ns"] >= late_ns  # equal, but for a longer one later on a busy machine
    assert thread["cpu_ns"] <= 400 * MS - late_ns + MS
    assert thread["gap_total_ns"] <= 400 * MS


def test_a_window_slept_through_is_one_gap_and_no_cpu_time(probe: Path) -> None:
    with spinning(probe, 1) as spinner:
        spinner.tell(f"go {200 * MS} {50 * MS}")
        time.sleep(0.05)
        stop_for(spinner, 0.25)
        spinner.tell("stop")
        report = spinner.hear()
    (thread,) = report["threads"]
    assert report["complete"] is True
    assert (thread["gaps"], thread["gap_total_ns"], thread["work"]) == (1, 50 * MS, 0)
    assert thread["cpu_ns"] < MS


def test_load_goes_on_after_the_window(probe: Path) -> None:
    with spinning(probe, 1) as spinner:
        spinner.tell(f"go 0 {20 * MS}")
        time.sleep(0.1)
        before = cpu_ticks(spinner.process.pid)
        time.sleep(0.3)
        assert cpu_ticks(spinner.process.pid) > before
        spinner.tell("stop")
        assert spinner.hear()["complete"] is True


def test_parked_threads_use_no_cpu(probe: Path) -> None:
    with spinning(probe, 8) as spinner:
        before = cpu_ticks(spinner.process.pid)
        time.sleep(0.2)
        assert cpu_ticks(spinner.process.pid) - before <= 1


def test_huge_pages_are_off_for_it_and_its_children(probe: Path) -> None:
    """Else, where they are the rule, a stack of a few kB is charged as 2 MiB."""
    with running(probe, "memory", "--target", str(1 << 20), "--deadline", "20") as growing:
        assert growing.hear()["probe"] == "ready"
        children = Path(f"/proc/{growing.process.pid}/task/{growing.process.pid}/children")
        pids = [growing.process.pid, *map(int, children.read_text().split())]
        assert len(pids) == 2  # itself, and the victim that it waits for
        said = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
        assert all("THP_enabled:\t0\n" in text for text in said)


def cpu_ticks(pid: int) -> int:
    """The user and system time of a process, in ticks of 10 ms (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("warmup_ms", [0, 10_000], ids=["in the window", "in the warm-up"])
def test_early_stop_ends_at_once_and_is_not_complete(probe: Path, warmup_ms: int) -> None:
    with spinning(probe, 2) as spinner:
        spinner.tell(f"go {warmup_ms * MS} {10_000 * MS}")
        time.sleep(0.05)
        told_ns = time.monotonic_ns()
        spinner.tell("stop")
        report = spinner.hear()
        assert time.monotonic_ns() - told_ns < 5_000 * MS
        assert spinner.end()[0] == 0
    assert report["complete"] is False


def test_end_of_input_after_go_means_stop(probe: Path) -> None:
    with spinning(probe, 1) as spinner:
        spinner.tell(f"go 0 {20 * MS}")
        time.sleep(0.05)
        assert spinner.process.stdin is not None
        spinner.process.stdin.close()
        assert spinner.hear()["complete"] is True
        assert spinner.process.wait(timeout=20) == 0


def test_go_and_stop_may_come_at_once(probe: Path) -> None:
    with spinning(probe, 1) as spinner:
        spinner.tell("go 0 10000000000\nstop")
        assert spinner.hear()["complete"] is False


def test_a_stop_that_overtakes_the_window_s_end_waits_for_it(probe: Path) -> None:
    # Whoever measures has a window that ends a little before ours, as "go" takes its time.
    with spinning(probe, 2) as spinner:
        spinner.tell(f"go 0 {15 * MS}\nstop")
        report = spinner.hear()
    assert report["complete"] is True
    assert all(thread["t_end_ns"] >= report["t_end_ns"] for thread in report["threads"])


def test_end_of_input_before_go(probe: Path) -> None:
    with spinning(probe, 2) as spinner:
        assert spinner.end() == (3, "")


@pytest.mark.parametrize(
    "line",
    [
        *("", "stop", "go", "go 1", "go 1 0", "go -1 5", "go 1 2 3", "go 1  2", "go x y"),
        *("go 1 1e9", "go 1 99999999999999999999", "x" * 500),
    ],
)
def test_garbage_for_go(probe: Path, line: str) -> None:
    with spinning(probe, 1) as spinner:
        spinner.tell(line)
        code, errors = spinner.end()
    assert code == 2
    assert errors.startswith("probe: ")
    assert errors.count("\n") == 1


def test_garbage_for_stop(probe: Path) -> None:
    with spinning(probe, 1) as spinner:
        spinner.tell(f"go 0 {1000 * MS}")
        spinner.tell("halt")
        assert spinner.end() == (2, "probe: expected 'stop', got 'halt'\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sit"],
        ["spin"],
        ["spin", "--threads", "1"],
        ["spin", "--deadline", "1"],
        ["spin", "--threads", "0", "--deadline", "1"],
        ["spin", "--threads", "1025", "--deadline", "1"],
        ["spin", "--threads", "two", "--deadline", "1"],
        ["spin", "--threads", "1", "--deadline", "0"],
        ["spin", "--threads", "1", "--deadline", "1", "--gap-us", "5"],
        ["spin", "--threads", "1", "--deadline", "1", "--loud"],
        ["spin", "--threads", "1", "--deadline", "1", "more"],
        ["spin", "--threads", "1", "--deadline"],
    ],
    ids=" ".join,
)
def test_bad_command_line(probe: Path, arguments: list[str]) -> None:
    code, errors = Running(probe, *arguments).end()
    assert code == 2
    assert "usage: probe spin" in errors


def test_version(probe: Path) -> None:
    assert subprocess.check_output([probe, "--version"]) == b"probe 1\n"


def test_help_is_the_usage_and_names_every_mode(probe: Path) -> None:
    said = subprocess.check_output([probe, "--help"], text=True)
    assert said.startswith("usage: probe spin ")
    assert "probe memory " in said
    assert "probe burst " in said


@pytest.mark.slow
@pytest.mark.parametrize("busy", [False, True], ids=["parked", "spinning"])
def test_deadline(probe: Path, busy: bool) -> None:
    with spinning(probe, 2, 1) as spinner:
        if busy:
            spinner.tell(f"go 0 {10_000 * MS}")
        assert spinner.process.wait(timeout=20) == 124


@pytest.mark.slow
def test_deadline_comes_though_its_signal_was_blocked(probe: Path) -> None:
    # A signal mask is inherited; the probe must not trust it.
    held = {signal.SIGALRM, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        spinner = Running(probe, "spin", "--threads", "1", "--deadline", "1")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        assert spinner.process.wait(timeout=20) == 124
    finally:
        spinner.clear_away()


@pytest.mark.parametrize("busy", [False, True], ids=["parked", "spinning"])
def test_sigterm_ends_it_at_once(probe: Path, busy: bool) -> None:
    with spinning(probe, 2) as spinner:
        if busy:
            spinner.tell(f"go 0 {10_000 * MS}")
            time.sleep(0.02)
        spinner.process.terminate()
        assert spinner.process.wait(timeout=20) == 143


def test_a_reader_that_went_away_is_an_error_and_no_hang(probe: Path) -> None:
    with spinning(probe, 1) as spinner:
        assert spinner.process.stdout is not None
        spinner.process.stdout.close()
        spinner.tell(f"go 0 {MS}")
        spinner.tell("stop")
        assert spinner.process.wait(timeout=20) == 1


@pytest.mark.slow
def test_the_most_threads(probe: Path) -> None:
    with spinning(probe, 1024) as spinner:
        spinner.tell(f"go 0 {50 * MS}")
        time.sleep(0.1)
        spinner.tell("stop")
        report = spinner.hear()
    assert len(report["threads"]) == 1024
    assert sum(report["gap_histogram"]) == sum(thread["gaps"] for thread in report["threads"])
