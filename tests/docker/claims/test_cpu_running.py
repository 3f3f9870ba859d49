"""Claims about the CPU limits of a container that runs, on a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from harness.claims import cpu_running, kernel
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Box
from tests.docker.claims.trying import Break, as_expected, asked, boxes, laboratory, turned

pytestmark = pytest.mark.engine
CLAIMS = pytest.mark.parametrize("claim", cpu_running.CLAIMS, ids=lambda claim: claim.id)


def _nothing(box: Box, **_: Any) -> list[str]:
    return []


def _removes(box: Box, **_: Any) -> list[str]:
    kernel.set_quota(kernel.paths_of(box), -1)
    return []


def _of_one_cpu(box: Box) -> dict[str, Any]:
    """As a daemon whose own affinity is one CPU: the counters are right, their number is not."""
    frame = Box.stats(box)
    frame["cpu_stats"]["online_cpus"] = 1
    return frame


BROKEN: dict[str, Break] = {
    # An update that does nothing, and one that removes.
    "update-cpus-takes-effect": boxes(update=_nothing),
    "update-cpus-0-removes-the-limit": boxes(update=_removes),
    "update-cannot-remove-a-cpu-limit": boxes(update=_nothing),
    # An engine that makes a cpuset of --cpus.
    "nproc-shows-the-quota": asked(cpuset_cpus="0"),
    # One that does not know --cgroup-parent.
    "parent-cgroup-binds": asked(cgroup_parent=None),
    "stats-percent-is-of-the-host": boxes(stats=_of_one_cpu),
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
    assert {claim.id for claim in cpu_running.CLAIMS} == set(BROKEN)
