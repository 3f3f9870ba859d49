"""Files that a command writes for its user: whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from harness.errors import ResultsError


def write(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it; ResultsError where it cannot be written.

    What is no regular file (a pipe, ``/dev/stdout``) is written to as it stands, and a link's
    target instead of the link.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            target.write_bytes(data)
            return
        temporary.write_bytes(data)
        temporary.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise ResultsError(
            f"cannot write {path}: {error.strerror}.", "Choose another place with --output."
        ) from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it; ResultsError where that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(
            f"cannot make the folder {path}: {error.strerror}.",
            "Choose another place with --output.",
        ) from error
