"""What a limit does for a container whose neighbour wants all that there is.

The victim is the first container of a point, the aggressor the second, of the same kind. One value
is no limit: ``alone``, the victim with nobody beside it. It is a point as the others are, so that
it runs in every block among them, and what is told relative to it was measured in the same minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from harness import limits as rules
from harness.errors import PlanError
from harness.limits import EngineCpus
from harness.limits.io import WEIGHT_RANGE
from harness.model import Burst, ContainerSpec, Growth, Io, Point, Spin
from harness.plan.axes.axis import (
    Axis,
    NoSuchValueError,
    Options,
    number,
    point,
    texts,
    whole,
    with_limits,
)
from harness.units import MIB

ALONE, NONE = "alone", "none"
CPU, MEMORY, DISK = "cpu", "memory", "io"
VICTIM = Burst(cost_us=2_000, rate_hz=300)
"""0.6 CPUs on average: more than half of a CPU, so that equal weights leave work undone, and little
enough that what a protection promises can be seen to suffice."""
WORKING_SET_BYTES = 32 * MIB
"""That the victim of the kind memory touches again and again."""
AGGRESSOR_BYTES = 4 * WORKING_SET_BYTES
"""That its aggressor wants. It is all that a point can take of the host, whatever the host has."""
COMMITS = Io(way="fsync", order="random", place="device")
"""The victim of the kind io: writes of 4 KiB with an fsync after each, one after the other, as the
commits of a database are."""
FLOOD = Io(way="direct", block_bytes=64 << 10, depth=8, file_bytes=4 * MIB, place="device")
"""Its aggressor. Its file is laid out under its limit, too: so it is small."""
VICTIM_CAP_BYTES, AGGRESSOR_CAP_BYTES = 2 * WORKING_SET_BYTES, 2 * AGGRESSOR_BYTES
"""Limits that are not met: no mistake of a workload may become the host's."""


class _Pair(NamedTuple):
    """The limits of victim and aggressor."""

    victim: dict[str, object]
    aggressor: dict[str, object]


class _Protection(NamedTuple):
    """A limit that may help the victim."""

    limits: Callable[[str, EngineCpus], _Pair]
    """By its amount."""
    usual: str = ""
    """The amount where none is given; empty = it has none."""


def _neighbour(options: Options, cpus: EngineCpus) -> Iterable[Point]:
    default = [
        name if kind == CPU else f"{name}@{kind}"
        for kind, known in _PROTECTIONS.items()
        for name in known
        if name != "cpuset" or cpus.count > 1
    ]
    asked = [_parsed(text) for text in texts(options, default)]
    for kind in dict.fromkeys(kind for kind, _, _ in asked):
        mine = [(name, amount) for own, name, amount in asked if own == kind]
        # Whatever is asked for: without it nothing could be told relative to it.
        mine = [(ALONE, ""), *(one for one in mine if one[0] != ALONE)]
        for name, amount in mine:
            yield _point(kind, name, amount, options, cpus)


def _parsed(text: str) -> tuple[str, str, str]:
    """(kind, protection, amount) of a value such as ``limit=64m@memory``."""
    protection, at, kind = text.partition("@")
    kind = kind if at else CPU
    if kind not in _PROTECTIONS:
        raise NoSuchValueError(f"'{kind}' is no kind of neighbour.")
    name, _, amount = protection.partition("=")
    if name != ALONE and name not in _PROTECTIONS[kind]:
        others = next((k for k in _PROTECTIONS if name in _PROTECTIONS[k]), "")
        hint = f" of the kind {kind}; '{name}@{others}' is one" if others else ""
        raise NoSuchValueError(f"'{name}' is no protection{hint}.")
    usual = _PROTECTIONS[kind][name].usual if name != ALONE else ""
    if amount and not usual:
        raise NoSuchValueError(f"'{name}' takes no amount.")
    return kind, name, amount or usual


def _point(kind: str, name: str, amount: str, options: Options, cpus: EngineCpus) -> Point:
    pair = _PROTECTIONS[kind][NONE if name == ALONE else name].limits(amount, cpus)
    value = f"{name}={amount}" if amount else name
    value += "" if kind == CPU else f"@{kind}"
    victim, aggressor = _loads(kind, options.threads or 1)
    both = [
        ContainerSpec(limits=with_limits(options.fixed, **pair.victim), workload=victim),
        ContainerSpec(limits=with_limits(options.fixed, **pair.aggressor), workload=aggressor),
    ]
    return point("neighbour", "neighbour", value, *both[: 1 if name == ALONE else 2])


