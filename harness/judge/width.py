"""How wide a point's main interval is.

No repeats take away the part of it that the source may miss alike in every trial.
"""

from __future__ import annotations

from dataclasses import replace

from harness.judge.points import PointSummary
from harness.model import Estimate, Scale


def half_width(summary: PointSummary) -> float | None:
    """Half of the width of a point's main interval, as a share of its median.

    None where there is no interval. The main metric is that of the point's first law, else the
    ratio of what competes, else CPUs.
    """
    estimate = _main(summary)
    if estimate is None or estimate.low is None or estimate.high is None:
        return None
    half = (estimate.high - estimate.low) / 2
    return half / abs(estimate.median) if estimate.median else (0.0 if half == 0 else None)


def stays(summary: PointSummary) -> float:
    """The part of ``half_width`` that no repeats take away: what the source may miss alike."""
    estimate = _main(summary)
    return estimate.error / abs(estimate.median) if estimate and estimate.median else 0.0


def _main(summary: PointSummary) -> Estimate | None:
    if summary.results:
        first = summary.results[0]
        # Against what the law came to in each window: where others take CPU, both move together.
        return first.achieved if first.expectation.scale is Scale.ABSOLUTE else _of_law(summary)
    return summary.estimate("ratio") or summary.estimate("cpus")


def _of_law(summary: PointSummary) -> Estimate | None:
    """The interval about 1 + deviation: of what was measured over what was promised."""
    found = summary.results[0].deviation
    if found is None or found.low is None or found.high is None:
        return None
    return replace(found, median=1 + found.median, low=1 + found.low, high=1 + found.high)
