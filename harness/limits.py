"""How Docker writes limits: CPU lists, sizes, and which settings can stand together.

Pure text and arithmetic: nothing here asks the host. The rules come from Docker's
``daemon/daemon_unix.go`` (``verifyPlatformContainerResources``), ``opts/opts.go`` of its command
line, and the kernel's ``Documentation/scheduler/sched-bwc.rst``; each is refused here, before
anything starts, with the value that would be accepted.
"""

from __future__ import annotations

import math
import re

from harness.errors import PlanError
from harness.model import UNLIMITED, EngineFacts, Limits

DEFAULT_PERIOD_US = 100_000
"""The CFS period that Docker, runc and the kernel use where none is set."""
PERIOD_RANGE_US = (1_000, 1_000_000)
MIN_QUOTA_US = 1_000
MIN_CPUS = 0.01
MIN_MEMORY_BYTES = 6 * 1024 * 1024
"""The least ``--memory`` of engines since 20.10; 4 MiB before."""
SHARES_RANGE = (2, 262_144)
PODMAN = "Podman"
"""``EngineFacts.name`` of Podman behind its Docker-compatible socket."""

_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(text: str) -> int:
    """Bytes of a size as Docker writes it: ``64m``, ``1.5g``, ``1048576``, ``128MiB``.

    Raises PlanError where the text is no size. Units are powers of 1024, as in Docker.
    """
    match = _SIZE.match(text.strip())
    if not match:
        raise PlanError(f"'{text}' is not a size.", "Write it as Docker does: 64m, 1.5g, 1048576.")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def format_size(size_bytes: int) -> str:
    """A size as Docker writes it: ``64m``, ``1536m``, ``6291457b``; ``no limit`` for -1."""
    if size_bytes == UNLIMITED:
        return "no limit"
    for unit in ("g", "m", "k"):
        if size_bytes and size_bytes % _UNITS[unit] == 0:
            return f"{size_bytes // _UNITS[unit]}{unit}"
    return f"{size_bytes}b"


def parse_cpu_list(text: str) -> frozenset[int]:
    """The CPU numbers of a list such as ``0-2,4``: 0, 1, 2 and 4. PlanError if it is none."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if not match:
            raise PlanError(
                f"'{text}' is not a CPU list.", "Write numbers and ranges from 0: 0-2,4."
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise PlanError(f"the CPU range '{part}' runs backwards.", f"Write {last}-{first}.")
        cpus.update(range(first, last + 1))
    return frozenset(cpus)


def format_cpu_list(cpus: frozenset[int]) -> str:
    """The shortest list that names these CPUs: {0, 1, 2, 4} → ``0-2,4``."""
    parts: list[str] = []
    ordered = sorted(cpus)
    start = 0
    for i, cpu in enumerate(ordered):
        if i + 1 == len(ordered) or ordered[i + 1] != cpu + 1:
            first = ordered[start]
            parts.append(f"{first}" if first == cpu else f"{first}-{cpu}")
            start = i + 1
    return ",".join(parts)


def quota_and_period_us(limits: Limits) -> tuple[int, int] | None:
    """The CFS quota and period (µs) that these limits ask for; None where they ask for none.

    ``--cpus c`` is quota = c × 100000 rounded down (runc gets it from the engine so), and a
    period alone limits nothing.
    """
    if limits.cpus is not None:
        # The command line keeps nine decimals (NanoCPUs); go through them so that 0.29 is 29000.
        return round(limits.cpus * 1e9) * DEFAULT_PERIOD_US // 1_000_000_000, DEFAULT_PERIOD_US
    if limits.cpu_quota_us is not None and limits.cpu_quota_us > 0:
        return limits.cpu_quota_us, limits.cpu_period_us or DEFAULT_PERIOD_US
    return None


def swap_total_bytes(limits: Limits) -> int | None:
    """What ``--memory`` and ``--memory-swap`` allow together: memory and swap, in bytes.

    Not set, or 0, means twice the memory; -1 means no limit (UNLIMITED). None without ``--memory``.
    """
    if limits.memory_bytes is None:
        return None
    if not limits.memory_swap_bytes:
        return 2 * limits.memory_bytes
    return limits.memory_swap_bytes


def not_supported(limits: Limits, engine: EngineFacts) -> str:
    """What an engine takes without a word and does not do, in words; empty where there is none.

    Podman's compatible API passes ``MemorySwap`` on only where it is positive (measured on 4.3:
    -1 came out as twice the memory, in its inspect and in the kernel).
    """
    if engine.name == PODMAN and limits.memory_swap_bytes == UNLIMITED and limits.memory_bytes:
        return (
            f"not supported by this engine: {engine.name} {engine.version} takes --memory-swap -1 "
            "for not set, which is twice --memory"
        )
    return ""


def systemd_quota_us(quota: tuple[int, int]) -> int:
    """What systemd makes of (quota, period) in µs: it keeps a CPU time per second, in 10 ms steps.

    runc's systemd driver tells systemd 0.505 CPUs as 0.51 (libcontainer/cgroups/systemd,
    ``addCpuQuota``), and then writes the exact quota into the kernel's file itself. So the kernel
    holds what was asked for until systemd writes the file again: after ``systemctl daemon-reload``
    on runc 1.1.5 and systemd 252, 33300 of 100000 µs had become 34000 (measured).
    """
    quota_us, period_us = quota
    per_second = quota_us * 1_000_000 // period_us
    rounded = -(-per_second // 10_000) * 10_000
    return rounded * period_us // 1_000_000


def held_quotas_us(quota: tuple[int, int], driver: str) -> tuple[int, ...]:
    """The quotas (µs) that the kernel may rightly hold for (quota, period), the usual one first."""
    if driver != "systemd":
        return (quota[0],)
    return quota[0], systemd_quota_us(quota)


def weight_of_shares(shares: int, runtime: str, version: str) -> int:
    """cpu.weight that a runtime writes for ``--cpu-shares`` on cgroup v2.

    runc < 1.3.2 and crun < 1.23: a line from (2, 1) to (262144, 10000). Later: a curve through
    (1024, 100) (opencontainers/cgroups, ``ConvertCPUSharesToCgroupV2Value``). A version that is
    not known is taken for an old one.
    """
    if weight_formula(runtime, version) == NEW_WEIGHTS:
        if shares <= 2:
            return 1
        if shares >= 262_144:
            return 10_000
        log = math.log2(shares)
        return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))
    return 1 + (shares - 2) * 9999 // 262_142


OLD_WEIGHTS = "line through (2, 1) and (262144, 10000)"
NEW_WEIGHTS = "curve through (1024, 100)"


def weight_formula(runtime: str, version: str) -> str:
    """Which of the two formulas a runtime turns shares into cpu.weight by, in words."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    if not match:
        return OLD_WEIGHTS
    major, minor, patch = (int(group or 0) for group in match.groups())
    since = (1, 23, 0) if runtime == "crun" else (1, 3, 2)
    return NEW_WEIGHTS if (major, minor, patch) >= since else OLD_WEIGHTS


