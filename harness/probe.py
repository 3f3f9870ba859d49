"""What is said to the probe and what it says: the protocol of ``workloads/README.md``. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from harness.model import BurstReport, InsideReport, MemoryReport, ThreadReport, Workload

STOP = "stop"
Report = InsideReport | MemoryReport | BurstReport
STEP_BYTES = 256 * 1024
"""The probe's own default."""
SCRATCH = "/scratch"
"""Where the harness mounts what a workload may write to."""


class GarbledError(ValueError):
    """The workload said something that the protocol does not know."""


def command(workload: Workload, deadline_s: float) -> list[str]:
    """The probe's command line for a workload, which ends by itself after ``deadline_s``."""
    deadline = ["--deadline", str(round(deadline_s))]
    if workload.name == "memory":
        target = ["--target", str(workload.target_bytes), "--kind", workload.kind]
        path = [] if workload.kind == "anon" else ["--path", SCRATCH]
        return ["memory", *target, *path, "--victim", workload.victim, *deadline]
    if workload.name == "burst":
        load = ["--cost-us", str(workload.cost_us), "--rate", str(workload.rate_hz)]
        random = ["--arrivals", "poisson"]
        return ["burst", "--threads", str(workload.threads), *load, *random, *deadline]
    return [workload.name, "--threads", str(workload.threads), *deadline]


def go(warmup_ns: int, duration_ns: int) -> str:
    """The line that lets the load start."""
    return f"go {warmup_ns} {duration_ns}"


def message(line: str) -> dict[str, Any]:
    """A line of the probe; GarbledError where it is no JSON object."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise GarbledError(f"the workload said something that is no JSON object: {line[:80]!r}")
    return found


def expect(found: dict[str, Any], kind: str) -> dict[str, Any]:
    """The message where it is of that kind (``ready``, ``done``, ``report``), else GarbledError."""
    if found.get("probe") != kind:
        raise GarbledError(f"instead of {kind} the workload said {str(found)[:80]}")
    return found


def report(found: dict[str, Any]) -> Report:
    """The report as a type; GarbledError where a field is missing or no number."""
    try:
        if found["probe"] != "report" or not found["complete"]:
            raise GarbledError("the workload's window was cut short")
        return _READERS[found.get("mode", "spin")](found)
    except GarbledError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise GarbledError(f"the workload's report cannot be read ({error!r})") from None


def _spin(found: dict[str, Any]) -> InsideReport:
    return InsideReport(
        t_start_ns=int(found["t_start_ns"]),
        t_end_ns=int(found["t_end_ns"]),
        gap_threshold_ns=int(found["gap_threshold_ns"]),
        gap_edges_ns=tuple(int(edge) for edge in found["gap_edges_ns"]),
        gap_histogram=tuple(int(count) for count in found["gap_histogram"]),
        gap_list=tuple((int(start), int(length)) for start, length in found["gap_list"]),
        threads=tuple(
            ThreadReport(
                t_start_ns=int(thread["t_start_ns"]),
                t_end_ns=int(thread["t_end_ns"]),
                cpu_ns=int(thread["cpu_ns"]),
                work=int(thread["work"]),
                gaps=int(thread["gaps"]),
                gap_total_ns=int(thread["gap_total_ns"]),
                gap_max_ns=int(thread["gap_max_ns"]),
                cpus=tuple((int(cpu), int(units)) for cpu, units in thread["cpus"]),
            )
            for thread in found["threads"]
        ),
    )


def _memory(found: dict[str, Any]) -> MemoryReport:
    return MemoryReport(
        kind=str(found["kind"]),
        t_start_ns=_optional(found["t_start_ns"]),
        t_end_ns=_optional(found["t_end_ns"]),
        target_bytes=int(found["target_bytes"]),
        step_bytes=int(found["step_bytes"]),
        touched_bytes=int(found["touched_bytes"]),
        killed=bool(found["killed"]),
        errno=int(found["errno"]),
        step_ns=tuple(int(step) for step in found["step_ns"]),
        churn_pages=int(found["churn_pages"]),
        churn_ns=int(found["churn_ns"]),
        churn_max_ns=int(found["churn_max_ns"]),
    )


def _burst(found: dict[str, Any]) -> BurstReport:
    return BurstReport(
        t_start_ns=int(found["t_start_ns"]),
        t_end_ns=int(found["t_end_ns"]),
        cost_ns=int(found["cost_ns"]),
        rate_hz=int(found["rate_hz"]),
        offered=int(found["offered"]),
        completed=int(found["completed"]),
        unfinished=int(found["unfinished"]),
        response_p50_ns=_optional(found["response_p50_ns"]),
        response_p90_ns=_optional(found["response_p90_ns"]),
        response_p99_ns=_optional(found["response_p99_ns"]),
        response_max_ns=_optional(found["response_max_ns"]),
        response_edges_ns=tuple(int(edge) for edge in found["response_edges_ns"]),
        response_histogram=tuple(int(count) for count in found["response_histogram"]),
        cpu_ns=sum(int(thread["cpu_ns"]) for thread in found["threads"]),
    )


def _optional(value: object) -> int | None:
    return None if value is None else int(str(value))


_READERS: dict[str, Callable[[dict[str, Any]], Report]] = {
    "spin": _spin,
    "memory": _memory,
    "burst": _burst,
}
