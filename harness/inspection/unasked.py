"""What stands in an engine's place where none is asked: it knows of nothing."""

from __future__ import annotations

from harness.cgroup import NamedCgroup
from harness.engine.boundary import Exit, StatsStream
from harness.model import EngineFacts, HostFacts, Limits, RunningContainer, StatsFrame


class NoStats:
    """The stream of nobody."""

    def frames(self, start_ns: int, end_ns: int) -> tuple[StatsFrame, ...]:
        """None."""
        del start_ns, end_ns
        return ()

    def close(self) -> None:
        """Nothing is open."""


class NoEngine:
    """``observe.Onlooked`` without an engine."""

    def follow_stats(self, container_id: str) -> StatsStream:
        """One without frames."""
        del container_id
        return NoStats()

    def how_it_ended(self, container_id: str) -> Exit | None:
        """LookupError: it is not known."""
        raise LookupError(container_id)

    def limits_of(self, container_id: str) -> Limits:
        """LookupError: they are not known."""
        raise LookupError(container_id)

    def describe(self, container_id: str) -> RunningContainer:
        """LookupError: it is not known."""
        raise LookupError(container_id)


def engine_facts(named: NamedCgroup, host: HostFacts) -> EngineFacts:
    """What is known of the engine of a cgroup that none was asked about: the host's own facts."""
    return EngineFacts(
        host="", name="", version="", api_version="", cgroup_version=named.paths.version,
        cgroup_driver="", runtime="", runtime_version="", storage_driver="",
        architecture=host.architecture, kernel=host.kernel, cpus=host.cpus,
        memory_bytes=host.memory_bytes, private=False,
    )  # fmt: skip


def described(named: NamedCgroup) -> RunningContainer:
    """A named cgroup as a container that no engine describes."""
    name = named.path.rstrip("/").rpartition("/")[2] or named.path
    return RunningContainer(
        id=named.path, name=name, image="", pid=named.pid, state="running",
        started_at="", limits=None,
    )  # fmt: skip
