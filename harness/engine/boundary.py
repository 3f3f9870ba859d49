"""The engine as the rest of the harness sees it: protocols that load no docker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.model import (
    BlockDevice,
    ContainerSpec,
    EngineFacts,
    Limits,
    StatsFrame,
    Workload,
    WorkloadFacts,
)

LABEL = "org.limitbench.run"
"""Every container of ours bears it, with the run's name: that is how ``bench clean`` finds them."""


SAMPLER_CGROUP = "/cgroup"
"""Where a sampler's container has its host's /sys/fs/cgroup."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended, as the engine says."""

    exit_code: int
    oom_killed: bool | None
    """None where this engine does not tell."""


@dataclass(frozen=True, slots=True)
class Device:
    """The block device that containers keep their data on, for the time of a run."""

    facts: BlockDevice
    source: str
    """What is mounted at ``SCRATCH`` of a container: the disk itself, or a partition of it."""


class StatsStream(Protocol):
    """The docker stats stream of one container, collected in the background."""

    def frames(self, start_ns: int, end_ns: int) -> tuple[StatsFrame, ...]:
        """The usable frames whose whole interval lies in the window (CLOCK_MONOTONIC).

        Windows are asked for in the order of their starts: what came before one is let go.
        """
        ...

    def close(self) -> None:
        """End the stream; one of a container that ends does so by itself."""
        ...


class Container(Protocol):
    """One container of a trial."""

    @property
    def id(self) -> str:
        """The engine's own id of it."""
        ...

    def start(self) -> int:
        """Start it; the pid of its first process on the engine's host."""
        ...

    def read_line(self, timeout_s: float) -> str:
        """The next line of its output. EngineError is not raised: TimeoutError, EOFError are."""
        ...

    def has_line(self) -> bool:
        """Whether ``read_line`` would return, or fail, at once."""
        ...

    def write_line(self, text: str) -> None:
        """A line to its standard input."""
        ...

    def signal(self, name: str) -> None:
        """A signal to its first process; none where it has ended."""
        ...

    def limits(self) -> Limits:
        """The limits as the engine reads them back."""
        ...

    def follow_stats(self) -> StatsStream:
        """Begin to collect docker stats."""
        ...

    def touched(self) -> Sequence[str]:
        """What others did to it since its start, in words (``paused``); empty where not told."""
        ...

    def wait(self, timeout_s: float) -> Exit:
        """How it ended; TimeoutError where it is still running."""
        ...

    def stderr(self) -> str:
        """What it wrote to standard error so far."""
        ...

    def remove(self) -> None:
        """End and remove it, whatever its state; gone already is well."""
        ...


class Box(Protocol):
    """A container that the engine's commands are given to, one after the other."""

    @property
    def id(self) -> str:
        """The engine's own id of it."""
        ...

    @property
    def pid(self) -> int:
        """Of its first process on the engine's host; 0 where none runs."""
        ...

    @property
    def host_config(self) -> dict[str, Any]:
        """Its limits as the engine holds them, in the engine's own form."""
        ...

    def start(self) -> Box:
        """``start``; itself."""
        ...

    def await_line(self, text: str, timeout_s: float) -> None:
        """Until it has said so; TimeoutError where it does not, or ended."""
        ...

    def execute(self, *words: str) -> object:
        """``exec`` of the hand, to its end."""
        ...

    def top(self) -> object:
        """``top``."""
        ...

    def logs(self) -> str:
        """``logs``, standard output."""
        ...

    def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        """``cp`` into it."""
        ...

    def rename(self, name: str) -> None:
        """``rename``."""
        ...

    def commit(self, name: str) -> str:
        """``commit``; the image's id."""
        ...

    def pause(self) -> None:
        """``pause``."""
        ...

    def unpause(self) -> None:
        """``unpause``."""
        ...

    def update(self, **limits: Any) -> object:
        """``update``, in the keywords of docker-py."""
        ...

    def restart(self) -> None:
        """``restart``, without a grace time."""
        ...

    def kill(self) -> None:
        """``kill``."""
        ...

    def wait(self, timeout_s: float) -> object:
        """Until it has ended; TimeoutError where it has not in time."""
        ...

    def stop(self, grace_s: int) -> float:
        """``stop``; the seconds that it took."""
        ...

    def remove(self) -> None:
        """``rm -f``."""
        ...


class Commands(Protocol):
    """An engine's commands, each by itself; what they made goes with ``close``."""

    @property
    def facts(self) -> EngineFacts:
        """What the engine says of itself."""
        ...

    @property
    def hand(self) -> str:
        """The id of the hand's image, which is there from then on."""
        ...

    def name(self) -> str:
        """A new name of a container."""
        ...

    def tag(self) -> str:
        """A new name of an image."""
        ...

    def create(self, *words: str, **host: Any) -> Box:
        """``create`` of the hand with these words, in the keywords of docker-py."""
        ...

    def volume(self) -> str:
        """A new named volume; its name."""
        ...

    def folder(self) -> Path:
        """A new folder of this host in which whoever is in a container may write."""
        ...

    def close(self) -> None:
        """Remove whatever was made."""
        ...


class Engine(Protocol):
    """What the runner needs of an engine."""

    def facts(self) -> EngineFacts:
        """What the engine says of itself."""
        ...

    def prepare_images(self, workloads: Iterable[Workload]) -> WorkloadFacts:
        """Have the image of each workload there, and the probe's."""
        ...

    def keep_data_on(self, device: Device) -> None:
        """Where the data of containers lies from now on that limit a device's rates."""
        ...

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        """A container as specified, attached and not yet started.

        Its workload ends by itself ``deadline_s`` after its start, whatever happens to us. It is
        one of so many that run ``together``, and share what nobody limits.
        """
        ...

    def create_load(
        self, *, name: str, run: str, server: Container, spec: ContainerSpec, deadline_s: float
    ) -> Container:
        """A container that loads a server which runs, from within its network; not yet started."""
        ...

    def create_sampler(self, *, name: str, run: str, command: Sequence[str]) -> Container:
        """A container of the probe's image that may read its host's cgroups, not yet started."""
        ...

    def laboratory(self, *, run: str, side: str = "") -> Commands:
        """Its commands, for trials that are about them; of two engines, those of that side."""
        ...

    def remove_all(self, run: str | None) -> int:
        """Remove the containers of a run, or of all runs; how many there were."""
        ...

    def await_answer(self, timeout_s: float) -> bool:
        """Whether it answers (again) within that time."""
        ...
