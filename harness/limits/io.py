"""How fast a disk may be used: ``io.max``, which v1 calls blkio.throttle; the weights of blkio.

An engine takes a rate or a weight for each device (``--device-write-bps /dev/sda:1m``). A sweep has
one device, which its containers keep their data on, and which is known only once they start: so
what is here is that device's, and ``placed`` names it to the engine. Whoever runs the slice or the
pod may set ``io.max`` too (Documentation/admin-guide/cgroup-v2.rst).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import units
from harness.limits.forms import NUMBER, SIZE, UNLIMITED, parse_int
from harness.limits.row import (
    NOT_READ,
    Chosen,
    Engine,
    File,
    Levels,
    Limit,
    ReadBack,
    Reading,
    Sides,
    Text,
    Written,
    held,
    limit,
    of_own,
    told,
)

DEVICE = "DEVICE"
"""Stands for the device's path until it is known."""
WEIGHT_RANGE = (10, 1000)

IoCaps = tuple[tuple[str, int], ...]
"""("8:0 rbps", 1048576): device and key of io.max, in bytes or operations a second."""

_MAX = ("blkio", "io.max")
_V1 = {
    "rbps": ("blkio", "blkio.throttle.read_bps_device"),
    "wbps": ("blkio", "blkio.throttle.write_bps_device"),
    "riops": ("blkio", "blkio.throttle.read_iops_device"),
    "wiops": ("blkio", "blkio.throttle.write_iops_device"),
}


def _of_v1(texts: Sequence[Text]) -> IoCaps | None:
    """A file a key, with a line ``8:0 1048576`` for each device that has a cap."""
    told = {key: texts[0](file) for key, file in _V1.items()}
    if all(text is None for text in told.values()):
        return None
    return tuple(
        (f"{device} {key}", int(value))
        for key, text in told.items()
        for device, value in map(str.split, (text or b"").decode("ascii", "replace").splitlines())
    )


def _of_v2(texts: Sequence[Text]) -> IoCaps | None:
    """A line a device: ``8:0 rbps=1048576 wbps=max riops=max wiops=max``."""
    found: Levels = [("", _line_by_line(text)) for at in texts if (text := at(_MAX)) is not None]
    if not found:
        return None
    tightest = each_tightest(found)
    return tightest[0] if tightest else ()


def _line_by_line(text: bytes) -> IoCaps:
    return tuple(
        (f"{device} {key}", int(value))
        for device, *pairs in map(str.split, text.decode("ascii", "replace").splitlines())
        for key, _, value in (pair.partition("=") for pair in pairs)
        if value.isdigit() and len(value) <= 20  # as 64 bits have; int() refuses thousands
    )


def each_tightest(levels: Levels) -> Chosen | None:
    """Of each device and key the tightest, and every cgroup that sets one of them."""
    found: dict[str, tuple[int, str]] = {}
    for at, caps in levels:
        for key, value in caps or ():
            found[key] = min(found.get(key, (value, at)), (value, at), key=lambda one: one[0])
    if not found:
        return None
    setting = list(dict.fromkeys(at for _, at in found.values()))
    where = setting[0] if len(setting) == 1 else " and ".join(at or "its own" for at in setting)
    return tuple((key, value) for key, (value, _) in found.items()), where


def _words(caps: IoCaps) -> str:
    """As the kernel writes it: ``8:0 rbps=1.0 MiB/s wiops=120/s``."""
    by_device: dict[str, list[str]] = {}
    for name, value in caps:
        device, key = name.split()
        said = units.size(value) if key.endswith("bps") else f"{value}"
        by_device.setdefault(device, []).append(f"{key}={said}/s")
    return ", ".join(" ".join((device, *said)) for device, said in by_device.items()) or "no limit"


# --- what can be asked for -----------------------------------------------------------------------


def placed(told_engine: Mapping[str, Any], path: str) -> dict[str, Any]:
    """What an engine is told, with the device at ``path`` where none was named yet."""

    def named(value: Any) -> Any:
        return [{**one, "Path": path} for one in value]

    return {key: named(value) if key in _OF_DEVICE else value for key, value in told_engine.items()}


