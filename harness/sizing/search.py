"""Which settings are tried next, until it is known which is the least that holds.

Pure and deterministic: all of it follows from the trials so far, in their order, and the seed. A
ladder over the whole range comes first, so that a response that does not rise is seen. Then one
trial after another where the edge is thought to be; near it, rounds of settings on both sides in
random order, so that what drifts meets both. No trial is asked for without a doubt that it could
end, and none of what is told rests on trials that came one after the other at one setting.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.sizing.threshold import Threshold

RUNGS = 7
"""Of the ladder, its ends included."""
PLAIN = 0.99
"""So sure it must be that a whole range holds, or fails."""
LEAST_TRIALS = 5
"""At either end of the bracket, and where a whole range is spoken of."""
CONTRARY_TRIALS = 8
"""Of a setting that contradicts a higher one, at the most before it is said to."""
CONTRADICTION = 0.01
"""Fisher's exact test, one-sided: below this, two settings contradict each other."""
DRIFT = 3.3
"""Standard deviations by which late trials may hold more or less often than early ones."""
MOST_TRIALS = 400


class Ending(StrEnum):
    """How a search ends."""

    FOUND = "found"
    ALWAYS = "always holds"
    NEVER = "no limit will do"
    NOT_MONOTONE = "not monotone"
    DRIFTED = "drifted"
    TOO_NOISY = "too noisy"
    BUDGET = "budget spent"
    DISTURBED = "disturbed"


@dataclass(frozen=True, slots=True)
class Bracket:
    """Two settings: the median fails at the one and holds at the other. None = at none so far."""

    fails: int | None
    holds: int | None


