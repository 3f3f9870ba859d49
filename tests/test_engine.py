"""Which engine is used, the private one's life, its installation: fakes at the boundary, no engine.

The fakes are programs on PATH (dockerd, apt-get, systemctl) and servers on sockets.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine import (
    Connection,
    daemon,
    find_engine,
    install,
    obtain_engine,
    private_engine_obstacle,
    start_private,
)
from harness.engine.client import NoAnswerError, open_client
from harness.errors import EngineError, UsageError
from tests.test_cli import bench, one_line

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a private engine takes root")

SERVER = """\
import http.server, json, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    body = json.dumps({"ApiVersion": "1.44", "Version": "99.0"}).encode()
    def address_string(self): return "-"
    def log_message(self, *args): pass
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
"""
"""An engine, as far as telling its version makes one."""

FAKE_DOCKERD = f"""\
#!{sys.executable}
{SERVER}
config = json.load(open(sys.argv[1].removeprefix("--config-file=")))
path = config["hosts"][0].removeprefix("unix://")
open(config["data-root"] + ".starts", "a").write(f"{{os.getpid()}}\\n")
print('level=info msg="API listen"', flush=True)
Server(path, Handler).serve_forever()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A new folder with a short path: pytest's own are too long for the engine's sockets."""
    with tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture(autouse=True)
def private_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    private = folder / "e"
    monkeypatch.setenv("BENCH_ENGINE_DIR", str(private))
    yield private
    if os.geteuid() == 0:
        daemon.stop(purge=True)


@pytest.fixture
def program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Makes programs that are the first on a PATH with nothing but them and what they need."""
    programs = folder / "programs"
    programs.mkdir()
    for needed in ("unshare", "sh", "cat", "sleep", "touch", "rm", "cp", "mount", "mkdir"):
        found = install.find_tool(needed)
        assert found is not None
        (programs / needed).symlink_to(found)
    monkeypatch.setenv("PATH", str(programs))

    def make(name: str, text: str) -> Path:
        path = programs / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    return make


