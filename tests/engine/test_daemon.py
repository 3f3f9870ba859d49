"""The private engine's life: started, found again, stopped and purged, by a fake dockerd."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engine import daemon
from harness.engine.connect import (
    obtain_engine,
    start_private,
)
from harness.errors import EngineError, UsageError
from tests.command import bench
from tests.engine.fake_engines import FAKE_DOCKERD, mute_socket, needs_root

pytestmark = pytest.mark.usefixtures("private_folder")


@pytest.mark.slow
@needs_root
def test_it_is_started_once_and_outlives_the_command(
    program: Callable[[str, str], Path], private_folder: Path, tmp_path: Path
) -> None:
    program("dockerd", FAKE_DOCKERD)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", "from harness.cli import main; main()", "engine", "start",
             "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, cwd=tmp_path,
        )
        for _ in range(3)
    ]  # fmt: skip
    # communicate() returns only when nobody holds the command's output open any more
    told = [process.communicate(timeout=30) for process in started]
    assert [process.returncode for process in started] == [0] * 3, told
    pids = {json.loads(out)["pid"] for out, _ in told}
    assert len(pids) == 1
    assert sum("Starting a private Docker engine" in err for _, err in told) == 1
    assert (private_folder / "data.starts").read_text().split() == [str(pid) for pid in pids]

    (pid,) = pids
    now = daemon.status()
    assert (now.pid, now.version, now.answers) == (pid, "99.0", True)
    assert os.getsid(pid) == pid != os.getsid(0)
    connection = obtain_engine(now.host, pytest.fail)
    assert connection.private
    connection.api.close()

    assert daemon.stop()
    assert not Path(f"/proc/{pid}/cmdline").is_file() or not daemon.status().pid
    assert not (private_folder / "docker.sock").exists()
    assert not daemon.stop()


@needs_root
def test_it_keeps_no_lock_of_the_command_that_started_it(
    program: Callable[[str, str], Path], private_folder: Path, tmp_path: Path
) -> None:
    program("dockerd", FAKE_DOCKERD)
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(lock, True)  # as `flock FILE bench engine start` does
    fcntl.flock(lock, fcntl.LOCK_EX)
    start_private(lambda _: None)
    os.close(lock)
    other = os.open(tmp_path / "lock", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


@pytest.mark.slow
@needs_root
def test_a_start_waits_for_another_command_that_starts_or_stops_it(
    program: Callable[[str, str], Path], private_folder: Path
) -> None:
    program("dockerd", FAKE_DOCKERD)
    private_folder.mkdir()
    other = os.open(private_folder, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    start = threading.Thread(target=start_private, args=(lambda _: None,))
    start.start()
    time.sleep(0.5)
    assert start.is_alive()
    assert daemon.status().pid is None
    os.close(other)
    start.join()
    assert daemon.status().answers


@needs_root
def test_a_dockerd_that_cannot_start(
    program: Callable[[str, str], Path], private_folder: Path
) -> None:
    program(
        "dockerd",
        '#!/bin/sh\necho \'time="…" level=info msg="Starting up"\'\n'
        'echo \'time="…" level=fatal msg="no \\"overlay2\\" here"\'\n'
        "echo 'level=info msg=\"bye\"'\nexit 1\n",
    )
    with pytest.raises(
        EngineError, match=r'ended before it answered: no "overlay2" here\.'
    ) as told:
        start_private(lambda _: None)
    assert str(private_folder / "dockerd.log") in str(told.value)
    assert daemon.status().pid is None


@pytest.mark.slow
@needs_root
def test_a_dockerd_that_never_answers_is_ended(
    program: Callable[[str, str], Path], private_folder: Path
) -> None:
    path = program("dockerd", "#!/bin/sh\necho waiting for the disk\nexec sleep 60\n")
    with pytest.raises(EngineError, match=r"not answer within 0\.5 s: waiting for the disk"):
        daemon.start(str(path), lambda _: None, ready_timeout_s=0.5)
    assert daemon.status().pid is None


@needs_root
def test_stale_files_of_a_crash_or_a_reboot_do_not_matter(
    program: Callable[[str, str], Path], private_folder: Path
) -> None:
    program("dockerd", FAKE_DOCKERD)
    assert start_private(lambda _: None).answers
    assert daemon.stop()
    # the number that is in the file is another process's now
    (private_folder / "dockerd.pid").write_text(str(os.getpid()))
    (private_folder / "state").mkdir()
    with mute_socket(private_folder / "docker.sock"):
        pass
    assert start_private(lambda _: None).answers
    (private_folder / "dockerd.pid").write_text(str(os.getpid()))
    assert daemon.stop()  # and we are still there to see it


@needs_root
def test_only_a_folder_of_its_own_is_used_and_purged(
    program: Callable[[str, str], Path], private_folder: Path
) -> None:
    program("dockerd", FAKE_DOCKERD)
    private_folder.mkdir()
    (private_folder / "data").mkdir()
    (private_folder / "data" / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="holds other files"):
        start_private(lambda _: None)
    assert not daemon.stop(purge=True)
    assert (private_folder / "data" / "thesis.tex").exists()


@needs_root
def test_purge_deletes_all_of_it(program: Callable[[str, str], Path], private_folder: Path) -> None:
    program("dockerd", FAKE_DOCKERD)
    start_private(lambda _: None)
    assert daemon.stop(purge=True)
    assert not private_folder.exists()


@needs_root
def test_a_folder_whose_sockets_would_have_too_long_a_path(
    program: Callable[[str, str], Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("dockerd", FAKE_DOCKERD)
    monkeypatch.setenv("BENCH_ENGINE_DIR", str(folder / ("x" * 80)))
    with pytest.raises(UsageError, match=r"too long for the engine's sockets.*BENCH_ENGINE_DIR"):
        start_private(lambda _: None)
    assert not (folder / ("x" * 80)).exists()


@pytest.mark.slow
def test_the_commands_where_it_does_not_run(folder: Path, tmp_path: Path) -> None:
    where = {"BENCH_ENGINE_DIR": str(folder / "e")}
    status = bench("engine", "status", cwd=tmp_path, **where)
    assert (status.returncode, status.stdout) == (4, "The private engine does not run.\n")
    status = bench("engine", "status", "--json", cwd=tmp_path, **where)
    assert (status.returncode, json.loads(status.stdout)["answers"]) == (4, False)
    stopped = bench("engine", "stop", "--purge", "--json", cwd=tmp_path, **where)
    assert (stopped.returncode, json.loads(stopped.stdout)["stopped"]) == (0, False)
    assert not (folder / "e").exists()
