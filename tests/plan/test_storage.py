"""The places where data may lie, and the loads on each: what can be asked for, and what cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import PlanError
from harness.model import Io, Kept, Plan, Point
from harness.plan import build as planning
from harness.plan import memory_need, sweepfile, workloads
from harness.plan.axes import Options
from tests.fakes import CPUS

MIB = 1 << 20


def plan(options: Options) -> Plan:
    return planning.build("storage", options, cpus=CPUS)


def load(point: Point) -> Io:
    (spec,) = point.containers
    assert isinstance(spec.workload, Io)
    return spec.workload


def test_the_default_is_each_place_under_each_load_within_minutes() -> None:
    whole, quick = plan(Options()), plan(Options(quick=True))
    kept = {one.value for one in whole.points if isinstance(one.containers[0].workload, Kept)}
    assert kept == {"layer:rm", "volume:rm", "bind:rm", "tmpfs:rm", "shm:rm"}
    assert {load(point).place for point in whole.points if point.value not in kept} == {
        *("layer", "image", "volume", "bind", "tmpfs", "shm")
    }
    assert planning.estimated_s(whole) < 240
    assert planning.estimated_s(quick) < 75
    assert len({point.id for point in quick.points}) == 15


def test_a_value_is_a_place_its_load_and_a_memory_limit() -> None:
    points = plan(Options(values="volume,bind:write,tmpfs:full,shm:cached@8m")).points
    assert [point.value for point in points] == [
        *("volume:fsync", "volume:read", "volume:write", "bind:write", "tmpfs:full"),
        "shm:cached@8m",
    ]
    assert points[-1].containers[0].limits.memory_bytes == 8 * MIB
    full = load(points[-2])
    assert full.room_bytes is not None
    assert full.room_bytes < full.file_bytes
    assert (load(points[3]).way, load(points[3]).block_bytes) == ("direct", MIB)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("disk", "'disk' is no place: layer, image, volume, bind"),
        ("volume:sync", "'sync' is no load: fsync, read, write, cached"),
        ("volume:full", "'full' is no load"),
        ("image:files", "never in the image"),
        ("image:rm", "is in the layer: layer:rm"),
        ("bind:mv", "cached, files, files-fsync, rm, full"),
        ("volume:", None),
        ("volume:read@much", "much"),
    ],
)
def test_what_is_no_value_is_told_with_what_is(values: str, said: str | None) -> None:
    if said is None:
        assert len(plan(Options(values=values)).points) == 3
        return
    with pytest.raises(Exception, match=said) as error:
        plan(Options(values=values))
    assert getattr(error.value, "remedy", None)


def test_a_window_that_was_asked_for_is_kept_and_others_are_short() -> None:
    assert plan(Options(duration_s=4)).points[0].duration_s == 4
    assert plan(Options()).points[0].duration_s == 0.8
    assert plan(Options(quick=True)).points[0].duration_s == 0.5


def test_what_lies_in_memory_is_memory_that_a_plan_needs() -> None:
    assert memory_need.need(plan(Options(values="volume:fsync"))).memory_bytes == 0
    assert memory_need.need(plan(Options(values="tmpfs:fsync"))).memory_bytes == 16 * MIB
    assert memory_need.need(plan(Options(values="tmpfs:full"))).memory_bytes == 4 * MIB


def test_it_is_no_load_of_a_cpu_sweep() -> None:
    with pytest.raises(PlanError, match=r"'io' is no load of the CPU.*bench sweep storage"):
        planning.build("cpu", Options(workload=Io()), cpus=CPUS)


def written(tmp_path: Path, text: str) -> Io:
    path = tmp_path / "mine.toml"
    path.write_text(f'[[point]]\nworkload = "io"\n{text}')
    found = sweepfile.load(path, Options(), lambda name: workloads.find(name, tmp_path))
    return load(next(iter(found.points(found.options, CPUS))))


def test_a_sweep_file_may_say_all_of_it(tmp_path: Path) -> None:
    assert written(tmp_path, "") == Io()
    text = """
operation = "read"
way = "buffered"
order = "random"
block = "64k"
file = "1m"
depth = 4
rate-hz = 100
place = "tmpfs"
room = "2m"
"""
    assert written(tmp_path, text) == Io(
        operation="read", way="buffered", order="random", block_bytes=65536, file_bytes=MIB,
        depth=4, rate_hz=100, place="tmpfs", room_bytes=2 * MIB,
    )  # fmt: skip


def test_files_go_through_the_cache_where_nobody_says(tmp_path: Path) -> None:
    files = written(tmp_path, 'operation = "files"\nplace = "layer"')
    assert files == Io(operation="files", way="buffered", place="layer")
    assert "--block" not in files.command_line(9)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('operation = "append"', "operation"),
        ('operation = "read"\nway = "fsync"', "reads are not fsynced"),
        ('operation = "files"\nway = "direct"', "files are made anew"),
        ('operation = "files"\nplace = "image"', "files are made anew"),
        ('file = "4k"\nblock = "8k"', "smaller than one block"),
        ("block = 100", "block"),
        ("depth = 257", "depth"),
        ('place = "cloud"', "place"),
        ("rate-hz = 100001", "rate"),
    ],
)
def test_a_sweep_file_that_says_it_wrongly(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        written(tmp_path, text)
