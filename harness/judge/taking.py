"""How many units a container got of what is counted before one was refused."""

from __future__ import annotations

import signal

from harness.judge import counters
from harness.model import ContainerRecord, TakeReport, TrialRecord

TASKS = ("process", "thread")
COUNTED = (*TASKS, "descriptor")
CPU = "cpu"


def _report(container: ContainerRecord, kinds: tuple[str, ...]) -> TakeReport | None:
    """Its report of one of these kinds, where it began at all."""
    report = container.take
    return None if report is None or report.kind not in kinds or not report.t_start_ns else report


def taken(container: ContainerRecord) -> float | None:
    """Tasks or descriptors, those that it had before included."""
    report = _report(container, COUNTED)
    return None if report is None else float(report.taken)


def taken_bytes(container: ContainerRecord) -> float | None:
    """Bytes of locked memory, of a stack, of a file."""
    report = _report(container, ("lock", "stack", "file"))
    return None if report is None else float(report.taken)


def taken_cpu_s(container: ContainerRecord) -> float | None:
    """CPU time of one process, in seconds."""
    report = _report(container, (CPU,))
    return None if report is None else report.taken / 1e9


def taken_together(trial: TrialRecord) -> float | None:
    """Tasks of all containers of a trial; None where there is one, or one did not report."""
    each = [_report(container, TASKS) for container in trial.containers]
    if len(each) < 2:
        return None
    told = [report.taken for report in each if report is not None]
    return float(sum(told)) if len(told) == len(each) else None


def refusal(container: ContainerRecord) -> float | None:
    """The errno that refused, minus the signal that did; 0 where nothing was refused.

    ``units`` has the names. Both are those of Linux on every architecture that the probe is for.
    """
    report = container.take
    if report is None or not report.t_start_ns:
        return None
    return float(-report.signal or report.errno)


def tasks_refused(container: ContainerRecord) -> float | None:
    """So often the kernel counted that pids.max refused a task, since the container began.

    Its cgroup is its own, and counts from 0: the refusal may be before the window's first read.
    """
    if _report(container, TASKS) is None or container.last is None:
        return None
    refused = container.last.tasks_refused
    return None if refused is None else float(refused)


def charged_bytes(container: ContainerRecord) -> float | None:
    """By how much the container's files in memory grew: page cache, tmpfs included.

    None where it was killed: what it had is given back then.
    """
    report = _report(container, ("file",))
    first, last = container.memory_first, container.memory_last
    if report is None or report.signal or first is None or last is None:
        return None
    if first.file_bytes is None or last.file_bytes is None:
        return None
    return float(last.file_bytes - first.file_bytes)


def killed_for_other_reasons(container: ContainerRecord) -> str:
    """Why a trial says nothing of a limit; empty where it does.

    SIGKILL may be the OOM killer's, or that of a limit on CPU time: from whoever else, it is
    nobody's promise.
    """
    report = container.take
    if report is None:
        return "the workload did not live to report"
    kills = counters.of_memory(container, "oom_kills")
    if report.signal == signal.SIGKILL and report.kind != CPU and kills == 0:
        return "the workload was killed, but not for this container's memory"
    return ""
