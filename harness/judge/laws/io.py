"""How much of a disk a container gets.

The throttle (block/blk-throttle.c) lets pass, in each slice of 100 ms, what the slice's time is
worth, and holds the rest until the next. So a window of whole slices holds exactly that many
budgets, whatever its phase, as one of whole quota periods holds that many quotas. A slice that
nobody used is not made up for later, but for the first after an idle time, which passes at once:
the warm-up has it.

Whose an I/O is, is who sends it: a write past the page cache and a ``fsync`` are the caller's own
on v1 and v2. What the kernel writes back by itself is nobody's on v1, and so is not limited; on v2
it is the owner's, where the file system says who that is.
"""

from __future__ import annotations

import math
from dataclasses import replace

from harness import limits as rules
from harness import units
from harness.judge.laws.circumstances import Circumstances
from harness.model import ContainerSpec, Expectation, Io, Point, Scale

RATE_TOLERANCE = 0.02
"""The share by which a rate may miss its limit. See docs/decisions/034."""
WEIGHT_TOLERANCE = 0.10
"""bfq budgets by sectors, and hands a queue's rest on when that runs empty."""
_SOURCE = "block/blk-throttle.c"
_WRITEBACK = "Documentation/admin-guide/cgroup-v2.rst, Writeback"
MOST_BIO = 64 << 10
"""An I/O of more may become several bios: by what a device takes at once, by the pages of a file
that lie apart, by those of the buffer (block/blk-merge.c; BIO_MAX_VECS)."""
_ESCAPED = 0.05
"""Of the limit: so much of what the page cache took may be sent in the container's own name (a
journal's commit)."""


def expectations(point: Point, given: Circumstances) -> tuple[Expectation, ...]:
    """Those of a point whose containers read or write a disk."""
    if len(point.containers) > 1:
        return _shares(point, given)
    return rates(point, point.containers[0], given)


def rates(point: Point, spec: ContainerSpec, given: Circumstances) -> tuple[Expectation, ...]:
    """Bytes or I/Os a second = the limit, the tighter of both; none without a limit."""
    limits, load = spec.limits, spec.workload
    assert isinstance(load, Io)
    if load.place != "device" or load.operation == "files":
        return ()  # what a file system's own writes are for the life of a file, nobody promises
    bps, iops = (
        (limits.device_read_bps, limits.device_read_iops)
        if load.operation == "read"
        else (limits.device_write_bps, limits.device_write_iops)
    )
    found = [(float(bps), "bps")] if bps else []
    found += [(float(iops * load.block_bytes), "iops")] if iops else []
    if not found:
        return ()
    most, kind = min(found)
    tolerance = _tolerance(most, load, point.duration_s)
    limit = Expectation(
        metric="io_bytes_rate", value=most, law=f"io-throttle-{kind}",
        text="bytes a second = the limit" + (", the tighter of both" if found[1:] else ""),
        low=-tolerance, high=tolerance,
        source=_SOURCE, bound=f"--device-{load.operation}-{kind}", explanation=_own_speed(given),
    )  # fmt: skip
    if load.rate_hz is not None and load.rate_hz * load.block_bytes < most * (1 + tolerance):
        # It may want less.
        limit = replace(limit, low=-1.0, text="no more bytes a second than the limit")
    match load.way:
        case "direct":
            return _direct(limit, load, kind, in_ios=point.axis == "iops")
        case "fsync":
            return (replace(limit, low=-1.0, law="io-fsync", explanation="",
                            text="what fsync writes is limited too"),)  # fmt: skip
        case _ if load.operation == "read":
            return ()  # the page cache answers, and a disk hardly sees any of it
        case _:
            return (_through_the_cache(limit, given),)


def _direct(limit: Expectation, load: Io, kind: str, *, in_ios: bool) -> tuple[Expectation, ...]:
    """What the load says of itself, and what the kernel counts at the device."""
    counted = "and so the kernel counts it"
    if not in_ios:
        law = replace(limit, metric="io_device_bytes_rate", law="io-counted", text=counted)
        # A number of bios is no number of bytes where an I/O is several.
        return (limit, law) if kind == "bps" or load.block_bytes <= MOST_BIO else (law,)
    ios = replace(
        limit, metric="io_rate", value=limit.value / load.block_bytes,
        text=limit.text.replace("bytes", "I/Os"),
    )  # fmt: skip
    bios = replace(ios, metric="io_device_rate", law="io-counted", text=counted)
    if load.block_bytes <= MOST_BIO:
        return ios, bios
    if kind == "bps":
        return (ios,)
    return (replace(
        bios, law=limit.law, text=limit.text.replace("bytes", "bios"),
        explanation=f"an I/O of {units.size(load.block_bytes)} is several bios",
    ),)  # fmt: skip


