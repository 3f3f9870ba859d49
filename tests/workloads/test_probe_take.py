"""The probe's take mode, as a plain process: how much it gets, and what refuses the next."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine.image import probe_binary
from tests.probing import running

pytestmark = pytest.mark.alone
PAGE = os.sysconf("SC_PAGESIZE")


@pytest.fixture(scope="module")
def probe() -> Iterator[Path]:
    """Where any user can run it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(shutil.copy(probe_binary(platform.machine()).path, folder))


def take(probe: Path, kind: str, most: int, *more: str, before: tuple[str, ...] = ()
         ) -> dict[str, Any]:  # fmt: skip
    options = ("--kind", kind, "--most", str(most), "--deadline", "20", *more)
    with running(probe, "take", *options, before=before) as taking:
        ready = taking.hear()
        assert ready == {
            "probe": "ready", "version": 1, "mode": "take", "kind": kind, "most": most,
        }  # fmt: skip
        taking.tell("go 0 1")
        done = taking.hear()
        taking.tell("stop")
        report = taking.hear()
        assert taking.end() == (0, "")
    assert done == {"probe": "done", "killed": report["signal"] != 0}
    return report


def limited(*limits: str) -> tuple[str, ...]:
    return ("prlimit", *limits)


def test_report_has_its_whole_shape(probe: Path) -> None:
    report = take(probe, "process", 5)
    assert set(report) == {
        *("probe", "version", "mode", "complete", "kind", "page_bytes", "most", "taken"),
        *("errno", "signal", "t_start_ns", "t_end_ns"),
    }
    assert report["complete"] is True
    assert (report["taken"], report["errno"], report["signal"]) == (5, 0, 0)
    assert report["t_start_ns"] <= report["t_end_ns"]


def test_descriptors(probe: Path) -> None:
    report = take(probe, "descriptor", 100, before=limited("--nofile=64"))
    assert (report["taken"], report["errno"]) == (64, errno.EMFILE)


def test_stack_to_the_page(probe: Path) -> None:
    report = take(probe, "stack", 1 << 20, before=limited("--stack=300000"))
    assert (report["taken"], report["signal"]) == (300_000 // PAGE * PAGE, signal.SIGSEGV)


def test_a_file_to_the_byte(probe: Path, tmp_path: Path) -> None:
    path = ("--path", str(tmp_path))
    report = take(probe, "file", 1 << 20, *path, before=limited("--fsize=65537"))
    assert (report["taken"], report["signal"]) == (65_537, signal.SIGXFSZ)
    assert list(tmp_path.iterdir()) == []
    whole = take(probe, "file", 65_537, *path)
    assert (whole["taken"], whole["errno"], whole["signal"]) == (65_537, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "ends"), [("1:1", signal.SIGKILL), ("1:2", signal.SIGXCPU)]
)  # fmt: skip
def test_cpu_time(probe: Path, limit: str, ends: int) -> None:
    report = take(probe, "cpu", 3 * 10**9, before=limited(f"--cpu={limit}"))
    assert report["signal"] == ends
    assert 0.3e9 < report["taken"] < 1.7e9  # the kernel counts it in ticks


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("kind", ["process", "thread"])
def test_tasks_of_a_user(probe: Path, kind: str) -> None:
    """Of one that has none else; the last test's may still be dying."""
    user = "65531" if kind == "process" else "65530"
    as_user = ("setpriv", f"--reuid={user}", "--clear-groups", *limited("--nproc=12"))
    report = take(probe, kind, 40, before=as_user)
    assert (report["taken"], report["errno"]) == (12, errno.EAGAIN)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has the capability to begin with")
def test_locked_memory_binds_who_has_no_capability(probe: Path) -> None:
    without = ("setpriv", "--reuid=65532", "--clear-groups", *limited("--memlock=70000"))
    report = take(probe, "lock", 1 << 18, before=without)
    assert (report["taken"], report["errno"]) == (70_000 // PAGE * PAGE, errno.ENOMEM)
    none = take(probe, "lock", 1 << 18, before=(*without[:3], *limited("--memlock=0")))
    assert (none["taken"], none["errno"]) == (0, errno.EPERM)


def test_nothing_is_left_of_what_was_taken(probe: Path) -> None:
    take(probe, "process", 20)
    found = [
        one for one in Path("/proc").glob("[0-9]*/exe")
        if one.parent.exists() and os.path.realpath(one) == str(probe)
    ]  # fmt: skip
    assert all(_dies(one.parent) for one in found)


def _dies(process: Path) -> bool:
    try:
        return b"State:\tZ" in (process / "status").read_bytes() or not process.exists()
    except OSError:
        return True


@pytest.mark.parametrize(
    "wrong",
    [
        ("--most", "5"),
        ("--kind", "process"),
        ("--kind", "nonsense", "--most", "5"),
        ("--kind", "file", "--most", "5"),
        ("--kind", "process", "--most", "5", "--path", "/tmp"),
        ("--kind", "process", "--most", "0"),
    ],
)
def test_a_wrong_command_line(probe: Path, wrong: tuple[str, ...]) -> None:
    with running(probe, "take", *wrong, "--deadline", "5") as taking:
        code, errors = taking.end()
    assert code == 2
    assert "usage" in errors
