"""How long each phase of a trial takes, as the log has it."""

from __future__ import annotations

import logging
import time

from harness.model import TrialRecord

_log = logging.getLogger(__name__)


class Phases:
    """Wall time of each phase of a trial, which is logged at its end."""

    def __init__(self, trial: str) -> None:
        self._trial = trial
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def end(self, name: str) -> None:
        """A phase is over."""
        now = time.monotonic()
        self.seconds[name] = round(now - self._since, 6)
        self._since = now
        _log.info("%s: %s, %.3f s", self._trial, name, self.seconds[name])


def log_end(record: TrialRecord) -> None:
    """Log what became of a trial."""
    trial = f"trial {record.index} of {record.point_id}"
    _log.info("%s: %s", trial, record.failure or record.outcome.value)
    if record.invalid:
        _log.warning("%s does not count: %s", trial, record.invalid)
    for note in record.warnings:
        _log.info("%s: %s (%s)", trial, note.text, note.code)