def v1_file(field: str) -> File | None:
    """The one file of v1 that holds a rate; ``io.max`` has all of them. None of another limit."""
    return _V1.get(_KEYS.get(field, ""))


def need_device(limits: Any) -> bool:
    """Whether limits are about a device."""
    return any(getattr(limits, field) is not None for field in _OF_DEVICE)


_KEYS = {
    "device_read_bps": "rbps",
    "device_write_bps": "wbps",
    "device_read_iops": "riops",
    "device_write_iops": "wiops",
}
"""Those of ``io.max``, by the field of ``Limits``, which is docker-py's keyword too."""
_OF_DEVICE = (*_KEYS, "blkio_weight_device")
"""All that an engine takes with the path of a device."""


def _on_device(rate: int) -> list[dict[str, Any]]:
    return [{"Path": DEVICE, "Rate": rate}]


def _tightest_rate(told_by_engine: Any) -> int | None:
    """Of all devices that a container has a rate for; one of ours has one."""
    return min((int(one["Rate"]) for one in told_by_engine or ()), default=None)


def _held_rate(row: Limit, kernel: Any) -> int | None:
    """The tightest of any device; UNLIMITED where none has one, None where it was not read."""
    if kernel is None or kernel.io_max is None:
        return None
    key = _KEYS[row.field]
    rates = [value for name, value in kernel.io_max if name.split()[-1] == key]
    return min(rates, default=UNLIMITED)


def _rate(row: Limit, sides: Sides) -> ReadBack | None:
    wanted = getattr(sides.asked, row.field)
    if wanted is None:
        return None
    engine = None if sides.engine is None else getattr(sides.engine, row.field)
    return told(row, sides, wanted, engine, _held_rate(row, sides.kernel))


def _rate_words(row: Limit, kernel: Any) -> str:
    rate = _held_rate(row, kernel)
    return NOT_READ if rate is None else row.form.words(rate)


def _times(number: int) -> str:
    return "no limit" if number == UNLIMITED else str(number)


_RATE = replace(SIZE, name="size a second")
_IOPS = replace(NUMBER, name="number a second", write=_times)
_THROTTLE = "block/blk-throttle.c; cgroup-v2.rst, io.max; cgroup-v1/blkio-controller.rst"
_BPS = "No more bytes a second {what} the device; what is over waits."
_IOS = "No more bios a second {what} the device, whatever their size; what is over waits."
_MADE = "A rate of a whole disk: a partition's number is refused (ENODEV)."
_BUFFERED = (
    " What the page cache takes is not limited as it is taken: an fsync of the container's own is, "
    "and what the kernel writes back later on v2, where the file system tells whose it is (ext2, "
    "ext4, xfs, btrfs, f2fs); on v1 that is nobody's."
)


