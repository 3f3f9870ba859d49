"""How containers that compete divide the CPU: ``--cpu-shares``. It never caps one that is alone.

v1 weighs by cpu.shares, v2 by cpu.weight, which the runtime makes of the shares
(Documentation/scheduler/sched-design-CFS.rst, Documentation/admin-guide/cgroup-v2.rst).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness.limits.forms import NUMBER
from harness.limits.row import (
    NOT_READ,
    Engine,
    Limit,
    ReadBack,
    Sides,
    held,
    just,
    limit,
    of_outermost,
    of_own,
    told,
)

SHARES_RANGE = (2, 262_144)
DEFAULT_SHARES = 1024
DEFAULT_WEIGHT = 100

OLD_WEIGHTS = "line through (2, 1) and (262144, 10000)"
NEW_WEIGHTS = "curve through (1024, 100)"
UNKNOWN_WEIGHTS = "not known"


_NEW_SINCE = {"runc": (1, 3, 2), "crun": (1, 23, 0)}


def weight_formula(program: str, version: str) -> str:
    """The formula by which runc or crun turns shares into cpu.weight; empty where not known.

    runc < 1.3.2 and crun < 1.23: a line from (2, 1) to (262144, 10000). Later: a curve through
    (1024, 100) (opencontainers/cgroups, ``ConvertCPUSharesToCgroupV2Value``). Another program's
    version says nothing of it: nvidia-container-runtime 1.17 has whatever runc is beneath it.
    """
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    if not match or program not in _NEW_SINCE:
        return ""
    major, minor, patch = (int(group or 0) for group in match.groups())
    return NEW_WEIGHTS if (major, minor, patch) >= _NEW_SINCE[program] else OLD_WEIGHTS


def weight_formulas(engine: Engine) -> tuple[str, ...]:
    """The formula of an engine's runtime; both where it is not known which."""
    found = weight_formula(*engine.limits_by)
    return (found,) if found else (OLD_WEIGHTS, NEW_WEIGHTS)


def weight_of_shares(shares: int, formula: str) -> int:
    """cpu.weight that a formula makes of ``--cpu-shares`` on cgroup v2."""
    if formula == NEW_WEIGHTS:
        if shares <= 2:
            return 1
        if shares >= 262_144:
            return 10_000
        log = math.log2(shares)
        return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))
    return 1 + (shares - 2) * 9999 // 262_142


class _Asked(Protocol):
    @property
    def cpu_shares(self) -> int | None: ...


def weights(limits: _Asked, engine: Engine) -> tuple[int, ...]:
    """What the kernel may weigh a container with: cpu.shares on v1, cpu.weight on v2.

    One for each formula that the runtime may have. Shares that are not set are 1024 on v1 and
    weight 100 on v2.
    """
    if engine.cgroup_version == 1:
        return (limits.cpu_shares or DEFAULT_SHARES,)
    shares = limits.cpu_shares
    return tuple(
        weight_of_shares(shares, one) if shares else DEFAULT_WEIGHT
        for one in weight_formulas(engine)
    )


def _weighed(row: Limit, sides: Sides) -> ReadBack | None:
    """The kernel's side is cpu.shares on v1, and the weight that the runtime made on v2."""
    wanted = sides.asked.cpu_shares
    if wanted is None:
        return None
    engine = None if sides.engine is None else sides.engine.cpu_shares
    if sides.kernel is None or sides.of.cgroup_version == 1:
        return told(row, sides, wanted, engine, sides.kernel and sides.kernel.cpu_shares)
    held = sides.kernel.cpu_weight
    found = told(row, sides, wanted, engine, held)
    if held is None:
        return found
    found = replace(found, kernel=f"weight {held}")
    if found.agrees is not False or (sides.engine is not None and engine != wanted):
        return found
    # A runtime that was replaced leaves the containers that it made as they are.
    for formula, whose in ((OLD_WEIGHTS, "an older"), (NEW_WEIGHTS, "a newer")):
        if held == weight_of_shares(wanted, formula):
            return replace(
                found, kernel=f"{found.kernel}, as {whose} runtime wrote it", agrees=None
            )
    return found


def _weight_words(_row: Limit, kernel: Any) -> str:
    if kernel is not None and kernel.cpu_shares is not None:
        return f"{kernel.cpu_shares}"
    known = kernel is not None and kernel.cpu_weight is not None
    return f"weight {kernel.cpu_weight}" if known else NOT_READ


@dataclass(frozen=True, kw_only=True)
class Shares:
    """What can be asked for."""

    cpu_shares: int | None = limit(Limit(
        option="--cpu-shares", form=NUMBER, help="shares",
        create="cpu_shares", inspect="CpuShares", update="--cpu-shares",
        least=SHARES_RANGE[0], most=SHARES_RANGE[1],
        refusal=f"The kernel takes {SHARES_RANGE[0]} to {SHARES_RANGE[1]}.",
        due=lambda shares, engine: (
            (shares,) if engine.cgroup_version == 1
            else [weight_of_shares(shares, one) for one in weight_formulas(engine)]
        ),
        compare=_weighed, inspected="always", held_words=_weight_words,
        in_force=just("if others compete"),
        rule="Containers that want the same CPU divide it as their shares; one alone has all of "
        "it. Unset is 1024 on v1, weight 100 on v2.",
        made="v2: a weight of 1 to 10000, by a line (runc < 1.3.2, crun < 1.23: 1024 is 39) or a "
        "curve (later: 1024 is 100).",
        source="opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value",
    ))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SharesHeld:
    """What the kernel holds: shares on v1 alone, a weight on v2 alone."""

    cpu_shares: int | None = held(v1=of_own("cpu", "cpu.shares"))
    cpu_weight: int | None = held(v2=of_outermost("cpu", "cpu.weight"))
