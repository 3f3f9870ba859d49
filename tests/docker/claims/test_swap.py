"""Claims about --memory-swap, on a real engine; swap is made where the host has none."""

from __future__ import annotations

from typing import Any

import pytest

from harness.claims import swap as swap_claims
from harness.claims.claim import Claim
from harness.claims.holding import MIB
from harness.engine.connect import Connection
from harness.engine.laboratory import Box, Laboratory
from tests.docker.claims.trying import (
    Break,
    as_expected,
    asked,
    boxes,
    kernel_file,
    laboratory,
    turned,
)

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", swap_claims.CLAIMS, ids=lambda claim: claim.id)


def _lifts(lab: Laboratory) -> None:
    version = lab.facts.cgroup_version

    def lifted(box: Box, **limits: Any) -> list[str]:
        if version == 1:
            kernel_file(box, version, memsw__limit_in_bytes="-1")
        else:
            kernel_file(box, version, max="max", swap__max="max")
        return []

    boxes(update=lifted)(lab)


def _swappiness(lab: Laboratory) -> None:
    """It is dropped where it is kept, and does what it says where it is dropped."""
    v1 = lab.facts.cgroup_version == 1
    asked(**({"mem_swappiness": 60} if v1 else {"memswap_limit": 32 * MIB}))(lab)


BROKEN: dict[str, Break] = {
    "memory-swap-0-switches-swap-off": asked(memswap_limit=32 * MIB),
    "memory-swap-equal-switches-swap-off": asked(memswap_limit=0),
    "memory-swap-minus-1-is-unlimited": asked(memswap_limit=0),
    "memory-swap-unset-is-twice-memory": asked(memswap_limit=32 * MIB),
    # The sum of both is what is set.
    "memory-swap-is-the-amount-of-swap": asked(memswap_limit=80 * MIB),
    "memory-and-memory-swap-add-up": asked(memswap_limit=80 * MIB),
    # What lacks is filled in.
    "memory-swap-needs-no-memory": asked(mem_limit=32 * MIB),
    "memory-swap-may-be-below-memory": asked(memswap_limit=None),
    "update-memory-swap-minus-1-lifts": _lifts,
    # Swap is off unless it is asked for.
    "above-memory-is-killed-despite-swap": asked(memswap_limit=32 * MIB),
    "swappiness-0-switches-swap-off": _swappiness,
}


@CLAIMS
def test_it_is_as_expected(claim: Claim, engine_connection: Connection, swap: int) -> None:
    with laboratory(engine_connection) as lab:
        as_expected(claim, lab)


@CLAIMS
def test_it_turns_on_a_broken_engine(
    claim: Claim, engine_connection: Connection, swap: int
) -> None:
    with laboratory(engine_connection) as lab:
        turned(claim, lab, BROKEN)


def test_every_claim_can_be_broken() -> None:
    assert {claim.id for claim in swap_claims.CLAIMS} == set(BROKEN)
