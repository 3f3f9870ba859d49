"""Claims about memory limits, on a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from harness.claims import memory
from harness.claims.claim import Claim
from harness.claims.holding import MIB
from harness.engine.connect import Connection
from harness.engine.laboratory import Box, Ended, Laboratory
from tests.docker.claims.trying import Break, as_expected, asked, boxes, laboratory, turned

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", memory.CLAIMS, ids=lambda claim: claim.id)


def _takes_4m(lab: Laboratory) -> None:
    """An engine whose least is 4 MiB: to the real one goes what it takes."""
    real = lab.create

    def create(*words: str, **options: Any) -> Box:
        asked_bytes = int(options["mem_limit"])
        taken = {"mem_limit": max(asked_bytes, 6 * MIB)} if asked_bytes >= 4 * MIB else {}
        return real(*words, **options | taken)

    lab.create = create  # type: ignore[method-assign]


def _another_meminfo(lab: Laboratory) -> None:
    """What lxcfs does: another file is mounted over it."""
    volume = lab.volume()
    lab.run("write", "/files/meminfo", "MemTotal: 32768 kB", user="0", binds=[f"{volume}:/files"])
    with lab.asking("inspect a volume") as api:
        folder = api.inspect_volume(volume)["Mountpoint"]
    asked(binds=[f"{folder}/meminfo:/proc/meminfo:ro"])(lab)


def _no_detail(box: Box) -> dict[str, Any]:
    told = Box.stats(box)
    told["memory_stats"].pop("stats")
    return told


def _reads_a_copy(box: Box, *words: str, user: str = "") -> Ended:
    size = 4 * MIB
    Box.execute(box, "fill", "/copy", f"{size}", user=user)
    return Ended(0, "0" * size)


BROKEN: dict[str, Break] = {
    "memory-least-is-4m": _takes_4m,
    "free-shows-the-memory-limit": _another_meminfo,
    # A reservation that caps.
    "memory-reservation-caps": asked(mem_limit=16 * MIB, memswap_limit=16 * MIB),
    # It is dropped.
    "memory-reservation-not-above-memory": asked(mem_reservation=None),
    # No kernel memory to be had for more than a few processes.
    "kernel-memory-limits": asked(pids_limit=50),
    "stats-memory-is-what-is-charged": boxes(stats=_no_detail),
    # A pause that ends what it is to freeze.
    "pause-frees-memory": boxes(pause=Box.kill),
    # A mount that is a copy.
    "page-cache-is-charged-to-each-reader": boxes(execute=_reads_a_copy),
}


@CLAIMS
def test_it_is_as_expected(claim: Claim, engine_connection: Connection) -> None:
    with laboratory(engine_connection) as lab:
        as_expected(claim, lab)


@CLAIMS
def test_it_turns_on_a_broken_engine(claim: Claim, engine_connection: Connection) -> None:
    with laboratory(engine_connection) as lab:
        turned(claim, lab, BROKEN)


def test_every_claim_can_be_broken() -> None:
    assert {claim.id for claim in memory.CLAIMS} == set(BROKEN)
