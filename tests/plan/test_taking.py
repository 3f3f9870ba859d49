"""The axes of limits that refuse: their points, and what they refuse themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import PlanError
from harness.model import SCRATCH, Limits, Plan, Take
from harness.plan import build as planning
from harness.plan import memory_need, sweepfile, workloads
from harness.plan.axes import Options
from tests.fakes import CPUS

MIB = 1 << 20
AXES = ("pids", "ulimit", "shm", "tmpfs")


def plan(axis: str, values: str | None = None, fixed: Limits | None = None) -> Plan:
    options = Options(values=values, fixed=fixed or Limits())
    return planning.build(axis, options, cpus=CPUS)


@pytest.mark.parametrize("axis", AXES)
def test_each_point_wants_more_than_its_limit_gives_and_is_quick(axis: str) -> None:
    for point in plan(axis).points:
        for spec in point.containers:
            assert isinstance(spec.workload, Take)
            assert spec.workload.most > 0
        assert point.warmup_s + point.duration_s < 1


def test_what_the_values_mean() -> None:
    by_id = {one.id: one for one in plan("pids", "16,8@thread,0,-1").points}
    assert by_id["pids=16"].containers[0].workload == Take(kind="process", most=24)
    assert by_id["pids=8 thread"].containers[0].workload == Take(kind="thread", most=12)
    assert by_id["pids=0"].containers[0].workload == Take(kind="process", most=1200)
    assert by_id["pids=-1"].containers[0].limits.pids_limit == -1
    (two,) = plan("ulimit", "nproc=64@2").points
    assert len(two.containers) == 2
    (cpu,) = plan("ulimit", "cpu=1:2").points
    assert cpu.containers[0].workload == Take(kind="cpu", most=2 * 10**9)
    assert cpu.containers[0].limits.ulimit_cpu == "1:2"
    (own,) = plan("tmpfs", "16m@memory=8m").points
    assert own.containers[0].limits == Limits(
        tmpfs=f"{SCRATCH}:size=16m", memory_bytes=8 * MIB, memory_swap_bytes=8 * MIB
    )
    assert own.containers[0].workload == Take(kind="file", most=24 * MIB, path=SCRATCH)


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("pids", "x"), ("pids", "1"), ("pids", "-2"), ("pids", "10001"), ("pids", "16@cpu"),
        ("ulimit", "nofile"), ("ulimit", "nofile=-1"), ("ulimit", "core=1"),
        ("ulimit", "nofile=64@2"), ("ulimit", "nproc=64@99"), ("ulimit", "nproc=1"),
        ("ulimit", "nofile=9:3"), ("ulimit", "nofile=99999999999999999999"),
        ("shm", "0"), ("shm", "1m@cpu=3"), ("tmpfs", "0"),
    ],
)  # fmt: skip
def test_values_that_are_none(axis: str, values: str) -> None:
    with pytest.raises(PlanError):
        plan(axis, values)


def test_a_limit_cannot_be_fixed_and_varied() -> None:
    with pytest.raises(PlanError, match="what this sweep varies"):
        plan("shm", "1m", Limits(shm_size_bytes=MIB))


def test_files_in_memory_are_held_against_what_is_free() -> None:
    assert memory_need.need(plan("shm", "64m")).memory_bytes == 96 * MIB
    assert memory_need.need(plan("shm", "64m@memory=16m")).memory_bytes == 16 * MIB
    assert memory_need.need(plan("pids", "64")).memory_bytes == 0


FILE = """
[[point]]
ulimit-nofile = 64
tmpfs = "/data:size=1m"
workload = "take"
kind = "{kind}"
{more}
"""


def written(folder: Path, kind: str, more: str) -> Take:
    path = folder / "own.toml"
    path.write_text(FILE.format(kind=kind, more=more))
    found = sweepfile.load(path, Options(), lambda name: workloads.find(name, folder))
    (point,) = found.points(found.options, CPUS)
    assert point.containers[0].limits == Limits(ulimit_nofile="64", tmpfs="/data:size=1m")
    assert isinstance(point.containers[0].workload, Take)
    return point.containers[0].workload


def test_a_sweep_file_takes(tmp_path: Path) -> None:
    found = written(tmp_path, "descriptor", "most = 100")
    assert found == Take(kind="descriptor", most=100)
    found = written(tmp_path, "file", 'most = "2m"\npath = "/data"')
    assert found == Take(kind="file", most=2 * MIB, path="/data")


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("anon", "most = 1", "no kind of 'take'"),
        ("descriptor", "", "needs an end"),
        ("file", "most = 1", "'file', which needs it"),
        ("lock", 'most = 1\npath = "/data"', "of the kind 'file'"),
    ],
)
def test_a_sweep_file_that_cannot(tmp_path: Path, kind: str, more: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        written(tmp_path, kind, more)


def test_seconds_of_cpu_that_are_taken_are_announced() -> None:
    def announced(value: str) -> float:
        plan = planning.build("ulimit", Options(values=value, repeats=1), cpus=CPUS)
        return planning.estimated_s(plan)

    at_once = announced("nofile=64")
    assert announced("cpu=1") == pytest.approx(at_once + 1)
    assert announced("cpu=3:4") == pytest.approx(at_once + 3)
