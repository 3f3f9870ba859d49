"""Limits that few hosts can put to the test: memory nodes, real-time CPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.limits import EngineCpus
from harness.model import ContainerSpec, Growth, Point, Spin
from harness.plan.axes.axis import Axis, Options, limit, point, texts, whole, with_limits
from harness.units import MIB

NODES_BYTES = 32 * MIB
"""Touched, to see on which nodes it lies."""
DEFAULT_RUNTIMES_US = ("50000", "100000")
"""Of the kernel's period of a second."""


def _mems(options: Options, _cpus: EngineCpus) -> Iterable[Point]:
    for text in texts(options, ["0"], separators=";"):
        limits = with_limits(options.fixed, cpuset_mems=text)
        growth = Growth(target_bytes=NODES_BYTES)
        yield point("cpuset-mems", "mems", text, ContainerSpec(limits=limits, workload=growth))


def _realtime(options: Options, _cpus: EngineCpus) -> Iterable[Point]:
    for text in texts(options, DEFAULT_RUNTIMES_US):
        limits = with_limits(options.fixed, cpu_rt_runtime_us=whole(text))
        yield point(
            "cpu-rt-runtime", "rt-runtime", text, ContainerSpec(limits=limits, workload=Spin())
        )


AXES: Sequence[Axis] = (
    Axis(
        "cpuset-mems", "--cpuset-mems", "memory of these NUMA nodes, and of no others",
        "--values '0;1'", _mems, metric="other_nodes_bytes",
    ),
    Axis(
        "cpu-rt-runtime", "--cpu-rt-runtime", "CPU at real-time priority, where there is a budget",
        "--values 50000,100000", _realtime,
        metric="cpus", x=limit("cpu_rt_runtime_us"), label="--cpu-rt-runtime (µs)", apart=True,
    ),
)  # fmt: skip
