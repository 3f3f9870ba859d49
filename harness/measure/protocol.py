"""The protocol of ``workloads/README.md``. Pure.

What is said to the probe, and what it says.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from harness.model import (
    Ask,
    BatchReport,
    Burst,
    BurstReport,
    Growth,
    InsideReport,
    Io,
    IoReport,
    MemoryReport,
    OfProbe,
    Pairs,
    RequestReport,
    Spin,
    Take,
    TakeReport,
    ThreadReport,
)

STOP = "stop"
Report = InsideReport | MemoryReport | BurstReport | IoReport | TakeReport


class GarbledError(ValueError):
    """The workload said something that the protocol does not know."""


def go(warmup_ns: int, duration_ns: int) -> str:
    """The line that lets the load start."""
    return f"go {warmup_ns} {duration_ns}"


def message(line: str) -> dict[str, Any]:
    """A line of the probe; GarbledError where it is no JSON object."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # the latter where it is nested a thousand times
        found = None
    if not isinstance(found, dict):
        raise GarbledError(f"the workload said something that is no JSON object: {line[:80]!r}")
    return found


def expect(found: dict[str, Any], kind: str) -> dict[str, Any]:
    """The message where it is of that kind (``ready``, ``done``, ``report``), else GarbledError."""
    if found.get("probe") != kind:
        raise GarbledError(f"instead of {kind} the workload said {str(found)[:80]}")
    return found


def requests(found: dict[str, Any]) -> RequestReport:
    """What the probe says of a server that it asked; GarbledError as of ``report``."""
    with _readable(found, Ask.name):
        return RequestReport(
            t_start_ns=_whole(found["t_start_ns"]),
            t_end_ns=_whole(found["t_end_ns"]),
            offered=_whole(found["offered"]),
            completed=_whole(found["completed"]),
            errors=_whole(found["errors"]),
            unfinished=_whole(found["unfinished"]),
            done=_whole(found["done"]),
            first_error=None if found["first_error"] is None else str(found["first_error"]),
            late_p99_ns=_whole(found["late_p99_ns"]),
            late_max_ns=_whole(found["late_max_ns"]),
            cpu_ns=_whole(found["cpu_ns"]),
            ran_ns=_whole(found["ran_ns"]),
            **_latencies(found),
        )


def batch(found: dict[str, Any]) -> BatchReport:
    """What the probe says of a program that it ran; GarbledError as of ``report``."""
    with _readable(found, "run"):
        return BatchReport(
            t_start_ns=_whole(found["t_start_ns"]),
            t_end_ns=_whole(found["t_end_ns"]),
            cpu_ns=_whole(found["cpu_ns"]),
            exit_code=_whole(found["exit_code"]),
            signal=_whole(found["signal"]),
        )


@contextlib.contextmanager
def _readable(found: dict[str, Any], mode: str, *, cut_short: bool = False) -> Iterator[None]:
    """Of a report of that mode, whatever cannot be read of it as one error.

    ``cut_short``: its window may have been.
    """
    try:
        if found["probe"] != "report" or not (found["complete"] or cut_short):
            raise GarbledError("the workload's window was cut short")
        if (said := found.get("mode", Spin.name)) != mode:
            raise GarbledError(f"{mode} gave a report of {said}")
        yield
    except GarbledError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise GarbledError(f"the workload's report cannot be read ({error!r})") from None


def report(found: dict[str, Any], workload: OfProbe) -> dict[str, Report]:
    """A workload's report as a type, by its field of ``ContainerRecord``.

    GarbledError where it is another's, or a field is missing or no number.
    """
    may_stand = isinstance(workload, Growth) and workload.may_stand
    with _readable(found, workload.name, cut_short=may_stand):
        match workload:
            case Spin():
                return {"inside": _spin(found)}
            case Growth():
                return {"memory": _memory(found)}
            case Burst():
                return {"burst": _burst(found)}
            case Io():
                return {"io": _io(found)}
            case Take():
                return {"take": _take(found)}


def _spin(found: dict[str, Any]) -> InsideReport:
    return InsideReport(
        t_start_ns=_whole(found["t_start_ns"]),
        t_end_ns=_whole(found["t_end_ns"]),
        gap_threshold_ns=_whole(found["gap_threshold_ns"]),
        gap_edges_ns=tuple(_whole(edge) for edge in found["gap_edges_ns"]),
        gap_histogram=tuple(_whole(count) for count in found["gap_histogram"]),
        gap_list=Pairs((_whole(start), _whole(length)) for start, length in found["gap_list"]),
        threads=tuple(
            ThreadReport(
                t_start_ns=_whole(thread["t_start_ns"]),
                t_end_ns=_whole(thread["t_end_ns"]),
                cpu_ns=_whole(thread["cpu_ns"]),
                work=_whole(thread["work"]),
                gaps=_whole(thread["gaps"]),
                gap_total_ns=_whole(thread["gap_total_ns"]),
                gap_max_ns=_whole(thread["gap_max_ns"]),
                cpus=Pairs(_cpus(thread["cpus"])),
            )
            for thread in found["threads"]
        ),
    )


