"""What an engine says of itself: its answers become ``EngineFacts``."""

from __future__ import annotations

import json
import re
from typing import Any

from harness.engine.connect import Connection
from harness.limits import PODMAN
from harness.model import EngineFacts


def _runtime_version(runtime: str, components: dict[str, str]) -> str:
    """Docker names the component as the runtime; Podman says ``crun version 1.8.1`` and more."""
    said = components.get(runtime) or components.get(f"OCI Runtime ({runtime})", "")
    found = re.search(r"\d\S*", said.partition("\n")[0])
    return found[0] if found else "unknown"


_FEATURES = "org.opencontainers.runtime-spec.features"
_VERSION_OF = {"org.opencontainers.runc.version": "runc", "run.oci.crun.version": "crun"}
"""Annotations of ``runc features`` and ``crun features``, which Docker tells since 25."""
PROGRAMS = {"runc": "runc", "io.containerd.runc.v2": "runc", "crun": "crun"}
"""Names of runtimes that nobody can give to another program than theirs, or nobody does."""


def _runtimes(info: dict[str, Any], version: str) -> tuple[tuple[str, str], ...]:
    """(name, ``runc 1.1.5``) of each runtime whose program, or what is beneath it, is told.

    ``version`` is what the engine took for the default runtime's: the last that its program said of
    itself (moby daemon/info_unix.go, ``parseRuntimeVersion``). Of a wrapper that need not be
    runc's, unless the commit that was said with it bears the same version, as runc's does.
    """
    found = {}
    for name, one in (info.get("Runtimes") or {}).items():
        try:
            features = json.loads((one.get("status") or {})[_FEATURES])["annotations"]
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        for key, program in _VERSION_OF.items():
            if features.get(key):
                found[name] = f"{program} {str(features[key]).strip()}"
    default = info.get("DefaultRuntime") or "unknown"
    if default not in found and version != "unknown":
        commit = str((info.get("RuncCommit") or {}).get("ID") or "").removeprefix("v")
        if default in PROGRAMS or commit.startswith(version):
            found[default] = f"{PROGRAMS.get(default, 'runc')} {version}"
    return tuple(sorted(found.items()))


def facts_from(
    info: dict[str, Any], version: dict[str, Any], connection: Connection
) -> EngineFacts:
    """The facts in the answers to ``/info`` and ``/version``."""
    components = {c["Name"]: c.get("Version", "") for c in version.get("Components") or []}
    runtime = info.get("DefaultRuntime") or "unknown"
    runtime_version = _runtime_version(runtime, components)
    return EngineFacts(
        host=connection.host,
        name=PODMAN if is_podman(version) else "Docker",
        version=version.get("Version", "unknown"),
        api_version=connection.api.api_version,
        cgroup_version=int(info.get("CgroupVersion") or 1),
        cgroup_driver=info.get("CgroupDriver") or "unknown",
        runtime=runtime,
        runtime_version=runtime_version,
        storage_driver=info.get("Driver") or "unknown",
        architecture=info.get("Architecture") or "unknown",
        kernel=info.get("KernelVersion") or "unknown",
        cpus=int(info.get("NCPU") or 0),
        memory_bytes=int(info.get("MemTotal") or 0),
        private=connection.private,
        warnings=_warnings(info),
        rootless=bool(info.get("Rootless"))  # Podman's
        or any("name=rootless" in option for option in info.get("SecurityOptions") or ()),
        runtimes=_runtimes(info, runtime_version),
    )


def is_podman(version: dict[str, Any]) -> bool:
    """Whether the answer to ``/version`` is Podman's."""
    return any(one["Name"] == "Podman Engine" for one in version.get("Components") or ())


_SUPPORTED = {
    "MemoryLimit": "No memory limit support",
    "SwapLimit": "No swap limit support",
    "CpuCfsQuota": "No cpu cfs quota support",
    "CpuCfsPeriod": "No cpu cfs period support",
    "CPUShares": "No cpu shares support",
    "CPUSet": "No cpuset support",
    "PidsLimit": "No pids limit support",
}
"""What ``/info`` says of each limit, and Docker's warning where it says no."""


def _warnings(info: dict[str, Any]) -> tuple[str, ...]:
    """The engine's own warnings, and those that Podman leaves to the flags."""
    told = [str(one).removeprefix("WARNING: ") for one in info.get("Warnings") or ()]
    missing = [text for flag, text in _SUPPORTED.items() if info.get(flag) is False]
    return (*told, *(text for text in missing if text not in told))
