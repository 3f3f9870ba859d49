"""Talking with one container of a trial.

Until it is ready, while it loads, and at its end. The probe speaks the protocol of
``workloads/README.md``. A program of the user's own says at most that it is ready, is told to end
by a signal, and its output is searched for its metrics.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import signal
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from harness.engine.boundary import Container, Exit
from harness.measure import protocol
from harness.model import (
    Ask,
    Batch,
    ContainerSpec,
    Growth,
    Kept,
    Lifecycle,
    OfProbe,
    Outcome,
    Program,
    ProgramDescription,
    ProgramMetric,
    Server,
)

REPORT_TIMEOUT_S = 10.0
KILLED = 128 + signal.SIGKILL
SERVER_ENDS_S = 2.0
"""A server is given so long after its signal."""
NOT_RUN = 127
"""By which the probe, and a shell, say that a program cannot be run."""
_CANNOT = "cannot be run: "
_LOOK_S = 0.1
MOST_KEPT = 1 << 20
"""Characters of a program's output, those of its end: of each metric the last value counts."""
_MOST_QUOTED = 500


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
    match spec.workload:
        case Batch() as batch:
            return _WithBatch(container, batch)
        case Server() as server:
            return _WithServer(container, server.description)
        case Program() as program:
            return WithProgram(container, program.description)
        case Lifecycle() | Kept():
            raise TypeError("an engine's commands are no conversation: each has trials of its own")
        case Ask():
            raise TypeError("who asks a server is no workload of a point: measure.asking has it")
        case of_probe:
            return _WithProbe(container, of_probe)


class ByProtocol:
    """The probe's protocol, a JSON object a line."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def hear(self, timeout_s: float, to_do: str) -> dict[str, Any]:
        """The next JSON object of the workload; the trial ends where none comes."""
        try:
            return protocol.message(self._container.read_line(timeout_s))
        except TimeoutError:
            raise TrialEndedError(
                Outcome.TIMED_OUT, f"the workload did not {to_do} within {timeout_s:g} s"
            ) from None
        except EOFError:
            raise death(self._container, f"before it could {to_do}") from None

    def say(self, text: str) -> None:
        """A line to the workload; the trial ends where it is gone."""
        try:
            self._container.write_line(text)
        except EOFError:
            word = text.split(maxsplit=1)[0]
            raise death(self._container, f"when it was told '{word}'") from None


class _WithProbe(ByProtocol):
    """A mode of the probe that is a workload."""

    def __init__(self, container: Container, workload: OfProbe) -> None:
        super().__init__(container)
        self._workload = workload
        self.ends_by_itself = workload.ends_by_itself

    def await_ready(self, timeout_s: float) -> None:
        protocol.expect(self.hear(timeout_s, "become ready"), "ready")

    def begin(self, warmup_ns: int, duration_ns: int) -> None:
        later_s = self._workload.after_s if isinstance(self._workload, Growth) else 0.0
        self.say(protocol.go(warmup_ns + round(later_s * 1e9), duration_ns))

    def await_end(self) -> None:
        if _may_stand(self._workload) and not self._container.has_line():
            return  # it stands still, and its report says how far it came
        protocol.expect(self.hear(1.0, "reach an end"), "done")

    def stop(self) -> None:
        self.say(protocol.STOP)

    def report(self) -> dict[str, Any]:
        found = self.hear(REPORT_TIMEOUT_S, "report")
        if _may_stand(self._workload) and found.get("probe") == "done":  # after we had looked
            found = self.hear(REPORT_TIMEOUT_S, "report")
        report = protocol.report(found, self._workload)
        ended = _exit(self._container, REPORT_TIMEOUT_S)
        return {
            **report,
            "exit_code": ended.exit_code,
            "oom_killed": ended.oom_killed,
        }


def _may_stand(workload: OfProbe) -> bool:
    return isinstance(workload, Growth) and workload.may_stand


class _Kept:
    """The end of what a program printed: its metrics stand there, and it may print without end."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._length = 0
        self.dropped = False

    def add(self, line: str) -> None:
        self.dropped |= len(line) > MOST_KEPT
        self._lines.append(line[-MOST_KEPT:])
        self._length += len(self._lines[-1]) + 1
        while self._length > MOST_KEPT and len(self._lines) > 1:
            self._length -= len(self._lines.popleft()) + 1
            self.dropped = True

    def __str__(self) -> str:
        return "\n".join(self._lines)


