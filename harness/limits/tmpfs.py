"""How much may lie in memory as files: ``--shm-size``, ``--tmpfs``.

Both are tmpfs mounts of the container, whose pages are charged to it like any memory of its own
(Documentation/filesystems/tmpfs.rst; Documentation/admin-guide/cgroup-v1/memory.rst, 2.2.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import PlanError
from harness.limits.forms import SIZE, Form, format_size, parse_size
from harness.limits.row import (
    NOT_READ,
    Engine,
    Limit,
    ReadBack,
    Sides,
    held,
    limit,
    of_own,
    plain,
    told,
)
from harness.mountinfo import parse

SHM = "/dev/shm"
DEFAULT_SHM_BYTES = 64 << 20
"""moby, daemon/config, DefaultShmSize."""
PAGE_BYTES = 4096
_SOURCE = "Documentation/filesystems/tmpfs.rst"
_ONE = re.compile(r"(/[^\s:,]+):size=(\S+)")

Sizes = tuple[tuple[str, int], ...]
"""(where it is mounted, its size in bytes)."""


def sizes_of(text: str) -> dict[str, int]:
    """Mount point → bytes of a text such as ``/scratch:size=64m``; several parted by blanks.

    Raises PlanError where the text is none, as where it says anything but a size.
    """
    found = {}
    for part in text.split():
        match = _ONE.fullmatch(part)
        if not match:
            raise PlanError(
                f"'{text}' is no tmpfs with a size.", "Write it as Docker does: /data:size=64m."
            )
        found[match[1]] = parse_size(match[2])
    if not found or any(size < PAGE_BYTES for size in found.values()):
        raise PlanError(f"'{text}' has no room.", f"Give each {PAGE_BYTES} bytes or more.")
    return found


def _text(sizes: Mapping[str, int]) -> str:
    return " ".join(f"{at}:size={format_size(size)}" for at, size in sorted(sizes.items()))


TMPFS = Form("path with a size", str, metavar="PATH:size=SIZE",
             read=lambda text: _text(sizes_of(text)))  # fmt: skip


def _sent(text: str) -> dict[str, str]:
    """As ``HostConfig.Tmpfs`` has them.

    Without a mode the runtime takes that of the folder that it makes, root's, in which a user
    could write nothing (libcontainer/rootfs_linux.go).
    """
    return {at: f"size={size},mode=1777" for at, size in sizes_of(text).items()}


def _read(options_at: Mapping[str, str] | None) -> str | None:
    """Those of any container; of one whose size nobody gave there is nothing to say."""
    found = {}
    for at, options in (options_at or {}).items():
        match = re.search(r"(?:^|,)size=(\d+[kmg]?)(?:,|$)", options or "", re.IGNORECASE)
        if match:
            found[at] = parse_size(match[1])
    return _text(found) if found else None


_KIB = re.compile(r"size=(\d+)k")
"""mm/shmem.c, shmem_show_options."""


def _mounts(raw: bytes | None) -> Sizes | None:
    if not raw:
        return None
    found = []
    for one in parse(raw):
        size = next((size for told in one.of_all if (size := _KIB.fullmatch(told))), None)
        if one.kind == "tmpfs" and size:
            point = one.point.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            found.append((point, int(size[1]) << 10))
    return tuple(found)


def _shm(raw: bytes | None) -> int | None:
    return dict(_mounts(raw) or ()).get(SHM)


def whole_pages(size_bytes: int, page_bytes: int = PAGE_BYTES) -> int:
    """What tmpfs makes of a size (mm/shmem.c, shmem_parse_one)."""
    return -(-size_bytes // page_bytes) * page_bytes


def _each(row: Limit, sides: Sides) -> ReadBack | None:
    """Those that were asked for: the kernel has the runtime's own as well."""
    if sides.asked.tmpfs is None:
        return None
    wanted = sizes_of(sides.asked.tmpfs)
    engine = None if sides.engine is None else sides.engine.tmpfs
    there = None if sides.kernel is None else sides.kernel.tmpfs_sizes
    if there is not None:
        there = _text({at: size for at, size in there if at in wanted}) or "no such mount"
    return told(row, sides, sides.asked.tmpfs, engine, there)


def _due(text: str, _engine: Engine) -> tuple[str, ...]:
    return (_text({at: whole_pages(size) for at, size in sizes_of(text).items()}),)


_OF_RUNTIME = ("/dev", "/proc", "/sys")
"""Where the runtime mounts tmpfs of its own, most of them to hide what is below."""


def _words(_row: Limit, kernel: Any) -> str:
    sizes = None if kernel is None else kernel.tmpfs_sizes
    if sizes is None:
        return NOT_READ
    return _text({at: size for at, size in sizes if not at.startswith(_OF_RUNTIME)}) or "none"


@dataclass(frozen=True, kw_only=True)
class Tmpfs:
    """What can be asked for."""

    shm_size_bytes: int | None = limit(Limit(
        option="--shm-size", form=SIZE, help=f"size of {SHM}, e.g. 128m",
        create="shm_size", inspect="ShmSize", update=None,
        least=PAGE_BYTES, refusal=f"A page of {PAGE_BYTES} bytes is the least that it can have.",
        kernel="shm_bytes", due=lambda size, _engine: (whole_pages(size),), compare=plain,
        rule=f"Files in {SHM} have so many bytes together; a write beyond fails with ENOSPC. They "
        "are memory of the container, whose limit may come first.",
        made="In whole pages. Unset, Docker gives 64 MiB, Podman 65536000 bytes.",
        source=_SOURCE,
    ))  # fmt: skip
    tmpfs: str | None = limit(Limit(
        option="--tmpfs", form=TMPFS, help="a tmpfs with its size, e.g. /data:size=64m",
        create="tmpfs", inspect="Tmpfs", update=None,
        to_engine=_sent, from_engine=_read,
        kernel="tmpfs_sizes", due=_due, compare=_each, held_words=_words,
        rule="The same of a folder of one's choice.",
        made="In whole pages. Without a size it may have half of the host's memory.",
        source=_SOURCE,
    ))  # fmt: skip
    """A text such as ``/data:size=64m``."""


@dataclass(frozen=True, kw_only=True)
class TmpfsHeld:
    """What the kernel holds, as the first process sees its mounts."""

    shm_bytes: int | None = held(
        of_own("process", "mountinfo", parse=_shm), of_own("process", "mountinfo", parse=_shm)
    )
    tmpfs_sizes: tuple[tuple[str, int], ...] | None = held(
        of_own("process", "mountinfo", parse=_mounts),
        of_own("process", "mountinfo", parse=_mounts),
    )
