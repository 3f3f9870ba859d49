"""The lock of a host, between real processes."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import MeasurementError
from harness.host import lock

HOLDS = """\
import os, sys, pathlib
from harness.host import lock
if len(sys.argv) > 3:
    os.setuid(int(sys.argv[3]))
with lock.held("boot", lambda holder: print(holder, flush=True), pathlib.Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(folder: Path, *user: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock, once it does."""
    command = [sys.executable, "-c", HOLDS, "/usr/bin/bench", str(folder), *user]
    with subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


class Refused(Exception):
    pass


def refuse(holder: lock.Holder | None) -> None:
    raise Refused(holder)


@pytest.mark.slow
def test_who_holds_it_is_told_and_killing_him_frees_it(tmp_path: Path) -> None:
    with another(tmp_path) as process:
        with pytest.raises(Refused) as refused, lock.held("boot", refuse, tmp_path):
            pass
        (holder,) = refused.value.args
        assert (holder.pid, holder.user) == (process.pid, getpass.getuser())
        assert holder.command.startswith("bench ")
        with lock.held("another-boot", refuse, tmp_path):
            pass  # another machine that shares the folder
        process.kill()
        process.wait()
        with lock.held("boot", refuse, tmp_path):
            pass


@pytest.mark.slow
def test_a_file_that_is_removed_meanwhile_lets_no_two_measure(tmp_path: Path) -> None:
    told, entered, end = threading.Event(), threading.Event(), threading.Event()

    def wait_for_it() -> None:
        with lock.held("boot", lambda holder: told.set(), tmp_path):
            entered.set()
            end.wait(10)

    with another(tmp_path) as process:
        thread = threading.Thread(target=wait_for_it)
        thread.start()
        try:
            assert told.wait(10)
            (tmp_path / "limitbench-boot.lock").unlink()
            assert not entered.is_set()
            process.kill()
            assert entered.wait(10)
            with pytest.raises(Refused), lock.held("boot", refuse, tmp_path):
                pass  # it holds the file that others find
        finally:
            end.set()
            thread.join()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_users_share_it_whoever_made_the_file(tmp_path: Path) -> None:
    nobody = "65534"
    tmp_path.chmod(0o1777)
    for folder in tmp_path.parents:
        if folder.owner() == getpass.getuser() and not folder.stat().st_mode & 1:
            folder.chmod(folder.stat().st_mode | 0o111)  # pytest's own folders
    with another(tmp_path, nobody) as process:
        with pytest.raises(Refused) as refused, lock.held("boot", refuse, tmp_path):
            pass
        assert refused.value.args[0].pid == process.pid
    (tmp_path / "limitbench-boot.lock").unlink()
    with lock.held("boot", refuse, tmp_path):
        pass
    with another(tmp_path, nobody):
        pass


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_somebody_else_put_there_is_refused(tmp_path: Path, kind: str) -> None:
    path, target = tmp_path / "limitbench-boot.lock", tmp_path / "target"
    match kind:
        case "link":
            path.symlink_to(target)
        case "pipe":
            os.mkfifo(path)
        case _:
            path.mkdir()
    refused = pytest.raises(MeasurementError, match="host cannot be locked")
    with refused, lock.held("boot", refuse, tmp_path):
        pass
    assert not target.exists()


def test_the_folder_is_everybody_s() -> None:
    assert lock.shared_folder().stat().st_mode & 0o1777 == 0o1777


def test_a_command_line_is_fit_for_a_terminal() -> None:
    text = lock._command(["/usr/bin/python3", "/opt/bin/bench", "sweep", "\x1b[31mcpu", "x" * 500])
    assert text.startswith("bench sweep '?[31mcpu' xxx")
    assert len(text) == 120
