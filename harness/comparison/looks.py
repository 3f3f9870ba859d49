"""When a check that goes on looks at its trials: at so many of a point.

The sizes are fixed beforehand: what comes out decides only which points are measured further. What
each look takes for significant, and for certain, is in ``significance``. docs/decisions/037 has the
simulation of the whole.
"""

from __future__ import annotations

import itertools
import math

LOOKS = 4
"""At the most. The baseline has the trials that it has, so that more of now soon tell no more: from
10 a side to 10 and 35 an interval loses a fifth of its width, and to 10 and 1000 another tenth."""
GROWTH = 1.5


def sizes(repeats: int) -> tuple[int, ...]:
    """The trials of an open point at each look: 10, 15, 23, 35."""
    grown = itertools.accumulate(
        range(LOOKS - 1), lambda size, _: math.ceil(size * GROWTH), initial=repeats
    )
    return tuple(grown)


def look_of(repeats: int, trials: int) -> int:
    """Which look it is, from 1, where the point that was measured most has so many trials."""
    return next((k for k, size in enumerate(sizes(repeats), 1) if trials <= size), LOOKS)
