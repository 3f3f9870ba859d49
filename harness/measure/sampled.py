"""A window as the probe's sampler tells of it, from what it is asked to what it measured.

``probe sample`` (workloads/probe) reads files at a fixed cadence, at absolute deadlines, and knows
no counter. It tells their bytes as one block once the window is over; they are parsed here. It runs
as a process of this host (``harness.measure.sampler``) or in a container on an engine's host
(``harness.measure.sidecar``); which files it reads is theirs to say. Figures: docs/decisions/005.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import math
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness.cgroup import CgroupVersion, RawSample
from harness.host.counters import parse_host_sample
from harness.limits import format_cpu_list
from harness.measure.clock import Clock
from harness.model import CgroupAbove, HostSample, Neighbour, Sample, SamplerCost

DETAIL_HZ = 10.0
"""Memory's details and pressure are read so often at the most: the kernel adds them up over all
CPUs when it is asked, so they cost several times what the other counters do."""
DETAILS_A_SECOND = 80.0
"""Of all cgroups together; of each about once a second at the least, whatever the cadence has."""
_READY_TIMEOUT_S = 20.0
_REPORT_TIMEOUT_S = 60.0
"""After the window's end, for what it tells: hundreds of MB of a window of an hour."""
_MOMENT = struct.Struct("<QQQII")
_LENGTH = struct.Struct("<i")
_DETAIL, _EDGE = 1, 2


