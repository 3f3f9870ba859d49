"""The forms in which the kernel writes numbers into a cgroup's files."""

from __future__ import annotations

from harness.model import UNLIMITED


def parse_flat(raw: bytes) -> dict[str, int]:
    """``key value`` lines (cpu.stat, memory.events) as a dict; other lines are left out."""
    out: dict[str, int] = {}
    for line in raw.splitlines():
        key, _, value = line.partition(b" ")
        try:
            out[key.decode("ascii")] = int(value)
        except ValueError:
            continue
    return out


def parse_int(raw: bytes | None) -> int | None:
    """A file with one number; ``max`` is UNLIMITED; None where there was no file or no number."""
    if raw is None:
        return None
    text = raw.strip()
    if text == b"max":
        return UNLIMITED
    try:
        return int(text)
    except ValueError:
        return None


def parse_pressure(raw: bytes | None) -> tuple[int | None, int | None]:
    """The totals (µs) of a pressure file's ``some`` and ``full`` lines; None where there is none.

    cpu.pressure has a ``full`` line since kernel 5.13.
    """
    totals: dict[bytes, int] = {}
    for line in (raw or b"").splitlines():
        kind, _, rest = line.partition(b" ")
        value = rest.rpartition(b"total=")[2]
        if value.isdigit():
            totals[kind] = int(value)
    return totals.get(b"some"), totals.get(b"full")


def sum_of(*parts: int | None) -> int | None:
    """The sum of numbers that are all known; else None."""
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
