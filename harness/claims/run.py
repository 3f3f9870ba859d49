"""Claims put to the test, one after another in a random order.

Each in a laboratory of its own, so that what one leaves behind is gone before the next begins. What
goes wrong in an experiment is a finding of its claim, with the reason, and never the end of the
run; only an engine that is gone is that, or the user.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence

from harness.claims.claim import Claim, NotExercisableError, inconclusive
from harness.engine.laboratory import Laboratory
from harness.errors import (
    BenchError,
    EngineError,
    EngineRefusedError,
    NotSupportedError,
)
from harness.interrupts import held_back
from harness.model import ClaimResult, ClaimVerdict, Finding

AGAIN_UNTIL_S = 210.0
"""Up to then what stayed open is tried again: all claims together are to take 4 minutes at most."""
_ANSWER_S = 10.0

_log = logging.getLogger(__name__)

Open = Callable[[int], Laboratory]
"""A new laboratory, for the claim of that number."""


class Listener:
    """What a run tells while it goes on; nothing is told while an experiment is made."""

    def begun(self, claim: Claim, done: int, total: int) -> None:
        """That claim is put to the test now; that many of all are done."""

    def finished(self, result: ClaimResult, done: int, total: int) -> None:
        """What was found of it, kept already."""


def ordered(claims: Sequence[Claim], seed: int) -> list[Claim]:
    """In the random order of that seed."""
    return random.Random(seed).sample(list(claims), len(claims))


def run_claims(
    claims: Sequence[Claim],
    open_laboratory: Open,
    keep: Callable[[ClaimResult], None],
    listener: Listener,
    again_until_s: float = AGAIN_UNTIL_S,
) -> None:
    """Put each to the test, in this order; ``keep`` has a result before the next begins.

    What is inconclusive is tried once more at the end, when whatever disturbed it may be over.
    EngineError where the engine is gone.
    """
    total, done, began = len(claims), 0, time.monotonic()
    uncleared: list[Laboratory] = []
    again: list[Claim] = []
    for number, claim in enumerate(claims, start=1):
        listener.begun(claim, done, total)
        result = _kept(claim, open_laboratory(number), keep, uncleared)
        if result.finding.verdict is ClaimVerdict.INCONCLUSIVE:
            again.append(claim)
            total += 1
        done += 1
        listener.finished(result, done, total)
    for number, claim in enumerate(again, start=len(claims) + 1):
        if time.monotonic() - began > again_until_s:
            _log.info("%s and those after it are not tried again: it took too long", claim.id)
            break
        listener.begun(claim, done, total)
        result = _kept(claim, open_laboratory(number), keep, uncleared)
        done += 1
        listener.finished(result, done, total)
    for lab in uncleared:
        lab.close()


def _kept(
    claim: Claim,
    lab: Laboratory,
    keep: Callable[[ClaimResult], None],
    uncleared: list[Laboratory],
) -> ClaimResult:
    """What is found of it, kept; nothing of its experiment is left, but in ``uncleared``."""
    try:
        began = time.monotonic()
        finding = _found(claim, lab)
        expected = claim.expectation(lab.facts)
        result = ClaimResult(
            id=claim.id, topic=claim.topic.value, finding=finding,
            expected=expected.verdict if expected else None,
            because=expected.because if expected else "",
            source=expected.source if expected else "", took_s=time.monotonic() - began,
        )  # fmt: skip
        keep(result)
    finally:
        with held_back():
            try:
                lab.close()
            except EngineRefusedError as error:  # a removal that goes on already, for one
                _log.warning("%s: what it made is not gone yet: %s", claim.id, error.message)
                uncleared.append(lab)
    return result


def _found(claim: Claim, lab: Laboratory) -> Finding:
    _log.info("%s: %s", claim.id, claim.sentence)
    try:
        finding = claim.experiment(lab)
    except (NotExercisableError, NotSupportedError) as why:
        finding = Finding(ClaimVerdict.NOT_EXERCISABLE, str(why))
    except EngineError as error:
        if not isinstance(error, EngineRefusedError) and not lab.engine.await_answer(_ANSWER_S):
            raise
        finding = inconclusive(error.message)
    except BenchError as error:
        finding = inconclusive(error.message)
    except TimeoutError as error:
        finding = inconclusive(f"its experiment ran out of time: {error}")
    except Exception as error:  # noqa: BLE001 - one's defect must not cost the others' findings
        _log.exception("%s: its experiment failed", claim.id)
        finding = inconclusive(f"its experiment failed: {type(error).__name__}: {error}")
    _log.info("%s: %s: %s", claim.id, finding.verdict.value, finding.said)
    return finding