def _through_the_cache(law: Expectation, given: Circumstances) -> Expectation:
    """What the container is charged with at the device; the program has long gone on."""
    if given.engine.cgroup_version == 1:
        return replace(
            law, metric="io_device_bytes_rate", value=0.0, low=0.0, high=_ESCAPED * law.value,
            scale=Scale.ABSOLUTE, law="io-escapes",
            text="v1: what the page cache takes is written back in nobody's name, without a limit",
            source="Documentation/admin-guide/cgroup-v1/blkio-controller.rst",
            bound="page cache", explanation="",
        )  # fmt: skip
    return replace(
        law, metric="io_device_bytes_rate", low=-1.0, law="io-writeback",
        text="v2: what the page cache writes back is its owner's, and limited",
        source=_WRITEBACK, explanation=_unowned(given),
    )  # fmt: skip


_OWNED = {"ext2", "ext4", "btrfs", "f2fs", "xfs"}


def _unowned(given: Circumstances) -> str:
    filesystem = given.device.filesystem if given.device else "ext4"
    return "" if filesystem in _OWNED else f"{filesystem} does not tell whose a page is"


def _own_speed(given: Circumstances) -> str:
    if given.device is None or given.device.made:
        return ""
    return f"{given.device.path} may be slower by itself: `--values none` tells"


def _tolerance(most: float, load: Io, duration_s: float) -> float:
    """An I/O counts in the window in which it ends: one more, or less, at its edges."""
    return RATE_TOLERANCE + load.block_bytes / (most * duration_s)


# --- weights ---------------------------------------------------------------------------------


def _shares(point: Point, given: Circumstances) -> tuple[Expectation, ...]:
    weights = [rules.io_weight_of(spec.limits) for spec in point.containers]
    known = [weight for weight in weights if weight is not None]
    if len(known) < len(weights):
        return ()
    tolerance = math.log1p(WEIGHT_TOLERANCE)
    refusal = not_weighed(given)
    of_device = any(spec.limits.blkio_weight_device is not None for spec in point.containers)
    bound = "--blkio-weight-device" if of_device else "--blkio-weight"
    if of_device and given.refused:
        refusal = (
            "the engine started none, as where bfq is not the active scheduler of the device: "
            f"{given.refused}"
        )
    return tuple(
        Expectation(
            metric="io_ratio", container=i, value=weight / known[-1], low=-tolerance,
            high=tolerance, scale=Scale.LOG, law="io-weight",
            text="bytes of containers that compete = the ratio of their weights",
            source="Documentation/block/bfq-iosched.rst", bound=bound,
            not_exercisable=refusal,
        )
        for i, weight in enumerate(known[:-1])
    )  # fmt: skip


def not_weighed(given: Circumstances) -> str:
    """Why no weight does anything here, with what would have to be set; empty where one does."""
    device = given.device
    if given.weight_discarded:
        return (
            f"the weight is {rules.DISCARDED}: on cgroup v1 that came with the scheduler cfq, and "
            "went with it in kernel 5.0. Boot with cgroup v2"
        )
    if given.weight_unwritten:
        return (
            "the runtime wrote no weight of the device, as where there is no io.bfq.weight "
            "(modprobe bfq), or runc is older than 1.1: the kernel holds none"
        )
    if device is None or device.scheduler == "bfq":
        return ""
    cost = (
        " (io.cost is enabled, but the runtime writes io.bfq.weight wherever that file is)"
        if device.io_cost
        else ""
    )
    return (
        f"the scheduler of {device.path} is {device.scheduler or 'not known'}, which weighs "
        f"nobody{cost}: echo bfq > /sys/block/{device.path.rpartition('/')[2]}/queue/scheduler"
    )
