"""The private dockerd, in one folder with all that is its own: socket, data, logs.

It runs in a mount namespace of its own. There ``/run/containerd`` is empty, without which a dockerd
takes the system's containerd where there is one (cmd/dockerd/daemon_unix.go), and whatever it
mounts is gone with its last process. Mounts that the host makes or removes still get through.
It has no bridge and leaves iptables, forwarding and the service manager alone.

It is found by the path of its configuration on a command line in ``/proc``, never by a number in a
file: a pid file outlives what it names, and its number goes to another process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.engine.client import NoAnswerError, engine_version, open_client
from harness.engine.install import find_tool
from harness.engine.trusted import make_private, require
from harness.errors import EngineError, UsageError

_DEFAULT_FOLDER = "/var/lib/limitbench/engine"
_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 40.0
"""dockerd gives its containers 10 s or their own stop time-out, and itself 15 s in all."""
_LOCK_TIMEOUT_S = 120.0
_MAX_SOCKET_PATH = 107
"""sun_path holds 108 bytes with the zero at its end (unix(7))."""
_POLL_S = 0.05

# `exec` keeps the pid through unshare and sh to dockerd.
_IN_NAMESPACE = """\
umask 022
cd /
mkdir -p /run/containerd
mount -t tmpfs -o mode=0711 limitbench /run/containerd || exit 1
exec "$0" "$@"
"""


@dataclass(frozen=True, slots=True)
class Status:
    """The private engine as it is now. ``pid`` is None where it does not run."""

    host: str
    folder: Path
    log: Path
    pid: int | None
    version: str | None
    """The engine's version; None where it does not answer."""
    trouble: str | None = None
    """Why it does not answer."""

    @property
    def answers(self) -> bool:
        """Whether it can be used."""
        return self.version is not None


@dataclass(frozen=True, slots=True)
class _Files:
    """Where everything of the private engine is."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "dockerd.json"

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def pid(self) -> Path:
        return self.folder / "dockerd.pid"

    @property
    def log(self) -> Path:
        return self.folder / "dockerd.log"


def host() -> str:
    """The address of the private engine, whether it runs or not."""
    return f"unix://{_files().socket}"


def folder() -> Path:
    """Where all of it is, and what else is made for an engine on this host."""
    return _files().folder


def status() -> Status:
    """What is there now. Changes nothing, and needs no root."""
    files = _files()
    pids = _dockerds(files)
    version = trouble = None
    try:
        require_own()
        version = engine_version(host())
    except (NoAnswerError, UsageError) as error:
        trouble = str(error)
    return Status(host(), files.folder, files.log, pids[0] if pids else None, version, trouble)


def require_own() -> None:
    """UsageError where what stands at the engine's address may be another's than root's or ours."""
    require(_named())
    require(_files().socket)


def start(
    dockerd: str, say: Callable[[str], None], *, ready_timeout_s: float = _READY_TIMEOUT_S
) -> Status:
    """Have it running, and wait until it answers. Where it runs already, nothing is done.

    ``dockerd`` is the program. The engine outlives this process, its terminal and its session.
    """
    files = _files()
    _check_folder(files)
    with _lock(files):
        pids = _dockerds(files)
        if pids:
            _wait_until_ready(files, pids[0], ready_timeout_s)
            return status()
        _remove_leftovers(files)
        say(f"Starting a private Docker engine in {files.folder}; `bench engine stop` ends it.")
        _write_config(files)
        with contextlib.suppress(FileNotFoundError):
            files.log.replace(files.log.with_suffix(".log.1"))
        pid = _spawn(dockerd, files)
        try:
            _wait_until_ready(files, pid, ready_timeout_s)
        except BaseException:  # an interrupt too leaves nothing half started
            _end(files)
            raise
    return status()


def stop(*, purge: bool = False) -> bool:
    """End it with its containers and all that it left; whether it was running.

    ``purge`` deletes its images, containers and logs too.
    """
    files = _files()
    require(_named())
    if os.geteuid() != 0:
        if not _processes(files):
            return False
        raise EngineError("only root can end the private engine.", "Run the command as root.")
    purge = purge and files.config.is_file()  # else the folder is not ours
    if not purge and not files.socket.exists() and not _processes(files):
        return False
    with _lock(files):
        running = bool(_dockerds(files))
        _end(files)
        if purge:
            _remove_tree(files.folder)
            if files.folder == Path(_DEFAULT_FOLDER):
                with contextlib.suppress(OSError):  # which is what it says where others use it
                    files.folder.parent.rmdir()
    return running


