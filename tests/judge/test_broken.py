"""Each law has a test that breaks it, and a measurement that makes its verdict *deviates*.

A law that nothing can break is none. The table is held for equality with the laws that there are: a
new one needs its line, and a test that makes the product wrong on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from harness.judge import laws, points
from harness.judge.laws import Circumstances
from harness.judge.verdicts import by_equivalence
from harness.model import BlockDevice, Burst, Estimate, Expectation, Scale, Status
from harness.plan import axes
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS

ROOT = Path(__file__).parents[1]
LOOP = BlockDevice(path="/dev/loop3", number="7:3", filesystem="ext4", scheduler="bfq", made=True)
V1 = Circumstances(engine=ENGINE_FACTS, host=replace(HOST_FACTS, swap_bytes=1 << 30), device=LOOP)
V2 = replace(V1, engine=replace(ENGINE_FACTS, cgroup_version=2))

BROKEN = "docker/test_broken.py::test_another_limit_than_the_one_asked_for_is_found"
COMMANDS = "docker/test_broken.py::test_commands_that_do_something_else_are_found"
TAKING = "docker/test_sweep_taking.py::test_another_limit_is_found"
RATES = "docker/test_sweep_io.py::test_a_limit_that_is_wrong_or_missing_deviates"
NEIGHBOURS = "docker/test_neighbour.py"
UNPROTECTED = f"{NEIGHBOURS}::test_protections_that_do_nothing_are_found"
OOM = "docker/test_sweep_oom.py"
JUDGED = ""
"""No host of the tests can break it, so its verdict alone is put to the test, below: it is about
another cgroup version, more memory nodes than there are, or is exercised nowhere yet."""

BREAKS: Mapping[str, str] = {
    "cpu-bandwidth": "docker/test_sweep_cpu.py::"
    "test_a_quota_five_percent_off_is_found_by_its_numbers_and_by_the_read_back",
    "cpu-bandwidth-below-a-tick": JUDGED,
    "cpu-ceiling": BROKEN,
    "off-cpu-gap": BROKEN,
    "cpuset": "docker/test_sweep_limits.py::test_a_cpuset_that_leaks_is_found",
    "cpu-shares": "docker/test_sweep_limits.py::"
    "test_swapped_shares_are_found_by_the_ratio_and_by_the_read_back",
    "memory-limit": BROKEN,
    "memory-target": BROKEN,
    "oom-kill": BROKEN,
    "memory-and-swap": "docker/test_sweep_limits.py::test_a_missing_swap_limit_is_found",
    "swappiness-0": f"{OOM}::test_a_swappiness_that_the_engine_drops_is_found",
    "oom-choice": f"{OOM}::test_an_adjustment_that_the_engine_drops_kills_another",
    "oom-kill-disable": f"{OOM}::test_one_that_is_killed_all_the_same_deviates",
    "reservation-spares": f"{OOM}::test_a_reservation_that_the_engine_drops_spares_nothing",
    "cpuset-mems": JUDGED,
    "rt-runtime": JUDGED,
    "paused": COMMANDS,
    "stop-grace": COMMANDS,
    "update-in-force": COMMANDS,
    "kept-by-rm": "docker/test_storage.py::test_a_volume_that_does_not_stay_is_found",
    "not-refused": TAKING,
    "pids-limit": TAKING,
    "pids-events": TAKING,
    "ulimit-nofile": TAKING,
    "ulimit-nproc": TAKING,
    "ulimit-fsize": TAKING,
    "ulimit-stack": TAKING,
    "ulimit-memlock": TAKING,
    "ulimit-cpu": TAKING,
    "tmpfs-size": TAKING,
    "tmpfs-is-charged": JUDGED,
    "io-throttle-bps": RATES,
    "io-throttle-iops": RATES,
    "io-counted": RATES,
    "io-fsync": RATES,
    "io-escapes": "docker/test_sweep_io.py::"
    "test_what_is_counted_in_the_containers_name_has_not_escaped",
    "io-writeback": JUDGED,
    "io-weight": "docker/test_sweep_io.py::"
    "test_bfq_divides_the_disk_by_weight_and_one_that_drops_them_is_found",
    "neighbour-quota": UNPROTECTED,
    "neighbour-shares": f"{NEIGHBOURS}::test_a_victim_that_gets_less_than_its_share_is_found",
    "cpuset-of-its-own": UNPROTECTED,
    "neighbour-io-throttle-bps": f"{NEIGHBOURS}::"
    "test_a_limit_on_the_aggressors_writes_leaves_the_victim_its_disk",
    "neighbour-io-counted": f"{NEIGHBOURS}::"
    "test_a_limit_on_the_aggressors_writes_leaves_the_victim_its_disk",
}
"""Law → the test that breaks it on a real engine; that of what refuses goes with the limit's."""


def every() -> Iterator[Expectation]:
    """The laws of all points that the axes have by themselves, on both cgroup versions."""
    bursts = Options(values="0.1", workload=Burst())
    for given in (V1, V2):
        for axis in axes.AXES:
            options = [Options()] + ([bursts] if axis == "cpu" else [])
            for one in options:
                for point in planning.build(axis, one, cpus=CPUS).points:
                    yield from laws.expectations(point, given)


LAWS = {(law.law, law.metric, law.scale): law for law in every()}
"""One of each."""


def test_every_law_has_its_line() -> None:
    assert {name.removesuffix("-refusal") for name, _, _ in LAWS} == set(BREAKS)


@pytest.mark.parametrize("test", sorted({test for test in BREAKS.values() if test != JUDGED}))
def test_the_test_that_breaks_it_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    text = (ROOT / file).read_text()
    assert re.search(rf"^def {name}\(", text, re.MULTILINE), test


@pytest.mark.parametrize("law", LAWS.values(), ids=["-".join(key[:2]) for key in LAWS])
def test_a_measurement_that_is_far_off_deviates_and_what_is_promised_conforms(
    law: Expectation,
) -> None:
    law = replace(law, not_exercisable="")
    unit = 1.0 if law.scale is not Scale.ABSOLUTE else max(1.0, abs(law.value))
    assert verdict(law, 0.0) is Status.CONFORMS
    assert verdict(law, law.high + unit) is Status.DEVIATES
    if not law.is_ceiling:
        assert verdict(law, law.low - unit) is Status.DEVIATES


def verdict(law: Expectation, off: float) -> Status:
    found = Estimate(metric=law.metric, unit="1", n=5, median=off, low=off, high=off,
                     confidence=0.94, method="order statistics")  # fmt: skip
    return by_equivalence(found, law)[0]


def test_nothing_at_all_is_as_far_off_as_it_can_be() -> None:
    """Of a ratio, whose logarithm it is: one that gets nothing is no near miss."""
    ratio = next(law for law in LAWS.values() if law.scale is Scale.LOG)
    assert points.deviation(ratio, 0.0, ratio.value) < -1e9
