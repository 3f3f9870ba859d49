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

import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from harness import cgroup
from harness.cgroup import FOLDERS, CgroupPaths, CgroupVersion, RawSample
from harness.engine.boundary import SAMPLER_CGROUP, Container
from harness.errors import EngineRefusedError
from harness.host.counters import OF_EVERY_HOST
from harness.measure.clock import Clock
from harness.measure.conversation import TrialEndedError
from harness.measure.observer import Watched
from harness.measure.sampled import Asked, Ending, SamplerError, Talk, Window, options
from harness.model import (
    EffectiveLimits,
    EngineFacts,
    KernelLimits,
    MemoryCounters,
    Outcome,
)

_DEADLINE_S = 7200
"""It ends by itself when its input does; this is for an engine that keeps that open for ever."""


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
            command=command(self._version, self._ids, cadence_hz, measured),
        )
        self._mirror = tempfile.TemporaryDirectory(prefix="limitbench-")
        try:
            self._container.start()
            asked = Asked([self._version] * len(self._ids), self._version)
            self._talk = Talk(self._container, asked, clock)
            self._paths = self._mirrored(self._talk.ready)
        except SamplerError as error:
            self.close()
            raise _idle(error) from None
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

    def window(self, start_ns: int, duration_ns: int, ending: Ending | None = None) -> Window:
        """The window, in the time of the sidecar's host: the start comes through some ms late.

        TrialEndedError where the sidecar does not see it through: then the trial has failed, and
        the containers had been started all the same.
        """
        try:
            return self._window(start_ns, duration_ns, ending)
        except (SamplerError, EngineRefusedError) as error:
            why = _idle(error) if isinstance(error, SamplerError) else error
            raise TrialEndedError(Outcome.FAILED, why.message.rstrip(".")) from None

    def _window(self, start_ns: int, duration_ns: int, ending: Ending | None) -> Window:
        warmup_ns = max(0, start_ns - self._clock.now_ns())
        told = self._talk.window(f"go {warmup_ns}", start_ns, duration_ns, ending)
        self._paths = self._mirrored(told.report)
        self.absent = [
            self._version.absent(samples[0], _unread(self._version, first), paths.absent)
            for samples, first, paths in zip(
                told.window.samples, told.firsts, self._paths, strict=True
            )
        ]
        return told.window

    def close(self) -> None:
        """Remove it and what it told."""
        self._container.remove()
        self._mirror.cleanup()

    def _mirrored(self, told: dict[str, Any]) -> list[CgroupPaths]:
        """The files as they were told, in a folder of ours: so the code that reads ours reads them.

        A file that is gone is gone here too. EngineRefusedError where a container was not found
        at all; SamplerError where it cannot be read.
        """
        try:
            return self._mirror_of(told["files"])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise SamplerError(f"what it told cannot be read ({error!r})") from None

    def _mirror_of(self, files: Sequence[dict[str, Any]]) -> list[CgroupPaths]:
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


def _idle(error: SamplerError) -> EngineRefusedError:
    return EngineRefusedError(
        f"the sampler's container does not do its work: {error}.", "See `bench doctor`."
    )


def _unread(version: CgroupVersion, first: RawSample) -> set[cgroup.File]:
    """The files that a container does not have, by its first moment; none where it was gone."""
    if first.files[0] is None:
        return set()
    files = (*version.tick_files, *version.detail_files)
    told = zip(files, (*first.files, *first.details), strict=True)
    return {file for file, text in told if text is None}


def command(
    version: CgroupVersion,
    ids: Sequence[str],
    cadence_hz: float,
    measured: frozenset[int] | None = None,
) -> list[str]:
    """The sampler's command line: which files, of which containers, how often, off which CPUs."""

    def option(name: str, files: Sequence[cgroup.File]) -> list[str]:
        said = [f"{version.hierarchy(controller)}:{file}" for controller, file in files]
        return [word for text in said for word in (f"--{name}", text)]

    return [
        "sample",
        *options(cadence_hz, len(ids), host_files(version), measured),
        *("--deadline", str(_DEADLINE_S), "--root", SAMPLER_CGROUP),
        *[word for id_ in ids for word in ("--id", id_)],
        *(("--inner", f"{version.inner}/cpu.max") if version.inner else ()),
        *option("tick", version.tick_files),
        *option("detail", version.detail_files),
        *option("edge", [version.percpu_file.file] if version.percpu_file else []),
        *option("up", cgroup.STATE_FILES[version.number]),
    ]


def host_files(version: CgroupVersion) -> list[str]:
    """What is read of the host at the edges, in the order of ``parse_host_sample``."""
    root = [
        str(PurePosixPath(SAMPLER_CGROUP, version.hierarchy(controller), name))
        for controller, name in version.usage_files
    ]
    return [*root, *OF_EVERY_HOST]
