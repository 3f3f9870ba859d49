"""Claims about CPU time, on a real engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.claims import cpu
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from tests.docker.claims.trying import (
    Break,
    as_expected,
    asked,
    laboratory,
    measured_with,
    turned,
)

pytestmark = pytest.mark.engine
CLAIMS = pytest.mark.parametrize("claim", cpu.CLAIMS, ids=lambda claim: claim.id)

BROKEN: dict[str, Break] = {
    # An engine that forgets --cpus.
    "cpus-is-period-and-quota": asked(nano_cpus=None),
    # One that takes it for the number of a CPU.
    "cpus-is-an-amount": measured_with(lambda asked, _: replace(asked, cpus=1.0)),
    # One that keeps the last that it hears.
    "cpus-and-quota-combine": asked(nano_cpus=None),
    # One that makes room: the other of each two gets what is left.
    "cpus-guarantees-cpu": measured_with(
        lambda asked, i: replace(asked, cpus=0.6 if i % 2 == 0 else 0.1)
    ),
    # One with a default quota of 25 ms.
    "period-alone-limits": asked(cpu_quota=25_000),
    # One that takes longer periods.
    "short-period-same-share": measured_with(
        lambda asked, _: replace(asked, cpu_period_us=50_000, cpu_quota_us=25_000)
    ),
    # One that forgets --cpus.
    "no-throttling-below-the-limit": asked(nano_cpus=None),
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
    assert {claim.id for claim in cpu.CLAIMS} == set(BROKEN)
