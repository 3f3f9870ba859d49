"""The lines to paste, and the settings that may be tried."""

from __future__ import annotations

import itertools

import pytest

from harness.errors import UsageError
from harness.limits import parse_size
from harness.model import SoughtLimit
from harness.sizing import advice, ladder


def test_each_tool_has_its_own_way_to_say_the_same() -> None:
    docker, compose, pod = advice.pastes((("cpus", 0.62), ("memory", 96 << 20)), 100_000)
    assert docker.lines == ("docker run --cpus 0.62 --memory 96m --memory-swap 96m …",)
    assert compose.lines[-2:] == ('      cpus: "0.62"', "      memory: 96m")
    assert pod.lines[-2:] == ("    cpu: 620m", "    memory: 96Mi")


def test_a_quota_is_told_as_cpus_where_a_tool_knows_no_quota() -> None:
    docker, compose, pod = advice.pastes((("quota", 5000.0),), 10_000)
    assert docker.lines == ("docker run --cpu-quota 5000 …",)
    assert compose.lines[-1].strip() == 'cpus: "0.5"'
    assert pod.lines[-1].strip() == "cpu: 500m"


def test_a_tool_that_has_no_such_limit_is_not_told_of() -> None:
    assert [one.tool for one in advice.pastes((("pids", 40.0),), 100_000)] == ["Docker", "Compose"]


def test_a_rate_of_a_disk_names_the_device_and_that_pods_have_no_such_limit() -> None:
    docker, compose, pod = advice.pastes((("cpus", 0.5), ("write-bps", 4 << 20)), 100_000)
    assert docker.lines == ("docker run --cpus 0.5 --device-write-bps DEVICE:4m …",)
    assert compose.lines == (
        "blkio_config:", "  device_write_bps:", "    - path: DEVICE", "      rate: 4m",
        "deploy:", "  resources:", "    limits:", '      cpus: "0.5"',
    )  # fmt: skip
    assert pod.lines[-2:] == ("    cpu: 500m", "# no field of a pod limits what it does to a disk")
    docker, compose, pod = advice.pastes((("read-iops", 120.0),), 100_000)
    assert docker.lines == ("docker run --device-read-iops DEVICE:120 …",)
    assert compose.lines[-1].strip() == "rate: 120"
    assert len(pod.lines) == 1


def test_rates_of_a_disk_are_whole_and_read_as_they_are_written() -> None:
    for limit, least, most in (("write-bps", 256 << 10, 256 << 20), ("read-iops", 10, 10_000)):
        kind = ladder.KINDS[limit]
        found = ladder.settings(SoughtLimit(limit=limit, least=least, most=most, step=0.05))
        assert (found[0], found[-1]) == (least, most)
        assert all(kind.read(kind.write(one)) == one == int(one) for one in found)
        assert all(b / a <= 1.08 for a, b in itertools.pairwise(found) if b - a > 1)


def test_settings_go_from_the_least_to_the_most_in_parts_of_the_step() -> None:
    found = ladder.settings(SoughtLimit(limit="cpus", least=0.05, most=2.0, step=0.05))
    assert (found[0], found[-1]) == (0.05, 2.0)
    assert list(found) == sorted(set(found))
    assert all(b / a < 1.06 for a, b in itertools.pairwise(found))
    coarse = SoughtLimit(limit="memory", least=6 << 20, most=32 << 20, step=1 << 20, relative=False)
    assert ladder.settings(coarse) == tuple(float(mib << 20) for mib in range(6, 33))


def test_sizes_are_written_so_that_docker_reads_the_same() -> None:
    memory = ladder.KINDS["memory"]
    sought = SoughtLimit(limit="memory", least=6 << 20, most=8 << 30, step=0.05)
    for value in ladder.settings(sought):
        assert parse_size(memory.write(value)) == value
    assert len(memory.write(memory.rounded(1_234_567_890))) <= 5


@pytest.mark.parametrize(
    ("least", "most", "step", "relative"),
    [(2.0, 1.0, 0.05, True), (1.0, 1.0, 0.05, True), (0.0, 1.0, 0.05, True),
     (1 << 10, 1 << 40, 1.0, False)],
)  # fmt: skip
def test_no_range_and_too_fine_a_one_are_refused(
    least: float, most: float, step: float, relative: bool
) -> None:
    limit = "cpus" if relative else "pids"
    with pytest.raises(UsageError):
        ladder.settings(
            SoughtLimit(limit=limit, least=least, most=most, step=step, relative=relative)
        )


def test_of_what_is_counted_no_number_is_passed_over_within_a_step() -> None:
    tasks = SoughtLimit(limit="pids", least=1, most=4096, step=0.05)
    assert ladder.width(tasks) == 1
    found = ladder.settings(tasks)
    assert found[:12] == tuple(range(1, 13))
    assert all(b - a <= 1 or b / a < 1.08 for a, b in itertools.pairwise(found))
