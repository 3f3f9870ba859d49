"""Limits that few hosts can put to the test; why this one cannot."""

from __future__ import annotations

from harness.judge.laws.circumstances import Circumstances
from harness.limits import parse_cpu_list
from harness.model import ContainerSpec, Expectation, Scale

START_BYTES = 1 << 20
"""What is charged while the runtime starts it, before it is in its cpuset, and pages that others
had read before."""
_PERIOD_US = 1_000_000
"""Of real-time tasks, where nobody sets another (Documentation/scheduler/sched-rt-group.rst)."""


def nodes(spec: ContainerSpec, given: Circumstances) -> Expectation:
    """Memory of ``--cpuset-mems`` lies on these nodes."""
    wanted = parse_cpu_list(spec.limits.cpuset_mems or "0")
    refusal = ""
    if given.refused:
        refusal = f"the engine refuses these nodes: {given.refused}"
    elif given.effective and given.nodes is None:
        refusal = "this kernel does not tell where memory lies (memory.numa_stat, CONFIG_NUMA)"
    elif given.nodes is not None and wanted >= frozenset(range(given.nodes)):
        refusal = (
            "this host has one memory node, and so none to keep it from"
            if given.nodes == 1
            else "every node is in the list, and so there is none to keep it from"
        )
    return Expectation(
        metric="other_nodes_bytes", value=0.0, low=0.0, high=float(START_BYTES),
        scale=Scale.ABSOLUTE, law="cpuset-mems",
        text="memory on a node outside --cpuset-mems = 0, but for its start",
        source="Documentation/admin-guide/cgroup-v1/cpusets.rst", bound="cpuset",
        not_exercisable=refusal,
    )  # fmt: skip


def realtime(spec: ContainerSpec, given: Circumstances) -> Expectation:
    """Real-time tasks have ``--cpu-rt-runtime`` of each period."""
    runtime, period = spec.limits.cpu_rt_runtime_us or 0, spec.limits.cpu_rt_period_us
    refusal = "no workload of a sweep runs at real-time priority: the limit's files were read alone"
    if given.engine.cgroup_version != 1:
        refusal = "cgroup v2 has no budget of real-time CPU: the engine refuses the option"
    elif given.refused:
        refusal = (
            "the engine started none, as without CONFIG_RT_GROUP_SCHED or a budget in the "
            f"cgroup above (dockerd --cpu-rt-runtime): {given.refused}"
        )
    return Expectation(
        metric="cpus", value=runtime / (period or _PERIOD_US), low=-1.0, high=0.0,
        law="rt-runtime", text="CPUs used at real-time priority <= runtime/period",
        source="Documentation/scheduler/sched-rt-group.rst", bound="--cpu-rt-runtime",
        not_exercisable=refusal,
    )  # fmt: skip
