"""The forms in which the kernel writes numbers into a cgroup's files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from harness.model import DeviceIo

_PART_BYTES = 1 << 14
_LEAST_PART_BYTES = 1 << 11
"""The kernel gives a page's worth of whole lines at the least, where there are as many
(fs/seq_file.c): half of that is the end, and need not be asked for."""


def read_text(folder: Path | None, name: str) -> bytes | None:
    """A file of a cgroup as it is now; None where there is none, or no such cgroup.

    By descriptors, at half of what Python's own files cost: dozens are read of each container.
    """
    if folder is None:
        return None
    try:
        fd = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = part = os.read(fd, _PART_BYTES)
        while len(part) >= _LEAST_PART_BYTES:
            part = os.read(fd, _PART_BYTES)
            text += part
    except OSError:
        return None
    else:
        return text
    finally:
        os.close(fd)


def parse_flat(raw: bytes) -> dict[str, int]:
    """``key value`` lines (cpu.stat, memory.events) as a dict; other lines are left out."""
    words = raw.decode("ascii", "replace").split()
    if len(words) == 2 * raw.count(b"\n"):  # nearly always, and then at a third of the time
        try:
            return dict(zip(words[::2], map(int, words[1::2]), strict=True))
        except ValueError:
            pass
    out: dict[str, int] = {}
    for line in raw.decode("ascii", "replace").splitlines():
        key, _, value = line.partition(" ")
        try:
            out[key] = int(value)
        except ValueError:
            continue
    return out


def parse_nodes(raw: bytes | None, *lines: str, unit: int = 1) -> tuple[int, ...] | None:
    """Of memory.numa_stat: what lies on each node, by their numbers, in bytes.

    ``lines`` are the beginnings of those that are added up (``total=``; ``anon ``), ``unit`` is
    what the file counts in. None where there is no such line.
    """
    found: dict[int, int] = {}
    for line in (raw or b"").decode("ascii", "replace").splitlines():
        if line.startswith(lines):
            for node, count in re.findall(r"\bN(\d{1,4})=(\d{1,20})\b", line):
                found[int(node)] = found.get(int(node), 0) + int(count) * unit
    return tuple(found.get(node, 0) for node in range(max(found) + 1)) if found else None


def parse_pressure(raw: bytes) -> dict[str, int]:
    """The totals (µs) of a pressure file's ``some`` and ``full`` lines, as far as they are there.

    cpu.pressure has a ``full`` line since kernel 5.13.
    """
    totals: dict[str, int] = {}
    for line in raw.splitlines():
        kind, _, rest = line.partition(b" ")
        value = rest.rpartition(b"total=")[2]
        # 64 bits have 20 digits at the most; Python turns none of some thousand into a number.
        if value.isdigit() and len(value) <= 20 and kind in {b"some", b"full"}:
            totals[kind.decode()] = int(value)
    return totals


def parse_throttled(texts: Sequence[bytes]) -> tuple[DeviceIo, ...]:
    """v1: ``8:0 Read 4096`` of io_service_bytes, and the same of io_serviced."""
    found: list[dict[tuple[str, str], int]] = []
    for text in texts:
        words = (line.split() for line in text.decode("ascii", "replace").splitlines())
        found.append({(one[0], one[1]): int(one[2]) for one in words if _is_count(one)})
    sizes, times = found
    return tuple(
        DeviceIo(
            number=number,
            read_bytes=sizes.get((number, "Read"), 0),
            write_bytes=sizes.get((number, "Write"), 0),
            reads=times.get((number, "Read"), 0),
            writes=times.get((number, "Write"), 0),
        )
        for number in dict.fromkeys(number for number, _ in sizes)
    )


def _is_count(words: list[str]) -> bool:
    return len(words) == 3 and words[2].isdigit() and len(words[2]) <= 20


def parse_io_stat(texts: Sequence[bytes]) -> tuple[DeviceIo, ...]:
    """v2: ``8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0``, and what a policy adds."""
    found = []
    for line in texts[0].decode("ascii", "replace").splitlines():
        number, *pairs = line.split() or [""]
        held = {
            key: int(value)
            for key, _, value in (pair.partition("=") for pair in pairs)
            if value.isdigit() and len(value) <= 20
        }
        names = ("rbytes", "wbytes", "rios", "wios")
        if all(name in held for name in names):
            found.append(DeviceIo(
                number=number, read_bytes=held["rbytes"], write_bytes=held["wbytes"],
                reads=held["rios"], writes=held["wios"],
            ))  # fmt: skip
    return tuple(found)


def sum_of(*parts: int | None) -> int | None:
    """The sum of numbers that are all known; else None."""
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
