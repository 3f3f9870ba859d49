"""Claims about kill, on a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from harness.claims import kill
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Box
from tests.docker.claims.trying import Break, as_expected, boxes, laboratory, turned

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", kill.CLAIMS, ids=lambda claim: claim.id)


def _kills(box: Box, *_: Any) -> float:
    Box.kill(box)
    return 0.0


def _stops(box: Box, *_: Any) -> None:
    Box.stop(box, 1)


def _stops_first(box: Box, **_: Any) -> None:
    Box.stop(box, 1)
    Box.remove(box)


def _kills_and_removes(box: Box, *_: Any) -> None:
    Box.kill(box)
    Box.remove(box)


BROKEN: dict[str, Break] = {
    "kill-runs-no-handler": boxes(kill=_stops),
    # A kill that always sends SIGKILL, and one that is a stop.
    "kill-gives-137": boxes(kill=_kills),
    "kill-sigterm-is-stop": boxes(kill=_stops),
    # As with --rm: the engine removes what ended.
    "killed-is-gone-for-good": boxes(kill=_kills_and_removes),
    "rm-force-stops-gently": boxes(remove=_stops_first),
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
    assert {claim.id for claim in kill.CLAIMS} == set(BROKEN)
