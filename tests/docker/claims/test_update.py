"""Claims about what becomes of a memory limit, on a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from harness.claims import update
from harness.claims.claim import Claim
from harness.claims.holding import MIB
from harness.engine.connect import Connection
from harness.engine.laboratory import Box, Laboratory
from tests.docker.claims.trying import (
    Break,
    as_expected,
    boxes,
    kernel_file,
    laboratory,
    turned,
)

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", update.CLAIMS, ids=lambda claim: claim.id)


def _lifts(lab: Laboratory) -> None:
    version = lab.facts.cgroup_version

    def lifted(box: Box, **limits: Any) -> list[str]:
        if version == 1:
            kernel_file(box, version, memsw__limit_in_bytes="-1", limit_in_bytes="-1")
        else:
            kernel_file(box, version, max="max")
        return []

    boxes(update=lifted)(lab)


def _otherwise(lab: Laboratory) -> None:
    """It kills where the kernel refuses, and does nothing where the kernel kills."""

    def kills(box: Box, **limits: int) -> list[str]:
        if limits["mem_limit"] < 48 * MIB:
            box.kill()
        return []

    v1 = lab.facts.cgroup_version == 1
    boxes(update=kills if v1 else lambda box, **limits: [])(lab)


def _raises_both(box: Box, mem_limit: int) -> list[str]:
    return Box.update(box, mem_limit=mem_limit, memswap_limit=2 * mem_limit)


def _forgets(box: Box, grace_s: int = 0) -> None:
    Box.update(box, mem_limit=48 * MIB, memswap_limit=64 * MIB)
    Box.restart(box, grace_s)


BROKEN: dict[str, Break] = {
    "memory-update-takes": boxes(update=lambda box, **limits: []),
    "memory-update-0-lifts-the-limit": _lifts,
    "memory-update-below-use-kills": _otherwise,
    "memory-update-raises-alone": boxes(update=_raises_both),
    "memory-limit-survives-restart": boxes(restart=_forgets),
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
    assert {claim.id for claim in update.CLAIMS} == set(BROKEN)