# --- the folder ----------------------------------------------------------------------------


def _named() -> Path:
    """The folder as it was named, before any link is followed."""
    return Path(os.environ.get("BENCH_ENGINE_DIR") or _DEFAULT_FOLDER)


def _files() -> _Files:
    # Resolved, so that every command finds it by the same path; links without end, as they are.
    return _Files(Path(os.path.realpath(_named())))


def _check_folder(files: _Files) -> None:
    """Only a folder that is empty, new or ours is used: --purge deletes it."""
    longest = files.state / "containerd" / "containerd.sock.ttrpc"
    spare = _MAX_SOCKET_PATH - len(os.fsencode(longest))
    if spare < 0:
        raise UsageError(
            f"the folder {files.folder} is {-spare} bytes too long for the engine's sockets.",
            "Set BENCH_ENGINE_DIR to a shorter one.",
        )
    if set(str(files.folder)) & set("?#%"):
        raise UsageError(
            f"the folder {files.folder} cannot be part of an engine's address.",
            "Set BENCH_ENGINE_DIR to one without ?, # and %.",
        )
    require(_named())
    try:
        make_private(files.folder)
        strange = not files.config.is_file() and any(files.folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"cannot use the folder {files.folder}: {error.strerror}.",
            "Set BENCH_ENGINE_DIR to another.",
        ) from error
    if strange:
        raise UsageError(
            f"the folder {files.folder} holds other files.",
            "Set BENCH_ENGINE_DIR to a new or empty one.",
        )


@contextlib.contextmanager
def _lock(files: _Files) -> Iterator[None]:
    """One command at a time starts or stops it. The lock is on the folder and ends with us."""
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while (fd := _try_lock(files)) is None:
        if time.monotonic() > deadline:
            raise EngineError(
                f"another command has been starting or stopping the engine in {files.folder} for "
                f"{_LOCK_TIMEOUT_S:g} s.", "Try again when it has ended.",
            )  # fmt: skip
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        os.close(fd)


