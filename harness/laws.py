"""What the documented semantics predict: from limits, host facts and workload to expectations.

Pure. A law's tolerance is part of the law and has a reason; it is not a knob.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness import limits as rules
from harness.model import ContainerSpec, EngineFacts, Expectation, HostFacts, Plan

CPU_TOLERANCE = 0.01
"""The share by which the mean CPU of a window may miss its law. See docs/decisions/003."""

_BANDWIDTH = "Documentation/scheduler/sched-bwc.rst"


class Bound(StrEnum):
    """What holds a container's CPU use down."""

    QUOTA = "quota"
    THREADS = "threads"
    CPUSET = "cpuset"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class CpuLaw:
    """U = min(threads, quota/period, CPUs of the cpuset), in CPUs, and what binds."""

    expectation: Expectation
    bound: Bound
    capacity_cpus: int
    """The CPUs that the container may use at all."""

    @property
    def wants_host(self) -> bool:
        """True where the promise leaves no CPU for anybody else."""
        return self.expectation.value >= self.capacity_cpus

    def expected_cpus(self, foreign_cpus: float | None) -> float:
        """What the promise comes to in one window.

        A point that wants every CPU gets what the host, the engine and the harness do not take:
        capacity less foreign CPU. Where foreign CPU could not be measured, the bare promise.
        """
        if not self.wants_host or foreign_cpus is None:
            return self.expectation.value
        return min(self.expectation.value, self.capacity_cpus - foreign_cpus)


def cpu_law(spec: ContainerSpec, *, engine: EngineFacts, host: HostFacts, plan: Plan) -> CpuLaw:
    """The law of achieved CPU for one container that nobody competes with."""
    capacity = engine.cpus or host.cpus
    if spec.limits.cpuset_cpus:
        capacity = len(rules.parse_cpu_list(spec.limits.cpuset_cpus))
    bounds: list[tuple[float, Bound]] = [
        (float(capacity), Bound.CPUSET if spec.limits.cpuset_cpus else Bound.HOST),
        (float(spec.threads), Bound.THREADS),
    ]
    quota = rules.quota_and_period_us(spec.limits)
    if quota:
        bounds.append((quota[0] / quota[1], Bound.QUOTA))
    # On a tie the limit is named before the workload, and both before the host.
    value, bound = min(reversed(bounds), key=lambda pair: pair[0])
    # The kernel charges a running task at the tick: no difference below one tick of the window
    # can be seen, so for small promises that is the tolerance.
    resolution = host.tick_ns / 1e9 / (plan.duration_s * value)
    return CpuLaw(
        Expectation(
            metric="cpus",
            value=value,
            tolerance=max(CPU_TOLERANCE, resolution),
            law="cpu-bandwidth",
            text="CPUs used = min(threads, quota/period, CPUs allowed)",
            source=_BANDWIDTH,
        ),
        bound,
        capacity,
    )
