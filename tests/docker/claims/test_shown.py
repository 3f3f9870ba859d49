"""Claims about what docker's commands show, on a real engine."""

from __future__ import annotations

from typing import Any

import docker.types
import pytest

from harness.claims import shown
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
CLAIMS = pytest.mark.parametrize("claim", shown.CLAIMS, ids=lambda claim: claim.id)


def _tail(words: list[str]) -> list[str]:
    return ["--tail=1" if word == "-t" else word for word in words]


def _half(box: Box) -> dict[str, Any]:
    told = Box.stats(box)
    told["cpu_stats"]["cpu_usage"]["total_usage"] //= 2
    return told


BROKEN: dict[str, Break] = {
    "top-shows-host-pids": boxes(top=lambda box: Box.top(box)[:1]),
    "stats-are-the-cgroups": boxes(stats=_half),
    "logs-go-with-the-process": asked(log_config=docker.types.LogConfig(type="none")),
    "logs-t-is-tail": typing_otherwise(_tail),
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
    assert {claim.id for claim in shown.CLAIMS} == set(BROKEN)
