"""The first line of a comparison: what changed, by how much, since which fact, what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.comparison import changes
from harness.model import Change, Compared, Digest, Status
from tests.digests import digest, law, of_cpus, point, spread, with_kernel

BEFORE = of_cpus(0.5)
TOO_FEW = (
    "the baseline has 10 trials a point, which is too few here: sweep with --repeats 20 and `bench "
    "baseline set`."
)


def answer(before: Digest, after: Digest, *allow: str) -> str:
    return changes.compare(before, after, allow=allow).answer


def test_nothing_changed() -> None:
    same = "Limits behave as they did and as they should."
    assert answer(BEFORE, of_cpus(0.5, seed=2)) == f"{same} Nothing is to be done."
    upgraded = with_kernel(of_cpus(0.5, seed=2), "6.2.0")
    assert answer(BEFORE, upgraded, "kernel") == (
        f"{same} Since then the kernel changed from 6.1.0 to 6.2.0. Nothing is to be done."
    )
    alone = changes.laws_alone(of_cpus(0.5))
    assert alone.answer == "Limits behave as they should. Nothing is to be done."


def test_a_change_is_told_with_its_size_what_differs_and_what_to_do() -> None:
    less = of_cpus(0.475, seed=2)
    told = answer(BEFORE, with_kernel(less, "6.2.0"), "kernel")
    assert told.startswith(
        "Limits do not behave as they did: at cpus=0.5, CPUs achieved fell by 5.17%, "
        "from 0.5001 to 0.4742. Since then the kernel changed from 6.1.0 to 6.2.0. "
    )
    assert told.endswith(
        "To do: go back to the former kernel, or accept it with `bench baseline set`."
    )
    told = answer(BEFORE, less)
    assert "kernel, engine and runtime are the same. To do: find what changed" in told
    governed = replace(less, conditions={"governor": "powersave"})
    assert "Since then governor changed from none to powersave; " in answer(BEFORE, governed)


def test_the_largest_change_of_what_decides_leads() -> None:
    def run(cpus: float, gap: float, seed: int) -> Digest:
        series = {"cpus": spread(cpus, seed=seed), "gap_max_s": spread(gap, seed=seed)}
        return digest(point(series), point({"cpus": spread(0.5, seed=seed)}, point_id="other"))

    told = answer(run(0.5, 0.05, 1), run(0.55, 0.5, 2))
    assert "at cpus=0.5, CPUs achieved rose by" in told
    assert ", and 1 more change at 1 point in all." in told


def test_a_broken_law_is_told_and_that_a_new_baseline_does_not_mend_it() -> None:
    broken = law(status=Status.DEVIATES)
    after = digest(point({"cpus": spread(0.475, seed=2)}, laws=[broken]))
    assert answer(BEFORE, after).endswith("with `bench baseline set` and `--allow laws`.")
    alone = changes.laws_alone(after).answer
    assert "at cpus=0.5 the law of CPUs achieved (cpu-bandwidth) is violated. To do:" in alone


@pytest.mark.parametrize(
    ("look", "lost", "to_do"),
    [
        (0, 0, "check again with more --repeats, or a larger --budget."),
        (4, 0, TOO_FEW),
        (4, 9, "check again on a calmer host; `bench doctor` tells what disturbs this one."),
    ],
)  # fmt: skip
def test_what_is_open_is_named_with_what_would_decide(look: int, lost: int, to_do: str) -> None:
    after = of_cpus(0.5, sigma=0.02, seed=2)
    points = tuple(replace(one, trials=one.valid + lost) for one in after.points)
    compared = changes.compare(
        of_cpus(0.5, sigma=0.02), replace(after, points=points, look=look)
    )  # fmt: skip
    assert compared.status is Change.INCONCLUSIVE
    assert compared.answer == (
        "It is not known yet whether limits behave as they did: CPUs achieved at cpus=0.5. "
        f"To do: {to_do}"
    )


def test_what_cannot_be_compared_says_why_in_the_next_line() -> None:
    compared: Compared = changes.compare(BEFORE, with_kernel(of_cpus(0.5, seed=2), "6.2.0"))
    assert compared.answer.startswith("It cannot be said whether limits behave as they did. Since")
    better = answer(of_cpus(0.55), of_cpus(0.5, seed=2))
    assert better.startswith("Limits behave better than they did: at cpus=0.5, CPUs achieved fell")
