"""What a server was like to those who asked it; what a program took that ran to its end.

The load of a server is its own container: what it cost is no part of the server's use, and a trial
in which it was itself what made requests wait says nothing of the server.
"""

from __future__ import annotations

from harness import units
from harness.judge.counters import grown
from harness.model import ContainerRecord, Note, Outcome

LATE_SHARE = 0.1
"""A load may be late by such a share of what it measures ..."""
LATE_NS = 1_000_000
"""... and by that much in any case: below it a host's own noise decides."""
BUSY_CPUS = 0.9
"""A load of one thread that used so much was what could not do more."""


def request_s(container: ContainerRecord, quantile: str) -> float | None:
    """A quantile (``p50`` … ``p999``, ``max``) of the latencies, in seconds."""
    report = container.requests
    ns = None if report is None else getattr(report, f"latency_{quantile}_ns")
    return None if ns is None else float(ns) / 1e9


def request_rate(container: ContainerRecord) -> float | None:
    """Requests answered a second, in the window, without those that were errors."""
    report = container.requests
    if report is None or report.t_end_ns <= report.t_start_ns:
        return None
    return report.done / (report.t_end_ns - report.t_start_ns) * 1e9


def request_errors(container: ContainerRecord) -> float | None:
    """Requests of the window that were answered by an error, or whose connection was lost."""
    return None if container.requests is None else float(container.requests.errors)


def load_cpus(container: ContainerRecord) -> float | None:
    """The CPUs that the server's load used: by its cgroup, else by its own clock."""
    load, report = container.load, container.requests
    if load is not None and load.first is not None and load.last is not None:
        used = grown(load.first, load.last, "cpu_usage_ns")
        span_ns = load.last.t_mono_ns - load.first.t_mono_ns
        if used is not None and span_ns > 0:
            return used / span_ns
    if report is None or report.cpu_ns is None or not report.ran_ns:
        return None
    return report.cpu_ns / report.ran_ns


def load_late_s(container: ContainerRecord) -> float | None:
    """How late the load itself was at 99 of 100 requests, while a connection was free."""
    report = container.requests
    late_ns = None if report is None else report.late_p99_ns
    return None if late_ns is None else late_ns / 1e9


def not_kept(container: ContainerRecord, ended: Outcome) -> list[str]:
    """Why the load did not keep its rate; empty where it did, or where there is none.

    Where the kernel killed the server it found nobody, and could not.
    """
    report, used = container.requests, load_cpus(container)
    if report is None or ended is Outcome.OOM_KILLED:
        return []
    found = []
    if used is not None and used > BUSY_CPUS:
        found.append(
            f"the load could not do more: it used {used:.2f} CPUs and has one thread; ask less "
            "often, or over fewer connections"
        )
    late_ns, took_ns = report.late_p99_ns or 0, report.latency_p99_ns or 0
    if late_ns > max(LATE_NS, LATE_SHARE * took_ns):
        found.append(
            f"the load did not keep its rate: it was {units.milliseconds(late_ns)} late itself, of "
            f"99 % latencies of {units.milliseconds(took_ns)}; leave it a CPU, or a calmer host"
        )
    return found


# --- to the end --------------------------------------------------------------------------------


def wall_s(container: ContainerRecord) -> float | None:
    """From a batch program's start to its end."""
    report = container.batch
    return None if report is None else (report.t_end_ns - report.t_start_ns) / 1e9


def cpu_s(container: ContainerRecord) -> float | None:
    """CPU time of a batch program and its children."""
    return None if container.batch is None else container.batch.cpu_ns / 1e9


def exit_code(container: ContainerRecord) -> float | None:
    """Of a batch program; 128 and the signal where one ended it, as a shell has it."""
    report = container.batch
    if report is None:
        return None
    return float(128 + report.signal if report.signal else report.exit_code)


def ended_otherwise(container: ContainerRecord) -> list[Note]:
    """A note where a batch program did not end well."""
    code = exit_code(container)
    if not code:
        return []
    return [
        Note(
            code="exit-code",
            text=f"the program ended with code {code:g}",
            remedy="what it took is that of a run which failed: see whether the limit is why",
        )
    ]
