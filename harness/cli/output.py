"""Files that a command writes for its user: whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from harness.errors import ResultsError


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
    target = path.resolve()
    special = target.exists() and not target.is_file() and not target.is_dir()
    temporary = target if special else target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        with temporary.open("wb") as out:
            yield out
        if not special:
            temporary.replace(target)
    except OSError as error:
        raise ResultsError(
            f"cannot write {path}: {error.strerror}.", "Choose another place for it."
        ) from error
    finally:
        if not special:
            with contextlib.suppress(OSError):
                temporary.unlink()


def make_folder(path: Path) -> None:
    """Make a folder and those above it; ResultsError where that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(
            f"cannot make the folder {path}: {error.strerror}.",
            "Choose another place for it.",
        ) from error
