"""Whether a cgroup is frozen, which no counter shows.

An engine freezes what it pauses; so do ``systemctl freeze``, a checkpoint that was broken off, and
whoever freezes a cgroup above. Sources: Documentation/admin-guide/cgroup-v2.rst (cgroup.freeze,
cgroup.events), cgroup-v1/freezer-subsystem.rst (freezer.state, freezer.self_freezing).
"""

from __future__ import annotations

from harness.cgroup.parsing import parse_flat, read_text
from harness.cgroup.paths import CgroupPaths


def frozen_by(paths: CgroupPaths) -> str:
    """Which cgroup was frozen, in words; empty where it runs, or where that cannot be read.

    v2's freezer works beside v1's where both are mounted: each is asked.
    """
    unified, freezer = paths.folder("unified"), paths.folder("freezer")
    if parse_flat(read_text(unified, "cgroup.events") or b"").get("frozen"):
        return _who(read_text(unified, "cgroup.freeze"))
    if (read_text(freezer, "freezer.state") or b"").strip() in (b"FROZEN", b"FREEZING"):
        return _who(read_text(freezer, "freezer.self_freezing"))
    return ""


def _who(own: bytes | None) -> str:
    return "its own cgroup" if (own or b"").strip() == b"1" else "a cgroup above it"
