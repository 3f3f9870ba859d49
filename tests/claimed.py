"""Results of claims for what stores and shows them: of every verdict, expected and not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.model import ClaimResult, ClaimText, ClaimVerdict, EngineFacts, Finding, Number
from harness.store import claims
from tests.fakes import ENGINE_FACTS, HOST_FACTS

HOLDS, REFUTED = ClaimVerdict.HOLDS, ClaimVerdict.REFUTED


def text(claim_id: str, topic: str = "cpu", sentence: str = "") -> ClaimText:
    return ClaimText(
        id=claim_id, topic=topic, sentence=sentence or f"The sentence of {claim_id}.",
        korean=f"{claim_id}의 문장이다.", refuted_by="The opposite is seen.",
        by_hand=("docker run IMAGE", "docker stats"), story="What really happens.",
    )  # fmt: skip


def result(
    claim_id: str,
    verdict: ClaimVerdict,
    *,
    expected: ClaimVerdict | None = HOLDS,
    topic: str = "cpu",
    said: str = "0.500 CPUs where 0.5 is claimed",
    **numbers: Number,
) -> ClaimResult:
    return ClaimResult(
        id=claim_id, topic=topic, finding=Finding(verdict, said, tuple(numbers.items())),
        expected=expected, because="so the kernel has it", source="cgroup-v2.rst", took_s=1.25,
    )  # fmt: skip


TEXTS = (
    text("cpus-bind"), text("shares-cap", "shares"), text("memory-binds", "memory"),
    text("swap-doubles", "swap"), text("ports-open", "network"),
)  # fmt: skip
RESULTS = (
    result("cpus-bind", HOLDS, cpus=0.5, exact=True),
    result("shares-cap", REFUTED, expected=REFUTED, topic="shares"),
    result("memory-binds", REFUTED, topic="memory", said="it used 80 MiB of 64 MiB"),
    result("swap-doubles", ClaimVerdict.INCONCLUSIVE, topic="swap", said="no trial counted"),
    result("ports-open", ClaimVerdict.NOT_EXERCISABLE, topic="network", said="there is no bridge"),
)
"""One that holds, one that is refuted as expected, one that surprises, one open, one not there."""


def stored(
    root: Path,
    results: Iterable[ClaimResult] = RESULTS,
    texts: Iterable[ClaimText] = TEXTS,
    *,
    status: str = "finished",
    engine: EngineFacts = ENGINE_FACTS,
) -> Path:
    """The folder of a run of claims; without a status it was never finished."""
    run = claims.create(root, texts, seed=1, command="bench claims", host=HOST_FACTS, engine=engine)
    for one in results:
        run.keep(one)
    if status:
        run.finish(status)
    return run.path


def loaded(root: Path, results: Iterable[ClaimResult] = RESULTS) -> claims.ClaimsRun:
    """The same, read back."""
    return claims.load(stored(root, results))
