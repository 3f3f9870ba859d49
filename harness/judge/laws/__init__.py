"""What the documented semantics predict.

Pure: from limits, host facts and workload to expectations. A law's tolerance is part of the law and
has a reason; it is not a knob. ``expectations`` gives the laws that a point puts to the test, the
one that the point is about first; none where a point is a measurement without a law. A family of
laws is a file.
"""

from __future__ import annotations

from dataclasses import replace

from harness.judge import lifecycle
from harness.judge.laws import competition, cpu, io, kept, memory, neighbour, parent, rare, taking
from harness.judge.laws.circumstances import Circumstances
from harness.model import Expectation, Growth, Io, Kept, Lifecycle, Point, Take

__all__ = ["Circumstances", "expectations"]


def expectations(point: Point, given: Circumstances) -> tuple[Expectation, ...]:
    """The laws that a point puts to the test, the main one first."""
    found = _of_point(point, given)
    if not given.engine.no_cgroups:
        return found
    return tuple(replace(law, explanation=given.engine.no_cgroups) for law in found)


def _of_point(point: Point, given: Circumstances) -> tuple[Expectation, ...]:
    if point.axis == "neighbour" and len(point.containers) == 2:
        return neighbour.expectations(point, given)
    match point.containers[0].workload:
        case Lifecycle():
            beside_others = len(point.containers) > 1
            return lifecycle.expectations(given.host.tick_ns, beside_others=beside_others)
        case Kept() as looked_for:
            return (kept.expectation(looked_for),)
        case Io():
            return io.expectations(point, given)
        case Take():
            return taking.expectations(point, given)
        case _:
            return _of_load(point, given)


def _of_load(point: Point, given: Circumstances) -> tuple[Expectation, ...]:
    if point.parent is not None:
        return parent.expectations(point, point.parent, given)
    if len(point.containers) > 1:
        return competition.expectations(point, given)
    return _of_one(point, given)


def _of_one(point: Point, given: Circumstances) -> tuple[Expectation, ...]:
    (spec,) = point.containers
    if spec.limits.cpu_rt_runtime_us is not None:
        return (rare.realtime(spec, given),)
    if isinstance(spec.workload, Growth):
        of_nodes = (rare.nodes(spec, given),) if spec.limits.cpuset_mems else ()
        return (*of_nodes, *memory.expectations(spec, spec.workload, given))
    cpus = cpu.bandwidth(spec, point.duration_s, given)
    if not spec.workload.saturates:
        return (cpu.ceiling(cpus),)
    found = [cpus]
    if spec.limits.cpuset_cpus:
        found.append(cpu.nothing_outside())
    if point.axis in ("quota", "period"):
        found += cpu.gap(spec, cpus, given)
    return tuple(found)
