"""What a law needs to know besides the point."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model import BlockDevice, EffectiveLimits, EngineFacts, HostFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a law needs to know besides the point."""

    engine: EngineFacts
    host: HostFacts
    effective: tuple[EffectiveLimits | None, ...] = ()
    """Of each container, as its path to the root was read; empty where nothing was read yet."""
    swap_free_bytes: int | None = None
    """The host's, before the trial; its total where nothing was read yet."""
    swap_accounted: bool | None = None
    weight_discarded: bool = False
    """Whether a weight of blkio was asked for and the engine reads none back."""
    weight_unwritten: bool = False
    """Whether one of the device was asked for and the kernel holds none."""
    device: BlockDevice | None = None
    """Where the data lay; None where nothing was measured yet, or no device is meant."""
    nodes: int | None = None
    """Memory nodes that a container's memory is told of; None where that was not read."""
    refused: str = ""
    """Why the engine started no trial of the point, in its words; empty where it did."""

    @property
    def swap_bytes(self) -> int:
        """The swap that the host can give."""
        return self.host.swap_bytes if self.swap_free_bytes is None else self.swap_free_bytes

    @property
    def cpus(self) -> int:
        """The CPUs that the engine may give to one that has no cpuset."""
        known = self.engine.cpu_list is not None or self.engine.cpus
        return self.engine.cpus_to_give.count if known else self.host.cpus

    def of(self, container: int) -> EffectiveLimits:
        """The effective limits of a container; nothing set where they were not read."""
        found = self.effective[container] if container < len(self.effective) else None
        return found or EffectiveLimits()
