"""The forms in which a limit's value is written.

Sizes, CPU lists and numbers as Docker writes them, and how they are read.

Sources: ``opts/opts.go`` and go-units of Docker's command line; cpuset(7), "List format".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness import units
from harness.errors import PlanError

UNLIMITED = -1
"""A limit that was read back and is not there (``cpu.cfs_quota_us`` = -1, ``max`` on v2)."""

_SIZE = re.compile(r"^(\d{1,20}(?:\.\d{1,20})?)\s*([kmgt]?)i?b?$", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(text: str) -> int:
    """Bytes of a size as Docker writes it: ``64m``, ``1.5g``, ``1048576``, ``128MiB``.

    Raises PlanError where the text is no size. Units are powers of 1024, as in Docker.
    """
    match = _SIZE.match(text.strip())
    if not match:
        raise PlanError(
            f"'{text:.100}' is not a size.", "Write it as Docker does: 64m, 1.5g, 1048576."
        )
    return int(float(match[1]) * _UNITS[match[2].lower()])


def format_size(size_bytes: int) -> str:
    """A size as Docker writes it: ``64m``, ``1536m``, ``6291457b``; ``no limit`` for -1."""
    if size_bytes == UNLIMITED:
        return "no limit"
    for unit in ("g", "m", "k"):
        if size_bytes and size_bytes % _UNITS[unit] == 0:
            return f"{size_bytes // _UNITS[unit]}{unit}"
    return f"{size_bytes}b"


MOST_CPUS = 8192
"""CONFIG_NR_CPUS at the most (arch/x86/Kconfig)."""


def parse_cpu_list(text: str) -> frozenset[int]:
    """The CPU numbers of a list such as ``0-2,4``: 0, 1, 2 and 4. PlanError if it is none."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        match = re.fullmatch(r"(\d{1,20})(?:-(\d{1,20}))?", part.strip())
        if not match:
            raise PlanError(
                f"'{text:.100}' is not a CPU list.", "Write numbers and ranges from 0: 0-2,4."
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise PlanError(f"the CPU range '{part}' runs backwards.", f"Write {last}-{first}.")
        if last >= MOST_CPUS:
            raise PlanError(
                f"CPU {last} is beyond any host's.", f"Linux counts to {MOST_CPUS - 1}."
            )
        cpus.update(range(first, last + 1))
    return frozenset(cpus)


def format_cpu_list(cpus: frozenset[int]) -> str:
    """The shortest list that names these CPUs: {0, 1, 2, 4} → ``0-2,4``."""
    parts: list[str] = []
    ordered = sorted(cpus)
    start = 0
    for i, cpu in enumerate(ordered):
        if i + 1 == len(ordered) or ordered[i + 1] != cpu + 1:
            first = ordered[start]
            parts.append(f"{first}" if first == cpu else f"{first}-{cpu}")
            start = i + 1
    return ",".join(parts)


@dataclass(frozen=True, slots=True)
class Form:
    """How values of one kind are written."""

    name: str
    """Of the kind, for the docs."""
    type: type
    """Of a value in ``Limits``."""
    metavar: str | None = None
    """What ``--help`` calls it; None = as its type is called."""
    write: Callable[[Any], str] = str
    """A value as people read it."""
    inspect: Callable[[Any], str] | None = None
    """The same where nobody has to type it again; None = as it is written."""
    read: Callable[[str], Any] | None = None
    """The value of a text, where its type alone does not tell; PlanError where it is none."""

    def words(self, value: Any) -> str:
        """A value for who reads it and does not type it."""
        return self.inspect(value) if self.inspect else self.write(value)


def _size(text: str) -> int:
    return UNLIMITED if text == "-1" else parse_size(text)


def _size_words(size_bytes: int) -> str:
    """As Docker writes it, but where that would be a long number of bytes."""
    text = format_size(size_bytes)
    return units.size(size_bytes) if text.endswith("b") and size_bytes else text


CPUS = Form("CPUs", float, write="{:g}".format)
MICROSECONDS = Form("µs", int)
NUMBER = Form("number", int)
SIZE = Form("size", int, metavar="SIZE", write=format_size, inspect=_size_words, read=_size)
CPU_LIST = Form("list", str)
FLAG = Form("flag", bool, write=lambda on: "on" if on else "off")


# --- what the kernel writes ----------------------------------------------------------------------


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


def parse_list(raw: bytes | None) -> str | None:
    """A file with a list of CPUs or nodes; None where there was none, or an empty one."""
    text = (raw or b"").decode("ascii", "replace").strip()
    return text or None


_V1_NO_LIMIT = 1 << 60
"""v1 writes "no limit" of memory as the largest page-aligned number: PAGE_COUNTER_MAX."""


def parse_v1_size(raw: bytes | None) -> int | None:
    """A memory limit of v1, in bytes; UNLIMITED where there is none."""
    value = parse_int(raw)
    return UNLIMITED if value is not None and value >= _V1_NO_LIMIT else value
