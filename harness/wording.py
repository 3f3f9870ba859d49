"""Words as a reader sees them.

They agree with the numbers beside them (``1 point conforms``, ``5 points conform``), and those from
outside show what stands in them.
"""

from __future__ import annotations

import re

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
"""Control characters but tab and line feed, and those that nobody sees or that switch the direction
of writing: what a name or a program's output could command a terminal or mislead a reader by."""


def visible(text: str) -> str:
    r"""Text from outside with each such character as its number: ``\x1b``, ``\u202e``."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def counted(number: int, noun: str) -> str:
    """``1 trial``, ``5 trials``, ``0 trials``."""
    return f"{number:d} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a regular noun, by its last letters: ``points``, ``matches``."""
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def agreeing(number: int, one: str, more: str) -> str:
    """The form of a verb for that many: ``agreeing(n, "conforms", "conform")``."""
    return one if number == 1 else more
