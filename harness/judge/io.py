"""What a container did with files: how much of it a second, how long each took."""

from __future__ import annotations

from collections.abc import Callable

from harness.model import ContainerRecord, DeviceIo, IoReport, TrialRecord


def whole(container: ContainerRecord) -> IoReport | None:
    """The report of a load on files that met no error; what one that did has done is no rate."""
    report = container.io
    if report is None or report.errno or report.t_end_ns <= report.t_start_ns:
        return None
    return report


def bytes_a_second(container: ContainerRecord) -> float | None:
    """Bytes of the I/Os that ended within the window, a second; None of files with nothing in."""
    report = whole(container)
    return None if report is None or not report.block_bytes else report.bytes / _window_s(report)


def ios_a_second(container: ContainerRecord) -> float | None:
    """I/Os that ended within the window, a second."""
    report = whole(container)
    return None if report is None else report.ios / _window_s(report)


def files_a_second(container: ContainerRecord) -> float | None:
    """Files made, renamed and removed again a second; None of a load that has bytes in them."""
    report = whole(container)
    return None if report is None or report.block_bytes else ios_a_second(container)


def latency_s(container: ContainerRecord, quantile: str) -> float | None:
    """A quantile (``p50``, ``p90``, ``p99``, ``p999``, ``max``) of the latencies, in seconds."""
    report = whole(container)
    found = None if report is None else getattr(report, f"latency_{quantile}_ns")
    return None if found is None else found / 1e9


def open_s(container: ContainerRecord) -> float | None:
    """How long opening the file took: for a write to one of the image's, its copying up."""
    report = whole(container)
    return None if report is None else report.open_ns / 1e9


def first_s(container: ContainerRecord) -> float | None:
    """How long the first I/O took."""
    report = whole(container)
    return None if report is None or report.first_ns is None else report.first_ns / 1e9


def unfinished_share(container: ContainerRecord) -> float | None:
    """I/Os that were due in the window and not done when the load was stopped; of a rate alone."""
    report = whole(container)
    if report is None or report.rate_hz is None or not report.offered:
        return None
    return report.unfinished / report.offered


def errno(container: ContainerRecord) -> float | None:
    """The number of the error that ended the load, or kept it from beginning; 0: none."""
    return None if container.io is None else float(container.io.errno)


def charged_bytes(container: ContainerRecord) -> float | None:
    """What the container was charged with at the window's end: page cache and tmpfs included."""
    if container.io is None or container.last is None or container.last.memory_bytes is None:
        return None
    return float(container.last.memory_bytes)


def device_bytes_a_second(trial: TrialRecord, i: int) -> float | None:
    """What the kernel counted at the trial's device, in the container's name."""
    return _counted(trial, i, lambda one: one.read_bytes + one.write_bytes)


def device_ios_a_second(trial: TrialRecord, i: int) -> float | None:
    """The same in bios."""
    return _counted(trial, i, lambda one: one.reads + one.writes)


def _counted(trial: TrialRecord, i: int, of: Callable[[DeviceIo], int]) -> float | None:
    """None where the kernel counts nothing there: v1 does once somebody has a limit on it."""
    first, last = trial.containers[i].first, trial.containers[i].last
    if trial.device is None or first is None or last is None or last.t_mono_ns <= first.t_mono_ns:
        return None
    before, after = (
        {one.number: of(one) for one in sample.devices or ()} for sample in (first, last)
    )
    number = trial.device.number
    if first.devices is None or number not in after:
        return None
    return (after[number] - before.get(number, 0)) / ((last.t_mono_ns - first.t_mono_ns) / 1e9)


def ratio(trial: TrialRecord, i: int) -> float | None:
    """Bytes of this container over those of the trial's last one."""
    if i == len(trial.containers) - 1:
        return None
    mine, last = (bytes_a_second(trial.containers[j]) for j in (i, -1))
    return None if mine is None or not last else mine / last


def _window_s(report: IoReport) -> float:
    return (report.t_end_ns - report.t_start_ns) / 1e9
