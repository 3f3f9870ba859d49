"""Whether a run can go on where it stopped: what its trials still have in common. Pure.

All of them are to come from one host, kernel, engine and image. What makes two runs comparable is
here the least: the host must be the very same one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.comparison import changes
from harness.comparison.digest import fingerprint
from harness.model import Difference, EngineFacts, HostFacts, RunInfo, WorkloadFacts

HOST, ENGINE_CPUS = "host", "engine-cpus"
"""Beside the facts of the fingerprint: the host's name, the CPUs that the engine may give."""
FACTS = (HOST, ENGINE_CPUS, *changes.FACTS)


def differences(
    info: RunInfo,
    host: HostFacts,
    engines: Mapping[str, EngineFacts],
    workload: WorkloadFacts,
    allow: Collection[str] = (),
) -> tuple[Difference, ...]:
    """What differs between a run's beginning and now, those that are not allowed first.

    ``engines`` are those of now, by the name of their side: empty where the run has no sides.
    """
    more = [(HOST, info.host.hostname, host.hostname)]
    found: list[Difference] = []
    for side, engine in engines.items():
        points = [point for point in info.plan.points if point.side == side]
        then = next((one.engine for one in info.sides if one.name == side), info.engine)
        if then.cpu_list and engine.cpu_list:
            more.append((ENGINE_CPUS, then.cpus_to_give.text, engine.cpus_to_give.text))
        found += changes.differences(
            fingerprint(info.host, then, info.workload, points),
            fingerprint(host, engine, workload, points),
            allow,
        )
    found += [
        Difference(fact=fact, before=before, after=after, allowed=fact in allow)
        for fact, before, after in more
        if before != after
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda one: one.allowed))
