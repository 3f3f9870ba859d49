"""Claims about docker's commands, on a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from harness.claims import commands
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
CLAIMS = pytest.mark.parametrize("claim", commands.CLAIMS, ids=lambda claim: claim.id)


def _only_create(words: list[str]) -> list[str]:
    return ["create", *words[1:]] if words[0] == "run" else words


def _always_pull(words: list[str]) -> list[str]:
    return [words[0], "--pull", "always", *words[1:]]


def _options_first(words: list[str]) -> list[str]:
    return [words[0], *words[-2:], *words[1:-2]]


def _puts_by_exec(box: Box, *_: Any) -> None:
    """A cp that a program in the container would have to do."""
    box.execute("see")
    raise AssertionError("the container runs")


def _renames_and_widens(box: Box, name: str) -> None:
    Box.rename(box, name)
    box.update(mem_limit=128 << 20, memswap_limit=-1)


BROKEN: dict[str, Break] = {
    "run-is-create-and-start": typing_otherwise(_only_create),
    "run-pulls-first": typing_otherwise(_always_pull),
    "options-may-follow-the-image": typing_otherwise(_options_first),
    "cp-needs-a-running-container": boxes(put=_puts_by_exec),
    # The folder is in the container's own layer, though a volume was asked for.
    "commit-takes-volumes": asked(binds=None),
    "rename-changes-only-the-name": boxes(rename=_renames_and_widens),
    "restart-keeps-limits": boxes(restart=lambda box: None),
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
    assert {claim.id for claim in commands.CLAIMS} == set(BROKEN)