def _loads(kind: str, threads: int) -> tuple[Burst | Growth | Io, Spin | Growth | Io]:
    """What a victim and its aggressor of that kind do."""
    if kind == CPU:
        return VICTIM, Spin(threads=threads)
    if kind == DISK:
        return COMMITS, FLOOD
    return Growth(target_bytes=WORKING_SET_BYTES), Growth(target_bytes=AGGRESSOR_BYTES)


def _on_one_cpu(there: EngineCpus, **aggressor: object) -> _Pair:
    """Both on the last CPU: only there is it known what competition leaves."""
    pin = f"{there.numbers[-1]}"
    return _Pair({"cpuset_cpus": pin}, {"cpuset_cpus": pin, **aggressor})


def _quota(amount: str, cpus: EngineCpus) -> _Pair:
    share = number(amount)
    if not 0.01 <= share <= cpus.most:
        raise PlanError(f"quota={amount} is out of range.", f"Give 0.01 to {cpus.most:g}.")
    return _on_one_cpu(cpus, cpus=share)


def _cpuset(_amount: str, cpus: EngineCpus) -> _Pair:
    if cpus.count < 2:
        raise PlanError("cpuset needs a second CPU for the aggressor.", "Leave it out of --values.")
    others = rules.format_cpu_list(frozenset(cpus.numbers[:-1]))
    return _on_one_cpu(cpus, cpuset_cpus=others)


def _capped(*, reservation: int | None = None, limit: int = 0, total: int = 0) -> _Pair:
    victim: dict[str, object] = {
        "memory_bytes": VICTIM_CAP_BYTES, "memory_swap_bytes": VICTIM_CAP_BYTES,
    }  # fmt: skip
    if reservation is not None:
        victim["memory_reservation_bytes"] = reservation
    memory = limit or AGGRESSOR_CAP_BYTES
    return _Pair(victim, {"memory_bytes": memory, "memory_swap_bytes": total or memory})


LEAST_BPS = 256 << 10
"""Under less it takes the aggressor a minute and more to lay out its file."""


def _held_to(amount: str) -> _Pair:
    bps = rules.parse_size(amount)
    if bps < LEAST_BPS:
        raise PlanError(f"bps={amount} is too little.", "Give 256k a second or more.")
    return _Pair({}, {"device_write_bps": bps})


def _weighing(amount: str) -> _Pair:
    return _Pair({"blkio_weight": WEIGHT_RANGE[1]}, {"blkio_weight": whole(amount)})


SWAPPING_BYTES = 64 * MIB
"""The memory of an aggressor whose memory and swap together are given as ``swap=``."""

_PROTECTIONS: Mapping[str, Mapping[str, _Protection]] = {
    CPU: {
        NONE: _Protection(lambda _, cpus: _on_one_cpu(cpus)),
        "quota": _Protection(_quota, "0.2"),
        "shares": _Protection(
            lambda amount, cpus: _on_one_cpu(cpus, cpu_shares=whole(amount)), "2"
        ),
        "cpuset": _Protection(_cpuset),
    },
    MEMORY: {
        NONE: _Protection(lambda *_: _capped()),
        "limit": _Protection(lambda amount, _: _capped(limit=rules.parse_size(amount)), "64m"),
        "reservation": _Protection(
            lambda amount, _: _capped(reservation=rules.parse_size(amount)), "48m"
        ),
        "swap": _Protection(
            lambda amount, _: _capped(limit=SWAPPING_BYTES, total=rules.parse_size(amount)),
            "256m",
        ),
    },
    DISK: {
        NONE: _Protection(lambda *_: _Pair({}, {})),
        "bps": _Protection(lambda amount, _: _held_to(amount), "4m"),
        "weight": _Protection(lambda amount, _: _weighing(amount), "10"),
    },
}
"""By the kind of the neighbour and the protection's name."""

AXES = (
    Axis(
        "neighbour", "neighbour",
        "what each limit saves of a victim's speed from a neighbour that wants everything",
        "--values none,quota,shares=2,cpuset,none@memory,limit=64m@memory,bps=4m@io", _neighbour,
        metric="response_p99_s",
    ),
)  # fmt: skip
