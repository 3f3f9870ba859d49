"""A cgroup of our own around the containers of a trial.

An engine makes it where containers ask for it (``--cgroup-parent``) and leaves it there; its limits
and its end are ours. Empty ones are nobody's: whoever still needs one has a container in it, and an
engine makes it anew for the next.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from harness.cgroup.mounts import everywhere, visible_mounts
from harness.cgroup.paths import locate
from harness.errors import MeasurementError
from harness.model import Limits

_PREFIX = "limitbench_"
_GONE_S = 1.0
"""So long a cgroup may still be in use after its last container was removed."""
_LOOK_S = 0.02
_MEMORY = "memory"


def parent_name(what: str, driver: str) -> str:
    """A name for ``--cgroup-parent`` under that cgroup driver, with ``what`` in it.

    A slice has no ``-`` in its name, which would stand for slices around it.
    """
    name = _PREFIX + re.sub(r"[^A-Za-z0-9]", "_", what.removeprefix("limitbench-"))
    return f"{name}.slice" if driver == "systemd" else f"/{name}"


def limit_parent(
    pid: int, container_id: str, parent: str, limits: Limits, proc: Path = Path("/proc")
) -> str:
    """Give the cgroup of that name, above a running container, these limits on memory.

    Empty, or why that cannot be done here, in words.
    """
    try:
        paths = locate(pid, container_id, proc)
    except MeasurementError as error:
        return error.message.rstrip(".")
    end = f"/{parent.lstrip('/')}"
    found = [one for one in paths.above() if one.at.endswith(end) and one.folder(_MEMORY)]
    folder = found[0].folder(_MEMORY) if found else None
    if folder is None:
        return f"no cgroup {end} is seen above its containers"
    for name, text in _files(paths.version, limits):
        if not (folder / name).exists():  # swap is not accounted for, which the laws see themselves
            continue
        try:
            (folder / name).write_text(text)
        except OSError as error:
            why = f"{name} of {end} cannot be written ({error.strerror})"
            return f"{why}: that takes root on the engine's host"
    return ""


def _files(version: int, limits: Limits) -> Iterator[tuple[str, str]]:
    memory, total = limits.memory_bytes, limits.memory_swap_bytes
    if memory is None:
        return
    yield ("memory.limit_in_bytes" if version == 1 else "memory.max"), f"{memory}"
    if total is not None:
        yield (
            ("memory.memsw.limit_in_bytes", f"{total}")
            if version == 1
            else ("memory.swap.max", f"{total - memory}")
        )


def remove_parent(name: str, proc: Path = Path("/proc")) -> None:
    """Remove it in every hierarchy, its containers being gone; gone already is well.

    Podman leaves a cgroup of its monitor in it; systemd lets an empty slice go by itself.
    """
    until = time.monotonic() + _GONE_S
    path = f"/{name.lstrip('/')}"
    while not _removed(everywhere(path, proc)) and time.monotonic() < until:
        time.sleep(_LOOK_S)


def remove_empty_parents(proc: Path = Path("/proc")) -> int:
    """Remove those that are left on this host and have nothing in them; how many these were."""
    try:
        mounts = visible_mounts(proc)
    except OSError:
        return 0
    points = {one.point for them in (*mounts.v1.values(), mounts.v2) for one in them}
    found = [folder for point in points for folder in point.glob(f"{_PREFIX}*") if folder.is_dir()]
    for folder in found:
        with contextlib.suppress(OSError):  # in use: a measurement goes on in it
            folder.rmdir()
    return len({folder.name for folder in found if not folder.exists()})


def _removed(folders: list[Path]) -> bool:
    for folder in folders:
        for below, *_ in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):  # in use, or read-only
                Path(below).rmdir()
    return not any(folder.exists() for folder in folders)