@contextlib.contextmanager
def engine_at(path: Path, *, says: bytes | None = None) -> Iterator[str]:
    """A server that answers like an engine, or with other words."""
    scope: dict[str, Any] = {}
    exec(SERVER, scope)
    if says is not None:
        scope["Handler"].body = says
    server = scope["Server"](str(path), scope["Handler"])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def mute_socket(path: Path) -> Iterator[str]:
    """It accepts connections, and never says a word."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield f"unix://{path}"


def make_context(home: Path, name: str, endpoint: object, *, current: bool = False) -> None:
    folder = home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}
    (folder / "meta.json").write_text(json.dumps(meta))
    if current:
        (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def found(engine_host: str | None = None) -> str:
    connection = find_engine(engine_host)
    assert connection is not None
    connection.api.close()
    return connection.host


# --- which engine ----------------------------------------------------------------------------


def test_the_order_in_which_a_named_engine_is_taken(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as stack:
        option, variable, named, current = (
            stack.enter_context(engine_at(folder / name)) for name in ("o", "v", "n", "c")
        )
        make_context(tmp_path, "current", {"Host": current}, current=True)
        make_context(tmp_path, "named", {"Host": named})
        assert found() == current
        monkeypatch.setenv("DOCKER_CONTEXT", "named")
        assert found() == named
        monkeypatch.setenv("DOCKER_HOST", variable)
        assert found() == variable
        assert found(option) == option


def test_a_context_is_found_where_there_is_no_config_json(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_at(folder / "s") as host:
        make_context(tmp_path, "mine", {"Host": host})
        monkeypatch.setenv("DOCKER_CONTEXT", "mine")
        assert found() == host


def test_an_engine_that_was_named_is_never_replaced_by_another(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = f"unix://{folder}/dead.sock"
    with engine_at(folder / "s") as alive:
        make_context(tmp_path, "alive", {"Host": alive}, current=True)
        with pytest.raises(EngineError, match=r"dead.sock \(--engine-host\).*no such socket"):
            find_engine(dead)
        monkeypatch.setenv("DOCKER_HOST", dead)
        with pytest.raises(EngineError, match=r"dead.sock \(DOCKER_HOST\).*unset DOCKER_HOST"):
            find_engine(None)
        monkeypatch.delenv("DOCKER_HOST")
        make_context(tmp_path, "dead", {"Host": dead}, current=True)
        with pytest.raises(EngineError, match=r"dead.sock \(context 'dead', the current Docker"):
            obtain_engine(None, pytest.fail)
        monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")
        with pytest.raises(EngineError, match=r"no Docker context 'nowhere'.*DOCKER_CONTEXT"):
            find_engine(None)


def test_a_socket_that_accepts_and_never_answers_does_not_hang(folder: Path) -> None:
    with mute_socket(folder / "mute") as host:
        started = time.monotonic()
        with pytest.raises(NoAnswerError, match=r"no answer within 0\.3 s"):
            open_client(host, timeout_s=0.3)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("says", [b"[]", b"{}", b"<html>", b""])
def test_what_answers_and_is_no_engine(folder: Path, says: bytes) -> None:
    with (
        engine_at(folder / "s", says=says) as host,
        pytest.raises(EngineError, match="not a Docker engine"),
    ):
        find_engine(host)


@pytest.mark.parametrize(
    ("host", "error", "words"),
    [
        ("tcp://127.0.0.1:1", EngineError, "nothing listens there"),
        ("ssh://nobody@127.0.0.1:1", EngineError, "ssh://nobody@127.0.0.1:1"),
        ("/run/docker.sock", UsageError, "not the address of an engine.*unix:///run"),
        ("ftp://host", UsageError, "not the address of an engine"),
        ("tcp://host:port", UsageError, "not the address of an engine"),
    ],
)
def test_addresses(host: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        find_engine(host)


def test_tls_where_there_are_no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    with pytest.raises(UsageError, match=r"certificates.*cert\.pem"):
        find_engine("tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"currentContext": 3}', '{"currentContext": {"a": 1}}']
)
def test_a_broken_docker_configuration(tmp_path: Path, text: str) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(text)
    with pytest.raises(UsageError, match=r"config\.json"):
        find_engine(None)


@pytest.mark.parametrize("endpoint", [None, "tcp", []])
def test_a_broken_context(tmp_path: Path, endpoint: object) -> None:
    make_context(tmp_path, "broken", endpoint, current=True)
    with pytest.raises(UsageError, match=r"meta\.json names no Docker engine"):
        find_engine(None)


# --- the private engine ----------------------------------------------------------------------


@needs_root
def test_it_is_started_once_and_outlives_the_command(
    program: Callable[[str, str], Path], private_folder: Path, tmp_path: Path
) -> None:
    program("dockerd", FAKE_DOCKERD)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", "from harness.cli import main; main()", "engine", "start",
             "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}, cwd=tmp_path,
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


# --- installing ------------------------------------------------------------------------------

APT = """\
#!/bin/sh
echo "$*" >>{log}
echo "$DEBIAN_FRONTEND" >>{log}.frontend
case $* in *" install "*) ;; *) exit 0 ;; esac
cp {root}/usr/sbin/policy-rc.d {log}.policy
{then}
"""


@pytest.fixture
def debian(
    folder: Path, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A root folder, and an apt-get that installs a dockerd."""
    root = folder / "debian"
    (root / "usr" / "sbin").mkdir(parents=True)
    (root / "lib" / "systemd" / "system").mkdir(parents=True)
    (root / "lib" / "systemd" / "system" / "containerd.service").touch()
    units = root / "lib" / "systemd" / "system"
    apt_installs(
        root, program, f"touch {units}/docker.service {units}/docker.socket\n"
        f"cp {root}/dockerd {folder}/programs/dockerd",
    )  # fmt: skip
    (root / "dockerd").write_text("#!/bin/sh\n")
    (root / "dockerd").chmod(0o755)
    program("systemctl", f'#!/bin/sh\necho "$*" >>{root}/systemctl.log\n')
    return root


def apt_installs(root: Path, program: Callable[[str, str], Path], then: str) -> None:
    program("apt-get", APT.format(root=root, log=root / "apt.log", then=then))


