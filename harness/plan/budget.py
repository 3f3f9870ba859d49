"""The time that a check may take: so many times that of its plan."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model import Plan, TrialRecord
from harness.plan.build import estimated_s

FACTOR = 3.0
"""Of the planned time, where nothing else is asked for."""


class Budget:
    """What is left of it. Trials say themselves what they took, also those before a resume."""

    def __init__(self, plan: Plan, factor: float) -> None:
        self._per_trial_s = estimated_s(plan) / len(plan.trials)
        self._total_s = factor * estimated_s(plan)
        self.waited_s = 0.0
        """Between trials, by this process."""

    def spare_s(self, records: Sequence[TrialRecord], more: int) -> float:
        """What is left (s) once so many more trials are done; below 0 where they do not fit."""
        took_s = sum(sum(record.phases_s.values()) for record in records)
        per_trial_s = took_s / len(records) if records else self._per_trial_s
        return self._total_s - self.waited_s - took_s - more * per_trial_s
