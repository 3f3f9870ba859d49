"""The words of a figure.

Numbers and names as it writes them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from harness import units

NBSP = "\N{NO-BREAK SPACE}"


MOST_TOLD = 60
"""More points than this nobody listens to; the table has them all."""


def titled(text: str, unit: str = "") -> str:
    """A label with its unit, unless the unit stands in the label already."""
    label = text[:1].upper() + text[1:]
    return f"{label} ({unit})" if unit and unit not in text else label


def share(part: float) -> str:
    """``units.round_percent`` that no line breaks."""
    return units.round_percent(part).replace(" ", NBSP)


def duration(seconds: float) -> str:
    """``units.round_duration`` that no line breaks."""
    return units.round_duration(seconds).replace(" ", NBSP)


def size(size_bytes: float) -> str:
    """``units.round_size`` that no line breaks."""
    return units.round_size(size_bytes).replace(" ", NBSP)


def plain(text: str) -> str:
    """Outside text in one line of characters that can be drawn."""
    return "".join(c if c.isprintable() or c == NBSP else " " for c in text)


def shortened(text: str) -> str:
    """Outside text, short enough for a tick or a legend."""
    return textwrap.shorten(plain(text), 24, placeholder="…") or "?"


def spread_out(points: Sequence[str], most: int) -> list[str]:
    """At most so many of them, evenly spaced, both ends among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def told(parts: Iterable[str]) -> str:
    """Findings of several runs in one: the same one once."""
    return "; ".join(dict.fromkeys(parts))
