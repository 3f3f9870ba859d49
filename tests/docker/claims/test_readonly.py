"""Claims about read-only mounts, on a real engine."""

from __future__ import annotations

import pytest

from harness.claims import readonly
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Laboratory
from tests.docker.claims.trying import (
    Break,
    as_expected,
    asked,
    asked_by,
    bound,
    laboratory,
    turned,
)

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", readonly.CLAIMS, ids=lambda claim: claim.id)


def _a_copy(lab: Laboratory) -> None:
    """An engine that mounts a volume with what the folder held before."""
    volume = lab.volume()
    filled = lab.create("exit", "0", binds=[f"{volume}:/data"])
    filled.put("/data", {"file": b"before"})
    filled.remove()
    asked(binds=[f"{volume}:/data:ro"])(lab)


BROKEN: dict[str, Break] = {
    "read-only-volume-binds-root": bound(lambda asked: asked.removesuffix(":ro")),
    # Read-only for all that is mounted too.
    "read-only-root-writes-nowhere": asked_by(
        lambda options: (
            options
            | {"binds": [f"{one}:ro" for one in options["binds"]], "tmpfs": {"/memory": "ro"}}
        )
    ),
    "read-only-mount-is-still": _a_copy,
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
    assert {claim.id for claim in readonly.CLAIMS} == set(BROKEN)