@dataclass(frozen=True, slots=True)
class Window:
    """What sampling a window gave: per container its samples, first and last among them."""

    samples: tuple[tuple[Sample, ...], ...]
    host_first: HostSample
    host_last: HostSample
    cost: SamplerCost
    above: tuple[tuple[CgroupAbove, ...], ...] = ()
    """Of each container the cgroups above it whose counters were read in the window; empty where
    none were looked for."""
    neighbours: tuple[Neighbour, ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """What ends a window before its time: for loads that have an end of their own."""

    seen: Callable[[], bool]
    every_s: float
    """So often it is looked for. Each look wakes an interpreter in the window."""


class Speaker(Protocol):
    """The other end of a sampler's conversation: a container's, or a process's."""

    def read_line(self, timeout_s: float) -> str:
        """TimeoutError where none came in time; EOFError where it ended first."""
        ...

    def write_line(self, text: str) -> None:
        """EOFError where it is gone."""
        ...

    def stderr(self) -> str:
        """The end of what it wrote there."""
        ...


class SamplerError(Exception):
    """Why the sampler does not do its work."""


def options(
    cadence_hz: float, containers: int, host: Sequence[str], measured: frozenset[int] | None
) -> list[str]:
    """How often, what of the host, off which CPUs: those that the containers are pinned to."""
    detail_hz = min(DETAIL_HZ, max(1.0, DETAILS_A_SECOND / max(1, containers)))
    return [
        *("--rate-mhz", str(max(1, round(cadence_hz * 1000)))),
        *("--detail-every", str(max(1, math.ceil(cadence_hz / detail_hz)))),
        *[word for path in host for word in ("--host", path)],
        *[word for cpu in sorted(measured or ()) for word in ("--keep-off", str(cpu))],
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a sampler was asked for, by which it is understood."""

    versions: Sequence[CgroupVersion]
    """Whose files each container's are."""
    host: CgroupVersion | None
    """Likewise the root cgroup's; None where that is not seen."""


@dataclass(frozen=True, slots=True)
class Told:
    """What it told of a window."""

    window: Window
    firsts: tuple[RawSample, ...]
    """The first moment of each container, as it was read."""
    start_ns: int
    """When it began, in its host's CLOCK_MONOTONIC."""
    report: dict[str, Any]
    """What else it told."""
    used_ns: int = 0
    """CPU time of this process at the window's beginning."""


class Talk:
    """The conversation with a sampler, which has one window. SamplerError where it fails."""

    def __init__(self, speaker: Speaker, asked: Asked, clock: Clock) -> None:
        self._speaker, self._asked, self._clock = speaker, asked, clock
        try:
            self.ready = _understood(speaker.read_line(_READY_TIMEOUT_S), "ready")
        except (EOFError, TimeoutError) as error:
            raise self._gone(error) from None

    def window(self, begin: str, start_ns: int, duration_ns: int, ending: Ending | None) -> Told:
        """What it tells of the window that ``begin`` has it begin, at ``start_ns`` of our clock."""
        with _uncollected():
            try:
                self._speaker.write_line(f"{begin} {duration_ns}")
            except EOFError as error:
                raise self._gone(error) from None
            self._clock.sleep_ns(start_ns - self._clock.now_ns())
            used_ns = time.process_time_ns()
            line, stopped = self._awaited(self._clock.now_ns() + duration_ns, ending)
        report = _understood(line, "report")
        del line
        return replace(parsed(report, self.ready, self._asked, stopped=stopped), used_ns=used_ns)

    def _awaited(self, over_ns: int, ending: Ending | None) -> tuple[str, bool]:
        """(what it tells of the window that is over then, whether it was told to stop before)."""
        clock, waits = self._clock, ending
        give_up_ns = over_ns + round(_REPORT_TIMEOUT_S * 1e9)
        try:
            while (left_s := (give_up_ns - clock.now_ns()) / 1e9) > 0:
                try:
                    line = self._speaker.read_line(min(left_s, waits.every_s) if waits else left_s)
                except TimeoutError:
                    if waits is None or not waits.seen():
                        continue
                    waits = None
                    give_up_ns = clock.now_ns() + round(_REPORT_TIMEOUT_S * 1e9)
                    with contextlib.suppress(EOFError):  # it may have told all, and be gone
                        self._speaker.write_line("stop")
                else:
                    return line, waits is not ending
        except EOFError as error:
            raise self._gone(error) from None
        raise SamplerError(f"it told nothing for {_REPORT_TIMEOUT_S:g} s after the window")

    def _gone(self, error: Exception) -> SamplerError:
        """Why, in a line: the usage is told before it."""
        return SamplerError((self._speaker.stderr().splitlines() or [str(error)])[-1])


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection of ours in the window: it would take CPU time of what is measured."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _understood(line: str, kind: str) -> dict[str, Any]:
    """A message of the kind. SamplerError where the line is none."""
    try:
        said: dict[str, Any] = json.loads(line)
        if said["probe"] != kind:
            raise ValueError(f"it said {said['probe']}")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise SamplerError(f"what it told cannot be read ({error})") from None
    return said


def parsed(
    report: dict[str, Any], ready: dict[str, Any], asked: Asked, *, stopped: bool = False
) -> Told:
    """The window that it tells of. SamplerError where that is not whole.

    ``stopped``: it was told to end it early.
    """
    if report.get("complete") is False:
        raise SamplerError(
            "its memory was full before the window's end (a shorter --duration needs less)"
        )
    try:
        if report["complete"] is not True or report["stopped"] not in {stopped, False}:
            raise ValueError("it ended its window early")
        return _parsed(report, ready, asked)
    except (LookupError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise SamplerError(f"what it told cannot be read ({error!r})") from None


def _parsed(report: dict[str, Any], ready: dict[str, Any], asked: Asked) -> Told:
    series: list[list[Sample]] = [[] for _ in asked.versions]
    firsts: list[RawSample] = []
    lateness: list[int] = []
    for number, kind, late_ns, raw, percpu in _moments(report["block"], asked.versions):
        if not series[number]:
            firsts.append(raw)
        series[number].append(asked.versions[number].sample(raw, percpu))
        if number == 0 and kind != _EDGE:
            lateness.append(late_ns)
    ticks = _count(report["ticks"])
    if {len(one) for one in series} - {ticks + 2}:
        raise ValueError(f"not {ticks} ticks of each container")
    lateness.sort()
    cost = SamplerCost(
        ticks=ticks,
        missed=_count(report["missed"]),
        lateness_p50_ns=quantile(lateness, 0.50),
        lateness_p99_ns=quantile(lateness, 0.99),
        cpu_ns=_count(report["cpu_ns"]),
        cpus=ready["cpus"] and format_cpu_list(frozenset(ready["cpus"])),
        realtime=bool(ready["realtime"]),
    )
    first, last = (_host(asked.host, report[f"host_{edge}"]) for edge in ("first", "last"))
    window = Window(tuple(map(tuple, series)), first, last, cost)
    return Told(window, tuple(firsts), _count(report["t_start_ns"]), report)


def _count(value: object) -> int:
    """A number of a report: a count, or a moment."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _host(version: CgroupVersion | None, edge: dict[str, Any]) -> HostSample:
    texts = [text if text is None else text.encode("latin-1") for text in edge["texts"]]
    read = parse_host_sample(version, _count(edge["t_ns"]), texts)
    real_ns, boot_ns = _count(edge["t_real_ns"]), _count(edge["t_boot_ns"])
    return replace(read, t_real_ns=real_ns, t_boot_ns=boot_ns)


def _moments(
    block: str, versions: Sequence[CgroupVersion]
) -> Iterator[tuple[int, int, int, RawSample, bytes | None]]:
    """(container, kind, lateness in ns, what was read, CPU time of each CPU) of each moment told.

    A moment is 32 bytes (workloads/probe/window.c) and then the files of its kind: 0 a tick, 1 one
    with the details, 2 an edge, which has CPU time of each CPU as well. ValueError or struct.error
    where the block ends within one.
    """
    held = base64.b64decode(block, validate=True)
    # Of thousands of moments: what is the same for all of a version is asked of it once.
    counts = {
        version: (len(version.tick_files), len(version.detail_files), version.percpu_file)
        for version in dict.fromkeys(versions)
    }
    at, end, length_of = 0, len(held), _LENGTH.unpack_from
    while at < end:
        t_ns, span_ns, late_ns, container, kind = _MOMENT.unpack_from(held, at)
        at += _MOMENT.size
        ticks, details, percpu = counts[versions[container]]
        texts: list[bytes | None] = []
        of_edge = kind == _EDGE and percpu is not None
        for _ in range(ticks + of_edge + (details if kind >= _DETAIL else 0)):
            (length,) = length_of(held, at)
            at += 4
            if length < 0:
                texts.append(None)
                continue
            if at + length > end:
                raise ValueError("the block ends within a file")
            texts.append(held[at : at + length])
            at += length
        each_cpu = texts.pop() if of_edge else None
        raw = RawSample(t_ns, span_ns, tuple(texts[:ticks]), tuple(texts[ticks:]))
        yield container, kind, late_ns, raw, each_cpu


def quantile(ordered: list[int], share: float) -> int:
    """By nearest rank, of numbers in ascending order; 0 where there are none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0
