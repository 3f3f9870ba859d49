"""Findings of what it may do to a disk."""

from __future__ import annotations

from collections.abc import Iterator

from harness import units
from harness.inspection.findings.entry import Evidence, Said, entry
from harness.model import DeviceIo
from harness.wording import counted

NEAR = 0.9
"""From this share of a limit on it is taken to bind: what a slice left over is lost."""
FULL, FULL_BYTES = 0.01, 1 << 30
"""Below this share of its size, and below so much, a file system is told to be full."""
_COUNTED = {
    "rbps": ("read", "--device-read-bps"),
    "wbps": ("written", "--device-write-bps"),
    "riops": ("reads", "--device-read-iops"),
    "wiops": ("writes", "--device-write-iops"),
}


@entry(
    id="io-throttled",
    subject="disk",
    grade="note",
    condition=f"A limit on bytes or I/Os a second of a device was used to {NEAR:.0%} or more over "
    "the whole window: what is over waits, up to a slice of 100 ms at a time.",
    remedy="Raise the limit on the device, or write less.",
    source="block/blk-throttle.c; io.max and io.stat (v2), blkio.throttle.* (v1)",
)
def _throttled(of: Evidence) -> Iterator[Said]:
    read = [one for one in of.seen.samples if one.devices is not None]
    span_s = (read[-1].t_mono_ns - read[0].t_mono_ns) / 1e9 if read else 0.0
    if not span_s:
        return
    before, after = ({one.number: one for one in at.devices or ()} for at in (read[0], read[-1]))
    for name, most in of.kernel.io_max or ():
        number, key = name.split()
        if key in _COUNTED and number in before and number in after:
            rate = (_count(after[number], key) - _count(before[number], key)) / span_s
            if rate >= NEAR * most:
                what, option = _COUNTED[key]
                yield Said(
                    f"{_said(key, rate)} {what} of device {number}, where {_said(key, most)} is "
                    "all that it may",
                    f"Raise {option}, or have it do less.",
                )


@entry(
    id="disk-full",
    subject="disk",
    grade="bad",
    condition="Of a file system that it may write to, /dev/shm, tmpfs and volumes among them, "
    f"less than {FULL:.0%} and less than {units.size(FULL_BYTES)} is left, or less than {FULL:.0%} "
    "of its files: what it writes there fails (ENOSPC), or kills it where it is mapped (SIGBUS).",
    remedy="Remove what is not needed there, or make it larger: --shm-size, --tmpfs size=, the "
    "volume, the engine's disk (docker system df).",
    source="statvfs(3): f_bavail, f_favail; mm/shmem.c (shmem_fault); for what root has reserved "
    "see mke2fs(8)",
)
def _full(of: Evidence) -> Iterator[Said]:
    for one in of.seen.spaces:
        if one.left_bytes < min(FULL * one.size_bytes, FULL_BYTES):
            reserved = units.size(one.reserved_bytes)
            more = f" ({reserved} more to root alone)" if one.reserved_bytes else ""
            yield Said(f"{units.size(one.left_bytes)} of the {units.size(one.size_bytes)} at "
                       f"{one.at} are left{more}: what it writes there fails")  # fmt: skip
        elif one.files_left < FULL * one.files:
            yield Said(f"{counted(one.files_left, 'file')} more of {one.files} fit at {one.at}: "
                       "there it can make no new ones then")  # fmt: skip


def _count(of: DeviceIo, key: str) -> int:
    return {"rbps": of.read_bytes, "wbps": of.write_bytes, "riops": of.reads, "wiops": of.writes}[
        key
    ]


def _said(key: str, rate: float) -> str:
    return f"{units.size(rate)}/s" if key.endswith("bps") else f"{rate:.0f}/s"