def test_without_a_terminal_it_is_installed_under_auto_and_said(
    debian: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", "auto")
    said: list[str] = []
    path = install.have_dockerd(said.append, None, root=debian)
    assert path == install.find_tool("dockerd")
    assert "installing the package docker.io" in said[0]
    update, installed = (debian / "apt.log").read_text().splitlines()
    assert update.endswith(" update")
    assert installed.endswith("install --yes --no-remove --no-install-recommends docker.io")
    assert (debian / "apt.log.frontend").read_text().split() == ["noninteractive"] * 2
    # services were kept off meanwhile, and only those that are new are off at the next boot
    assert "exit 101" in (debian / "apt.log.policy").read_text()
    assert not (debian / "usr" / "sbin" / "policy-rc.d").exists()
    assert (debian / "systemctl.log").read_text() == "disable docker.service docker.socket\n"
    assert install.have_dockerd(pytest.fail, pytest.fail, root=debian) == path


@pytest.mark.parametrize(
    ("policy", "answer", "reason"),
    [
        ("auto", False, "was not wanted"),
        ("ask", False, "was not wanted"),
        ("ask", None, "nobody is at a terminal"),
        ("", None, "nobody is at a terminal"),
        ("never", True, "BENCH_INSTALL_ENGINE=never"),
    ],
)
def test_nothing_is_installed_that_was_not_allowed(
    debian: Path, monkeypatch: pytest.MonkeyPatch, policy: str, answer: bool | None, reason: str
) -> None:
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", policy)
    ask = None if answer is None else lambda question: bool(answer)
    with pytest.raises(EngineError, match=f"{reason}.*apt-get install docker.io"):
        install.have_dockerd(pytest.fail, ask, root=debian)
    assert not (debian / "apt.log").exists()


@pytest.mark.parametrize("policy", ["auto", "ask"])
def test_a_person_who_says_yes(debian: Path, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", policy)
    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return True

    assert install.have_dockerd(lambda _: None, ask, root=debian)
    assert len(asked) == 1
    assert "docker.io" in asked[0]


@pytest.mark.parametrize("then", ["echo 'E: Unable to locate it' >&2; echo done; exit 100",
                                  "kill -INT $PPID; exec sleep 60"])  # fmt: skip
@pytest.mark.parametrize("kind", ["file", "link", "none"])
def test_policy_rc_d_is_put_back_as_it_was(
    debian: Path, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch,
    then: str, kind: str,
) -> None:  # fmt: skip
    policy = debian / "usr" / "sbin" / "policy-rc.d"
    if kind == "file":
        policy.write_text("#!/bin/sh\nexit 0\n")
        policy.chmod(0o711)
    elif kind == "link":
        policy.symlink_to("nowhere")
    before = policy.lstat() if kind != "none" else None
    apt_installs(debian, program, then)
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", "auto")
    interrupted = "kill" in then
    with pytest.raises(KeyboardInterrupt if interrupted else EngineError) as told:
        install.have_dockerd(lambda _: None, None, root=debian)
    if not interrupted:
        assert "failed: Unable to locate it." in str(told.value)
    assert "exit 101" in (debian / "apt.log.policy").read_text()
    assert [path.name for path in policy.parent.iterdir()] == ["policy-rc.d"] * (kind != "none")
    if before is not None:
        after = policy.lstat()
        assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
        assert stat.S_ISLNK(after.st_mode) is (kind == "link")


def test_package_lists_that_cannot_be_updated_are_no_end(
    debian: Path, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (debian.parent / "programs" / "apt-get").read_text()
    program("apt-get", text.replace("exit 0 ;;", "echo E: a source is down; exit 100 ;;"))
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", "auto")
    said: list[str] = []
    assert install.have_dockerd(said.append, None, root=debian)
    assert "a source is down" in said[1]


def test_no_dockerd_and_no_way_to_one(
    program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", "auto")
    assert "apt-get" in install.obstacle()
    with pytest.raises(EngineError, match="no apt-get to install it"):
        install.have_dockerd(pytest.fail, None)
    assert private_engine_obstacle()
    program("dockerd", "#!/bin/sh\n")
    assert install.obstacle() == ""


def test_sbin_beside_bin_counts_as_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin" / "dockerd").write_text("#!/bin/sh\n")
    (tmp_path / "sbin" / "dockerd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert install.find_tool("dockerd") == str(tmp_path / "sbin" / "dockerd")
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    assert install.find_tool("dockerd") is None


@needs_root
def test_a_policy_that_is_none(folder: Path, tmp_path: Path) -> None:
    where = {"BENCH_ENGINE_DIR": str(folder / "e"), "BENCH_INSTALL_ENGINE": "sure"}
    one_line(
        bench("engine", "start", cwd=tmp_path, **where),
        2, "BENCH_INSTALL_ENGINE=sure", "auto, ask or never",
    )  # fmt: skip


def test_connection_says_whether_the_engine_is_private(folder: Path) -> None:
    with engine_at(folder / "s") as host:
        connection = find_engine(host)
        assert isinstance(connection, Connection)
        assert not connection.private
        connection.api.close()
