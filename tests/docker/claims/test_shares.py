"""Claims about shares, on a real engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.claims import kernel, shares
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Box, Ended, Laboratory
from harness.limits import weight_formula, weight_of_shares
from tests.docker.claims.trying import (
    Break,
    as_expected,
    boxes,
    laboratory,
    measured_with,
    turned,
)

pytestmark = pytest.mark.engine
CLAIMS = pytest.mark.parametrize("claim", shares.CLAIMS, ids=lambda claim: claim.id)


def _takes(lab: Laboratory) -> None:
    """A docker command that knows the option."""
    lab.command_line = lambda *words: Ended(0, "0123\n")  # type: ignore[method-assign]


def _half(lab: Laboratory) -> None:
    """512 of 1024 shares are half of the CPUs."""
    cpus = lab.facts.cpus_to_give.count / 2
    measured_with(lambda asked, _: replace(asked, cpus=cpus, cpu_shares=None))(lab)


def _weighed(weight: Callable[[Box], int]) -> Break:
    """A kernel that holds another weight than the engine has set."""

    def start(box: Box) -> Box:
        Box.start(box)
        kernel.set_weight(kernel.paths_of(box), weight(box))
        return box

    return boxes(start=start)


def _not_the_default(box: Box) -> int:
    """512 on v1; on v2, where 1024 is not the default, just that."""
    return 512 if kernel.paths_of(box).version == 1 else 1024


def _otherwise(box: Box) -> int:
    """What makes two weights differ that are the same, and the same that differ."""
    held = kernel.limits_of(box)
    same = held.cpu_shares == 1024 or held.cpu_weight == 100
    explicit = bool(box.host_config.get("CpuShares"))
    return 512 if explicit and same else 100 if explicit else int(held.cpu_shares or 100)


def _two_to_one_turned(lab: Laboratory) -> None:
    """Equal shares on v1; on v2, where the weights are not as the shares, such as make 2 to 1."""
    given = [1024, 1024]
    if lab.facts.cgroup_version == 2:
        formula = weight_formula(*lab.facts.limits_by)
        given = [
            next(one for one in range(2, 10_000) if weight_of_shares(one, formula) == weight)
            for weight in (100, 50)
        ]
    measured_with(lambda asked, i: replace(asked, cpu_shares=given[i % 2]))(lab)


BROKEN: dict[str, Break] = {
    # An engine that makes a quota of shares.
    "shares-cap-a-lone-container": _half,
    "option-is-cpuset-shares": _takes,
    "default-share-is-1024": _weighed(_not_the_default),
    # One that gives the second of each two half of the first.
    "same-weight-by-default": measured_with(
        lambda asked, i: replace(asked, cpu_shares=1024 if i % 2 == 0 else 512)
    ),
    "explicit-1024-is-the-default": _weighed(_otherwise),
    "shares-divide-two-to-one": _two_to_one_turned,
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
    assert {claim.id for claim in shares.CLAIMS} == set(BROKEN)
