"""Whether a path leads to what nobody but root or us can change.

What a program of root's finds in a folder that others may write to is theirs: a folder made before
it, a link to another place, a socket behind which somebody else listens. So owner and mode of every
step of a path are looked at before any of it is followed, made or deleted, as sshd does with its
keys (StrictModes).
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from harness.errors import UsageError

_MOST_LINKS = 40
"""As the kernel follows (path_resolution(7))."""


def distrust(path: Path, *, links: int = _MOST_LINKS) -> str:
    """Why somebody else could change what ``path`` leads to; empty where nobody could.

    What is not there yet is as safe as the folder above it. /tmp is safe for what is ours in it: in
    a folder with the sticky bit only the owner removes or renames.
    """
    steps = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow what is in question
    for step in (*reversed(steps.parents), steps):
        try:
            found = step.lstat()
        except OSError:
            return ""  # not there, or behind what lets nobody through who could be misled
        if found.st_uid not in (0, os.geteuid()):
            return f"{step} belongs to {_name(found.st_uid)}"
        if stat.S_ISLNK(found.st_mode):
            if links == 0:
                return f"{step} is a link without end"
            rest = steps.relative_to(step)
            return distrust(step.parent / step.readlink() / rest, links=links - 1)
        if _shared(found) and not (found.st_mode & stat.S_ISVTX and step != steps):
            return f"{step} may be written to by others"
    return ""


def _shared(found: os.stat_result) -> bool:
    """By everybody, or of a folder by a group: a socket may have one that is to use it."""
    by_group = stat.S_ISDIR(found.st_mode) and found.st_gid != 0 and found.st_mode & stat.S_IWGRP
    return bool(found.st_mode & stat.S_IWOTH or by_group)


def make_private(folder: Path) -> None:
    """Have a folder that nobody else can look into, made where it is missing; OSError as mkdir.

    UsageError where it is somebody else's, before and after it was made.
    """
    require(folder)
    for missing in [one for one in reversed(folder.parents) if not one.exists()]:
        missing.mkdir(mode=0o755, exist_ok=True)  # whatever umask would let others do
    folder.mkdir(mode=0o700, exist_ok=True)
    require(folder)
    folder.chmod(0o700)


def require(path: Path) -> None:
    """UsageError where ``distrust`` has a reason."""
    if why := distrust(path):
        raise UsageError(
            f"{path} is not safe for the private engine: {why}.",
            "Set BENCH_ENGINE_DIR to a folder that only root can change.",
        )


def _name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
