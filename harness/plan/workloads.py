"""What a workload's name means, wherever a user says it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.model import PROBE, Load, Spin
from harness.plan import programs

FindWorkload = Callable[[str | None], Load]
"""By its name; None = the load where none is named."""


def find(name: str | None, folder: Path) -> Load:
    """The workload of that name, with its defaults: whoever plans it knows threads and limits.

    ``spin``, ``burst`` and ``memory`` are the probe's; any other name is that of a program in
    ``folder``, and ``FILE.toml`` that of the user's own. None is full load. PlanError where there
    is no such workload.
    """
    if name is None:
        return Spin()
    if name in PROBE:
        return PROBE[name]()
    return programs.find(name, folder)