def _try_lock(files: _Files) -> int | None:
    make_private(files.folder)
    fd = os.open(files.folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another command may have purged the folder that we opened.
        if os.path.samestat(os.fstat(fd), files.folder.stat()):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None


def _write_config(files: _Files) -> None:
    settings = {
        "hosts": [f"unix://{files.socket}"],
        "data-root": str(files.data),
        "exec-root": str(files.state),
        "pidfile": str(files.pid),
        "bridge": "none",
        "iptables": False,
        "ip6tables": False,
        "ip-forward": False,
        "ip-masq": False,
        "userland-proxy": False,
        # Docker 29's default store would know our image by another id than every older engine.
        "features": {"containerd-snapshotter": False},
    }
    # A file of our own also keeps /etc/docker/daemon.json, which is the system's, out of it.
    files.config.write_text(json.dumps(settings, indent=2) + "\n")


# --- starting ------------------------------------------------------------------------------


def _spawn(dockerd: str, files: _Files) -> int:
    """Start dockerd in a session of its own, with nothing of ours but PATH; its pid."""
    unshare = find_tool("unshare")
    assert unshare is not None
    command = [unshare, "--mount", "--propagation", "slave", "--", "/bin/sh", "-c", _IN_NAMESPACE]
    log = os.open(files.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # Not subprocess.Popen, which wants to outlive its child. Our own files close on exec.
        return os.posix_spawn(
            unshare,
            [*command, dockerd, f"--config-file={files.config}"],
            {"PATH": os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                *((os.POSIX_SPAWN_CLOSE, inherited) for inherited in _inherited_files()),
            ],
            setsid=True,
            setsigmask=[],
            # What we ignore, its containers would ignore.
            setsigdef=[signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE,
                       signal.SIGTERM, signal.SIGXFSZ],
        )  # fmt: skip
    except OSError as error:
        raise EngineError(
            f"dockerd could not be started: {error.strerror}.", "Run `bench doctor`."
        ) from error
    finally:
        os.close(log)


def _inherited_files() -> list[int]:
    """What our caller left open for its children, a lock or a pipe: a daemon would keep it."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if (fd := int(link.name)) > 2 and os.get_inheritable(fd):
                found.append(fd)
    return found


def _wait_until_ready(files: _Files, pid: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(NoAnswerError):
            open_client(f"unix://{files.socket}", timeout_s=1.0).close()
            # dockerd gives it to the group docker, where there is one.
            files.socket.chmod(0o600)
            return
        if not _alive(pid):
            raise EngineError(
                f"dockerd ended before it answered: {_last_word(files.log)}.",
                f"Its log is {files.log}.",
            )
        if time.monotonic() > deadline:
            raise EngineError(
                f"the private engine (dockerd, pid {pid}) does not answer within {timeout_s:g} s: "
                f"{_last_word(files.log)}.",
                f"Its log is {files.log}; `bench engine stop` ends it.",
            )
        time.sleep(_POLL_S)


def _last_word(log: Path) -> str:
    """The line of a dockerd's log that tells most: the last that is no mere information."""
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return "it wrote no log"
    said = [line.strip() for line in lines if line.strip()]
    telling = [line for line in said if not re.search(r"\blevel=(debug|info|warning)\b", line)]
    if not said:
        return "it said nothing"
    line = (telling or said)[-1]
    message = re.search(r'\bmsg="((?:[^"\\]|\\.)*)"', line)
    return (message.group(1).replace('\\"', '"') if message else line)[:400].rstrip(".")


# --- ending --------------------------------------------------------------------------------


def _end(files: _Files) -> None:
    """End dockerd, politely first, then remove what it left."""
    pids = _dockerds(files)
    _signal(pids, signal.SIGTERM)
    if not _wait_until_gone(pids, _STOP_TIMEOUT_S):
        _signal(pids, signal.SIGKILL)
        _wait_until_gone(pids, 10)
    _remove_leftovers(files)


def _remove_leftovers(files: _Files) -> None:
    """What a dockerd that is gone left behind: containers, containerd, shims, state, socket.

    containerd dies with its dockerd, but shims and containers go on without them.
    """
    runtime = files.state / "runtime-runc" / "moby"
    runc = find_tool("runc")
    if runc is not None and runtime.is_dir():
        for container in sorted(path.name for path in runtime.iterdir()):
            # It knows the container's cgroups, and kills and removes all that is in them.
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    [runc, f"--root={runtime}", "delete", "--force", container],
                    stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False,
                )  # fmt: skip
    pids = _processes(files)
    _signal(pids, signal.SIGTERM)
    if not _wait_until_gone(pids, 3):
        _signal(pids, signal.SIGKILL)
        if not _wait_until_gone(pids, 10):
            raise EngineError(
                f"process {pids[0]} of the private engine cannot be ended.",
                f"See its state in /proc/{pids[0]}/status; a restart of the host ends it.",
            )
    _remove_tree(files.state)
    for path in (files.socket, files.pid):
        path.unlink(missing_ok=True)


def _remove_tree(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise EngineError(
            f"cannot delete {error.filename or folder}: {error.strerror}.",
            "See what is mounted there or uses it.",
        ) from error


# --- processes -----------------------------------------------------------------------------


def _dockerds(files: _Files) -> list[int]:
    """Our dockerd, from the moment it is started, while it is still unshare and sh."""
    wanted = f"--config-file={files.config}"
    return [
        pid
        for pid, argv in _command_lines()
        if wanted in argv and any(Path(arg).name == "dockerd" for arg in argv)
    ]


def _processes(files: _Files) -> list[int]:
    """Every process of our engine outside its containers."""
    below = f"{files.state}/"
    others = [
        pid
        for pid, argv in _command_lines()
        if Path(argv[0]).name.startswith(("containerd", "runc"))
        and any(arg.startswith(below) for arg in argv)
    ]
    return _dockerds(files) + others


def _command_lines() -> Iterator[tuple[int, list[str]]]:
    """Of every process that has one: a zombie and a kernel thread have none."""
    for one in psutil.process_iter(["cmdline"]):
        if one.info["cmdline"]:
            yield one.pid, one.info["cmdline"]


def _signal(pids: list[int], signum: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def _wait_until_gone(pids: list[int], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _alive(pid: int) -> bool:
    """Whether it still runs. Where it was our own child, its end is taken note of."""
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
