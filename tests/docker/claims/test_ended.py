"""Claims about exit codes and restart policies, on a real engine."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from harness.claims import ended
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Box
from tests.docker.claims.trying import (
    Break,
    as_expected,
    asked,
    boxes,
    laboratory,
    turned,
    typing_otherwise,
)

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", ended.CLAIMS, ids=lambda claim: claim.id)


def _ends_past_the_engine(box: Box, *_: Any) -> float:
    """The engine does not know that somebody wanted it so."""
    os.kill(box.pid, signal.SIGKILL)
    return 0.0


def _without_memory(words: list[str]) -> list[str]:
    at = words.index("--memory")
    return words[:at] + words[at + 2 :]


BROKEN: dict[str, Break] = {
    "exit-code-is-the-programs": asked(entrypoint=["/hand", "exit", "3", "+"]),
    # The hand runs instead, and lacks its words.
    "exit-127-is-not-found": asked(entrypoint=None),
    "run-gives-the-programs-code": typing_otherwise(_without_memory),
    "detached-runs-until-stopped": asked(restart_policy={"Name": "always"}),
    "always-is-for-failures": asked(restart_policy={"Name": "on-failure"}),
    "always-comes-back-after-stop": boxes(stop=_ends_past_the_engine),
    "on-failure-comes-back-after-kill": boxes(kill=_ends_past_the_engine),
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
    assert {claim.id for claim in ended.CLAIMS} == set(BROKEN)
