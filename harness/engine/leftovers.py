"""What a bench that died has left running.

Each container of ours names the process of the bench that made it, in a label for the engine that
holds it, and in its environment for when that engine is gone: a dockerd that is killed leaves its
shims and containers, and the next engine knows nothing of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from harness.model import WriterProcess
from harness.store import writer

PROCESS_LABEL = "org.limitbench.process"
_VARIABLE = "LIMITBENCH_PROCESS"
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
_BRIEF = re.compile(
    r"-p(?P<pid>[1-9]\d{0,6})-(?P<started_s>\d{1,10}\.\d\d)-(?P<place>[0-9a-f]{8})$", re.ASCII
)
_MOST_PID = 4 << 20
"""PID_MAX_LIMIT of include/linux/threads.h."""
_KILL_S = 10.0
_ROUNDS = 5
"""So often what is left is looked for: a program may fork while it is ended."""

Bench = Literal["lives", "died", "unknown"]
"""Of the bench that made a container. Unknown: on another host or in another pid namespace."""


@dataclass(frozen=True, slots=True)
class Stray:
    """A process in a container whose bench has died."""

    pid: int
    command: str
    container: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})"


def mark() -> str:
    """This process, as its containers name it."""
    return json.dumps(asdict(writer.own()))


def environment() -> dict[str, str]:
    """What the processes of our containers bear, and no others."""
    return {_VARIABLE: mark()}


def bench_of(listed: Mapping[str, Any]) -> Bench:
    """Of a container as the engine lists it.

    A host that was started anew ended all its containers: one that runs although its bench had
    another boot was made from another host of the same name.
    """
    process = _parsed((listed.get("Labels") or {}).get(PROCESS_LABEL, ""))
    found = _bench(process)
    if process is None or found != "died" or process.boot_id == writer.own().boot_id:
        return found
    ended = listed.get("State") != "running" and listed["Created"] < psutil.boot_time()
    return "died" if ended else "unknown"


def brief_mark() -> str:
    """This process in the few letters that an image's tag has room for; not all bear a label."""
    here = writer.own()
    return f"p{here.pid}-{here.started_s:.2f}-{_place_of(here)}"


def bench_of_tag(tag: str) -> Bench:
    """Of an image whose tag ends with such a mark."""
    found = _BRIEF.search(tag)
    here = writer.own()
    if found is None or found["place"] != _place_of(here):
        return "unknown"
    return _bench(replace(here, pid=int(found["pid"]), started_s=float(found["started_s"])))


def _place_of(process: WriterProcess) -> str:
    """Host, boot and pid namespace, without which a process id says nothing."""
    text = f"{process.host}\n{process.boot_id}\n{process.pid_namespace}"
    return f"{zlib.crc32(text.encode()):08x}"


def bench_of_lasting(listed: Mapping[str, Any]) -> Bench:
    """Of a volume or an image as the engine lists it.

    These survive a boot: then nothing is known of them.
    """
    process = _parsed((listed.get("Labels") or {}).get(PROCESS_LABEL, ""))
    if process is None or process.boot_id != writer.own().boot_id:
        return "unknown"
    return _bench(process)


def strays(of: str | None = None, proc: Path = Path("/proc")) -> list[Stray]:
    """Processes of this host in containers of a bench that died, as far as we may see them.

    ``of`` is the ``mark`` of one bench instead: of this one, whose engine is gone.
    """
    folders = [folder for folder in proc.iterdir() if folder.name.isdecimal()]
    return [one for folder in folders if (one := _stray(folder, of)) is not None]


def end(found: list[Stray], of: str | None = None) -> list[Stray]:
    """End them and what they fork meanwhile; those that were ended.

    The shim of a container whose containerd is gone, and its empty cgroups, go too.
    """
    ended: dict[int, Stray] = {}
    for _ in range(_ROUNDS):
        ended |= {one.pid: one for one in found if _killed(one, of)}
        if not (found := strays(of)):
            break
    for container in {one.container for one in ended.values()}:
        _clear(container)
    return list(ended.values())


# --- processes -----------------------------------------------------------------------------


def _stray(folder: Path, of: str | None) -> Stray | None:
    """Two signs, both of them: the variable that we set, and a cgroup named as containers are."""
    try:
        variables = (folder / "environ").read_bytes().split(b"\0")
        text = next(one for one in variables if one.startswith(f"{_VARIABLE}=".encode()))
        said = text.decode(errors="replace").partition("=")[2]
        if said != of if of is not None else _bench(_parsed(said)) != "died":
            return None
        container = _CONTAINER_ID.search((folder / "cgroup").read_text())
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except (OSError, StopIteration):
        return None  # it ended, is not ours to see, or none of ours
    if container is None:
        return None
    command = "".join(one if one.isprintable() else "?" for one in Path(words[0]).name)
    return Stray(int(folder.name), command, container[0])


def _killed(one: Stray, of: str | None) -> bool:
    """Kill it and wait for its end, by a descriptor: its number may be another's by now."""
    try:
        descriptor = os.pidfd_open(one.pid)
    except ProcessLookupError:
        return False
    try:
        # What is read after the descriptor was opened is its process's, or the signal meets none.
        if _stray(Path("/proc", str(one.pid)), of) != one:
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            ended, _, _ = select.select([descriptor], [], [], _KILL_S)
            return bool(ended)
        return False
    finally:
        os.close(descriptor)


def _parsed(text: str) -> WriterProcess | None:
    """None where there is no such text: anybody may write a label or a variable of this name."""
    try:
        said = json.loads(text)
        if not (type(said["pid"]) is int and 0 < said["pid"] <= _MOST_PID):
            return None
        return WriterProcess(**{**said, "started_s": float(said["started_s"])})
    except (ValueError, TypeError, KeyError):
        return None


def _bench(process: WriterProcess | None) -> Bench:
    if process is None:
        return "unknown"
    status, _ = writer.state(process)
    if status == "interrupted":
        return "died"
    here = writer.own()
    here = replace(here, pid=process.pid, started_s=process.started_s)
    return "lives" if process == here else "unknown"


# --- what stays of a container without an engine -----------------------------------------------


def _clear(container: str) -> None:
    for shim, argv in _shims(container):
        address = argv[argv.index("-address") + 1] if "-address" in argv[:-1] else ""
        if not _answers(address):
            with contextlib.suppress(psutil.Error):
                shim.kill()  # whose number psutil does not mistake for another's
            for folder in Path("/sys/fs/cgroup").rglob(container):
                with contextlib.suppress(OSError):  # in use, so not ours to remove
                    folder.rmdir()


def _shims(container: str) -> Iterator[tuple[psutil.Process, list[str]]]:
    for one in psutil.process_iter(["cmdline"]):
        argv = one.info["cmdline"] or [""]
        if Path(argv[0]).name.startswith("containerd-shim") and container in argv:
            yield one, argv


def _answers(address: str) -> bool:
    """Whether a containerd listens there, which sees to its shims itself."""
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(5)
            asking.connect(address.removeprefix("unix://"))
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except OSError:
        return True
    return True
