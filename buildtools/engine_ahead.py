"""Installs the engine while .venv is made: a first ``./bench sweep`` waits for the longer of both.

``./bench`` runs it by the system's Python, before there is any package:

    engine_ahead.py wanted COMMAND...   0: an engine is to be installed, and whoever is at the
                                        terminal said yes; 4: they said no; 1: leave it be
    engine_ahead.py install PID         installs it; ends with the process PID, its parent

It only saves time, and knows commands by their first word: one that is misspelt further on has its
engine too. Where there may be an engine, and where the installation fails, the command
itself finds out what holds, and says so.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

if sys.version_info < (3, 11):  # noqa: UP036 - it is whatever the system has
    sys.exit(1)
sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.engine import install
from harness.errors import BenchError

MEASURE = {"ab", "audit", "find", "sweep"}
"""Commands that have an engine, or start one, whatever else they are told, but for ``ANOTHER``."""
ANOTHER = ("engine-host", "dry-run")
NAMED = ("DOCKER_HOST", "DOCKER_CONTEXT", "BENCH_ENGINE_HOST")
SETTINGS = (Path("bench.toml"), Path("pyproject.toml"))
SOCKET = Path("/var/run/docker.sock")
STOPPED_BY = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1


def missing(command: Sequence[str]) -> bool:
    """Whether the command takes an engine, and there is none, nor a dockerd to start."""
    if not command or command[0] not in MEASURE or {"-h", "--help"} & {*command}:
        return False
    said = [*command, *map(read, SETTINGS)]
    options = f"BENCH_{command[0].upper()}_"
    contexts = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111
    return (
        not any(word in text for word in ANOTHER for text in said)
        and not any(os.environ.get(name) for name in NAMED)
        and not any(name.startswith(options) for name in os.environ)
        and not SOCKET.exists()
        and not (contexts / "config.json").exists()
        and install.find_tool("dockerd") is None
        and not (install.unfit() or install.obstacle())
    )


def read(path: Path) -> str:
    """Nothing where it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def wanted(command: Sequence[str]) -> int:
    """Ask whoever is at the terminal; see the top of this file for what is returned."""
    if not missing(command):
        return 1
    try:
        install.require_consent(ask if sys.stdin.isatty() and sys.stderr.isatty() else None)
    except BenchError as error:
        say(str(error))
        return error.exit_code
    return 0


def ask(question: str) -> bool:
    """A question with a default of yes."""
    while True:
        sys.stderr.write(f"{question} [Y/n]: ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
        if not answer:
            raise KeyboardInterrupt
        if answer.strip().lower() in ("", "y", "yes", "n", "no"):
            return not answer.strip().lower().startswith("n")


def say(text: str) -> None:
    """As `bench` says it."""
    sys.stderr.write(f"bench: {text}\n")


def end_with(parent: int) -> None:
    """Be sent SIGTERM where the parent ends, by whatever: `./bench`, and what it becomes."""
    # SIGINT too: what a shell starts in the background ignores it, and so would apt-get.
    for number in STOPPED_BY:
        signal.signal(number, interrupt)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise KeyboardInterrupt


def interrupt(_number: int, _frame: object) -> NoReturn:
    """Let apt-get come to a safe point first; a second signal, as a group gets, is too much."""
    for number in STOPPED_BY:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    try:
        if arguments[:1] == ["wanted"]:
            return wanted(arguments[1:])
        end_with(int(arguments[1]))
        install.have_dockerd(say, None)
    except BenchError:  # the command meets it again, and says what to do
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