def validate(limits: Limits, *, host_cpus: int) -> None:
    """Refuse what the engine or the kernel would refuse. PlanError with the remedy.

    ``host_cpus`` is the number of CPUs that the engine may give (``NCPU`` of its info).
    """
    _validate_cpu(limits, host_cpus)
    _validate_memory(limits)


def _validate_cpu(limits: Limits, host_cpus: int) -> None:
    if limits.cpus is not None:
        if not MIN_CPUS <= limits.cpus <= host_cpus:
            raise PlanError(
                f"--cpus {limits.cpus:g} is out of range.",
                f"This host takes {MIN_CPUS} to {host_cpus} CPUs.",
            )
        if limits.cpu_quota_us is not None or limits.cpu_period_us is not None:
            raise PlanError(
                "--cpus conflicts with --cpu-quota and --cpu-period.",
                "It is itself a quota: give one or the other.",
            )
    if limits.cpu_period_us is not None:
        low, high = PERIOD_RANGE_US
        if not low <= limits.cpu_period_us <= high:
            raise PlanError(
                f"--cpu-period {limits.cpu_period_us} is out of range.",
                f"The kernel takes {low} to {high} µs.",
            )
    if limits.cpu_quota_us is not None and not (
        limits.cpu_quota_us == -1 or limits.cpu_quota_us >= MIN_QUOTA_US
    ):
        raise PlanError(
            f"--cpu-quota {limits.cpu_quota_us} is out of range.",
            f"The kernel takes {MIN_QUOTA_US} µs or more, or -1 for no quota.",
        )
    if limits.cpu_shares is not None:
        low, high = SHARES_RANGE
        if not low <= limits.cpu_shares <= high:
            raise PlanError(
                f"--cpu-shares {limits.cpu_shares} is out of range.",
                f"The kernel takes {low} to {high}.",
            )
    if limits.cpuset_cpus is not None:
        beyond = {cpu for cpu in parse_cpu_list(limits.cpuset_cpus) if cpu >= host_cpus}
        if beyond:
            raise PlanError(
                f"--cpuset-cpus {limits.cpuset_cpus}: CPU {min(beyond)} does not exist.",
                f"This host has CPUs 0-{host_cpus - 1}.",
            )


def _validate_memory(limits: Limits) -> None:
    memory, swap = limits.memory_bytes, limits.memory_swap_bytes
    if memory is not None and memory < MIN_MEMORY_BYTES:
        raise PlanError(f"--memory {memory} is too small.", "Docker takes 6m or more.")
    if swap is not None and swap > 0:
        if memory is None:
            raise PlanError("--memory-swap needs --memory.", "It is the total of both.")
        if swap < memory:
            raise PlanError(
                f"--memory-swap {swap} is below --memory {memory}.",
                "It is the total of memory and swap.",
            )
    reservation = limits.memory_reservation_bytes
    if reservation is not None and memory is not None and reservation > memory:
        raise PlanError(
            f"--memory-reservation {reservation} is above --memory {memory}.",
            "It must not exceed it.",
        )
