"""Claims about cpusets, on a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from harness.claims import cpuset
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Box, Laboratory
from harness.limits import format_cpu_list
from tests.docker.claims.trying import Break, as_expected, laboratory, turned

pytestmark = pytest.mark.engine
CLAIMS = pytest.mark.parametrize("claim", cpuset.CLAIMS, ids=lambda claim: claim.id)


def _count_from_1(lab: Laboratory) -> None:
    """An engine whose first CPU is number 1."""
    real, count = lab.create, lab.facts.cpus_to_give.count

    def create(*words: str, **options: Any) -> Box:
        first, _, last = options.pop("cpuset_cpus").partition("-")
        shifted = f"{min(count - 1, int(first) + 1)}-{min(count - 1, int(last or first) + 1)}"
        return real(*words, cpuset_cpus=shifted, **options)

    lab.create = create  # type: ignore[method-assign]


def _reserve(lab: Laboratory) -> None:
    """An engine that gives the CPUs of a cpuset to nobody else."""
    real, left = lab.create, set(lab.facts.cpus_to_give.numbers)

    def create(*words: str, **options: Any) -> Box:
        if "cpuset_cpus" in options:
            left.remove(int(options["cpuset_cpus"]))
        return real(*words, **{"cpuset_cpus": format_cpu_list(frozenset(left)), **options})

    lab.create = create  # type: ignore[method-assign]


BROKEN: dict[str, Break] = {
    "cpuset-numbers-begin-with-0": _count_from_1,
    "cpuset-reserves-its-cpus": _reserve,
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
    assert {claim.id for claim in cpuset.CLAIMS} == set(BROKEN)
