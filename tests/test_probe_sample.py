"""The probe's sample mode as a plain process: bytes as they are, deadlines, who is not there."""

from __future__ import annotations

import itertools
import platform
import time
from pathlib import Path
from typing import Any

import pytest

from harness.engine.image import probe_binary
from tests.probing import MS, Running, running

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
        "sample", "--root", str(root), "--id", ID, "--rate", str(rate), "--deadline", "20",
        "--tick", "cpu:usage", "--tick", "cpu:none", *more,
    ]  # fmt: skip


def measure(running_: Running, duration_ms: int, stop_after_ms: int | None = None) -> Any:
    running_.tell(f"go {20 * MS} {duration_ms * MS}")
    time.sleep((20 + (stop_after_ms or duration_ms + 50)) / 1e3)
    running_.tell("stop")
    report = running_.hear()
    assert running_.end() == (0, "")
    return report


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
    assert {(s[0], *s[4]) for s in samples} == {(0, '12 "34\\\n', None)}
    assert samples[0][5] == samples[-1][5] == ["own\n"]
    assert [bool(s[5]) for s in samples[1:-1]].count(True) == 1
    assert report["host_first"]["texts"] == ["ctxt 1\n\xff\t"]
    assert report["host_first"]["t_ns"] <= samples[0][1]
    assert report["host_last"]["t_ns"] >= samples[-1][1]


def test_deadlines_are_absolute_and_what_is_late_is_counted(probe: Path, root: Path) -> None:
    with running(probe, *options(root)) as sampler:
        sampler.hear()
        report = measure(sampler, 300)
    assert report["ticks"] + report["missed"] == 29
    start = report["t_start_ns"]
    assert report["t_end_ns"] - start == 300 * MS
    for sample in report["samples"][1:-1]:
        _, t_ns, span_ns, late_ns, *_ = sample
        due = (t_ns - late_ns - start) / (10 * MS)
        assert late_ns < 10 * MS
        # The moment of the read is half of its span after the deadline and its lateness.
        assert abs(due - round(due)) < (span_ns + MS) / (10 * MS)
    times = [sample[1] for sample in report["samples"]]
    assert all(a < b for a, b in itertools.pairwise(times))


def test_stop_ends_the_window_with_a_last_read(probe: Path, root: Path) -> None:
    with running(probe, *options(root)) as sampler:
        sampler.hear()
        report = measure(sampler, 60_000, stop_after_ms=150)
    assert 5 <= report["ticks"] <= 20
    assert report["samples"][-1][4][0] is not None
    assert report["samples"][-1][1] < report["t_end_ns"]


def test_who_is_gone_ends_it(probe: Path, root: Path) -> None:
    with running(probe, *options(root)) as sampler:
        sampler.hear()
        assert sampler.end()[0] == 3


def test_a_file_that_goes_away_is_null(probe: Path, root: Path) -> None:
    with running(probe, *options(root.joinpath("nothing"))) as sampler:
        assert sampler.hear()["files"] == []
        report = measure(sampler, 50)
    assert {tuple(s[4]) for s in report["samples"]} == {(None, None)}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--tick", "nocolon"], "HIERARCHY:FILE"),
        (["--tick", "cpu:../../etc/passwd"], "without a slash"),
        (["--id", "short"], "at least 12 characters"),
        (["--id", "../../../etc/x"], "at least 12 characters"),
        (["--rate", "0"], "1 to 10000"),
    ],
)
def test_what_it_does_not_take(probe: Path, root: Path, wrong: list[str], said: str) -> None:
    with running(probe, *options(root), *wrong) as sampler:
        code, errors = sampler.end()
    assert code == 2
    assert said in errors
