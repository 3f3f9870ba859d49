"""Containers that hold memory, for experiments."""

from __future__ import annotations

from typing import Any

from harness import units
from harness.engine.laboratory import Box, Laboratory

MIB = 1 << 20


def holding(lab: Laboratory, size: int, **limits: Any) -> Box | None:
    """A container that holds so much anonymous memory; None where it ended over it."""
    box = lab.create("take", f"{size}", "+", "sleep", "60", **limits).start()
    return box if box.says("took") else None


def told(value: int | None) -> str:
    """A size or a limit of memory in words."""
    if value is None:
        return "nothing that can be read"
    return "no limit" if value < 0 else units.size(value)
