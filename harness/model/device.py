"""A block device, with what is counted there of a container."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDevice:
    """The device that the data of a trial lay on, and that its limits of rates are about."""

    path: str
    """Of the whole disk: the kernel limits no partition."""
    number: str
    """``major:minor``, as the kernel's files name it."""
    filesystem: str
    scheduler: str | None = None
    """The active one: ``none``, ``mq-deadline``, ``bfq``."""
    rotational: bool | None = None
    """Whether the kernel takes it for one that turns; some kernels throttle others in slices of
    20 ms instead of 100 ms (block/blk-throttle.c)."""
    io_cost: bool | None = None
    """Whether io.cost weighs it (v2); None where the kernel has no such file."""
    made: bool
    """True of a loop device that was made for the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIo:
    """What a container has read from one device, and written to it, since it began. Raw counters.

    v1 counts what the throttle has let pass (blkio.throttle.io_service_bytes, io_serviced), v2
    each bio as it is sent (io.stat).
    """

    number: str
    """``major:minor`` of the device."""
    read_bytes: int
    write_bytes: int
    reads: int
    """Bios, and no system calls: a large one is split, neighbours are merged after it."""
    writes: int
