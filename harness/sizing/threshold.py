"""Where a noisy response to a limit changes from failing to holding: what trials say of it.

A trial of a setting holds or fails. From lower to higher settings the chance that it holds rises
from nearly 0 to nearly 1, over a width that nobody knows beforehand: nil for a kill by memory, half
of the limit itself for the tail of random arrivals. The edge is where the chance is one half, which
is where the median over trials meets the threshold. Kept is the joint posterior of edge and width
on a grid (as in psychophysics: Watson & Pelli 1983, "QUEST"; Kontsevich & Tyler 1999), so that all
trials near the edge speak of it together. docs/decisions/040 has what that costs and misses.

Settings are numbered 0 … n-1 upwards; an edge ``t`` lies between the settings t and t+1, -1 below
all of them and n-1 above all.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

LAPSE = 0.02
"""A trial in fifty goes the other way whatever the limit: the host was disturbed and nobody saw."""
WIDTHS = tuple(0.3 * 1.75**i for i in range(11))
"""Of the rise, as a standard deviation, in settings: from a step to 80 of them."""


@functools.cache
def _tables(n: int) -> tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]:
    """Of each width, log P(holds) and log P(fails) by how far a setting lies above the edge."""
    out = []
    for width in WIDTHS:
        chances = [_chance((d + 0.5) / width) for d in range(-n, n + 1)]
        out.append((
            tuple(math.log(p) for p in chances), tuple(math.log1p(-p) for p in chances)
        ))  # fmt: skip
    return tuple(out)


def _chance(z: float) -> float:
    """That a trial holds, so many widths above the edge."""
    return LAPSE + (1 - 2 * LAPSE) * 0.5 * math.erfc(-z / math.sqrt(2))


class Threshold:
    """The posterior after some trials of ``n`` settings."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.counts: dict[int, tuple[int, int]] = {}
        """Setting → (trials, those that held)."""
        # Edges -1 … n-1; then far below all settings, and far above.
        self._log = [[0.0] * (n + 1) for _ in WIDTHS]
        self._far = [math.log(0.1 * (n + 1) * len(WIDTHS))] * 2
        self._edges: tuple[list[float], list[float]] | None = None

    def add(self, setting: int, *, holds: bool) -> None:
        """One more trial."""
        trials, held = self.counts.get(setting, (0, 0))
        self.counts[setting] = (trials + 1, held + holds)
        n = self.n
        for row, (up, down) in zip(self._log, _tables(n), strict=True):
            table = up if holds else down
            # of the edge t = j - 1: setting - t - 1 whole settings above it, offset by n
            start = setting + n
            for j in range(n + 1):
                row[j] += table[start - j]
        good, bad = math.log(1 - LAPSE), math.log(LAPSE)
        self._far[0] += good if holds else bad
        self._far[1] += bad if holds else good
        self._edges = None

    def _posterior(self) -> tuple[list[float], list[float]]:
        """The chance of each edge -1 … n-1 (the far ones with the outermost), and of each width."""
        if self._edges is None:
            most = max(*map(max, self._log), *self._far)
            edges, widths = [0.0] * (self.n + 1), []
            for row in self._log:
                weights = [math.exp(one - most) for one in row]
                widths.append(sum(weights))
                for j, weight in enumerate(weights):
                    edges[j] += weight
            low, high = (math.exp(one - most) for one in self._far)
            edges[0] += low
            edges[-1] += high
            total, within = sum(edges), sum(widths)
            self._edges = ([one / total for one in edges], [one / within for one in widths])
        return self._edges

    def holds_from(self, confidence: float, among: Sequence[int] | None = None) -> int | None:
        """The least setting at which the median holds with that confidence; None = at none."""
        edges, _ = self._posterior()
        below = 0.0
        for setting in range(self.n):
            below += edges[setting]  # the edge setting - 1 lies right below it
            if below >= confidence and (among is None or setting in among):
                return setting
        return None

    def fails_to(self, confidence: float, among: Sequence[int] | None = None) -> int | None:
        """The greatest setting at which it fails with that confidence; None = at none."""
        edges, _ = self._posterior()
        above = 0.0
        for setting in range(self.n - 1, -1, -1):
            above += edges[setting + 1]
            if above >= confidence and (among is None or setting in among):
                return setting
        return None

    def quantile(self, share: float) -> float:
        """Where the edge lies, in settings; -0.5 below all of them, n - 0.5 above."""
        edges, _ = self._posterior()
        below = 0.0
        for j, chance in enumerate(edges):
            if below + chance >= share:
                return j - 1 + (share - below) / chance
            below += chance
        return self.n - 0.5

    @property
    def width(self) -> float:
        """Of the rise, in settings: its geometric mean."""
        _, widths = self._posterior()
        pairs = zip(widths, WIDTHS, strict=True)
        return math.exp(sum(chance * math.log(width) for chance, width in pairs))

    def chance(self, setting: int) -> float:
        """That a trial of a setting holds, by the middle of the posterior."""
        return _chance((setting - self.quantile(0.5)) / self.width)
