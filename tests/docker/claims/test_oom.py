"""Claims about what ends at the memory limit, on a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from harness.claims import oom
from harness.claims.claim import Claim
from harness.claims.holding import MIB
from harness.engine.connect import Connection
from harness.engine.laboratory import WAIT_S, Box, Laboratory
from tests.docker.claims.trying import Break, as_expected, asked, boxes, laboratory, turned

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", oom.CLAIMS, ids=lambda claim: claim.id)


def _on_disk(lab: Laboratory) -> None:
    """A tmpfs that is a folder of the disk."""
    asked(tmpfs=None, binds=[f"{lab.volume()}:/files"])(lab)


def _ends_all(box: Box, text: str, timeout_s: float = WAIT_S) -> None:
    Box.await_line(box, text, timeout_s)
    box.kill()


def _says(oom_killed: bool) -> Break:
    def state(box: Box) -> dict[str, Any]:
        return {**box.inspect()["State"], "OOMKilled": oom_killed}

    return boxes(state=property(state))


def _says_the_contrary(lab: Laboratory) -> None:
    at_once = lab.facts.version.partition(".")[0] >= "23"
    _says(not at_once)(lab)


BROKEN: dict[str, Break] = {
    # Page cache that cannot give way.
    "page-cache-gets-a-container-killed": asked(binds=None, tmpfs={"/files": "size=64m"}),
    "tmpfs-is-free-of-the-memory-limit": _on_disk,
    # A kill that another signal does.
    "exit-137-means-oom": boxes(kill=lambda box: Box.kill(box, "SIGALRM")),
    # memory.oom.group, as it were.
    "oom-kill-ends-the-container": boxes(await_line=_ends_all),
    "oomkilled-is-told-at-once": _says_the_contrary,
    "oomkilled-tells-a-childs-kill": _says(False),
    # It is given what it needs.
    "oom-kill-disable-keeps-it-going": asked(mem_limit=64 * MIB, memswap_limit=64 * MIB),
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
    assert {claim.id for claim in oom.CLAIMS} == set(BROKEN)
