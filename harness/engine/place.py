"""Whether an engine runs on this host, where what it does not tell can be looked up."""

from __future__ import annotations

import os
import platform
import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker.utils

from harness import cgroup
from harness.engine.facts import PROGRAMS
from harness.engine.install import find_tool
from harness.limits import PODMAN, EngineCpus
from harness.model import EngineFacts

_UNIX = "http+unix://"
_UCRED = struct.Struct("3i")
"""pid, uid, gid (unix(7), SO_PEERCRED)."""


def is_here(host: str, info: dict[str, Any], proc: Path = Path("/proc")) -> bool:
    """Whether the engine at ``host``, which tells ``info``, is a process of this host's.

    Its socket can be another's: of ``ssh -L``, which runs here, or of the host around a container
    of ours, whose processes are not seen here and whose cgroups have other names.
    """
    pid = _listening(host)
    if not pid or (info.get("Name"), info.get("KernelVersion")) != (
        platform.node(), platform.release()
    ):  # fmt: skip
        return False
    try:
        return (proc / f"{pid}/ns/cgroup").readlink() == (proc / "self/ns/cgroup").readlink()
    except PermissionError:  # another user's, who is root
        return True
    except OSError:
        return False


def _listening(host: str) -> int | None:
    """The process that listens at a socket's path; 0 where it is not visible here."""
    address = docker.utils.parse_host(host) if "://" in host else ""
    if not address.startswith(_UNIX):
        return None
    try:
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.connect(address.removeprefix(_UNIX))
            told = knocking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    except OSError:
        return None
    pid, _, _ = _UCRED.unpack(told)
    return int(pid)


def cpu_list(driver: str, name: str = "", proc: Path = Path("/proc")) -> str | None:
    """The CPUs that a container of an engine on this host may be given; None where not visible.

    Containers lie below ``--cgroup-parent``, which no engine tells: by default /docker, Podman's
    /libpod_parent, or with systemd a slice (moby daemon/oci_linux.go, ``WithCgroups``; Podman's
    libpod/define, ``CgroupfsDefaultCgroupParent``, ``SystemdDefaultCgroupParent``).
    """
    podman = name == PODMAN
    if driver == "systemd":
        return cgroup.cpus_below("machine.slice" if podman else "system.slice", proc)
    return cgroup.cpus_below("libpod_parent" if podman else "docker", proc)


def cpus_of_our_own() -> EngineCpus:
    """The CPUs of a private engine that we would start: it has our affinity."""
    most, told = len(os.sched_getaffinity(0)), cpu_list("cgroupfs")
    return EngineCpus.first(most) if told is None else EngineCpus.listed(told, most)


def seen_from_here(facts: EngineFacts, info: dict[str, Any]) -> EngineFacts:
    """The facts with those that an engine does not tell, where it runs on this host."""
    if not is_here(facts.host, info):
        return facts
    return replace(
        facts,
        cpu_list=cpu_list(facts.cgroup_driver, facts.name),
        runtimes=tuple(sorted((dict(_asked(facts, info)) | dict(facts.runtimes)).items())),
    )


_ASK_TIMEOUT_S = 5.0


def _asked(facts: EngineFacts, info: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What runtimes say that they run, of those that a sweep may use and the engine did not tell.

    Only on v2, where it decides what shares become.
    """
    known = dict(facts.runtimes)
    for name in dict.fromkeys((facts.runtime, *PROGRAMS)):
        path = ((info.get("Runtimes") or {}).get(name) or {}).get("path")
        if facts.cgroup_version == 1 or name in known or not path:
            continue
        program = find_tool(path)
        if program and (told := _program_and_version(program)):
            yield name, told


def _program_and_version(path: str) -> str:
    """``runc 1.1.5`` of what ``PATH --version`` says; empty where it names neither runc nor crun.

    A wrapper says its own version first and then that of the runtime beneath
    (nvidia-container-runtime).
    """
    try:
        done = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_ASK_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    found = re.findall(r"^(runc|crun) version (\S+)", done.stdout, re.MULTILINE)
    return " ".join(found[-1]) if found else ""
