"""Claims about stop, on a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from harness.claims import stop
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Box
from harness.errors import EngineRefusedError
from tests.docker.claims.trying import Break, as_expected, asked, boxes, laboratory, turned

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", stop.CLAIMS, ids=lambda claim: claim.id)


def _kills(box: Box, *_: Any) -> float:
    Box.kill(box)
    return 0.0


def _only_asks(box: Box, *_: Any) -> float:
    Box.kill(box, "SIGTERM")
    return 0.0


def _refuses(box: Box, *_: Any) -> float:
    raise EngineRefusedError("the engine refused to stop a container: it is paused.", "")


BROKEN: dict[str, Break] = {
    # A stop that kills at once, one that never kills.
    "stop-asks-first": boxes(stop=_kills),
    "stop-kills-after-the-grace-time": boxes(stop=_only_asks),
    "stop-waits-ten-seconds": asked(stop_timeout_s=1),
    # No pid namespace of its own: the program is not PID 1.
    "sigterm-ends-any-program": asked(pid_mode="host"),
    "init-passes-signals-on": asked(init=None),
    "stop-gives-137": boxes(stop=_kills),
    "stop-signal-is-sent": asked(stop_signal=None),
    "stop-timeout-is-the-grace-time": asked(stop_timeout_s=2),
    "paused-cannot-be-stopped": boxes(stop=_refuses),
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
    assert {claim.id for claim in stop.CLAIMS} == set(BROKEN)
