"""Which CPUs an engine has for its containers.

Two facts, and neither follows from the other: the numbers that a cpuset may name (nosmt leaves 0, 2
and 4, a slice's AllowedCPUs and a VM's resize what they will), and how many the engine says that
there are, which is the affinity of its own process (isolcpus, systemd's CPUAffinity=, taskset).
moby refuses a cpuset beyond the one, and more ``--cpus`` than the other (daemon/daemon_unix.go,
``verifyPlatformContainerResources``; pkg/sysinfo, ``Cpus``, ``NumCPU``).
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.limits.forms import format_cpu_list, parse_cpu_list


@dataclass(frozen=True, slots=True)
class EngineCpus:
    """The CPUs of an engine."""

    numbers: tuple[int, ...]
    """Those that a container may be given, ascending."""
    most: int
    """How many ``--cpus`` may be at the most."""
    known: bool
    """Whether the numbers were read; else they are the first ``most``, which they need not be."""

    @classmethod
    def first(cls, count: int) -> EngineCpus:
        """Of an engine that tells a number alone."""
        return cls(tuple(range(count)), count, known=False)

    @classmethod
    def listed(cls, text: str, most: int) -> EngineCpus:
        """Of a list as the kernel writes it. PlanError where it is none."""
        return cls(tuple(sorted(parse_cpu_list(text))), most, known=True)

    @property
    def count(self) -> int:
        """How many there are for a container that has no cpuset."""
        return len(self.numbers)

    @property
    def text(self) -> str:
        """In words: ``CPU 1``, ``CPUs 1,3-5``."""
        noun = "CPU" if self.count == 1 else "CPUs"
        return f"{noun} {format_cpu_list(frozenset(self.numbers))}"

    def shared(self, other: EngineCpus) -> EngineCpus:
        """What two engines both have."""
        both = set(self.numbers) & set(other.numbers)
        return EngineCpus(
            tuple(sorted(both)), min(self.most, other.most), self.known and other.known
        )
