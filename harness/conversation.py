"""Talking with one container of a trial: until it is ready, while it loads, and at its end.

The probe speaks the protocol of ``workloads/README.md``. A program of the user's own says at most
that it is ready, is told to end by a signal, and its output is searched for its metrics.
"""

from __future__ import annotations

import json
import math
import re
import signal
import time
from typing import Any, Protocol

from harness import probe
from harness.engine.containers import Container, Exit
from harness.model import (
    BurstReport,
    ContainerSpec,
    InsideReport,
    MemoryReport,
    Outcome,
    Program,
    ProgramMetric,
)

REPORT_TIMEOUT_S = 10.0
KILLED = 128 + signal.SIGKILL
_LOOK_S = 0.1


class TrialEndedError(Exception):
    """A trial that ends before its window did, with its outcome."""

    def __init__(self, outcome: Outcome, reason: str, exit_code: int | None = None) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.exit_code = exit_code
        """Of the container whose end it was; None where that goes on."""


class Conversation(Protocol):
    """One container's side of a trial. Each step may raise TrialEndedError."""

    ends_by_itself: bool
    """True for a load that says when it is done, instead of going on until it is told to stop."""

    def await_ready(self, timeout_s: float) -> None:
        """Return when the workload waits for, or is at, its load."""
        ...

    def begin(self, warmup_ns: int, duration_ns: int) -> None:
        """Let the load start."""
        ...

    def await_end(self) -> None:
        """Of a load that ends by itself: hear that it did."""
        ...

    def stop(self) -> None:
        """End the load; its container is still there to be read until this is called."""
        ...

    def report(self) -> dict[str, Any]:
        """What it said, and how it ended, as fields of ``ContainerRecord``."""
        ...


def converse(container: Container, spec: ContainerSpec) -> Conversation:
    """The conversation that a container's workload is fit for."""
    program = spec.workload.program
    if program is not None:
        return _WithProgram(container, program)
    return _WithProbe(container, ends_by_itself=spec.workload.name == "memory")


class _WithProbe:
    """The probe's protocol, a JSON object a line."""

    def __init__(self, container: Container, *, ends_by_itself: bool) -> None:
        self._container = container
        self.ends_by_itself = ends_by_itself

    def await_ready(self, timeout_s: float) -> None:
        probe.expect(self._hear(timeout_s, "become ready"), "ready")

    def begin(self, warmup_ns: int, duration_ns: int) -> None:
        self._say(probe.go(warmup_ns, duration_ns))

    def await_end(self) -> None:
        probe.expect(self._hear(1.0, "reach an end"), "done")

    def stop(self) -> None:
        self._say(probe.STOP)

    def report(self) -> dict[str, Any]:
        report = probe.report(self._hear(REPORT_TIMEOUT_S, "report"))
        ended = _exit(self._container, REPORT_TIMEOUT_S)
        return {
            "inside": report if isinstance(report, InsideReport) else None,
            "memory": report if isinstance(report, MemoryReport) else None,
            "burst": report if isinstance(report, BurstReport) else None,
            "exit_code": ended.exit_code,
            "oom_killed": ended.oom_killed,
        }

    def _hear(self, timeout_s: float, to_do: str) -> dict[str, Any]:
        """The next JSON object of the workload; the trial ends where none comes."""
        try:
            return probe.message(self._container.read_line(timeout_s))
        except TimeoutError:
            raise TrialEndedError(
                Outcome.TIMED_OUT, f"the workload did not {to_do} within {timeout_s:g} s"
            ) from None
        except EOFError:
            raise _death(self._container, f"before it could {to_do}") from None

    def _say(self, text: str) -> None:
        try:
            self._container.write_line(text)
        except EOFError:
            word = text.split(maxsplit=1)[0]
            raise _death(self._container, f"when it was told '{word}'") from None


class _WithProgram:
    """A program that knows nothing of us."""

    ends_by_itself = False

    def __init__(self, container: Container, program: Program) -> None:
        self._container, self._program = container, program
        self._lines: list[str] = []

    def await_ready(self, timeout_s: float) -> None:
        if self._program.ready is None:
            return
        deadline = time.monotonic() + timeout_s
        while not re.search(self._program.ready, self._said()):
            if time.monotonic() > deadline:
                raise TrialEndedError(
                    Outcome.TIMED_OUT, f"the workload did not become ready within {timeout_s:g} s"
                )
            try:
                self._lines.append(self._container.read_line(_LOOK_S))
            except TimeoutError:
                continue  # it may have said so on standard error
            except EOFError:
                raise _death(self._container, "before it could become ready") from None

    def begin(self, warmup_ns: int, duration_ns: int) -> None:
        """It loads already."""

    def await_end(self) -> None:
        """It has no end of its own."""

    def stop(self) -> None:
        self._container.signal(self._program.stop_signal)

    def report(self) -> dict[str, Any]:
        ended = _exit(self._container, REPORT_TIMEOUT_S)
        while True:
            try:
                self._lines.append(self._container.read_line(REPORT_TIMEOUT_S))
            except (EOFError, TimeoutError):
                break
        said = self._said()
        return {
            "metrics": tuple(
                (metric.name, value)
                for metric in self._program.metrics
                if (value := metric_value(metric, said)) is not None
            ),
            "exit_code": ended.exit_code,
            "oom_killed": ended.oom_killed,
        }

    def _said(self) -> str:
        return "\n".join([*self._lines, self._container.stderr()])


def metric_value(metric: ProgramMetric, said: str) -> float | None:
    """The last number that a metric's pattern, or its key in a JSON line, finds in the output."""
    found = None
    if metric.pattern is not None:
        for match in re.finditer(metric.pattern, said, re.MULTILINE):
            found = _number(match[1]) if match.lastindex else None
        return found
    for line in said.splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict) and metric.key in document:
            found = _number(document[metric.key])
    return found


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _exit(container: Container, timeout_s: float) -> Exit:
    try:
        return container.wait(timeout_s)
    except TimeoutError as error:
        raise TrialEndedError(
            Outcome.TIMED_OUT, f"the workload outlived its time: {error}"
        ) from None


def _death(container: Container, when: str) -> TrialEndedError:
    """The end of a container that should have gone on."""
    ended = _exit(container, REPORT_TIMEOUT_S)
    if ended.oom_killed:
        return TrialEndedError(Outcome.OOM_KILLED, f"the workload was OOM-killed {when}")
    if ended.oom_killed is None and ended.exit_code == KILLED:
        when += " (this engine does not tell whether it was killed for memory)"
    said = f": {text}" if (text := container.stderr()) else ""
    return TrialEndedError(
        Outcome.FAILED, f"the workload ended with code {ended.exit_code} {when}{said}",
        ended.exit_code,
    )  # fmt: skip
