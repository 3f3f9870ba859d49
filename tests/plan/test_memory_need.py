"""What a sweep will take of the host's memory, before it takes it."""

from __future__ import annotations

import pytest

from harness.model import HostConditions, Limits
from harness.plan import build as planning
from harness.plan import memory_need
from harness.plan.axes import Options
from harness.plan.memory_need import Need
from tests.fakes import CPUS

MIB = 1 << 20


def now(memory_mib: int, swap_mib: int = 0) -> HostConditions:
    return HostConditions(
        root=True, load=0.0, steal_share=0.0,
        memory_available_bytes=memory_mib * MIB, swap_free_bytes=swap_mib * MIB,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("axis", "options", "memory_mib", "swap_mib"),
    [
        ("cpu", Options(), 0, 0),
        ("memory", Options(values="64m"), 64, 0),
        ("memory", Options(values="64m@file"), 64, 0),
        ("memory", Options(values="64m@tmpfs"), 64, 0),
        ("swap", Options(values="64m,192m"), 64, 128),
        ("swap", Options(values="unset"), 64, 64),
        ("swap", Options(values="-1"), 64, 128),  # up to what the workload wants
        ("reservation", Options(values="16m"), 48, 0),
        ("reservation", Options(values="32m@pressed"), 64, 0),  # what both may have together
        ("oom", Options(values="0:300"), 64, 0),
        ("swappiness", Options(values="60"), 64, 32),
    ],
)
def test_needs(axis: str, options: Options, memory_mib: int, swap_mib: int) -> None:
    plan = planning.build(axis, options, cpus=CPUS)
    assert memory_need.need(plan) == Need(memory_mib * MIB, swap_mib * MIB)


def test_at_most_half_of_what_is_free() -> None:
    plan = planning.build("memory", Options(values="64m"), cpus=CPUS)
    assert memory_need.refusal(plan, now(128)) == ""
    refused = memory_need.refusal(plan, now(127))
    assert "64.0 MiB of memory" in refused
    assert "127.0 MiB" in refused


def test_swap_is_guarded_where_there_is_some() -> None:
    plan = planning.build(
        "swap", Options(values="192m", fixed=Limits(memory_bytes=64 * MIB)), cpus=CPUS
    )
    assert memory_need.refusal(plan, now(1024, 256)) == ""
    assert "128.0 MiB of swap" in memory_need.refusal(plan, now(1024, 255))
    # without any, the limit's files are all that is looked at
    assert memory_need.refusal(plan, now(1024, 0)) == ""
