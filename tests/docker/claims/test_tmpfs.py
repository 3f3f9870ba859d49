"""Claims about tmpfs mounts, on a real engine."""

from __future__ import annotations

import pytest

from harness.claims import tmpfs
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Laboratory
from tests.docker.claims.trying import Break, as_expected, asked, laboratory, turned

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", tmpfs.CLAIMS, ids=lambda claim: claim.id)

NEEDS_SWAP = {"tmpfs-is-never-swapped"}
DISK: Break = asked(tmpfs=None, volumes=["/memory"])
"""An engine that makes a volume of a tmpfs."""


def _one_for_all(lab: Laboratory) -> None:
    asked(tmpfs=None, binds=[f"{lab.volume()}:/memory"])(lab)


BROKEN: dict[str, Break] = {
    "tmpfs-survives-stop": DISK,
    "tmpfs-survives-restart": DISK,
    "tmpfs-is-shared": _one_for_all,
    "tmpfs-is-never-swapped": DISK,
    "tmpfs-size-is-enospc": asked(tmpfs={"/memory": "mode=1777"}),
    "shm-is-64-mib": asked(shm_size=32 << 20),
}


@CLAIMS
def test_it_is_as_expected(
    claim: Claim, engine_connection: Connection, request: pytest.FixtureRequest
) -> None:
    if claim.id in NEEDS_SWAP:
        request.getfixturevalue("swap")
    with laboratory(engine_connection) as lab:
        as_expected(claim, lab)


@CLAIMS
def test_it_turns_on_a_broken_engine(
    claim: Claim, engine_connection: Connection, request: pytest.FixtureRequest
) -> None:
    if claim.id in NEEDS_SWAP:
        request.getfixturevalue("swap")
    with laboratory(engine_connection) as lab:
        turned(claim, lab, BROKEN)


def test_every_claim_can_be_broken() -> None:
    assert {claim.id for claim in tmpfs.CLAIMS} == set(BROKEN)
