"""What can go wrong.

Each error has the exit code with which the command line answers, and its message is one line that
says what was tried and what to do about it. Code below the command line raises these; only
``harness.cli`` prints them and exits. Anything else that reaches the command line is a defect of
ours and exits with 70: an uncaught exception must never look like a regression.

An OOM kill or a time-out inside a trial is not an error but an outcome (``model.Outcome``).
"""

from __future__ import annotations


class BenchError(Exception):
    """The base of all errors that a user can do something about."""

    exit_code = 70

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class UsageError(BenchError):
    """A request that cannot be carried out as it was written: an option, a plan, a path."""

    exit_code = 2


class PlanError(UsageError):
    """A sweep whose points are impossible or contradict each other."""


class ResultsError(UsageError):
    """A results folder that cannot be read or written."""


class ComparisonError(BenchError):
    """Nothing to compare with: the baseline that was named is missing, or shares no point."""

    exit_code = 3


class EngineError(BenchError):
    """The engine is absent, unfit, or stopped answering."""

    exit_code = 4


class EngineRefusedError(EngineError):
    """The engine answers, but refuses this one request: a trial that is not started."""


class NotSupportedError(EngineError):
    """The engine would take this request and then do something else: it is not made at all."""


class MeasurementError(BenchError):
    """The host or the engine gave no valid measurement."""

    exit_code = 4