def _memory(found: dict[str, Any]) -> MemoryReport:
    return MemoryReport(
        kind=str(found["kind"]),
        t_start_ns=_optional(found["t_start_ns"]),
        t_end_ns=_optional(found["t_end_ns"]),
        target_bytes=_whole(found["target_bytes"]),
        step_bytes=_whole(found["step_bytes"]),
        touched_bytes=_whole(found["touched_bytes"]),
        killed=bool(found["killed"]),
        errno=_whole(found["errno"]),
        step_ns=tuple(_whole(step) for step in found["step_ns"]),
        churn_pages=_whole(found["churn_pages"]),
        churn_ns=_whole(found["churn_ns"]),
        churn_max_ns=_whole(found["churn_max_ns"]),
    )


def _burst(found: dict[str, Any]) -> BurstReport:
    return BurstReport(
        t_start_ns=_whole(found["t_start_ns"]),
        t_end_ns=_whole(found["t_end_ns"]),
        cost_ns=_whole(found["cost_ns"]),
        rate_hz=_whole(found["rate_hz"]),
        offered=_whole(found["offered"]),
        completed=_whole(found["completed"]),
        unfinished=_whole(found["unfinished"]),
        response_p50_ns=_optional(found["response_p50_ns"]),
        response_p90_ns=_optional(found["response_p90_ns"]),
        response_p99_ns=_optional(found["response_p99_ns"]),
        response_max_ns=_optional(found["response_max_ns"]),
        response_edges_ns=tuple(_whole(edge) for edge in found["response_edges_ns"]),
        response_histogram=tuple(_whole(count) for count in found["response_histogram"]),
        cpu_ns=sum(_whole(thread["cpu_ns"]) for thread in found["threads"]),
        cpus=tuple(met for thread in found["threads"] for met in _cpus(thread["cpus"])),
        backlog=_optional(found.get("backlog")),
    )


def _io(found: dict[str, Any]) -> IoReport:
    refused = found["refused"]
    return IoReport(
        t_start_ns=_whole(found["t_start_ns"]),
        t_end_ns=_whole(found["t_end_ns"]),
        operation=str(found["operation"]),
        way=str(found["way"]),
        order=str(found["order"]),
        block_bytes=_whole(found["block_bytes"]),
        file_bytes=_whole(found["file_bytes"]),
        depth=_whole(found["depth"]),
        rate_hz=_optional(found["rate_hz"]),
        filesystem=_optional(found["filesystem"]),
        open_ns=_whole(found["open_ns"]),
        first_ns=_optional(found["first_ns"]),
        refused=None if refused is None else str(refused),
        errno=_whole(found["errno"]),
        errors=_whole(found["errors"]),
        ios=_whole(found["ios"]),
        bytes=_whole(found["bytes"]),
        offered=_whole(found["offered"]),
        completed=_whole(found["completed"]),
        unfinished=_whole(found["unfinished"]),
        **_latencies(found),
    )


def _latencies(found: dict[str, Any]) -> dict[str, Any]:
    quantiles = ("p50", "p90", "p99", "p999", "max")
    return {
        **{f"latency_{one}_ns": _optional(found[f"latency_{one}_ns"]) for one in quantiles},
        "latency_edges_ns": tuple(_whole(edge) for edge in found["latency_edges_ns"]),
        "latency_histogram": tuple(_whole(count) for count in found["latency_histogram"]),
    }


def _cpus(found: Any) -> tuple[tuple[int, int], ...]:
    return tuple((_whole(cpu), _whole(units)) for cpu, units in found)


def _take(found: dict[str, Any]) -> TakeReport:
    return TakeReport(
        kind=str(found["kind"]),
        t_start_ns=_optional(found["t_start_ns"]),
        t_end_ns=_optional(found["t_end_ns"]),
        most=_whole(found["most"]),
        taken=_whole(found["taken"]),
        errno=_whole(found["errno"]),
        signal=_whole(found["signal"]),
    )


def _optional(value: object) -> int | None:
    return None if value is None else _whole(str(value))


def _whole(value: Any) -> int:
    """A number as the probe keeps them, in 64 bits: a larger one is none of its own."""
    number = int(value)
    if not -(1 << 63) <= number < 1 << 64:
        raise ValueError(f"{str(value)[:40]} is out of range")
    return number