class Search:
    """The search for the least of ``n`` settings that holds, within ``width`` settings of it."""

    def __init__(self, n: int, *, width: int, confidence: float, seed: int) -> None:
        self.n, self.width, self.confidence, self._seed = n, max(1, width), confidence, seed
        self.threshold = Threshold(n)
        self.trials: list[tuple[int, bool]] = []

    def add(self, setting: int, *, holds: bool) -> None:
        """A trial is done."""
        self.trials.append((setting, holds))
        self.threshold.add(setting, holds=holds)

    @property
    def ladder(self) -> tuple[int, ...]:
        """The settings that are tried first, each once."""
        rungs = min(RUNGS, self.n)
        if rungs == 1:
            return (0,)
        return tuple(sorted({round(i * (self.n - 1) / (rungs - 1)) for i in range(rungs)}))

    @property
    def bracket(self) -> Bracket:
        """Of all settings, tried or not."""
        known = self.threshold
        return Bracket(known.fails_to(self.confidence), known.holds_from(self.confidence))

    @property
    def tried_bracket(self) -> Bracket:
        """Of those that can be told of: tried often enough, and most of their trials say so too."""
        known = self.threshold
        often = {one: 2 * held - n for one, (n, held) in known.counts.items() if n >= LEAST_TRIALS}
        failing = [one for one, more in often.items() if more < 0]
        holding = [one for one, more in often.items() if more > 0]
        return Bracket(
            known.fails_to(self.confidence, failing), known.holds_from(self.confidence, holding)
        )

    @property
    def ending(self) -> Ending | None:  # noqa: PLR0911 - one return for each ending
        """What is known by now; None = it goes on."""
        if not self.trials or self._suspects():
            return None
        if self._contradiction():
            return Ending.NOT_MONOTONE
        known, counts = self.threshold, self.threshold.counts
        if known.holds_from(PLAIN) == 0 and self._often(0):
            return Ending.ALWAYS
        top = self.n - 1
        if known.fails_to(PLAIN) == top and self._often(top) and not self._holds_somewhere():
            return Ending.NEVER
        found = self.tried_bracket
        if found.holds is not None and (
            (found.fails is not None and found.holds - found.fails <= self.width)
            or (found.holds == 0 and counts[0][0] >= 3 * LEAST_TRIALS)
        ):
            if self._lonely_ends():
                return None
            if self._drift() > DRIFT:
                return Ending.DRIFTED
            return Ending.FOUND if found.fails is not None else Ending.ALWAYS
        return Ending.TOO_NOISY if len(self.trials) >= MOST_TRIALS else None

    def next(self) -> tuple[int, ...]:
        """The settings of the next trials, in their order. Asked only where nothing has ended it.

        Raises nothing; never empty.
        """
        rng = random.Random(f"{self._seed} {len(self.trials)}")
        if not self.trials:
            return tuple(rng.sample(self.ladder, len(self.ladder)))
        if suspects := self._suspects():
            return tuple(rng.sample(suspects, len(suspects)))
        if self._is_narrow and (ends := self._lonely_ends()):
            return tuple(rng.sample(ends, len(ends)))
        low, high = self.threshold.quantile(0.05), self.threshold.quantile(0.95)
        if high - low > 4 * self.width:
            # Far from the edge: halve what is left, unless it is there that trials disagree.
            middle = self._clamped(math.ceil(self.threshold.quantile(0.5)))
            if self.threshold.counts.get(middle, (0, 0))[0] < 2:
                return (middle,)
        around = self._around()
        return tuple(rng.sample(around, len(around)))

    # --- near the edge ---

    def _around(self) -> list[int]:
        """A setting on either side of the edge: the ends of the bracket, once it is narrow."""
        now = self.bracket
        low = -1 if now.fails is None else now.fails
        high = self.n if now.holds is None else now.holds
        if high - low <= self.width:
            # What is told of must have been tried, and a little outside is told of more surely.
            often = self.tried_bracket
            ends = [low, high]
            if often.fails is not None and high - often.fails <= self.width:
                ends = [often.fails, high]
            elif often.holds is not None and often.holds - low <= self.width:
                ends = [low, often.holds]
            return [self._clamped(one) for one in ends]
        middle, off = self.threshold.quantile(0.5), 0.8 * self.threshold.width
        least = max(self.width / 4, 0.5)
        both = [self._snapped(middle - max(off, least)), self._snapped(middle + max(off, least))]
        if off < least and both[0] <= low and both[1] >= high:
            # A cliff, of which both sides are known: what is open lies between them.
            return [self._clamped(round(middle))]
        return both

    def _snapped(self, at: float) -> int:
        """A setting that was tried already, where one is near; repeats are what intervals need."""
        wanted = self._clamped(round(at))
        near = [one for one in self.threshold.counts if abs(one - wanted) <= self.width / 4]
        return min(near, key=lambda one: abs(one - wanted), default=wanted)

    def _clamped(self, setting: int) -> int:
        return min(max(setting, 0), self.n - 1)

    # --- what speaks against an answer ---

    @property
    def _is_narrow(self) -> bool:
        found = self.tried_bracket
        return None not in (found.fails, found.holds) and (
            (found.holds or 0) - (found.fails or 0) <= self.width
        )

    def _lonely_ends(self) -> list[int]:
        """The ends of the range, while too little says that it rises from the one to the other."""
        found = []
        for end in (0, self.n - 1):
            n, held = self.threshold.counts.get(end, (0, 0))
            expected = held if end else n - held
            if n < 2 or (2 * expected <= n < CONTRARY_TRIALS):
                found.append(end)
        return found

    def _often(self, setting: int) -> bool:
        return self.threshold.counts.get(setting, (0, 0))[0] >= LEAST_TRIALS

    def _holds_somewhere(self) -> bool:
        return any(2 * held > n for n, held in self.threshold.counts.values() if n >= LEAST_TRIALS)

    def _inversions(self) -> list[tuple[int, int]]:
        """Pairs of settings well apart, of which the lower holds and the higher fails."""
        counts, apart = self.threshold.counts, 2 * self.width
        holding = [one for one, (n, held) in counts.items() if 2 * held > n]
        failing = [one for one, (n, held) in counts.items() if 2 * held < n]
        return [(i, j) for i, j in itertools.product(holding, failing) if j - i > apart]

    def _suspects(self) -> list[int]:
        """Settings of such pairs that were not tried often enough to tell an accident."""
        pairs = sorted(self._inversions(), key=lambda pair: (pair[0] - pair[1], pair))[:2]
        counts = self.threshold.counts
        return sorted({one for pair in pairs for one in pair if counts[one][0] < CONTRARY_TRIALS})

    def _contradiction(self) -> bool:
        counts = self.threshold.counts
        return any(_fisher(counts[i], counts[j]) < CONTRADICTION for i, j in self._inversions())

    def _drift(self) -> float:
        """By how many standard deviations late trials differ from early ones, near the edge."""
        first = len(self.ladder)
        rows = [(k, holds, self.threshold.chance(one))
                for k, (one, holds) in enumerate(self.trials) if k >= first]  # fmt: skip
        weights = [p * (1 - p) for _, _, p in rows]
        total = sum(weights)
        if total <= 0:
            return 0.0
        centre = sum(w * k for w, (k, _, _) in zip(weights, rows, strict=True)) / total
        score = sum((holds - p) * (k - centre) for k, holds, p in rows)
        spread = sum(w * (k - centre) ** 2 for w, (k, _, _) in zip(weights, rows, strict=True))
        return abs(score) / math.sqrt(spread) if spread else 0.0


def _fisher(lower: Sequence[int], higher: Sequence[int]) -> float:
    """P of so many or more holding at the lower of two settings, were both alike."""
    (n, held), (m, also) = lower, higher
    both = held + also
    ways = math.comb(n + m, both)
    return sum(
        math.comb(n, k) * math.comb(m, both - k) for k in range(held, min(n, both) + 1)
        if both - k <= m
    ) / ways  # fmt: skip
