"""What a limit is called where it is set: docker's option, systemd's property, a pod's field.

By the cgroup's path alone, as its makers name their cgroups: systemd its units, the kubelet
``kubepods``, an engine its containers (``docker/ID``, ``docker-ID.scope``). Sources:
systemd.resource-control(5); kubernetes.io, "Resource Management for Pods and Containers".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness import limits

_OF_SYSTEMD = {
    "--cpus": "CPUQuota=",
    "--cpu-shares": "CPUWeight=",
    "--cpuset-cpus": "AllowedCPUs=",
    "--cpuset-mems": "AllowedMemoryNodes=",
    "--memory": "MemoryMax=",
    "--memory-swap": "MemorySwapMax=",
    "--memory-reservation": "MemoryLow=",
    "--pids-limit": "TasksMax=",
}
_OF_POD = {
    "--cpus": "resources.limits.cpu",
    "--cpu-shares": "resources.requests.cpu",
    "--memory": "resources.limits.memory",
}
_NO_SWAP = "set --memory-swap equal to it"
_CPUS = re.compile(r"(--cpus above )([\d.]+)")
_UNIT = re.compile(r"\.(service|scope|slice|socket|mount|swap)$")
_CONTAINER = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope)?$")


@dataclass(frozen=True, slots=True)
class Setter:
    """Who sets a cgroup's limits, and in which words."""

    who: str
    names: Mapping[str, str]
    """Docker's option → what it is called there; none where it is an engine."""
    cpus: str = "{:g}"
    """How so many CPUs are written there."""
    no_swap: str = ""

    def in_its_words(self, text: str) -> str:
        """A text that speaks of docker's options."""
        if not self.names:
            return text
        said = text.replace(_NO_SWAP, self.no_swap).replace(" above the container", " above it")
        said = _CPUS.sub(lambda found: f"{found[1]}{self.cpus.format(float(found[2]))}", said)
        return re.sub(r"--[a-z]+(?:-[a-z]+)*",
                      lambda found: self.names.get(found[0], found[0]), said)  # fmt: skip


def setter_of(path: str, version: int) -> Setter:
    """Who sets the limits of the cgroup at that path, on that cgroup version."""
    name = PurePosixPath(path).name
    if "kubepods" in path:
        return Setter("its pod", _of_kernel(version) | _OF_POD, no_swap="turn swap off on its node")
    if container_id(path):
        return Setter("its engine", {})
    if _UNIT.search(name):
        return Setter("systemd", _of_kernel(version) | _OF_SYSTEMD, "{:.0%}", "set MemorySwapMax=0")
    names = _of_kernel(version)
    swap = names["--memory-swap"]
    no_swap = f"set {swap} equal to it" if version == 1 else f"set {swap} to 0"
    return Setter("whoever made it", names, "{:g} × its period", no_swap)


def container_id(path: str) -> str:
    """The id of the engine's container that a cgroup is; empty for a pod's, and for all others."""
    found = _CONTAINER.search(path)
    return found[1] if found and "kubepods" not in path else ""


def _of_kernel(version: int) -> dict[str, str]:
    """The kernel's file of each option; what is in effect is told in another one."""
    held = {row.option: limits.files_of(row, version) for row in limits.LIMITS}
    return {
        option: next((name for _, name in files if "effective" not in name), option)
        for option, files in held.items()
    }
