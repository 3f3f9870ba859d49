"""Claims about network, on a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from harness.claims import network
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Box, Laboratory
from tests.docker.claims.trying import Break, as_expected, asked, laboratory, turned

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", network.CLAIMS, ids=lambda claim: claim.id)


def _after_the_first(lab: Laboratory, **changed: Any) -> None:
    """An engine whose later containers are asked for something else: ``{id}`` is the first's."""
    real = lab.create
    first: list[Box] = []

    def create(*words: str, **options: Any) -> Box:
        for name, value in changed.items() if first else ():
            options[name] = value(first[0])
        first.append(real(*words, **options))
        return first[-1]

    lab.create = create  # type: ignore[method-assign]


def _all_in_one_namespace(lab: Laboratory) -> None:
    _after_the_first(lab, network_mode=lambda first: f"container:{first.id}")


def _linked(lab: Laboratory) -> None:
    _after_the_first(lab, links=lambda first: {first.name: first.name})


BROKEN: dict[str, Break] = {
    "none-has-only-lo": asked(network_mode="host"),
    "container-network-shares-localhost": asked(network_mode="none"),
    "containers-have-one-localhost": _all_in_one_namespace,
    "localhost-is-the-host": asked(network_mode="host"),
    "container-ports-collide": _all_in_one_namespace,
    # The host's own port, which is the same.
    "publish-works-on-any-network": asked(network_mode="host", port_bindings=None),
    "container-network-has-own-host-name": asked(network_mode="none"),
    # The names of others in /etc/hosts, as --link has it.
    "default-bridge-knows-names": _linked,
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
    assert {claim.id for claim in network.CLAIMS} == set(BROKEN)
