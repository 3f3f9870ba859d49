"""All claims, in the order in which they are listed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from harness.claims import (
    binds,
    build,
    commands,
    container,
    cpu,
    cpu_running,
    cpuset,
    ended,
    images,
    kill,
    memory,
    network,
    oom,
    readonly,
    registry,
    removal,
    shares,
    shown,
    stop,
    swap,
    tmpfs,
    update,
    volumes,
)
from harness.claims.claim import Claim, Topic
from harness.errors import UsageError

CLAIMS: tuple[Claim, ...] = (
    *container.CLAIMS,
    *commands.CLAIMS,
    *shown.CLAIMS,
    *stop.CLAIMS,
    *kill.CLAIMS,
    *ended.CLAIMS,
    *cpu.CLAIMS,
    *cpu_running.CLAIMS,
    *cpuset.CLAIMS,
    *shares.CLAIMS,
    *memory.CLAIMS,
    *update.CLAIMS,
    *oom.CLAIMS,
    *swap.CLAIMS,
    *images.CLAIMS,
    *removal.CLAIMS,
    *build.CLAIMS,
    *registry.CLAIMS,
    *volumes.CLAIMS,
    *binds.CLAIMS,
    *readonly.CLAIMS,
    *tmpfs.CLAIMS,
    *network.CLAIMS,
)


def chosen(names: Iterable[str]) -> tuple[Claim, ...]:
    """The claims of these ids and topics, in the catalogue's order; all where none is named.

    UsageError names the nearest where there is no such id or topic.
    """
    wanted = set(names)
    known = {one.id for one in CLAIMS} | {topic.value for topic in Topic}
    for name in sorted(wanted - known):
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else "`bench claims --list` tells them all."
        raise UsageError(f"there is no claim and no topic '{name}'.", hint)
    return tuple(one for one in CLAIMS if not wanted or wanted & {one.id, one.topic.value})
