"""How much of a disk a container gets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from harness import limits as rules
from harness.errors import PlanError
from harness.limits import EngineCpus
from harness.model import ContainerSpec, Io, Point, Program
from harness.plan.axes.axis import (
    Axis,
    NoSuchValueError,
    Options,
    point,
    texts,
    whole,
    with_limits,
)
from harness.plan.axes.cpu import load_on_every_cpu

DEFAULT_IO = ("none", "1m", "4m", "16m", "4m@read", "1m@fsync", "1m@buffered")
PROGRAM_IO = ("none", "16m", "4m", "1m")
QUICK_IO = ("1m", "4m@read", "1m@buffered")
DEFAULT_IOPS = ("100", "400", "100@64k", "20@1m", "100@read", "100@4k+1m", "100@64k+1m")
QUICK_IOPS = ("100", "100@64k+1m")
DEFAULT_WEIGHTS = ("500:500", "800:200", "800:200@device")
OF_DEVICE = "device"
NONE, READ, FSYNC, BUFFERED = "none", "read", "fsync", "buffered"
_WAYS = (READ, FSYNC, BUFFERED)
DEPTH = 8
"""So many I/Os are under way at once, so that one always waits: what a slice of the throttle lets
pass and nobody asks for is lost (block/blk-throttle.c)."""
_LEAST_BLOCK, _MOST_BLOCK = 4 << 10, 64 << 10
_BLOCKS_A_SECOND = 64
_LEAST_BPS = 64 << 10
_FSYNCS_A_SECOND = 8
_MOST_FILE = 16 << 20


def _direct(
    *, operation: Literal["write", "read"] = "write", block: int, bps: int | None = None
) -> Io:
    """Its file is laid out under the limit too: so it is no larger than what a second lets pass."""
    room = min(_MOST_FILE, bps) if bps and operation == "write" else _MOST_FILE
    return Io(
        operation=operation, way="direct", block_bytes=block, depth=DEPTH, place="device",
        file_bytes=max(room, DEPTH * block),
    )  # fmt: skip


def _block(bps: int, a_second: int, most: int = _MOST_BLOCK) -> int:
    """A power of two of which about so many pass in a second: few more of one edge or the other."""
    wanted = max(_LEAST_BLOCK, min(most, bps // a_second))
    return int(1 << (wanted.bit_length() - 1))


def _programs_io(options: Options, cpus: EngineCpus) -> Iterable[Point]:
    """A program whose volume lies on the device, under limits on what it writes there."""
    workload = load_on_every_cpu(options, cpus)
    if not isinstance(workload, Program) or workload.description.image.volume is None:
        raise PlanError(
            f"'{workload.name}' writes to no disk that could be limited.",
            'Say where it writes: volume = "/data" in [image] of its file.',
        )
    for text in texts(options, PROGRAM_IO):
        varied = {} if text == NONE else {"device_write_bps": _bps(text)}
        spec = ContainerSpec(
            limits=with_limits(options.fixed, **varied),
            workload=replace(workload, place="device"),
        )
        yield point("io", "io", text, spec)


def _bps(size: str) -> int:
    bps = rules.parse_size(size)
    if bps < _LEAST_BPS:
        raise PlanError(f"{size} a second is too little to be measured in a window.",
                        "Give 64k or more.")  # fmt: skip
    return bps


def _io(options: Options, cpus: EngineCpus) -> Iterable[Point]:
    if isinstance(options.workload, Program):
        yield from _programs_io(options, cpus)
        return
    for text in texts(options, QUICK_IO if options.quick else DEFAULT_IO):
        size, _, way = text.partition("@")
        if way and way not in _WAYS:
            raise PlanError(f"'{way}' is no way to a disk.", f"Known: {', '.join(_WAYS)}.")
        bps = None if size == NONE else _bps(size)
        operation: Literal["write", "read"] = "read" if way == READ else "write"
        load = _direct(operation=operation, block=_block(bps or _MOST_FILE, _BLOCKS_A_SECOND),
                       bps=bps)  # fmt: skip
        if way == FSYNC:
            block = _block(bps or _MOST_FILE, _FSYNCS_A_SECOND, 1 << 20)
            load = Io(way="fsync", block_bytes=block, file_bytes=max(block, load.file_bytes),
                      place="device")  # fmt: skip
        elif way == BUFFERED:
            load = Io(way="buffered", block_bytes=_MOST_BLOCK, place="device",
                      file_bytes=max(_MOST_BLOCK, load.file_bytes))  # fmt: skip
        varied: dict[str, Any] = {} if bps is None else {f"device_{operation}_bps": bps}
        spec = ContainerSpec(limits=with_limits(options.fixed, **varied), workload=load)
        yield point("io", "io", " ".join(filter(None, (size, way))), spec)


def _iops(options: Options, _cpus: EngineCpus) -> Iterable[Point]:
    """``100``, ``100@64k``: of that size; ``@read``; ``+1m``: with a limit on bytes, too."""
    for text in texts(options, QUICK_IOPS if options.quick else DEFAULT_IOPS):
        before, _, size = text.partition("+")
        times, *more = before.split("@")
        operation: Literal["write", "read"] = "read" if READ in more else "write"
        sizes = [one for one in more if one != READ]
        if len(sizes) > 1:
            raise NoSuchValueError(f"'{text}' has two sizes.")
        block = rules.parse_size(sizes[0]) if sizes else _LEAST_BLOCK
        if block % 512 or not 512 <= block <= 1 << 20:
            raise PlanError(f"{text}: no size of one I/O.", "Give 512 to 1m, in steps of 512.")
        varied: dict[str, Any] = {f"device_{operation}_iops": whole(times)}
        if size:
            varied[f"device_{operation}_bps"] = rules.parse_size(size)
        spec = ContainerSpec(
            limits=with_limits(options.fixed, **varied),
            workload=_direct(operation=operation, block=block, bps=1 << 20),
        )
        yield point("iops", "iops", text.replace("@", " ").replace("+", " + "), spec)


def _weight(options: Options, _cpus: EngineCpus) -> Iterable[Point]:
    """``800:200``; ``800:200@device``: as weights of the device, and not of all disks."""
    for text in texts(options, DEFAULT_WEIGHTS):
        said, _, of = text.partition("@")
        if of not in ("", OF_DEVICE):
            raise NoSuchValueError(f"'{of}' has no weights.")
        weights = [whole(one) for one in said.split(":")]
        if len(weights) < 2:
            raise NoSuchValueError(f"'{text}' names one container.")
        field = "blkio_weight_device" if of else "blkio_weight"
        specs = [
            ContainerSpec(
                limits=with_limits(options.fixed, **{field: weight}),
                workload=_direct(block=_MOST_BLOCK),
            )
            for weight in weights
        ]
        yield point("io-weight", "io-weight", text.replace("@", " "), *specs)


AXES = (
    Axis(
        "io", "--device-write-bps", "bytes a second of a disk, past the page cache or through it",
        "--values 1m,4m@read,1m@fsync,1m@buffered", _io,
        metric="io_bytes_rate", log=True, on_device=True, takes="program",
    ),
    Axis(
        "iops", "--device-write-iops", "I/Os a second of several sizes, and both limits at once",
        "--values 100,100@64k,100@read,100@64k+1m", _iops,
        metric="io_rate", log=True, on_device=True,
    ),
    Axis(
        "io-weight", "--blkio-weight", "how containers that want the same disk share it",
        "--values 500:500,800:200@device", _weight, metric="io_ratio", on_device=True,
    ),
)  # fmt: skip
