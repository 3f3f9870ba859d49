"""Programs that are sent signals, for experiments."""

from __future__ import annotations

from typing import Any

from harness.claims.claim import NotExercisableError
from harness.engine.laboratory import Box, Laboratory


def heeding(lab: Laboratory, *code: str, **options: Any) -> Box:
    """A program that handles signals, and is ready for them."""
    box = lab.create("heed", "60", *code, **options).start()
    box.await_line("heeding")
    return box


def goes_on(box: Box, seconds: float) -> bool:
    """Whether it still runs after that time."""
    try:
        box.wait(seconds)
    except TimeoutError:
        return True
    return False


def signals(box: Box) -> list[tuple[int, float]]:
    """(number, when in seconds) of those that the engine says it sent."""
    sent = [one for one in box.events() if one.get("Action") == "kill"]
    try:
        return [(int(one["Actor"]["Attributes"]["signal"]), one["timeNano"] / 1e9) for one in sent]
    except (KeyError, ValueError):
        raise NotExercisableError("the engine's events do not tell which signals it sent") from None
