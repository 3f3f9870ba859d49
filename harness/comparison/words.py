"""A comparison in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from harness import units
from harness.judge.metrics import METRICS
from harness.model import Change, Compared, Comparison, Difference, Floor, Scale, Status
from harness.wording import agreeing, counted


def differing(found: Sequence[Difference]) -> str:
    """The differences in words."""
    return "; ".join(
        f"{one.fact} was {brief(one.before)}, is {brief(one.after)}" for one in found
    )  # fmt: skip


def brief(fact: str) -> str:
    """A fact with the beginning of a checksum in place of all of it."""
    return _CHECKSUM.sub(r"\1…", fact)


_CHECKSUM = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")


def headline(compared: Compared, points: int) -> str:
    """The whole comparison in a sentence."""
    tally = Counter(row.status for row in compared.rows)
    order = (Change.REGRESSED, Change.IMPROVED, Change.INCONCLUSIVE, Change.SAME)
    parts = [f"{tally[status]} {status.value}" for status in order if tally[status]]
    watched = sum(row.status is Change.INCONCLUSIVE and not row.decides for row in compared.rows)
    if watched:
        parts = [part + f" ({watched} only watched)" * ("inconclusive" in part) for part in parts]
    head = {
        Change.REGRESSED: "Regressed",
        Change.IMPROVED: "Improved",
        Change.SAME: "No change that matters",
        Change.INCONCLUSIVE: "Inconclusive",
        Change.INCOMPARABLE: "Not all of it is comparable",
    }[compared.status]
    said = f"{head}: {', '.join(parts)} at {counted(points, 'point')}"
    return f"{said}. {law_headline(compared)}."


def law_headline(compared: Compared) -> str:
    """What the laws alone say, in a sentence."""
    tally = Counter(law.after for law in compared.laws)
    total = tally.total()
    if not total:
        return "No law speaks of these points"
    words = {Status.CONFORMS: "conform", Status.DEVIATES: "violated",
             Status.INCONCLUSIVE: "inconclusive",
             Status.NOT_EXERCISABLE: "no longer exercisable"}  # fmt: skip
    if len(tally) == 1:
        (status,) = tally
        many, verb = total > 1, "" if status is Status.CONFORMS else "are " if total > 1 else "is "
        word = "conforms" if status is Status.CONFORMS and not many else words[status]
        return f"{f'All {total} laws' if many else 'The law'} {verb}{word}"
    words[Status.CONFORMS] = agreeing(tally[Status.CONFORMS], "conforms", "conform")
    parts = [f"{tally[status]} {word}" for status, word in words.items() if tally[status]]
    return f"Of {total} laws {', '.join(parts)}"


def change_text(change: float, row: Comparison | Floor) -> str:
    """A change in words: ``+1.20%``, or in the metric's unit where it is a difference."""
    if row.scale is Scale.RELATIVE:
        return units.relative(change)
    return units.of(METRICS[row.metric].unit).difference(change)


def within(effect: float, row: Comparison) -> str:
    """A change of either sign: ``±1.00%``."""
    return f"±{change_text(effect, row).lstrip('+')}"


def span(row: Comparison) -> str:
    """A change's interval in words: ``-0.31 … +0.42%``; empty where there is none."""
    if row.low is None or row.high is None:
        return ""
    return units.from_to(change_text(row.low, row), change_text(row.high, row), " … ")
