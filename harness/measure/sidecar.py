"""Sampling on the engine's host from within a container: for cgroup files that are not at hand.

A remote engine, or Docker Desktop's machine, has the counters where we cannot read them. The
sidecar is the probe's ``sample`` mode in a container of its own, with the host's cgroup namespace
and /sys/fs/cgroup read-only, and without a network. It gives the raw bytes of
the same files at the same cadence, in its host's own monotonic time, once the window is over; they
are parsed here by the code that parses ours. A container that ends in the window does not end it:
its files are then told as gone, and how it ended is the runner's to find out. See
docs/decisions/008.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from harness import cgroup
from harness.cgroup import FOLDERS, CgroupPaths, CgroupVersion, RawSample
from harness.engine.boundary import SAMPLER_CGROUP, Container
from harness.errors import EngineRefusedError
from harness.host.counters import parse_host_sample
from harness.limits import format_cpu_list
from harness.measure.conversation import TrialEndedError
from harness.measure.observer import Watched
from harness.measure.sampler import DETAIL_HZ, Clock, Window, quantile
from harness.model import (
    EffectiveLimits,
    EngineFacts,
    KernelLimits,
    MemoryCounters,
    Outcome,
    SamplerCost,
)

_READY_TIMEOUT_S = 20.0
_REPORT_TIMEOUT_S = 60.0
_DEADLINE_S = 7200
"""It ends by itself when its input does; this is for an engine that keeps that open for ever."""
_LOOK_NS = 2_000_000


class SamplingEngine(Protocol):
    """What a sidecar needs of an engine."""

    def create_sampler(self, *, name: str, run: str, command: Sequence[str]) -> Container:
        """A container that may read its host's cgroups, not yet started."""
        ...


