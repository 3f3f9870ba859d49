"""Where a container may write: what is mounted for it, what of its confinement is given up for it.

A folder of this host that a container has as a bind mount is made here, named after the process
that made it, and gone with its container; one whose bench was killed is found by that name.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import docker.types

from harness import units
from harness.engine import leftovers
from harness.errors import MeasurementError
from harness.model import Io, Scratch, Workload

FOLDERS = Path("/var/tmp")
"""Of this host: on a disk, as what lies there outlives a boot (FHS 3.0, 5.15)."""
_PREFIX = "limitbench-folder-"
_MOST_SHARE = 0.5
"""Of what is free on a disk a workload's file takes at most so much."""
_IN_ROOT = ("layer", "image")
_ON_DISK = (*_IN_ROOT, "volume", "bind")
OWNED_BY_ROOT = (*_IN_ROOT, "volume", "device")
"""Where root alone may write: without capabilities, its owner."""


def mounts(scratch: Scratch | None, folder: Path | None = None) -> list[docker.types.Mount]:
    """What is mounted for it; ``folder`` is that of this host which a bind mount shows."""
    if scratch is None or scratch.type in (*_IN_ROOT, "shm"):
        return []
    at = scratch.folder
    if scratch.type == "volume":
        return [docker.types.Mount(at, None, type="volume")]
    if scratch.type == "bind":
        return [docker.types.Mount(at, str(folder), type="bind")]
    return [docker.types.Mount(at, None, type="tmpfs", tmpfs_size=scratch.size_bytes,
                               tmpfs_mode=0o1777)]  # fmt: skip


def writable(scratch: Scratch | None) -> dict[str, Any]:
    """The keywords of docker-py that take the place of those which confine a container."""
    if scratch is not None and scratch.type in _IN_ROOT:
        return {"read_only": False}
    if scratch is not None and scratch.type == "shm":
        return {"shm_size": scratch.size_bytes}
    return {}


def make_folder(at: Path = FOLDERS) -> Path:
    """A new folder of this host in which whoever is in a container may write."""
    try:
        made = tempfile.mkdtemp(f"-{leftovers.brief_mark()}", _PREFIX, at)
        inner = Path(made, "shared")
        inner.mkdir()
        inner.chmod(0o777)  # and only who may enter the outer one comes to it
    except OSError as error:
        raise MeasurementError(
            f"no folder can be made in {at}: {error.strerror}.",
            "Leave bind out of --values, or let this user write there.",
        ) from None
    return inner


def remove_folder(inner: Path) -> None:
    """Remove it with what is in it; gone already is well."""
    shutil.rmtree(inner.parent, ignore_errors=True)


def remove_abandoned_folders(at: Path = FOLDERS) -> int:
    """Remove those whose bench has died; how many there were."""
    found = [
        one
        for one in at.glob(f"{_PREFIX}*")
        if leftovers.bench_of_tag(one.name) == "died" and one.lstat().st_uid == os.geteuid()
    ]
    for one in found:
        remove_folder(one / "shared")
    return len(found)


def refuse_to_fill(workloads: Iterable[Workload], engine_root: str) -> None:
    """MeasurementError where a file would take more than half of what its disk has free.

    ``engine_root`` is where the engine keeps layers and volumes; of one that is not on this host
    nothing is known.
    """
    for one in workloads:
        if not isinstance(one, Io) or one.place not in _ON_DISK:
            continue
        where = FOLDERS if one.place == "bind" else Path(engine_root)
        try:
            free = shutil.disk_usage(where).free
        except OSError:
            continue
        if one.file_bytes > _MOST_SHARE * free:
            raise MeasurementError(
                f"a file of {units.size(one.file_bytes)} would take more than half of the "
                f"{units.size(free)} that are free at {where}.",
                "Free some, or take a smaller file.",
            )
