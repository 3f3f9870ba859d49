"""Which metric decides at which point: the one that a law settles there.

What no law makes steady (a quota at the edge of what the host has, a period below the tick, gaps
where threads never stand still, points without a law) is compared, shown and told where it has
changed. But that it stays open decides nothing: by its nature no number of trials would end that.
"""

from __future__ import annotations

from harness.judge.laws.cpu import BELOW_A_TICK
from harness.model import DigestedPoint, JudgedLaw, Status


def decides(then: DigestedPoint, now: DigestedPoint, metric: str, container: int) -> bool:
    """Whether the metric's being open leaves a comparison open: a law settles it on both sides."""
    held = {(one.law, one.metric): one for one in then.laws if one.container == container}
    return any(
        metric in settled(law)
        # A digest of before this was kept does not know, and is of the same point.
        and ((before := held.get((law.law, law.metric))) is None
             or before.settles is None or metric in before.settles)
        for law in now.laws
        if law.container == container
    )  # fmt: skip


def settled(law: JudgedLaw) -> tuple[str, ...]:
    """The metrics that a law made steady, also in a digest of before this was kept."""
    if law.settles is not None:
        return law.settles
    loose = law.law in ("cpu-ceiling", BELOW_A_TICK) or law.status is Status.NOT_EXERCISABLE
    return () if loose else (law.metric,)
