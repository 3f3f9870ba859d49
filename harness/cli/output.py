"""How a command's output reaches its user.

A file is there whole or not at all; the standard streams are ours, so that their errors can be told
from all others.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from harness.errors import ResultsError
from harness.wording import visible

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def write(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it; ResultsError where it cannot be written.

    What is no regular file (a pipe, ``/dev/stdout``) is written to as it stands, and a link's
    target instead of the link.
    """
    with writing(path) as out:
        out.write(data)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """The same for what is written piece by piece: the file is there at the end of the block."""
    special = path.exists() and not path.is_file() and not path.is_dir()
    target = path if special else path.resolve()
    temporary = target if special else target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        with _open(temporary) as out:
            yield out
        if not special:
            temporary.replace(target)
    except BrokenPipeError:
        raise ReaderGoneError from None
    except OSError as error:
        raise ResultsError(
            f"cannot write {path}: {error.strerror}.", "Choose another place for it."
        ) from error
    finally:
        if not special:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _open(path: Path) -> BinaryIO:
    """Our own standard output by its number: opened by name, a pipe without a reader blocks."""
    if path.exists() and path.samefile("/dev/fd/1"):
        sys.stdout.flush()
        return os.fdopen(os.dup(1), "wb")
    return path.open("wb")


def make_folder(path: Path) -> None:
    """Make a folder and those above it; ResultsError where that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(
            f"cannot make the folder {path}: {error.strerror}.",
            "Choose another place for it.",
        ) from error


# --- standard output and standard error --------------------------------------------------------


class ReaderGoneError(Exception):
    """Nobody reads our output any more, as after ``| head``: there is nobody to tell.

    Not a BrokenPipeError, which an engine's socket may raise as well.
    """


class _Output(io.FileIO):
    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            raise ReaderGoneError from None
        except OSError as error:
            raise ResultsError(f"cannot write to standard output: {error.strerror}.") from error


class _Errors(io.FileIO):
    def write(self, data: ReadableBuffer, /) -> int:
        """What cannot be told must not end a measurement."""
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


def open_standard_streams() -> None:
    """Replace Python's standard streams by ours, whose errors can be told from all others.

    ResultsError where standard output is closed: whatever a command says would be lost. A closed
    input or error stream becomes /dev/null, as the next file to be opened would get its number.
    """
    if sys.stdout is not sys.__stdout__:
        return  # somebody's who calls us within his own process
    closed = sys.stdout is None
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - for as long as we run
    sys.stdout = _text(_Output(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Errors(2, "w", closefd=False), sys.stderr)
    if closed:
        raise ResultsError("standard output is closed.", "Send it to a file, or to /dev/null.")


_COLOURS = re.compile("(\x1b\\[(?:0|1|3[1-7])m)")
"""What ``click.style`` makes of our own headings: bold, colours and their end."""


class Escaping(io.TextIOWrapper):
    """A stream on which names, and what programs and engines say, command no terminal.

    Everything that is printed passes here, but for what rich lays out: ``cli.terminal`` has that.
    """

    def write(self, text: str, /) -> int:
        """Write it with its control characters as numbers."""
        parts = _COLOURS.split(text)
        parts[::2] = map(visible, parts[::2])
        super().write("".join(parts))
        return len(text)

    def write_as_is(self, text: str) -> int:
        """Write what may command a terminal, and whose words were escaped before."""
        return super().write(text)


def _text(raw: io.FileIO, like: TextIO | None) -> TextIO:
    return Escaping(
        io.BufferedWriter(raw),
        encoding=None if like is None else like.encoding,
        # A terminal that lacks a letter shows its number, in both streams.
        errors="backslashreplace",
        line_buffering=raw.isatty() or raw.fileno() == 2,
    )


def drop_unwritten() -> None:
    """What could not be written is not tried again when Python ends, which would exit with 120."""
    try:
        sys.stdout.flush()
    except (ReaderGoneError, ResultsError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        os.close(devnull)
