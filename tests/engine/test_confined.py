"""How much memory a container may have where nobody set a limit."""

from __future__ import annotations

import pytest

from harness.engine.confined import memory_cap_bytes
from harness.model import ContainerSpec, Growth, Limits, Spin, Workload

GIB = 1 << 30


@pytest.mark.parametrize(
    ("limits", "workload", "host_bytes", "cap"),
    [
        (Limits(cpus=0.5), Spin(), 8 * GIB, 4 * GIB),
        # a limit of its own is the limit
        (Limits(memory_bytes=GIB), Spin(), 8 * GIB, None),
        # what is wanted must not meet the cap: it would be the cap that is measured
        (Limits(), Growth(target_bytes=3 * GIB), 8 * GIB, 4 * GIB),
        (Limits(), Growth(target_bytes=6 * GIB), 8 * GIB, None),
        # an engine takes a reservation only below the limit
        (Limits(memory_reservation_bytes=5 * GIB), Spin(), 8 * GIB, None),
        # an engine that limits no memory
        (Limits(), Spin(), 0, None),
    ],
)
def test_a_cap_bounds_what_nobody_limits_and_is_never_met(
    limits: Limits, workload: Workload, host_bytes: int, cap: int | None
) -> None:
    assert memory_cap_bytes(ContainerSpec(limits=limits, workload=workload), host_bytes) == cap


@pytest.mark.parametrize("together", [1, 2, 3, 64])
def test_all_caps_of_a_trial_come_to_half_of_the_host(together: int) -> None:
    spec = ContainerSpec(limits=Limits(cpu_shares=512), workload=Spin())
    cap = memory_cap_bytes(spec, 8 * GIB, together)
    assert cap is not None
    assert 3.9 * GIB <= cap * together <= 4 * GIB


def test_a_part_is_never_too_small_to_start_in_nor_for_what_is_wanted() -> None:
    idle = ContainerSpec(limits=Limits(), workload=Spin())
    assert memory_cap_bytes(idle, 8 * GIB, 1000) == GIB // 16
    assert memory_cap_bytes(idle, GIB // 16, 2) == GIB // 32, "never more than it has alone"
    grows = ContainerSpec(limits=Limits(), workload=Growth(target_bytes=2 * GIB))
    assert memory_cap_bytes(grows, 8 * GIB, 2) == 4 * GIB
