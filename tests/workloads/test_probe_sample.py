"""The probe's sample mode as a plain process: bytes as they are, deadlines, who is not there."""

from __future__ import annotations

import base64
import itertools
import os
import platform
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine.image import probe_binary
from tests.probing import MS, Running, running

pytestmark = pytest.mark.alone

ID = "0123456789ab" * 5 + "0123"


@pytest.fixture(scope="module")
def probe() -> Path:
    return probe_binary(platform.machine()).path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One hierarchy as on v1, and one container deep in it."""
    own = tmp_path / "cpu/slice/docker" / ID
    (own / "init.scope").mkdir(parents=True)
    (own / "usage").write_text('12 "34\\\n')
    (own / "limit").write_text("own\n")
    (own.parent.parent / "limit").write_text("of the slice\n")
    (tmp_path / "host").write_bytes(b"ctxt 1\n\xff\t")
    return tmp_path


def options(root: Path, *more: str, rate: int = 100) -> list[str]:
    return [
        "sample", "--root", str(root), "--id", ID, "--rate-mhz", f"{rate}000", "--deadline", "20",
        "--tick", "cpu:usage", "--tick", "cpu:none", *more,
    ]  # fmt: skip


def measure(running_: Running, duration_ms: int, stop_after_ms: int | None = None) -> Any:
    running_.tell(f"go {20 * MS} {duration_ms * MS}")
    if stop_after_ms:
        time.sleep((20 + stop_after_ms) / 1e3)
        running_.tell("stop")
    report = running_.hear()
    assert running_.end() == (0, "")
    report["samples"] = list(told(base64.b64decode(report.pop("block"))))
    return report


def told(block: bytes) -> Iterator[tuple[int, int, int, int, int, list[str | None]]]:
    """(container, kind, moment, span, lateness, texts) of each moment, by workloads/README.md."""
    files = {0: 2, 1: 3, 2: 3}  # of the options that these tests give: two of ticks, one detail
    at = 0
    while at < len(block):
        t_ns, span_ns, late_ns, container, kind = struct.unpack_from("<QQQII", block, at)
        at += 32
        texts: list[str | None] = []
        for _ in range(files[kind] if b"own\n" in block else 2):
            (length,) = struct.unpack_from("<i", block, at)
            texts.append(block[at + 4 : at + 4 + length].decode() if length >= 0 else None)
            at += 4 + max(0, length)
        yield container, kind, t_ns, span_ns, late_ns, texts


def test_bytes_are_told_as_they_were_read(probe: Path, root: Path) -> None:
    more = ("--detail", "cpu:limit", "--detail-every", "10", "--up", "cpu:limit",
            "--host", str(root / "host"))  # fmt: skip
    with running(probe, *options(root, *more)) as sampler:
        ready = sampler.hear()
        report = measure(sampler, 200)
    assert (ready["probe"], ready["version"], ready["mode"]) == ("ready", 1, "sample")
    assert [(one["path"], one["text"]) for one in ready["files"]] == [
        (f"/cpu/slice/docker/{ID}", "own\n"),
        ("/cpu/slice/docker", None),
        ("/cpu/slice", "of the slice\n"),
        ("/cpu", None),
    ]
    assert report["files"] == ready["files"]
    assert report["complete"] is True
    samples = report["samples"]
    assert len(samples) == report["ticks"] + 2
    assert {(s[0], *s[5][:2]) for s in samples} == {(0, '12 "34\\\n', None)}
    assert samples[0][5][2] == samples[-1][5][2] == "own\n"
    assert [s[1] for s in samples] == [2, *[0] * 9, 1, *[0] * (len(samples) - 12), 2]
    assert report["host_first"]["texts"] == ["ctxt 1\n\xff\t"]
    assert report["host_first"]["t_ns"] <= samples[0][2]
    assert report["host_last"]["t_ns"] >= samples[-1][2]
    for clock, now in (("real", time.time_ns()), ("boot", time.clock_gettime_ns(7))):
        first, last = (report[f"host_{edge}"][f"t_{clock}_ns"] for edge in ("first", "last"))
        assert 190 * MS <= last - first <= now - first


def test_deadlines_are_absolute_and_what_is_late_is_counted(probe: Path, root: Path) -> None:
    with running(probe, *options(root)) as sampler:
        sampler.hear()
        report = measure(sampler, 300)
    assert report["ticks"] + report["missed"] == 29
    start = report["t_start_ns"]
    assert report["t_end_ns"] - start == 300 * MS
    for sample in report["samples"][1:-1]:
        _, _, t_ns, span_ns, late_ns, _ = sample
        due = (t_ns - late_ns - start) / (10 * MS)
        assert late_ns < 10 * MS
        # The moment of the read is half of its span after the deadline and its lateness.
        assert abs(due - round(due)) < (span_ns + MS) / (10 * MS)
    times = [sample[2] for sample in report["samples"]]
    assert all(a < b for a, b in itertools.pairwise(times))


def test_stop_ends_the_window_with_a_last_read(probe: Path, root: Path) -> None:
    with running(probe, *options(root)) as sampler:
        sampler.hear()
        report = measure(sampler, 60_000, stop_after_ms=150)
    assert 5 <= report["ticks"] <= 20
    assert report["samples"][-1][5][0] is not None
    assert report["samples"][-1][2] < report["t_end_ns"]


def test_who_is_gone_ends_it(probe: Path, root: Path) -> None:
    with running(probe, *options(root)) as sampler:
        sampler.hear()
        assert sampler.end()[0] == 3


def test_a_file_that_goes_away_is_null(probe: Path, root: Path) -> None:
    with running(probe, *options(root.joinpath("nothing"))) as sampler:
        assert sampler.hear()["files"] == []
        report = measure(sampler, 50)
    assert {tuple(s[5]) for s in report["samples"]} == {(None, None)}


def test_a_container_that_is_gone_leaves_those_above_it(probe: Path, root: Path) -> None:
    with running(probe, *options(root, "--up", "cpu:limit")) as sampler:
        ready = sampler.hear()
        shutil.rmtree(root / "cpu/slice/docker" / ID)
        report = measure(sampler, 50)
    assert [one["path"] for one in report["files"]] == [one["path"] for one in ready["files"]]
    assert [one["text"] for one in ready["files"]] == ["own\n", None, "of the slice\n", None]
    assert [one["text"] for one in report["files"]] == [None, None, "of the slice\n", None]


def test_an_inner_folder_is_taken_where_it_has_the_file(probe: Path, root: Path) -> None:
    own = root / "cpu/slice/docker" / ID
    (own / "container").mkdir()
    for name, text in (("limit", "inner\n"), ("usage", "7\n")):
        (own / "container" / name).write_text(text)
    more = ("--up", "cpu:limit", "--inner")
    with running(probe, *options(root, *more, "container/limit")) as sampler:
        files = sampler.hear()["files"]
        report = measure(sampler, 50)
    assert [one["text"] for one in files[:2]] == ["inner\n", "own\n"]
    assert {s[5][0] for s in report["samples"]} == {"7\n"}
    with running(probe, *options(root, *more, "container/nothing")) as sampler:
        assert sampler.hear()["files"][0]["path"] == f"/cpu/slice/docker/{ID}"


@pytest.mark.parametrize(
    ("name", "of_container"),
    [
        (f"docker-{ID}.scope", True),
        (f"libpod-{ID}", True),
        (f"libpod-conmon-{ID}.scope", False),
        (f"var-lib-docker-containers-{ID}-mounts-shm.mount", False),
    ],
)
def test_a_folder_that_only_bears_the_id_is_not_the_containers(
    probe: Path, tmp_path: Path, name: str, of_container: bool
) -> None:
    (tmp_path / "cpu/slice" / name).mkdir(parents=True)
    (tmp_path / "cpu/slice" / name / "limit").write_text("1\n")
    with running(probe, *options(tmp_path, "--up", "cpu:limit")) as sampler:
        found = [one["path"] for one in sampler.hear()["files"]]
    assert found == ([f"/cpu/slice/{name}", "/cpu/slice", "/cpu"] if of_container else [])


def test_a_large_hosts_files_are_whole_and_one_that_outgrows_its_room_is_none(
    probe: Path, root: Path
) -> None:
    """/proc/stat of 1000 CPUs, with the numbers of its interrupts behind them."""
    line = "cpu{} 123456 0 123456 123456789 1234 0 12345 7 0 0\n"
    stat = "".join(line.format(cpu) for cpu in range(1000)) + "intr" + " 0" * 20_000 + "\n"
    large, grown = root / "stat", root / "grown"
    for path in (large, grown):
        path.write_text(stat)
    more = ("--host", str(large), "--host", str(grown))
    with running(probe, *options(root, *more)) as sampler:
        sampler.hear()
        grown.write_text(stat * 5)
        report = measure(sampler, 50)
    assert report["host_first"]["texts"] == report["host_last"]["texts"] == [stat, None]


def test_a_counter_that_does_not_fit_is_not_cut_off(probe: Path, root: Path) -> None:
    own = root / "cpu/slice/docker" / ID
    (own / "usage").write_text("1" * 1023)
    (own / "none").write_text("1" * 1024)
    with running(probe, *options(root)) as sampler:
        sampler.hear()
        report = measure(sampler, 50)
    assert {tuple(s[5]) for s in report["samples"]} == {("1" * 1023, None)}


def test_it_leaves_the_measured_cpus_alone_where_that_leaves_it_any(
    probe: Path, root: Path
) -> None:
    mine = os.sched_getaffinity(0)
    if len(mine) < 2:
        pytest.skip("one CPU leaves the sampler no other")
    rest = mine - {min(mine)}
    for measured, kept in (({min(mine)}, sorted(rest)), (mine, None), (set(), None)):
        words = [word for cpu in measured for word in ("--keep-off", str(cpu))]
        with running(probe, *options(root, *words)) as sampler:
            assert sampler.hear()["cpus"] == kept
            assert os.sched_getaffinity(sampler.process.pid) == (rest if kept else mine)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--tick", "nocolon"], "HIERARCHY:FILE"),
        (["--tick", "cpu:../../etc/passwd"], "without a slash"),
        (["--id", "short"], "at least 12 characters"),
        (["--id", "../../../etc/x"], "at least 12 characters"),
        (["--rate-mhz", "0"], "1 to 10000000"),
        (["--files", "1:2:3"], "takes no --files"),
        (["--files", "1,2"], "TICK,…:DETAIL,…:EDGE,…"),
        (["--files", ":2:3"], "TICK,…:DETAIL,…:EDGE,…"),
        (["--files", "1:2:3:4"], "TICK,…:DETAIL,…:EDGE,…"),
        (["--files", "x:2:3"], "--files takes a whole number"),
        (["--inner", "../x/y"], "FOLDER/FILE"),
        (["--keep-off", "0-1"], "--keep-off takes a whole number"),
    ],
)
def test_what_it_does_not_take(probe: Path, root: Path, wrong: list[str], said: str) -> None:
    with running(probe, *options(root), *wrong) as sampler:
        code, errors = sampler.end()
    assert code == 2
    assert said in errors
