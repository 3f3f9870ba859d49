"""What every container of ours is kept from, whatever runs in it.

No network, no capability, none to be had by a set-uid program, a root that is read-only, nothing
that the engine would log. The default seccomp and AppArmor profiles and the user of the image stay
as the engine has them. How many tasks it may have is a row of ``harness.limits``; how much memory,
where nobody set a limit, is said here. docs/decisions/025 tells why so much.
"""

from __future__ import annotations

from typing import Any

import docker.types

from harness.model import ContainerSpec, Growth

_SHARE = 0.5
"""Of its host's memory the containers of a trial may have so much together, where nobody set a
limit. No sweep is planned that takes more than half of what is free (``harness.plan.memory_need``).
"""
_LEAST_BYTES = 64 << 20
"""A cap is never below this: the runtime's own start is charged to the container, and dies of less
(runc wants some 10 MiB). Only more than half a host's memory divided by it escape the sum."""
_CLOSE = 0.9
"""Of the cap: a container that is to come closer to it has none, as it would be measured too."""
CGROUP_ROOT = "/sys/fs/cgroup"
SAMPLER_BYTES = 512 << 20
"""The sampler's pool of 256 MiB (workloads/probe/sample.c), and what it reads and tells."""


def confinement() -> dict[str, Any]:
    """The keywords of docker-py's ``create_host_config`` that every container of ours has."""
    return {
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "read_only": True,
        "security_opt": ["no-new-privileges"],
        # The engine need not log what we read through the attached stream, nor fill a disk with it.
        "log_config": docker.types.LogConfig(type="none"),
    }


def memory_cap_bytes(spec: ContainerSpec, host_bytes: int, together: int = 1) -> int | None:
    """How much memory a container may have at the most where ``spec`` sets no ``--memory``.

    ``host_bytes`` is what the engine's host has; 0 where the engine does not tell, or cannot limit
    memory. ``together``: so many containers share it, this one included. A container that wants
    more than its part gets what it would have alone, as its growth ends at its target anyway.

    None: no cap. What is to be held below ``--memory-reservation``, which an engine takes only
    below ``--memory``, or by a growth that was forced, would meet the cap.
    """
    if spec.limits.memory_bytes is not None:
        return None
    growth = spec.workload
    wanted = max(
        spec.limits.memory_reservation_bytes or 0,
        growth.target_bytes if isinstance(growth, Growth) else 0,
    )
    alone = int(host_bytes * _SHARE)
    part = min(alone, max(alone // together, _LEAST_BYTES))
    return next((cap for cap in (part, alone) if wanted < cap * _CLOSE), None)


def read_only(source: str, target: str, folder: str) -> docker.types.Mount:
    """A folder below ``source`` of the host, at its place below ``target``, without mounts in it.

    Each hierarchy of cgroup v1 is a mount of its own, and read-only is what is named alone: with
    /sys/fs/cgroup read-only, root in a container could still write to those below it (measured on
    Docker 20.10; kernels from 5.12 on can do it for all of them, engines from 25 on ask for it).
    """
    at = [f"{one}/{folder}".rstrip("/") for one in (target, source)]
    mount = docker.types.Mount(*at, type="bind", read_only=True)
    mount["BindOptions"] = {"NonRecursive": True}
    return mount
