"""The catalogue as data: complete, in good words, each id once."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.claims import catalogue
from harness.claims.claim import Claim, Expected, Topic, When, version_of
from harness.errors import UsageError
from harness.model import ClaimVerdict
from tests.fakes import ENGINE_FACTS

CLAIMS = pytest.mark.parametrize("claim", catalogue.CLAIMS, ids=lambda claim: claim.id)
HANGUL = re.compile(r"[가-힣]")


def test_each_id_is_there_once() -> None:
    ids = [claim.id for claim in catalogue.CLAIMS]
    assert len(ids) == len(set(ids))
    assert not set(ids) & {topic.value for topic in Topic}


@CLAIMS
def test_a_claim_is_whole(claim: Claim) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", claim.id)
    assert claim.sentence.endswith(".")
    assert HANGUL.search(claim.korean)
    assert claim.korean.endswith(".")
    assert claim.refuted_by.endswith(".")
    assert claim.story.endswith(".")
    assert claim.by_hand
    assert claim.expected
    for expected in claim.expected:
        assert expected.because
        assert expected.source
    assert claim.expected[-1].when == When() or claim.expectation(ENGINE_FACTS) is not None


def test_the_first_expectation_that_fits_counts() -> None:
    old = Expected(ClaimVerdict.HOLDS, "so it was", "x", When(cgroup=1, before=(23,)))
    new = Expected(ClaimVerdict.REFUTED, "so it is", "x", When(engine="docker"))
    claim = Claim(
        id="a-b", topic=Topic.CPU, sentence="A.", korean="가.", refuted_by="B.",
        expected=(old, new), by_hand=("c",), story="D.", experiment=lambda _: None,  # type: ignore[arg-type, return-value]
    )  # fmt: skip
    assert version_of(ENGINE_FACTS) == (20, 10, 24)
    assert claim.expectation(ENGINE_FACTS) is old
    assert not When(rootless=True).fits(ENGINE_FACTS)
    assert When(rootless=True).fits(replace(ENGINE_FACTS, rootless=True))


def test_what_is_expected_can_depend_on_how_shares_become_weights() -> None:
    v2 = replace(ENGINE_FACTS, cgroup_version=2, runtimes=())
    old, new, other = (
        replace(v2, runtime=program, runtime_version=version)
        for program, version in (("runc", "1.3.1"), ("runc", "1.3.2"), ("kata", "3.2.1"))
    )
    claim = next(one for one in catalogue.CLAIMS if one.id == "explicit-1024-is-the-default")
    found = [claim.expectation(one) for one in (ENGINE_FACTS, old, new, other)]
    assert [one and one.verdict for one in found] == [
        ClaimVerdict.HOLDS, ClaimVerdict.REFUTED, ClaimVerdict.HOLDS, None,
    ]  # fmt: skip


def test_ids_and_topics_choose_and_a_wrong_one_names_the_nearest() -> None:
    assert catalogue.chosen([]) == catalogue.CLAIMS
    assert [claim.id for claim in catalogue.chosen(["pause-freezes"])] == ["pause-freezes"]
    assert {claim.topic for claim in catalogue.chosen(["shares"])} == {Topic.SHARES}
    with pytest.raises(UsageError, match="Did you mean 'pause-freezes'"):
        catalogue.chosen(["pause-freeze"])


@CLAIMS
def test_the_names_of_its_commands_are_names_that_docker_takes(claim: Claim) -> None:
    # moby, daemon/names: two characters at the least, of containers and of volumes.
    typed = "\n".join(claim.by_hand)
    assert not re.search(
        r"--name[ =][a-z](?![\w.-])| -v [a-z]:|volume (create|rm) [a-z](?![\w.-])", typed
    )
