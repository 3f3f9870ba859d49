"""Where data lies: the same load on files in each place that a container can have for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import get_args

from harness import limits as rules
from harness.limits import EngineCpus
from harness.model import ContainerSpec, Io, Kept, Place, Point
from harness.model.workloads import place_of
from harness.plan.axes.axis import Axis, NoSuchValueError, Options, point, texts, with_limits
from harness.units import MIB

FILE_BYTES = 16 * MIB
FULL_BYTES = FILE_BYTES // 4
"""Of a tmpfs that is to be met full."""

LOADS = {
    "fsync": Io(way="fsync", order="random", file_bytes=FILE_BYTES),
    "read": Io(operation="read", order="random", file_bytes=FILE_BYTES),
    "write": Io(block_bytes=MIB, file_bytes=FILE_BYTES),
    "cached": Io(operation="read", way="buffered", order="random", file_bytes=FILE_BYTES),
    "files": Io(operation="files", way="buffered"),
    "files-fsync": Io(operation="files", way="fsync"),
}
"""What is done there: a database's commit (4 KiB and an fsync), its read past the page cache, a
large file's writing past it; a read through it, which is the only one that a memory limit slows;
files that are made, renamed and removed, and the same with the folder on its disk after each."""
DEFAULT_LOADS = ("fsync", "read", "write")
QUICK_LOADS = ("fsync", "read")
PLACES: tuple[Place, ...] = tuple(place for place in get_args(Place) if place != "device")
"""A device is what `bench sweep io` is about."""
_OFTEN = tuple(place for place in PLACES if place != "image")
"""An image's file is in the layer once it was opened for writing: that is what to ask of it."""
IN_MEMORY = ("tmpfs", "shm")
FULL, REMOVED = "full", "rm"
KEPT_S = 0.7
"""About what two containers take, one after the other, each of which ends at once."""
DEFAULT = (
    *(f"{place}:{load}" for load in DEFAULT_LOADS for place in _OFTEN),
    *(f"{place}:files" for place in ("layer", "volume", "tmpfs")),
    *(f"{place}:files-fsync" for place in _OFTEN if place not in IN_MEMORY),
    *(f"{place}:{REMOVED}" for place in _OFTEN),
    "image:fsync",
    "volume:cached",
    f"volume:cached@{FILE_BYTES // 2 // MIB}m",
    f"tmpfs:{FULL}",
)
QUICK = tuple(f"{place}:{load}" for load in (*QUICK_LOADS, REMOVED) for place in _OFTEN)


def _storage(options: Options, _cpus: EngineCpus) -> Iterable[Point]:
    for text in texts(options, QUICK if options.quick else DEFAULT):
        said, _, memory = text.partition("@")
        place, _, load = said.partition(":")
        for one in [load] if load else QUICK_LOADS if options.quick else DEFAULT_LOADS:
            varied = {"memory_bytes": rules.parse_size(memory)} if memory else {}
            spec = ContainerSpec(
                limits=with_limits(options.fixed, **varied), workload=_load(place, one)
            )
            name = f"{place}:{one}" + (f"@{memory}" if memory else "")
            yield point("storage", "storage", name, spec)


def _load(place: str, load: str) -> Io | Kept:
    if place not in PLACES:
        raise NoSuchValueError(f"'{place}' is no place: {', '.join(PLACES)}.")
    if load == REMOVED:
        if place not in _OFTEN:
            raise NoSuchValueError("a changed file of the image is in the layer: layer:rm.")
        return Kept(place=place_of(place))
    if load == FULL and place in IN_MEMORY:
        return replace(LOADS["fsync"], place=place, room_bytes=FULL_BYTES)
    if place == "image" and load.startswith("files"):
        raise NoSuchValueError("files are made in the layer, and never in the image.")
    if load not in LOADS:
        known = ", ".join([*LOADS, REMOVED, f"{FULL} (of tmpfs, shm)"])
        raise NoSuchValueError(f"'{load}' is no load: {known}.")
    return replace(LOADS[load], place=place)


AXES = (
    Axis(
        "storage", "where", "fsyncs, reads, writes in a layer, volume, folder, tmpfs, /dev/shm",
        "--values layer,volume:fsync,tmpfs:write@32m,volume:rm", _storage,
        metric="io_rate", apart=True, window_s=0.8,
    ),
)  # fmt: skip
