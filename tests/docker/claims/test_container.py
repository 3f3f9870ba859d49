"""Claims about containers, on a real engine."""

from __future__ import annotations

import os

import pytest

from harness.claims import container
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Box, Laboratory
from tests.docker.claims.trying import Break, as_expected, asked, boxes, laboratory, turned

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", container.CLAIMS, ids=lambda claim: claim.id)


def _on_a_volume(lab: Laboratory) -> None:
    """An engine that keeps the folder elsewhere than in the container's own layer."""
    asked(binds=[f"{lab.volume()}:{container.FOLDER}"])(lab)


def _maps_root(lab: Laboratory) -> None:
    asked(user="1234:1234")(lab)
    boxes(execute=lambda box, *words: Box.execute(box, *words, user=container.ROOT))(lab)


def _has_a_boot_of_its_own(lab: Laboratory) -> None:
    """As a runtime does that starts a virtual machine for each."""
    boxes(logs=lambda box, **_: box.id)(lab)


BROKEN: dict[str, Break] = {
    # An engine that names a process which is not in the container.
    "container-is-a-process": boxes(pid=property(lambda box: os.getpid())),
    "container-has-a-kernel": _has_a_boot_of_its_own,
    # An engine that maps root to somebody else.
    "root-inside-is-not-root-outside": _maps_root,
    "program-is-pid-1": asked(pid_mode="host"),
    "host-name-is-the-id": asked(uts_mode="host"),
    "stop-loses-what-was-written": asked(tmpfs={container.FOLDER: ""}),
    "rm-takes-what-was-written": _on_a_volume,
    "containers-of-an-image-share-files": _on_a_volume,
    # A pause that does nothing.
    "pause-freezes": boxes(pause=lambda box: None, unpause=lambda box: None),
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
    assert {claim.id for claim in container.CLAIMS} == set(BROKEN)
