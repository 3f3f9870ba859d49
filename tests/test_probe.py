"""The real probe, compiled and run as a plain process: its protocol and what it reports.

Nothing here asserts a speed: the machine may be busy. Only what holds on any machine.
"""

from __future__ import annotations

import contextlib
import json
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

MS = 1_000_000


@pytest.fixture(scope="module")
def probe() -> Path:
    return probe_binary(platform.machine()).path


class Running:
    """A probe that was started, and its end of the conversation."""

    def __init__(self, probe: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [probe, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        message: dict[str, Any] = json.loads(self.process.stdout.readline())
        return message

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self) -> tuple[int, str]:
        """Its exit code and what it wrote to stderr; its standard input is closed first."""
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors

    def clear_away(self) -> None:
        """Leave neither process nor pipe, whatever state they are in."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@contextlib.contextmanager
def spinning(probe: Path, threads: int = 1, deadline_s: int = 20, *more: str) -> Iterator[Running]:
    running = Running(
        probe, "spin", "--threads", str(threads), "--deadline", str(deadline_s), *more
    )
    try:
        assert running.hear() == {
            "probe": "ready",
            "version": 1,
            "mode": "spin",
            "threads": threads,
        }
        yield running
    finally:
        running.clear_away()


def measure(probe: Path, threads: int, warmup_ms: int, window_ms: int) -> dict[str, Any]:
    with spinning(probe, threads) as running:
        running.tell(f"go {warmup_ms * MS} {window_ms * MS}")
        time.sleep((warmup_ms + window_ms) / 1e3 + 0.05)
        running.tell("stop")
        report = running.hear()
        assert running.end() == (0, "")
    return report


def test_report_has_its_whole_shape_in_integers(probe: Path) -> None:
    before_ns = time.monotonic_ns()
    report = measure(probe, threads=2, warmup_ms=20, window_ms=100)
    assert set(report) == {
        *("probe", "version", "mode", "complete", "t_start_ns", "t_end_ns"),
        *("gap_threshold_ns", "gap_edges_ns", "gap_histogram", "threads"),
    }
    assert (report["probe"], report["version"], report["mode"]) == ("report", 1, "spin")
    assert report["complete"] is True
    assert report["t_end_ns"] - report["t_start_ns"] == 100 * MS
    assert report["t_start_ns"] >= before_ns + 20 * MS
    assert len(report["threads"]) == 2
    for thread in report["threads"]:
        assert set(thread) == {
            *("t_start_ns", "t_end_ns", "cpu_ns", "work", "gaps", "gap_total_ns", "gap_max_ns")
        }
        assert all(type(value) is int for value in thread.values())


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


def test_edges_follow_the_threshold(probe: Path) -> None:
    with spinning(probe, 1, 20, "--gap-us", "1000") as running:
        running.tell(f"go 0 {MS}")
        time.sleep(0.05)
        running.tell("stop")
        report = running.hear()
    assert report["gap_threshold_ns"] == MS
    assert report["gap_edges_ns"][:2] == [1_000_000, 1_333_521]
    assert report["gap_edges_ns"][8::8] == [10 * MS, 100 * MS, 1000 * MS, 10_000 * MS]


def stop_for(running: Running, seconds: float) -> None:
    running.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    running.process.send_signal(signal.SIGCONT)


def test_a_stopped_process_shows_as_a_gap_of_every_thread(probe: Path) -> None:
    with spinning(probe, 2) as running:
        running.tell(f"go 0 {400 * MS}")
        time.sleep(0.1)
        stop_for(running, 0.1)
        time.sleep(0.3)
        running.tell("stop")
        report = running.hear()
    for thread in report["threads"]:
        # Signals take effect when the process next enters the kernel, at the tick at the latest.
        assert thread["gap_max_ns"] >= 80 * MS
        assert thread["cpu_ns"] <= (400 - 80) * MS


def test_a_gap_across_an_edge_counts_with_what_lies_inside(probe: Path) -> None:
    with spinning(probe, 1) as running:
        # The window is 200 to 600 ms after go; off the CPU from 50 to 300 ms after it.
        running.tell(f"go {200 * MS} {400 * MS}")
        time.sleep(0.05)
        stop_for(running, 0.25)
        time.sleep(0.35)
        running.tell("stop")
        report = running.hear()
    (thread,) = report["threads"]
    late_ns = thread["t_start_ns"] - report["t_start_ns"]
    assert late_ns >= 50 * MS
    assert thread["gap_max_ns"] >= late_ns  # equal, but for a longer one later on a busy machine
    assert thread["cpu_ns"] <= 400 * MS - late_ns + MS
    assert thread["gap_total_ns"] <= 400 * MS


def test_a_window_slept_through_is_one_gap_and_no_cpu_time(probe: Path) -> None:
    with spinning(probe, 1) as running:
        running.tell(f"go {200 * MS} {50 * MS}")
        time.sleep(0.05)
        stop_for(running, 0.25)
        running.tell("stop")
        report = running.hear()
    (thread,) = report["threads"]
    assert report["complete"] is True
    assert (thread["gaps"], thread["gap_total_ns"], thread["work"]) == (1, 50 * MS, 0)
    assert thread["cpu_ns"] < MS


def test_load_goes_on_after_the_window(probe: Path) -> None:
    with spinning(probe, 1) as running:
        running.tell(f"go 0 {20 * MS}")
        time.sleep(0.1)
        before = cpu_ticks(running.process.pid)
        time.sleep(0.3)
        assert cpu_ticks(running.process.pid) > before
        running.tell("stop")
        assert running.hear()["complete"] is True


def test_parked_threads_use_no_cpu(probe: Path) -> None:
    with spinning(probe, 8) as running:
        before = cpu_ticks(running.process.pid)
        time.sleep(0.2)
        assert cpu_ticks(running.process.pid) - before <= 1


def cpu_ticks(pid: int) -> int:
    """The user and system time of a process, in ticks of 10 ms (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("warmup_ms", [0, 10_000], ids=["in the window", "in the warm-up"])
def test_early_stop_ends_at_once_and_is_not_complete(probe: Path, warmup_ms: int) -> None:
    with spinning(probe, 2) as running:
        running.tell(f"go {warmup_ms * MS} {10_000 * MS}")
        time.sleep(0.05)
        told_ns = time.monotonic_ns()
        running.tell("stop")
        report = running.hear()
        assert time.monotonic_ns() - told_ns < 5_000 * MS
        assert running.end()[0] == 0
    assert report["complete"] is False


def test_end_of_input_after_go_means_stop(probe: Path) -> None:
    with spinning(probe, 1) as running:
        running.tell(f"go 0 {20 * MS}")
        time.sleep(0.05)
        assert running.process.stdin is not None
        running.process.stdin.close()
        assert running.hear()["complete"] is True
        assert running.process.wait(timeout=20) == 0


def test_go_and_stop_may_come_at_once(probe: Path) -> None:
    with spinning(probe, 1) as running:
        running.tell("go 0 10000000000\nstop")
        assert running.hear()["complete"] is False


def test_end_of_input_before_go(probe: Path) -> None:
    with spinning(probe, 2) as running:
        assert running.end() == (3, "")


@pytest.mark.parametrize(
    "line",
    [
        *("", "stop", "go", "go 1", "go 1 0", "go -1 5", "go 1 2 3", "go 1  2", "go x y"),
        *("go 1 1e9", "go 1 99999999999999999999", "x" * 500),
    ],
)
def test_garbage_for_go(probe: Path, line: str) -> None:
    with spinning(probe, 1) as running:
        running.tell(line)
        code, errors = running.end()
    assert code == 2
    assert errors.startswith("probe: ")
    assert errors.count("\n") == 1


def test_garbage_for_stop(probe: Path) -> None:
    with spinning(probe, 1) as running:
        running.tell(f"go 0 {1000 * MS}")
        running.tell("halt")
        assert running.end() == (2, "probe: expected 'stop', got 'halt'\n")


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


@pytest.mark.parametrize("busy", [False, True], ids=["parked", "spinning"])
def test_deadline(probe: Path, busy: bool) -> None:
    with spinning(probe, 2, 1) as running:
        if busy:
            running.tell(f"go 0 {10_000 * MS}")
        assert running.process.wait(timeout=20) == 124


def test_deadline_comes_though_its_signal_was_blocked(probe: Path) -> None:
    # A signal mask is inherited; the probe must not trust it.
    held = {signal.SIGALRM, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        running = Running(probe, "spin", "--threads", "1", "--deadline", "1")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        assert running.process.wait(timeout=20) == 124
    finally:
        running.clear_away()


@pytest.mark.parametrize("busy", [False, True], ids=["parked", "spinning"])
def test_sigterm_ends_it_at_once(probe: Path, busy: bool) -> None:
    with spinning(probe, 2) as running:
        if busy:
            running.tell(f"go 0 {10_000 * MS}")
            time.sleep(0.02)
        running.process.terminate()
        assert running.process.wait(timeout=20) == 143


def test_a_reader_that_went_away_is_an_error_and_no_hang(probe: Path) -> None:
    with spinning(probe, 1) as running:
        assert running.process.stdout is not None
        running.process.stdout.close()
        running.tell(f"go 0 {MS}")
        running.tell("stop")
        assert running.process.wait(timeout=20) == 1


def test_the_most_threads(probe: Path) -> None:
    with spinning(probe, 1024) as running:
        running.tell(f"go 0 {50 * MS}")
        time.sleep(0.1)
        running.tell("stop")
        report = running.hear()
    assert len(report["threads"]) == 1024
    assert sum(report["gap_histogram"]) == sum(thread["gaps"] for thread in report["threads"])
