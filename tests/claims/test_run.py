"""A run of claims in a laboratory that is none: order, what goes wrong, what is left."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from harness.claims import run
from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, holds, inconclusive
from harness.engine.laboratory import Laboratory
from harness.errors import (
    EngineError,
    EngineRefusedError,
    MeasurementError,
    NotSupportedError,
)
from harness.model import ClaimResult, ClaimVerdict, Finding
from tests.fakes import ENGINE_FACTS

HOLDS = ClaimVerdict.HOLDS


@dataclass
class Lab:
    """As much of a laboratory as a run itself uses."""

    number: int
    log: list[str]
    answers: bool = True
    refusals: int = 0
    facts = ENGINE_FACTS

    @property
    def engine(self) -> Lab:
        return self

    def await_answer(self, timeout_s: float) -> bool:
        return self.answers

    def close(self) -> None:
        self.log.append(f"close {self.number}")
        if self.refusals:
            self.refusals -= 1
            raise EngineRefusedError("the engine refused to remove a container: it goes on.")


@dataclass
class Ran:
    """A run, with all that came of it."""

    answers: bool = True
    refusals: int = 0
    kept: list[ClaimResult] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def __call__(self, *claims: Claim, seed: int = 1, **options: Any) -> Ran:
        def opened(number: int) -> Laboratory:
            self.log.append(f"open {number}")
            refusals = self.refusals if number == 1 else 0
            return cast(Laboratory, Lab(number, self.log, self.answers, refusals))

        def keep(result: ClaimResult) -> None:
            self.log.append(f"keep {result.id}")
            self.kept.append(result)

        run.run_claims(run.ordered(claims, seed), opened, keep, run.Listener(), **options)
        return self

    @property
    def verdicts(self) -> list[str]:
        return [one.finding.verdict.value for one in self.kept]


def claim(experiment: Callable[[Any], Finding], claim_id: str = "a-b") -> Claim:
    return Claim(
        id=claim_id, topic=Topic.CPU, sentence="A.", korean="가.", refuted_by="B.",
        expected=(Expected(HOLDS, "it is so", "x.rst"),), by_hand=("c",), story="D.",
        experiment=experiment,
    )  # fmt: skip


def raising(error: BaseException) -> Callable[[Any], Finding]:
    def experiment(_: Any) -> Finding:
        raise error

    return experiment


def test_the_order_is_the_seeds() -> None:
    claims = [claim(lambda _: holds("so"), f"a-{n}") for n in range(20)]
    order = [one.id for one in Ran()(*claims).kept]
    assert order == [one.id for one in Ran()(*claims).kept]
    assert order != [one.id for one in claims]
    assert sorted(order) == sorted(one.id for one in claims)
    assert order != [one.id for one in Ran()(*claims, seed=2).kept]


def test_one_laboratory_a_claim_which_is_cleared_before_the_next_begins() -> None:
    ran = Ran()(claim(lambda _: holds("so"), "a-1"), claim(lambda _: holds("so"), "a-1"))
    assert ran.log == ["open 1", "keep a-1", "close 1", "open 2", "keep a-1", "close 2"]
    (result, _) = ran.kept
    assert (result.expected, result.because, result.source) == (HOLDS, "it is so", "x.rst")


@pytest.mark.parametrize(
    ("error", "verdict", "said"),
    [
        (NotExercisableError("no swap"), "not exercisable", "no swap"),
        (NotSupportedError("Podman takes no cpuset."), "not exercisable", "no cpuset"),
        (EngineRefusedError("the engine refused to x: y."), "inconclusive", "refused to x: y"),
        (EngineError("the engine stopped answering."), "inconclusive", "stopped answering"),
        (MeasurementError("no counters."), "inconclusive", "no counters"),
        (TimeoutError("still runs after 60 s"), "inconclusive", "out of time: still runs"),
        (ZeroDivisionError("by zero"), "inconclusive", "failed: ZeroDivisionError: by zero"),
    ],
)
def test_what_goes_wrong_is_a_finding_and_not_the_end(
    error: Exception, verdict: str, said: str
) -> None:
    ran = Ran()(claim(raising(error), "a-1"), claim(lambda _: holds("so"), "a-2"))
    last = {one.id: one.finding for one in ran.kept}
    assert last["a-1"].verdict.value == verdict
    assert said in last["a-1"].said
    assert last["a-2"].verdict is HOLDS


def test_an_engine_that_is_gone_ends_the_run_and_what_was_found_is_kept() -> None:
    ran = Ran(answers=False)
    claims = [claim(raising(EngineError("it stopped answering.")), "a-1"),
              claim(lambda _: holds("so"), "a-2")]  # fmt: skip
    for seed in range(10):
        with pytest.raises(EngineError, match="stopped answering"):
            ran(*claims, seed=seed)
    assert set(ran.verdicts) == {"holds"}
    assert ran.log[-1].startswith("close")


def test_what_stayed_open_is_tried_once_more_at_the_end() -> None:
    said = iter([inconclusive("no trial counted"), holds("0.5 CPUs")])
    ran = Ran()(claim(lambda _: next(said), "a-1"), *[claim(lambda _: holds("so"), "a-2")] * 3)
    assert ran.kept[-1].id == "a-1"
    assert [one.finding.verdict for one in ran.kept if one.id == "a-1"] == ["inconclusive", "holds"]
    never = Ran()(claim(lambda _: inconclusive("no"), "a-1"))
    assert never.verdicts == ["inconclusive", "inconclusive"]


def test_nothing_is_tried_again_when_it_took_long() -> None:
    ran = Ran()(claim(lambda _: inconclusive("no")), again_until_s=-1.0)
    assert ran.verdicts == ["inconclusive"]


def test_a_refusal_to_remove_does_not_cost_the_run_and_is_tried_again() -> None:
    ran = Ran(refusals=1)(claim(lambda _: holds("so"), "a-1"), claim(lambda _: holds("so"), "a-2"))
    assert ran.verdicts == ["holds", "holds"]
    assert ran.log[-1] == "close 1"
    with pytest.raises(EngineRefusedError):
        Ran(refusals=2)(claim(lambda _: holds("so")))


def test_an_interrupt_clears_the_laboratory_and_keeps_what_was_found() -> None:
    ran = Ran()
    with pytest.raises(KeyboardInterrupt):
        ran(claim(raising(KeyboardInterrupt()), "a-1"))
    assert ran.log == ["open 1", "close 1"]


def test_a_second_interrupt_does_not_cut_the_clearing_short() -> None:
    ran = Ran()

    def closing(lab: Any) -> Finding:
        real = lab.close

        def close() -> None:
            signal.raise_signal(signal.SIGINT)
            real()

        lab.close = close
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ran(claim(closing))
    assert ran.log == ["open 1", "close 1"]
