"""The probe's burst mode, as a plain process: pieces of work, and how long each took.

Nothing here asserts a speed: the machine may be busy. Only what holds on any machine.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine.image import probe_binary
from tests.probing import MS, Running, running

pytestmark = pytest.mark.alone

THREAD = {"t_start_ns", "t_end_ns", "cpu_ns", "pieces", "cpus"}
RESPONSES = [f"response_{name}_ns" for name in ("p50", "p90", "p99", "p999", "max")]


@pytest.fixture(scope="module")
def probe() -> Path:
    return probe_binary(platform.machine()).path


@contextlib.contextmanager
def loading(
    probe: Path, *more: str, threads: int = 2, cost_us: int = 100, rate_hz: int = 200
) -> Iterator[Running]:
    load = ("--cost-us", str(cost_us), "--rate", str(rate_hz))
    options = ("--threads", str(threads), "--deadline", "20", *load, *more)
    with running(probe, "burst", *options) as started:
        assert started.hear() == {
            "probe": "ready",
            "version": 1,
            "mode": "burst",
            "threads": threads,
        }
        yield started


def measure(
    probe: Path,
    *more: str,
    warmup_ms: int = 0,
    window_ms: int = 200,
    grace_ms: int = 50,
    **load: int,
) -> dict[str, Any]:
    with loading(probe, *more, **load) as burst:
        burst.tell(f"go {warmup_ms * MS} {window_ms * MS}")
        time.sleep((warmup_ms + window_ms + grace_ms) / 1e3)
        burst.tell("stop")
        report = burst.hear()
        assert burst.end() == (0, "")
    return report


def test_report_has_its_whole_shape(probe: Path) -> None:
    before_ns = time.monotonic_ns()
    report = measure(probe, warmup_ms=20)
    assert set(report) == {
        *("probe", "version", "mode", "complete", "t_start_ns", "t_end_ns"),
        *("cost_ns", "rate_hz", "arrivals", "seed"),
        *("offered", "completed", "unfinished", "backlog"),
        *RESPONSES,
        *("response_edges_ns", "response_histogram", "threads"),
    }
    assert (report["probe"], report["version"], report["mode"]) == ("report", 1, "burst")
    assert (report["cost_ns"], report["rate_hz"]) == (100_000, 200)
    assert (report["arrivals"], report["seed"]) == ("fixed", 1)
    assert report["complete"] is True
    assert report["t_end_ns"] - report["t_start_ns"] == 200 * MS
    assert report["t_start_ns"] >= before_ns + 20 * MS
    assert len(report["threads"]) == 2
    for thread in report["threads"]:
        assert set(thread) == THREAD
        numbers = itertools.chain(*thread.pop("cpus"), thread.values())
        assert all(type(value) is int for value in numbers)


def test_work_is_told_by_the_cpu_that_it_was_done_on(probe: Path) -> None:
    allowed = os.sched_getaffinity(0)
    only = max(allowed)
    os.sched_setaffinity(0, {only})  # the probe inherits it
    try:
        pinned = measure(probe)
    finally:
        os.sched_setaffinity(0, allowed)
    for report, cpus in ((pinned, {only}), (measure(probe), allowed)):
        for thread in report["threads"]:
            met = [cpu for cpu, _ in thread["cpus"]]
            assert len(set(met)) == len(met)
            assert set(met) <= cpus
            assert all(chunks > 0 for _, chunks in thread["cpus"])
            assert bool(met) == (thread["cpu_ns"] > 0 and thread["pieces"] > 0)


def test_counts_add_up(probe: Path) -> None:
    report = measure(probe, warmup_ms=15)
    assert report["offered"] == 40  # every 5 ms of 200, from 15 ms on
    assert report["completed"] + report["unfinished"] == report["offered"]
    assert report["completed"] == sum(thread["pieces"] for thread in report["threads"])
    assert report["unfinished"] <= report["backlog"] <= report["offered"]
    edges, histogram = report["response_edges_ns"], report["response_histogram"]
    assert len(edges) == len(histogram) + 1
    assert edges[:2] == [10_000, 13_335]
    assert edges[-2] < 30e9 <= edges[-1]
    assert sum(histogram) == report["offered"]
    longest_bin = max(i for i, count in enumerate(histogram) if count)
    assert edges[longest_bin] <= report["response_max_ns"] < edges[longest_bin + 1]


def test_no_piece_is_quicker_than_it_costs_and_none_costs_less(probe: Path) -> None:
    report = measure(probe)
    responses = [report[name] for name in RESPONSES]
    assert responses == sorted(responses)
    # The clock and the CPU clock are not the same oscillator's, to one in a thousand.
    assert report["response_p50_ns"] > 0.99 * report["cost_ns"]
    used_ns = sum(thread["cpu_ns"] for thread in report["threads"])
    # A piece at either edge can lie partly outside.
    assert used_ns > 0.99 * report["cost_ns"] * (report["completed"] - report["backlog"] - 2)


def test_a_thread_uses_no_more_cpu_than_there_is_time(probe: Path) -> None:
    report = measure(probe, threads=1, cost_us=5000, rate_hz=1000)
    (thread,) = report["threads"]
    assert report["t_start_ns"] <= thread["t_start_ns"] <= thread["t_end_ns"]
    assert thread["t_end_ns"] >= report["t_end_ns"]
    assert thread["cpu_ns"] <= 200 * MS + MS


def test_an_overload_shows_in_the_response_times(probe: Path) -> None:
    # One thread is offered five times what it can do; the last half it cannot even begin.
    report = measure(probe, threads=1, cost_us=5000, rate_hz=1000, grace_ms=100)
    assert report["offered"] == 200
    assert report["backlog"] >= 150
    assert report["unfinished"] >= 50
    # What was not done counts with its age, which is at most the whole time up to "stop".
    assert report["response_p50_ns"] >= 100 * MS
    assert report["response_max_ns"] >= 150 * MS


@pytest.mark.slow
def test_pieces_that_are_finished_after_the_window_count(probe: Path) -> None:
    # 40 pieces of 5 ms in 100 ms, by one thread; the other 100 ms and more are the grace.
    report = measure(probe, threads=1, cost_us=5000, rate_hz=400, window_ms=100, grace_ms=1900)
    assert report["offered"] == 40
    assert report["backlog"] >= 19
    assert report["completed"] == 40
    assert report["response_max_ns"] >= 90 * MS


@pytest.mark.slow
def test_a_stop_of_the_process_counts_for_every_piece_due_meanwhile(probe: Path) -> None:
    with loading(probe, rate_hz=1000) as burst:
        burst.tell(f"go 0 {400 * MS}")
        time.sleep(0.1)
        burst.process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        burst.process.send_signal(signal.SIGCONT)
        time.sleep(0.4)
        burst.tell("stop")
        report = burst.hear()
    assert report["offered"] == 400
    assert report["response_max_ns"] >= 80 * MS
    # Those due in its first 70 ms waited at least 10: that is what open-loop means.
    edges, histogram = report["response_edges_ns"], report["response_histogram"]
    assert sum(n for low, n in zip(edges, histogram, strict=False) if low >= 10 * MS) >= 60


@pytest.mark.slow
def test_poisson_arrivals_are_the_seed_s_and_not_even(probe: Path) -> None:
    def offered(seed: int) -> int:
        report = measure(
            probe, "--arrivals", "poisson", "--seed", str(seed), rate_hz=1000, cost_us=10
        )
        assert (report["arrivals"], report["seed"]) == ("poisson", seed)
        assert report["completed"] + report["unfinished"] == report["offered"]
        count: int = report["offered"]
        return count

    counts = [offered(seed) for seed in (1, 2, 3)]
    assert [offered(seed) for seed in (1, 2, 3)] == counts
    assert len(set(counts)) > 1
    assert all(100 < count < 300 for count in counts)  # 200 ± 7 standard deviations


def test_a_window_in_which_nothing_is_due(probe: Path) -> None:
    report = measure(probe, threads=1, rate_hz=1, warmup_ms=20, window_ms=20)
    assert (report["offered"], report["completed"], report["backlog"]) == (0, 0, 0)
    assert [report[name] for name in RESPONSES] == [None] * 5
    assert sum(report["response_histogram"]) == 0


@pytest.mark.slow
def test_load_goes_on_after_the_window_and_not_before_go(probe: Path) -> None:
    for arrivals in ("fixed", "poisson"):
        with loading(probe, "--arrivals", arrivals, rate_hz=1000, cost_us=500) as burst:
            marks = []
            for _ in range(2):
                marks.append(cpu_ticks(burst.process.pid))
                time.sleep(0.1)
            burst.tell(f"go 0 {20 * MS}")
            time.sleep(0.1)
            for _ in range(2):
                marks.append(cpu_ticks(burst.process.pid))
                time.sleep(0.3)
            burst.tell("stop")
            assert burst.hear()["complete"] is True
        assert marks[1] - marks[0] <= 1
        assert marks[3] > marks[2]


def cpu_ticks(pid: int) -> int:
    """The user and system time of a process, in ticks of 10 ms (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("warmup_ms", [0, 10_000], ids=["in the window", "in the warm-up"])
@pytest.mark.parametrize("rate_hz", [1, 1000], ids=["asleep", "at work"])
def test_early_stop_ends_at_once_and_is_not_complete(
    probe: Path, warmup_ms: int, rate_hz: int
) -> None:
    with loading(probe, rate_hz=rate_hz) as burst:
        burst.tell(f"go {warmup_ms * MS} {10_000 * MS}")
        time.sleep(0.05)
        told_ns = time.monotonic_ns()
        burst.tell("stop")
        report = burst.hear()
        assert time.monotonic_ns() - told_ns < 5_000 * MS
        assert burst.end()[0] == 0
    assert report["complete"] is False
    assert report["offered"] < 10 * rate_hz  # only what was due by then
    assert (report["offered"] > 0) == (warmup_ms == 0)


def test_a_stop_that_overtakes_the_window_s_end_waits_for_it(probe: Path) -> None:
    with loading(probe, rate_hz=1000) as burst:
        burst.tell(f"go 0 {15 * MS}\nstop")
        report = burst.hear()
    assert (report["complete"], report["offered"]) == (True, 15)


def test_end_of_input_before_go_and_after(probe: Path) -> None:
    with loading(probe) as burst:
        assert burst.end() == (3, "")
    with loading(probe) as burst:
        burst.tell(f"go 0 {20 * MS}")
        time.sleep(0.05)
        assert burst.process.stdin is not None
        burst.process.stdin.close()
        assert burst.hear()["complete"] is True
        assert burst.process.wait(timeout=20) == 0


@pytest.mark.parametrize("arrivals", ["fixed", "poisson"])
@pytest.mark.parametrize("window_s", [3, 1_000_000])
def test_more_pieces_than_it_can_hold_are_refused_at_go(
    probe: Path, arrivals: str, window_s: int
) -> None:
    with loading(probe, "--arrivals", arrivals, rate_hz=100_000) as burst:
        burst.tell(f"go 0 {window_s * 1000 * MS}")
        assert burst.end() == (2, "probe: more than 262144 pieces of work up to the window's end\n")


@pytest.mark.slow
def test_the_most_pieces_and_threads(probe: Path) -> None:
    report = measure(
        probe, threads=1024, rate_hz=100_000, cost_us=10, warmup_ms=1, window_ms=150, grace_ms=50
    )
    assert report["offered"] == 15_000
    assert len(report["threads"]) == 1024


@pytest.mark.parametrize("stage", ["parked", "at work"])
def test_sigterm_and_the_deadline_end_it(probe: Path, stage: str) -> None:
    for end, code in ((signal.SIGTERM, 143), (signal.SIGALRM, 124)):
        with loading(probe) as burst:
            if stage == "at work":
                burst.tell(f"go 0 {10_000 * MS}")
                time.sleep(0.02)
            burst.process.send_signal(end)
            assert burst.process.wait(timeout=20) == code


COMPLETE = {"--threads": "1", "--deadline": "1", "--cost-us": "100", "--rate": "10"}


@pytest.mark.parametrize(
    "changed",
    [
        *({name: None} for name in COMPLETE),
        *({"--threads": value} for value in ("0", "1025")),
        *({"--cost-us": value} for value in ("9", "1000001", "1.5")),
        *({"--rate": value} for value in ("0", "100001")),
        *({"--arrivals": value} for value in ("", "steady", "fix")),
        *({"--seed": value} for value in ("-1", "4294967296")),
        {"--gap-us": "500"},
    ],
    ids=str,
)
def test_bad_command_line(probe: Path, changed: dict[str, str | None]) -> None:
    options = {name: value for name, value in {**COMPLETE, **changed}.items() if value is not None}
    code, errors = Running(probe, "burst", *itertools.chain(*options.items())).end()
    assert code == 2
    assert "usage: probe spin" in errors