def _weights_due(weight: int, engine: Engine) -> Sequence[int]:
    """v2: as it is for io.bfq.weight, else on a line for io.weight (runc, fs2/io.go)."""
    if engine.cgroup_version == 1:
        return (weight,)
    return (weight, 1 + (weight - 10) * 9999 // 990)


DISCARDED = "discarded by the engine, which finds no blkio.weight on its host"
"""pkg/sysinfo of moby looks for that file alone, and for a weight of a device for
blkio.weight_device; blkio.bfq.weight and blkio.bfq.weight_device are others."""


def discarded(asked: Any, engine: Any) -> bool:
    """Whether a weight was asked for that the engine reads back as not set: it warned at create.

    ``asked`` and ``engine`` are ``Limits``, the latter None where the engine was not asked.
    """
    return engine is not None and any(
        getattr(asked, field) is not None and getattr(engine, field) is None for field in _WEIGHTS
    )


_WEIGHTS = ("blkio_weight", "blkio_weight_device")


def unwritten(asked: Any, kernel: Any) -> bool:
    """Whether a device's weight was asked for and the kernel could hold one, and holds none.

    ``kernel`` is ``KernelLimits``, None where the cgroup was not read.
    """
    wanted = asked.blkio_weight_device is not None and kernel is not None
    return wanted and kernel.blkio_weight_device == NO_DEVICE


def io_weight_of(limits: Any) -> int | None:
    """The weight that counts at the device: its own where there is one, else that of all disks."""
    own: int | None = limits.blkio_weight_device
    every: int | None = limits.blkio_weight
    return every if own is None else own


def _weighed(row: Limit, sides: Sides) -> ReadBack | None:
    """An engine that discards it warns at create, and reads it back as not set."""
    wanted = getattr(sides.asked, row.field)
    if wanted is None:
        return None
    engine = None if sides.engine is None else getattr(sides.engine, row.field)
    kernel = None if sides.kernel is None else getattr(sides.kernel, row.kernel)
    found = told(row, sides, wanted, engine, kernel)
    if sides.engine is None or engine is not None:
        return found
    return replace(found, kernel=f"{found.kernel}: {DISCARDED}", agrees=None)


NO_DEVICE = 0
"""That no device has a weight of its own, where the kernel could say so."""
_DEVICE_WEIGHT = replace(
    NUMBER, name="weight", write=lambda weight: str(weight) if weight else "no device's"
)


def _on_device_weight(weight: int) -> list[dict[str, Any]]:
    return [{"Path": DEVICE, "Weight": weight}]


def _least_weight(told_by_engine: Any) -> int | None:
    """Of all devices that a container has a weight for; one of ours has one."""
    return min((int(one["Weight"]) for one in told_by_engine or ()), default=None)


def _parse_device_weights(raw: bytes | None) -> int | None:
    """The least of the lines ``8:0 300``, which follow ``default 100``."""
    if raw is None:
        return None
    lines = [line.split() for line in raw.splitlines()]
    found = (parse_int(line[1]) for line in lines if len(line) == 2 and b":" in line[0])
    return min((weight for weight in found if weight is not None), default=NO_DEVICE)


def _parse_weight(raw: bytes | None) -> int | None:
    """``default 100``, or the number alone; lines of devices follow it."""
    first = (raw or b"").partition(b"\n")[0]
    return parse_int(first.removeprefix(b"default ") or None)


@dataclass(frozen=True, kw_only=True)
class Io:
    """What can be asked for, of the one device that a container keeps its data on."""

    device_read_bps: int | None = limit(Limit(
        option="--device-read-bps", form=_RATE, help="bytes a second read from its device",
        create="device_read_bps", inspect="BlkioDeviceReadBps", update=None,
        to_engine=_on_device, from_engine=_tightest_rate,
        least=1, refusal="Give a size a second: 1m.",
        kernel="io_max", compare=_rate, held_words=_rate_words,
        rule=_BPS.format(what="from"), made=_MADE, source=_THROTTLE,
    ))  # fmt: skip

    device_write_bps: int | None = limit(Limit(
        option="--device-write-bps", form=_RATE, help="bytes a second written to its device",
        create="device_write_bps", inspect="BlkioDeviceWriteBps", update=None,
        to_engine=_on_device, from_engine=_tightest_rate,
        least=1, refusal="Give a size a second: 1m.",
        kernel="io_max", compare=_rate, held_words=_rate_words,
        rule=_BPS.format(what="to"), made=_MADE + _BUFFERED, source=_THROTTLE,
    ))  # fmt: skip

    device_read_iops: int | None = limit(Limit(
        option="--device-read-iops", form=_IOPS, help="reads a second of its device",
        create="device_read_iops", inspect="BlkioDeviceReadIOps", update=None,
        to_engine=_on_device, from_engine=_tightest_rate,
        least=1, refusal="Give a number a second: 100.",
        kernel="io_max", compare=_rate, held_words=_rate_words,
        rule=_IOS.format(what="from"), made=_MADE, source=_THROTTLE,
    ))  # fmt: skip

    device_write_iops: int | None = limit(Limit(
        option="--device-write-iops", form=_IOPS, help="writes a second of its device",
        create="device_write_iops", inspect="BlkioDeviceWriteIOps", update=None,
        to_engine=_on_device, from_engine=_tightest_rate,
        least=1, refusal="Give a number a second: 100.",
        kernel="io_max", compare=_rate, held_words=_rate_words,
        rule=_IOS.format(what="to"), made=_MADE + _BUFFERED, source=_THROTTLE,
    ))  # fmt: skip

    blkio_weight: int | None = limit(Limit(
        option="--blkio-weight", form=NUMBER, help="share of a disk that others want too",
        create="blkio_weight", inspect="BlkioWeight", update="--blkio-weight",
        least=WEIGHT_RANGE[0], most=WEIGHT_RANGE[1],
        refusal=f"Docker takes {WEIGHT_RANGE[0]} to {WEIGHT_RANGE[1]}.",
        kernel="blkio_weight", due=_weights_due, compare=_weighed,
        rule="Containers that want the same disk divide its time as their weights; one alone has "
        "all of it. Only where the scheduler of the disk is bfq, or on v2 io.cost is enabled.",
        made="v1: discarded where the host has no blkio.weight, which bfq does not bring. v2: "
        "io.bfq.weight as it is, even where bfq is not active; where that file is missing "
        "io.weight = 1 + (weight - 10) * 9999 / 990.",
        source="Documentation/block/bfq-iosched.rst; cgroup-v2.rst, io.weight; runc fs2/io.go",
    ))  # fmt: skip

    blkio_weight_device: int | None = limit(Limit(
        option="--blkio-weight-device", form=_DEVICE_WEIGHT,
        help="share of its device, instead of that of all disks",
        create="blkio_weight_device", inspect="BlkioWeightDevice", update=None,
        to_engine=_on_device_weight, from_engine=_least_weight,
        least=WEIGHT_RANGE[0], most=WEIGHT_RANGE[1],
        refusal=f"Docker takes {WEIGHT_RANGE[0]} to {WEIGHT_RANGE[1]}.",
        kernel="blkio_weight_device", compare=_weighed,
        rule="The same of one device, where it counts instead of --blkio-weight.",
        made="v1: discarded where the host has no blkio.weight_device, which bfq does not bring. "
        "v2: a line of io.bfq.weight, which the kernel takes where bfq is the device's active "
        "scheduler: else the container does not start (EOPNOTSUPP). Where that file is missing, "
        "and before runc 1.1, nothing is written and nobody told.",
        source="Documentation/block/bfq-iosched.rst; block/bfq-cgroup.c, "
        "bfq_io_set_device_weight; runc fs2/io.go",
    ))  # fmt: skip


# --- what is held --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class IoHeld:
    """What the kernel holds."""

    io_max: tuple[tuple[str, int], ...] | None = held(
        Reading(tuple(_V1.values()), _of_v1),
        Reading((_MAX,), _of_v2),
        written=Written(
            name="io.max", words=_words, in_force=_words, of=each_tightest,
            asked=NOT_READ,  # what an option has asked for stands in the option's own line
            rule="No more bytes or operations a second of a device; what is over waits.",
            source="Documentation/admin-guide/cgroup-v2.rst, io.max; "
            "cgroup-v1/blkio-controller.rst",
        ),
    )  # fmt: skip
    """v1: blkio.throttle."""

    blkio_weight: int | None = held(
        of_own("blkio", "blkio.weight", "blkio.bfq.weight", parse=_parse_weight),
        of_own("blkio", "io.bfq.weight", "io.weight", parse=_parse_weight),
    )
    blkio_weight_device: int | None = held(
        of_own("blkio", "blkio.weight_device", "blkio.bfq.weight_device",
               parse=_parse_device_weights),
        of_own("blkio", "io.bfq.weight", "io.weight", parse=_parse_device_weights),
    )  # fmt: skip
    """The least of any device; 0 where none has one of its own."""