class _WithBatch(ByProtocol):
    """A program that runs to its end, started by the probe, which stays behind."""

    ends_by_itself = True

    def __init__(self, container: Container, batch: Batch) -> None:
        super().__init__(container)
        self._batch = batch

    def await_ready(self, timeout_s: float) -> None:
        protocol.expect(self.hear(timeout_s, "be started"), "ready")

    def begin(self, warmup_ns: int, duration_ns: int) -> None:
        self.say(protocol.go(warmup_ns, duration_ns))

    def await_end(self) -> None:
        if not self._container.has_line():
            raise TrialEndedError(
                Outcome.TIMED_OUT, f"the program did not end within {self._batch.timeout_s:g} s"
            )
        protocol.expect(self.hear(1.0, "reach its end"), "done")

    def stop(self) -> None:
        self.say(protocol.STOP)

    def report(self) -> dict[str, Any]:
        found = protocol.batch(self.hear(REPORT_TIMEOUT_S, "report"))
        ended = _exit(self._container, REPORT_TIMEOUT_S)
        said = self._container.stderr()
        if found.exit_code == NOT_RUN and _CANNOT in said:
            raise TrialEndedError(Outcome.FAILED, said.strip().splitlines()[-1])
        return {
            "batch": found,
            "metrics": metrics_in(self._batch.description.metrics, said),
            "exit_code": found.exit_code,
            "oom_killed": ended.oom_killed,
        }


class WithProgram:
    """A program that knows nothing of us."""

    ends_by_itself = False

    def __init__(self, container: Container, program: ProgramDescription) -> None:
        self._container, self._program = container, program
        self._kept = _Kept()

    def await_ready(self, timeout_s: float) -> None:
        """Until its pattern is found; at once where it has none."""
        if self._program.ready is None:
            return
        deadline = time.monotonic() + timeout_s
        while not re.search(self._program.ready, self.said()):
            if time.monotonic() > deadline:
                raise TrialEndedError(
                    Outcome.TIMED_OUT, f"the workload did not become ready within {timeout_s:g} s"
                )
            try:
                self._kept.add(self._container.read_line(_LOOK_S))
            except TimeoutError:
                continue  # it may have said so on standard error
            except EOFError:
                raise death(self._container, "before it could become ready") from None
            self._listen(min(deadline, time.monotonic() + _LOOK_S))

    def begin(self, warmup_ns: int, duration_ns: int) -> None:
        """It loads already."""

    def await_end(self) -> None:
        """It has no end of its own."""

    def stop(self) -> None:
        """By its signal."""
        self._container.signal(self._program.stop_signal)

    def report(self, timeout_s: float = REPORT_TIMEOUT_S) -> dict[str, Any]:
        """What it said, and how it ended, which it is given so much time for."""
        # Its output ends where it does. While nobody reads, it may not get on to its end at all.
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(EOFError, TimeoutError):
            while (left_s := deadline - time.monotonic()) > 0:
                self._kept.add(self._container.read_line(left_s))
        ended = _exit(self._container, max(1.0, deadline - time.monotonic()))
        said = self.said()
        return {
            "metrics": metrics_in(self._program.metrics, said),
            "output_cut": self._kept.dropped or None,
            "exit_code": ended.exit_code,
            "oom_killed": ended.oom_killed,
        }

    def _listen(self, until_s: float) -> None:
        """Take every line that is there, or until then: it may never stop talking."""
        while time.monotonic() < until_s and self._container.has_line():
            try:
                self._kept.add(self._container.read_line(_LOOK_S))
            except (EOFError, TimeoutError):
                return

    def said(self) -> str:
        """What it said so far, as far as that is kept."""
        return f"{self._kept}\n{self._container.stderr()}"


class _WithServer(WithProgram):
    """A server: what it does is measured until it is told to end, and not how it does that.

    The first process of a container hears of no signal that it has not asked for
    (pid_namespaces(7)), which many servers do not; so after a while it is killed.
    """

    def report(self, timeout_s: float = SERVER_ENDS_S) -> dict[str, Any]:
        try:
            self._container.wait(timeout_s)
        except TimeoutError:
            self._container.signal("SIGKILL")
        return super().report()


def metrics_in(metrics: Sequence[ProgramMetric], said: str) -> tuple[tuple[str, float], ...]:
    """(name, value) of each of a program's metrics that is found in its output."""
    found = ((metric.name, metric_value(metric, said)) for metric in metrics)
    return tuple((name, value) for name, value in found if value is not None)


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
        except (ValueError, RecursionError):
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
    except TimeoutError:
        raise TrialEndedError(
            Outcome.TIMED_OUT,
            f"the workload outlived its time: it still ran {REPORT_TIMEOUT_S:g} s after its end "
            "was due",
        ) from None


def death(container: Container, when: str) -> TrialEndedError:
    """The end of a container that should have gone on."""
    ended = _exit(container, REPORT_TIMEOUT_S)
    if ended.oom_killed:
        return TrialEndedError(Outcome.OOM_KILLED, f"the workload was OOM-killed {when}")
    if ended.oom_killed is None and ended.exit_code == KILLED:
        when += " (this engine does not tell whether it was killed for memory)"
    said = f": {text[-_MOST_QUOTED:]}" if (text := container.stderr()) else ""
    return TrialEndedError(
        Outcome.FAILED, f"the workload ended with code {ended.exit_code} {when}{said}",
        ended.exit_code,
    )  # fmt: skip