class Sidecar:
    """An ``Observer`` of one trial's containers. EngineRefusedError where it may not be there.

    ``measured`` are the CPUs that the containers are pinned to, which it leaves to them where it
    can; None where they may run on any.
    """

    def __init__(  # noqa: PLR0913 - who asks whom, about what
        self,
        engine: SamplingEngine,
        facts: EngineFacts,
        containers: Sequence[Watched],
        clock: Clock,
        *,
        run: str,
        cadence_hz: float,
        measured: frozenset[int] | None = None,
    ) -> None:
        self._version, self._clock = cgroup.VERSIONS[facts.cgroup_version], clock
        self._ids = [container_id for _, container_id in containers]
        self._container = engine.create_sampler(
            name=f"limitbench-sampler-{self._ids[0][:12]}",
            run=run,
            command=command(self._version, self._ids, cadence_hz, measured or frozenset()),
        )
        self._mirror = tempfile.TemporaryDirectory(prefix="limitbench-")
        try:
            self._container.start()
            ready = self._hear(_READY_TIMEOUT_S, "ready")
            self._realtime = bool(ready["realtime"])
            self._kept_to = ready["cpus"] and format_cpu_list(frozenset(ready["cpus"]))
            self._paths = self._mirrored(ready["files"])
        except BaseException:
            self.close()
            raise
        self.absent: Sequence[dict[str, str]] = [{} for _ in self._ids]

    def limits(self) -> Sequence[KernelLimits]:
        """As they were read last: when the sidecar was ready, or after its window."""
        return [cgroup.kernel_limits(paths) for paths in self._paths]

    def effective(self) -> Sequence[EffectiveLimits]:
        """From the same files, and those of every cgroup above."""
        return [cgroup.effective_limits(paths) for paths in self._paths]

    def memory(self) -> Sequence[MemoryCounters]:
        """As it was read last; of a container that was gone by then, what those above it tell."""
        return [cgroup.memory_counters(paths) for paths in self._paths]

    def window(
        self, start_ns: int, duration_ns: int, cadence_hz: float, done: Callable[[], bool] | None
    ) -> Window:
        """The window, in the time of the sidecar's host: the start comes through some ms late.

        TrialEndedError where the sidecar does not see it through: then the trial has failed, and
        the containers had been started all the same.
        """
        try:
            return self._window(start_ns, duration_ns, done)
        except EngineRefusedError as error:
            raise TrialEndedError(Outcome.FAILED, str(error)) from None

    def _window(self, start_ns: int, duration_ns: int, done: Callable[[], bool] | None) -> Window:
        clock = self._clock
        warmup_ns = max(0, start_ns - clock.now_ns())
        self._say(f"go {warmup_ns} {duration_ns}")
        clock.sleep_ns(start_ns - clock.now_ns())
        while (left_ns := start_ns + duration_ns - clock.now_ns()) > 0:
            if done is not None and done():
                break
            clock.sleep_ns(left_ns if done is None else min(left_ns, _LOOK_NS))
        if done is None:
            # What was told takes its time to arrive: a "stop" must not overtake its window's end.
            clock.sleep_ns(50_000_000)
        self._say("stop")
        report = self._hear(_REPORT_TIMEOUT_S, "report")
        try:
            window = self._understood(report)
        except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
            told = ValueError(f"what it told cannot be read ({error!r})")
            raise self._idle(told) from None
        cost = replace(window.cost, cpus=self._kept_to, realtime=self._realtime)
        return replace(window, cost=cost)

    def _understood(self, report: dict[str, Any]) -> Window:
        self._paths = self._mirrored(report["files"])
        window = parse_report(report, self._version, len(self._ids))
        self.absent = [
            self._version.absent(
                window.samples[i][0], _unread(self._version, report, i), paths.absent
            )
            for i, paths in enumerate(self._paths)
        ]
        return window

    def close(self) -> None:
        """Remove it and what it told."""
        self._container.remove()
        self._mirror.cleanup()

    def _say(self, text: str) -> None:
        try:
            self._container.write_line(text)
        except EOFError as error:
            raise self._idle(error) from None

    def _hear(self, timeout_s: float, kind: str) -> dict[str, Any]:
        try:
            said = json.loads(self._container.read_line(timeout_s))
            if said["probe"] != kind:
                raise ValueError(f"it said {said['probe']}")
        except (EOFError, TimeoutError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._idle(error) from None
        found: dict[str, Any] = said
        return found

    def _idle(self, error: Exception) -> EngineRefusedError:
        reason = self._container.stderr() or str(error)
        return EngineRefusedError(
            f"the sampler's container does not do its work: {reason}.", "See `bench doctor`."
        )

    def _mirrored(self, files: Sequence[dict[str, Any]]) -> list[CgroupPaths]:
        """The files as they were told, in a folder of ours: so the code that reads ours reads them.

        A file that is gone is gone here too. EngineRefusedError where a container was not found
        at all.
        """
        own: dict[int, dict[str, Path]] = {}
        hierarchies = {self._version.hierarchy(one) for one in FOLDERS}
        for one in files:
            if ".." in (*Path(one["path"]).parts, *Path(one["name"]).parts):
                raise EngineRefusedError("the sampler told a path outside its root.", "")
            folder = Path(self._mirror.name) / one["path"].lstrip("/")
            first = one["path"].strip("/").partition("/")[0]
            hierarchy = first if first in hierarchies else ""
            # The container's own folder is told first, and then those above it.
            own.setdefault(one["id"], {}).setdefault(hierarchy, folder)
            folder.mkdir(parents=True, exist_ok=True)
            if one["text"] is None:
                (folder / one["name"]).unlink(missing_ok=True)
            else:
                (folder / one["name"]).write_bytes(one["text"].encode("latin-1"))
        missing = [id_ for i, id_ in enumerate(self._ids) if i not in own]
        if missing:
            raise EngineRefusedError(
                f"the sampler does not find the cgroup of {missing[0][:12]}.", "See `bench doctor`."
            )
        return [self._paths_of(own[i]) for i in range(len(self._ids))]

    def _paths_of(self, own: dict[str, Path]) -> CgroupPaths:
        """A container's folders, from those of each hierarchy in the mirror."""
        root, version = Path(self._mirror.name), self._version
        at = {one: version.hierarchy(one) for one in FOLDERS}
        folders = {one: own[hierarchy] for one, hierarchy in at.items() if hierarchy in own}
        roots = {one: root / at[one] for one in FOLDERS}
        inner = [folder for folder in folders.values() if folder.name == version.inner]
        return CgroupPaths(version, folders, roots, inner[0].parent if inner else None)


def _unread(version: CgroupVersion, report: dict[str, Any], container: int) -> set[cgroup.File]:
    """The files that a container does not have, by its first sample; none where it was gone."""
    sample = next(one for one in report["samples"] if one[0] == container)
    if sample[4][0] is None:
        return set()
    told = zip((*version.tick_files, *version.detail_files), (*sample[4], *sample[5]), strict=False)
    return {file for file, text in told if text is None}


def command(
    version: CgroupVersion,
    ids: Sequence[str],
    cadence_hz: float,
    measured: frozenset[int] = frozenset(),
) -> list[str]:
    """The sampler's command line: which files, of which containers, how often, off which CPUs."""

    def option(name: str, files: Sequence[cgroup.File]) -> list[str]:
        said = [f"{version.hierarchy(controller)}:{file}" for controller, file in files]
        return [word for text in said for word in (f"--{name}", text)]

    details = list(version.detail_files)
    details += [version.percpu_file.file] if version.percpu_file else []
    return [
        "sample",
        *("--deadline", str(_DEADLINE_S), "--root", SAMPLER_CGROUP),
        *("--rate", str(max(1, round(cadence_hz)))),
        *("--detail-every", str(max(1, math.ceil(cadence_hz / DETAIL_HZ)))),
        *[word for id_ in ids for word in ("--id", id_)],
        *(("--inner", f"{version.inner}/cpu.max") if version.inner else ()),
        *option("tick", version.tick_files),
        *option("detail", details),
        *option("up", cgroup.STATE_FILES[version.number]),
        *[word for path in host_files(version) for word in ("--host", path)],
        *[word for cpu in sorted(measured) for word in ("--keep-off", str(cpu))],
    ]


def host_files(version: CgroupVersion) -> list[str]:
    """What is read of the host at the edges, in the order of ``parse_host_sample``."""
    root = [
        str(PurePosixPath(SAMPLER_CGROUP, version.hierarchy(controller), name))
        for controller, name in version.usage_files
    ]
    return [*root, "/proc/stat", "/proc/meminfo"]


def parse_report(report: dict[str, Any], version: CgroupVersion, containers: int) -> Window:
    """A window from what the sampler told. EngineRefusedError where it is not whole."""
    if not report["complete"]:
        raise EngineRefusedError(
            "the sampler's memory was full before the window's end.",
            "Lower --cadence or --duration.",
        )
    raw: list[list[tuple[RawSample, bytes | None]]] = [[] for _ in range(containers)]
    # As ours: of each tick once, and an edge is none.
    lateness = sorted([one[3] for one in report["samples"] if one[0] == 0][1:-1])
    for number, t_ns, span_ns, _, files, details in report["samples"]:
        percpu = details.pop() if version.percpu_file and details else None
        sample = RawSample(t_ns, span_ns, _bytes(files), _bytes(details))
        raw[number].append((sample, percpu and percpu.encode()))
    first, last = (
        parse_host_sample(version, report[edge]["t_ns"], _bytes(report[edge]["texts"]))
        for edge in ("host_first", "host_last")
    )
    cost = SamplerCost(
        ticks=report["ticks"],
        missed=report["missed"],
        lateness_p50_ns=quantile(lateness, 0.50),
        lateness_p99_ns=quantile(lateness, 0.99),
        cpu_ns=report["cpu_ns"],
    )
    samples = tuple(
        tuple(
            # As ours: CPU time on each CPU at the edges alone.
            version.sample(one, percpu if i in (0, len(series) - 1) else None)
            for i, (one, percpu) in enumerate(series)
        )
        for series in raw
    )
    return Window(samples, first, last, cost)


def _bytes(texts: Sequence[str | None]) -> tuple[bytes | None, ...]:
    return tuple(text if text is None else text.encode("latin-1") for text in texts)
