"""The probe's io mode, as a plain process: reads and writes of a file, and how long each took.

Nothing here asserts a speed: the disk may be busy. Only what holds on any machine.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import platform
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.engine.image import probe_binary
from tests.probing import MS, Running, running

BLOCK = 4096
FILE = 64 * BLOCK
LATENCIES = [f"latency_{name}_ns" for name in ("p50", "p90", "p99", "p999", "max")]
SHAPE = {
    *("probe", "version", "mode", "complete", "t_start_ns", "t_end_ns", "operation", "way"),
    *("order", "block_bytes", "file_bytes", "depth", "rate_hz", "filesystem", "open_ns"),
    *("first_ns", "refused", "errno", "errors", "ios", "bytes", "offered", "completed"),
    *("unfinished", *LATENCIES, "latency_edges_ns", "latency_histogram"),
}


@pytest.fixture(scope="module")
def probe() -> Path:
    return probe_binary(platform.machine()).path


@contextlib.contextmanager
def loading(probe: Path, folder: Path, *more: str, before: Sequence[str] = ()) -> Iterator[Running]:
    sizes = ("--block", str(BLOCK), "--file", str(FILE), "--deadline", "20")
    where = ("--path", str(folder))
    with running(probe, "io", *sizes, *where, "--way", "buffered", *more, before=before) as started:
        ready = started.hear()
        assert (ready["probe"], ready["version"], ready["mode"]) == ("ready", 1, "io")
        yield started


def measure(
    probe: Path,
    folder: Path,
    *more: str,
    window_ms: int = 200,
    grace_ms: int = 50,
    before: Sequence[str] = (),
) -> dict[str, Any]:
    with loading(probe, folder, *more, before=before) as io:
        io.tell(f"go {10 * MS} {window_ms * MS}")
        time.sleep((10 + window_ms + grace_ms) / 1e3)
        io.tell("stop")
        report = io.hear()
        assert io.end() == (0, "")
    assert set(report) == SHAPE
    assert list(folder.glob("probe-*")) == []  # nothing is left, and nothing was to be seen
    return report


def adds_up(report: dict[str, Any]) -> None:
    assert report["completed"] + report["unfinished"] == report["offered"]
    assert report["bytes"] == report["ios"] * report["block_bytes"]
    edges, histogram = report["latency_edges_ns"], report["latency_histogram"]
    assert len(edges) == len(histogram) + 1
    assert edges[0] == 1000
    assert edges[-2] < 30e9 <= edges[-1]
    assert sum(histogram) == report["offered"]
    latencies = [report[name] for name in LATENCIES]
    assert latencies == sorted(latencies)
    longest = max(i for i, count in enumerate(histogram) if count)
    assert longest == 0 or edges[longest] <= report["latency_max_ns"] < edges[longest + 1]
    # The quantiles are those of the histogram, in finer bins.
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        passed, rank = 0, share * report["offered"]
        place = next(i for i, n in enumerate(histogram) if (passed := passed + n) >= rank)
        told = report[f"latency_{name}_ns"]
        assert place == 0 or told >= edges[place]
        assert told <= edges[place + 1] * 1.01


@pytest.mark.parametrize(
    "load",
    [
        ("--operation", "write"),
        ("--operation", "write", "--way", "fsync", "--order", "random", "--depth", "3"),
        ("--operation", "read", "--order", "random"),
        ("--operation", "read", "--rate", "500"),
    ],
    ids=str,
)
def test_counts_and_quantiles_add_up(probe: Path, tmp_path: Path, load: tuple[str, ...]) -> None:
    report = measure(probe, tmp_path, *load)
    said = dict(zip(load[::2], load[1::2], strict=True))
    assert report["complete"] is True
    assert report["operation"] == said["--operation"]
    assert report["way"] == said.get("--way", "buffered")
    assert report["depth"] == int(said.get("--depth", 1))
    assert (report["errno"], report["refused"], report["errors"]) == (0, None, 0)
    assert report["file_bytes"] == FILE
    assert report["first_ns"] > 0
    assert report["filesystem"] > 0
    assert report["offered"] > 0
    adds_up(report)


def test_direct_io_is_told_as_such_or_as_refused(probe: Path, tmp_path: Path) -> None:
    report = measure(probe, tmp_path, "--way", "direct")
    if report["errno"]:  # a file system without it: it is never done in another way
        assert (report["errno"], report["ios"]) == (errno.EINVAL, 0)
    else:
        assert report["ios"] > 0
        adds_up(report)


def test_a_rate_is_kept_and_its_io_is_due_by_the_clock(probe: Path, tmp_path: Path) -> None:
    report = measure(probe, tmp_path, "--operation", "read", "--rate", "500")
    assert report["rate_hz"] == 500
    assert report["offered"] == 100  # every 2 ms of 200, whatever was done by then


@pytest.mark.slow
def test_a_stop_of_the_process_counts_for_all_that_was_due(probe: Path, tmp_path: Path) -> None:
    with loading(probe, tmp_path, "--operation", "read", "--rate", "1000") as io:
        io.tell(f"go 0 {400 * MS}")
        time.sleep(0.1)
        io.process.send_signal(signal.SIGSTOP)
        time.sleep(0.15)
        io.process.send_signal(signal.SIGCONT)
        time.sleep(0.4)
        io.tell("stop")
        report = io.hear()
    assert report["offered"] == 400
    assert report["latency_max_ns"] >= 100 * MS
    edges, histogram = report["latency_edges_ns"], report["latency_histogram"]
    assert sum(n for low, n in zip(edges, histogram, strict=False) if low >= 10 * MS) >= 60


def test_what_is_due_and_not_done_counts_with_its_wait(probe: Path, tmp_path: Path) -> None:
    # An fsync at 100,000 a second by one thread: no disk does that, and few are even begun.
    report = measure(probe, tmp_path, "--way", "fsync", "--rate", "100000", grace_ms=100)
    assert report["offered"] == 20_000
    if report["unfinished"]:
        assert report["latency_max_ns"] >= 100 * MS
    adds_up(report)


@pytest.mark.parametrize("order", ["sequential", "random"])
def test_the_blocks_of_a_file_that_is_there_are_written(
    probe: Path, tmp_path: Path, order: str
) -> None:
    file = tmp_path / "data"
    file.write_bytes(bytes(FILE))
    report = measure(probe, tmp_path, "--existing", "data", "--order", order, window_ms=300)
    assert file.stat().st_size == FILE
    written = [any(file.read_bytes()[at : at + BLOCK]) for at in range(0, FILE, BLOCK)]
    assert report["ios"] > 0
    # All of them as soon as there were as many as the file has; at random a part is met twice.
    if report["ios"] > 20 * len(written):
        assert all(written)


def test_reading_a_file_that_is_there_leaves_it_as_it_is(probe: Path, tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"x" * (FILE + 1))
    file.chmod(0o400)
    report = measure(probe, tmp_path, "--operation", "read", "--existing", "data")
    assert report["ios"] > 0
    assert file.read_bytes() == b"x" * (FILE + 1)


def test_a_file_that_cannot_be_made_is_an_error_with_its_number(
    probe: Path, tmp_path: Path
) -> None:
    report = measure(probe, tmp_path, before=("prlimit", f"--fsize={FILE // 2}"))
    assert (report["refused"], report["errno"]) == ("layout", errno.EFBIG)
    assert (report["ios"], report["offered"]) == (0, 0)
    assert [report[name] for name in LATENCIES] == [None] * 5


def test_an_error_within_the_load_ends_it_and_is_told(probe: Path, tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(bytes(FILE))
    with loading(probe, tmp_path, "--operation", "read", "--existing", "data") as io:
        with file.open("r+b") as cut:
            cut.truncate(0)  # by somebody else, meanwhile
        io.tell(f"go 0 {100 * MS}")
        time.sleep(0.15)
        io.tell("stop")
        report = io.hear()
    assert (report["refused"], report["errno"]) == ("io", errno.ENODATA)
    assert (report["errors"], report["ios"]) == (1, 0)


def test_early_stop_is_not_complete(probe: Path, tmp_path: Path) -> None:
    for more in ((), ("--rate", "1")):
        with loading(probe, tmp_path, *more) as io:
            io.tell(f"go 0 {10_000 * MS}")
            time.sleep(0.05)
            io.tell("stop")
            assert io.hear()["complete"] is False
            assert io.end()[0] == 0


def test_a_stop_that_overtakes_the_window_s_end_waits_for_it(probe: Path, tmp_path: Path) -> None:
    with loading(probe, tmp_path, "--rate", "1000") as io:
        io.tell(f"go 0 {15 * MS}\nstop")
        report = io.hear()
    assert (report["complete"], report["offered"]) == (True, 15)


def test_end_of_input_before_go(probe: Path, tmp_path: Path) -> None:
    with loading(probe, tmp_path) as io:
        assert io.end() == (3, "")


def test_a_folder_or_a_file_that_is_not_there(probe: Path, tmp_path: Path) -> None:
    sizes = ("--block", "4096", "--file", "8192", "--deadline", "5")
    nowhere = ("--path", str(tmp_path / "none"))
    for more in ((), ("--existing", "data")):
        code, errors = Running(probe, "io", *sizes, *nowhere, *more).end()
        assert code == 1
        assert "No such file or directory" in errors
    (tmp_path / "data").write_bytes(b"short")
    small = ("--path", str(tmp_path), "--existing", "data")
    assert Running(probe, "io", *sizes, *small).end()[0] == 1


COMPLETE = {"--block": "4096", "--file": "8192", "--path": "/", "--deadline": "1"}


@pytest.mark.parametrize(
    "changed",
    [
        *({name: None} for name in COMPLETE),
        *({"--block": value} for value in ("0", "511", "16777217")),
        {"--file": "4095"},
        *({"--depth": value} for value in ("0", "257")),
        *({"--rate": value} for value in ("0", "100001")),
        {"--operation": "append"},
        {"--way": "fast"},
        {"--order": "backwards"},
        {"--operation": "read", "--way": "fsync"},
        {"--depth": "256", "--block": "16777216", "--file": "16777216"},
        {"--threads": "1"},
    ],
    ids=str,
)
def test_bad_command_line(probe: Path, changed: dict[str, str | None]) -> None:
    options = {name: value for name, value in {**COMPLETE, **changed}.items() if value is not None}
    code, errors = Running(probe, "io", *itertools.chain(*options.items())).end()
    assert code == 2
    assert "usage: probe spin" in errors


# --- files ---


def test_a_life_of_a_file_is_one_i_o_and_nothing_is_left(probe: Path, tmp_path: Path) -> None:
    with running(probe, "io", "--operation", "files", "--way", "buffered", "--depth", "2", "--path",
                 str(tmp_path), "--deadline", "20") as io:  # fmt: skip
        assert io.hear()["file_bytes"] == 0
        (folder,) = tmp_path.iterdir()
        io.tell(f"go {10 * MS} {200 * MS}")
        seen = set()
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            seen |= {name.name[0] for name in folder.iterdir()}
        time.sleep(0.05)
        io.tell("stop")
        report = io.hear()
        assert io.end() == (0, "")
    assert seen == {"a", "b"}  # by its first name, and by its second
    assert (report["operation"], report["errno"], report["bytes"]) == ("files", 0, 0)
    assert report["ios"] > 0
    adds_up(report)
    assert list(tmp_path.iterdir()) == []


def test_with_fsync_the_folder_is_synced_after_each_step(probe: Path, tmp_path: Path) -> None:
    traced = tmp_path / "calls"
    strace = ("strace", "-f", "-o", str(traced), "-e", "trace=openat,renameat,unlinkat,fsync")
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    place = tmp_path / "place"
    place.mkdir()
    with running(probe, "io", "--operation", "files", "--way", "fsync", "--path", str(place),
                 "--deadline", "20", before=strace) as io:  # fmt: skip
        io.hear()
        io.tell(f"go {10 * MS} {100 * MS}")
        time.sleep(0.15)
        io.tell("stop")
        assert io.hear()["ios"] > 0
        io.end()
    calls = [line.split()[1].partition("(")[0] for line in traced.read_text().splitlines()]
    first = calls.index("renameat")
    assert calls[first - 2 : first + 4] == [
        "openat", "fsync", "renameat", "fsync", "unlinkat", "fsync"
    ]  # fmt: skip


def test_a_folder_that_takes_no_more_files_is_told(probe: Path, tmp_path: Path) -> None:
    with running(probe, "io", "--operation", "files", "--way", "buffered", "--path", str(tmp_path),
                 "--deadline", "20") as io:  # fmt: skip
        io.hear()
        (folder,) = tmp_path.iterdir()
        folder.rmdir()  # what is no folder any more has no room for a name
        io.tell(f"go 0 {50 * MS}")
        time.sleep(0.1)
        io.tell("stop")
        report = io.hear()
        assert io.end() == (0, "")
    assert (report["refused"], report["errno"], report["ios"]) == ("io", errno.ENOENT, 0)
    assert report["errors"] == 1


@pytest.mark.parametrize("wrong", [("--way", "direct"), ("--way", "fsync", "--existing", "data")])
def test_files_are_made_anew_and_never_past_the_cache(
    probe: Path, tmp_path: Path, wrong: tuple[str, ...]
) -> None:
    with running(probe, "io", "--operation", "files", *wrong, "--path", str(tmp_path),
                 "--deadline", "20") as io:  # fmt: skip
        code, said = io.end()
    assert code != 0
    assert "--operation files" in said
