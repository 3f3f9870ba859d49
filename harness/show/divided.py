"""Work divided among this host's CPUs: a part of it is done by copies of this process.

A copy (fork) knows all that this process knows, so that nothing is loaded or sent twice but what
comes of the work. Nobody waits for anybody before the end: whoever is free takes the next piece,
and what a copy owes, because it was killed or its piece failed, is done here.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import struct
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, TypeVar

T = TypeVar("T")

_TICKET = struct.Struct("H")
"""The number of a piece. A pipe gives each reader a whole one."""
_PR_SET_PDEATHSIG = 1
"""include/uapi/linux/prctl.h"""
_PATIENCE_S = 60.0
"""So long a copy is waited for that has not come to its end; no piece takes that long."""


@contextlib.contextmanager
def divided(pieces: Sequence[Callable[[], T]]) -> Iterator[Callable[[], list[T]]]:
    """Copies work on the pieces while the block runs; what it is given takes part, and returns all.

    Each piece's result in the pieces' order, which must be picklable; a piece's exception is raised
    there, by this process. Nothing is divided where there is one CPU, or where this process has
    threads: a copy would have their locks and not them.
    """
    copies: list[tuple[Any, IO[bytes]]] = []
    with contextlib.ExitStack() as end:
        ticket, stock = os.pipe()
        end.callback(os.close, ticket)
        # All tickets are there before anybody takes one; then an empty pipe is the end.
        os.write(stock, b"".join(map(_TICKET.pack, range(len(pieces)))))
        os.close(stock)
        for _ in range(_helpers(len(pieces))):
            file = end.enter_context(tempfile.TemporaryFile())
            copies.append((_copy(pieces, ticket, file), file))
        end.callback(_stop, [process for process, _ in copies])

        def results() -> list[T]:
            done = {number: pieces[number]() for number in _taken(ticket)}
            for process, file in copies:
                process.join(_PATIENCE_S)
                _stop([process])
                done |= _read(file)
            return [done[i] if i in done else piece() for i, piece in enumerate(pieces)]

        yield results


def _helpers(pieces: int) -> int:
    if sys.platform != "linux" or threading.active_count() > 1:
        return 0
    return max(0, min(len(os.sched_getaffinity(0)), pieces) - 1)


def _copy(pieces: Sequence[Callable[[], T]], ticket: int, file: IO[bytes]) -> Any:
    process = multiprocessing.get_context("fork").Process(
        target=_work, args=(pieces, ticket, file), daemon=True
    )
    with warnings.catch_warnings():
        # Of threads that are no thread of Python's: those of BLAS and Arrow mind a fork themselves.
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
        process.start()
    return process


def _work(pieces: Sequence[Callable[[], T]], ticket: int, file: IO[bytes]) -> None:
    # Nobody reads what it makes once its parent has ended, even by a signal that no code hears.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Whatever happens to a piece here happens again where it can be told; Ctrl-C is told there too.
    with contextlib.suppress(BaseException):
        for number in _taken(ticket):
            pickle.dump((number, pieces[number]()), file)
            file.flush()


def _taken(ticket: int) -> Iterator[int]:
    """The next piece that nobody has taken, until there is none."""
    while one := os.read(ticket, _TICKET.size):
        yield _TICKET.unpack(one)[0]


def _read(file: IO[bytes]) -> dict[int, Any]:
    found = dict[int, Any]()
    file.seek(0)
    with contextlib.suppress(EOFError, pickle.UnpicklingError):
        while True:
            number, result = pickle.load(file)
            found[number] = result
    return found


def _stop(processes: Sequence[Any]) -> None:
    for process in processes:
        process.kill()
        process.join()
