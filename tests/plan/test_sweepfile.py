"""Sweeps that users write: what they may say, and what happens when they say it wrongly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import PlanError
from harness.model import (
    Burst,
    Growth,
    Limits,
    Plan,
    Point,
    Program,
    ProgramDescription,
    ProgramImage,
    Spin,
)
from harness.plan import build as planning
from harness.plan import sweepfile, workloads
from harness.plan.axes import Options
from tests.fakes import CPUS

EVERYTHING = """
name = "mixed"
repeats = 3
duration = 2
seed = 7
[fixed]
memory = "64m"
[product]
cpus = [0.5, 1]
cpuset-cpus = ["0", "0-1"]
[[point]]
name = "tight"
cpu-quota = 20000
threads = 1
[[point]]
containers = [{cpu-shares = 1024}, {cpu-shares = 512, threads = 3}]
cpuset-cpus = "0"
[[point]]
workload = "burst"
cpus = 0.25
cost-us = 5000
[[point]]
workload = "memory"
kind = "tmpfs"
[[point]]
workload = "mine"
cpus = 0.75
[[axis]]
name = "period"
values = "10000"
ratio = 0.25
"""


MINE = """
command = ["run", "{threads}"]
[image]
reference = "mine"
"""
DESCRIBED = ProgramDescription(image=ProgramImage(reference="mine"), command=("run", "{threads}"))


def plan_of(path: Path, text: str, options: Options | None = None) -> Plan:
    """The plan of a file, beside a folder of workloads that has one: ``mine``."""
    file = path / "my sweep.toml"
    file.write_text(text)
    (path / "mine").mkdir(exist_ok=True)
    (path / "mine" / "workload.toml").write_text(MINE)
    found = sweepfile.load(file, options or Options(), lambda name: workloads.find(name, path))
    return planning.build(found.name, found.options, cpus=CPUS, points_of=found.points)


def by_id(plan: Plan) -> dict[str, Point]:
    return {point.id: point for point in plan.points}


def test_a_file_may_say_everything(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, EVERYTHING)
    assert (plan.sweep, plan.repeats, plan.seed) == ("mixed", 3, 7)
    assert len(plan.points) == 10
    points = by_id(plan)
    memory = 64 << 20
    product = points["cpus=1 cpuset-cpus=0-1"].containers
    assert product[0].limits == Limits(cpus=1.0, cpuset_cpus="0-1", memory_bytes=memory)
    assert product[0].workload.threads == 2
    tight = points["tight"].containers[0]
    assert tight.limits == Limits(cpu_quota_us=20_000, memory_bytes=memory)
    assert tight.workload.threads == 1
    first, second = points[
        "cpuset-cpus=0 containers=cpu-shares=1024+cpu-shares=512,threads=3"
    ].containers
    assert (first.limits.cpu_shares, second.limits.cpu_shares) == (1024, 512)
    assert first.limits.cpuset_cpus == second.limits.cpuset_cpus == "0"
    assert second.workload.threads == 3
    burst = points["cpus=0.25 workload=burst cost-us=5000"].containers[0].workload
    assert burst == Burst(threads=2, cost_us=5000, rate_hz=10)
    own = points["cpus=0.75 workload=mine"].containers[0].workload
    assert own == Program(name="mine", threads=2, description=DESCRIBED)
    grower = points["workload=memory kind=tmpfs"].containers[0].workload
    assert grower == Growth(kind="tmpfs", target_bytes=4 * memory)
    period = points["period=10000"].containers[0].limits
    assert period == Limits(cpu_period_us=10_000, cpu_quota_us=2_500, memory_bytes=memory)
    assert {point.duration_s for point in plan.points if "memory" not in point.id} == {2.0}


@pytest.mark.parametrize("name", ["spin", "burst", "memory"])
def test_a_file_of_the_users_own_is_a_program_whatever_it_is_called(
    tmp_path: Path, name: str
) -> None:
    own = tmp_path / f"{name}.toml"
    own.write_text(MINE)
    plan = plan_of(
        tmp_path,
        f"""
[[point]]
name = "point"
workload = "{own}"
cpus = 1
threads = 2
[[axis]]
name = "cpu"
values = "0.5"
workload = "{own}"
""",
    )
    points = by_id(plan)
    program = Program(name=name, threads=2, description=DESCRIBED)
    assert points["point"].containers[0].workload == program
    assert points["cpus=0.5"].containers[0].workload == replace(program, threads=1)
    assert {point.duration_s for point in plan.points} == {3.0}  # not a growing load's window


def test_memory_is_no_load_of_a_cpu_axis(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="'memory' is no load of the CPU"):
        plan_of(tmp_path, "[[axis]]\nname = 'cpu'\nworkload = 'memory'")
    plan = plan_of(tmp_path, "[[axis]]\nname = 'cpu'\nvalues = '1'\nworkload = 'spin'")
    assert plan.points[0].containers[0].workload == Spin(threads=2)


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    options = Options(repeats=1, seed=2, fixed=Limits(memory_bytes=32 << 20))
    plan = plan_of(tmp_path, EVERYTHING, options)
    assert (plan.repeats, plan.seed) == (1, 2)
    assert {p.containers[0].limits.memory_bytes for p in plan.points} == {32 << 20}


def test_the_name_is_the_files_where_it_says_none(tmp_path: Path) -> None:
    assert plan_of(tmp_path, "[[point]]\ncpus = 1").sweep == "my sweep"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no points"),
        ("repeats = 3", "has no points"),
        ("repeats = ", "is no TOML"),
        ("[product]\ncpus = []", "is empty"),
        ("repaets = 3\n[[point]]\ncpus = 1", "unknown key 'repaets'. Did you mean 'repeats'?"),
        ("[[point]]\ncpu = 1", "unknown key 'point.0.cpu'. Did you mean 'cpus'?"),
        ("[product]\ncpuset = ['0']", "unknown key 'cpuset'. Did you mean 'cpuset-cpus'?"),
        ("[[point]]\ncpus = 'half'", "point.0.cpus"),
        ("[[point]]\nthreads = 0", "point.0.threads"),
        ("[[point]]\nmemory = '64 megs'", "'64 megs' is not a size"),
        ("[[point]]\nmemory = '5m'", "6m or more"),
        ("[[point]]\ncpus = 1\ncpu-quota = 5000", "conflicts"),
        ("[[point]]\ncpus = 1\n[[point]]\ncpus = 1", "stands twice"),
        ("[[point]]\nmemory-swap = '64m'", "needs --memory"),
        ("[[point]]\nworkload = 'memory'", "needs a target"),
        ("[[point]]\nworkload = 'sleep'", "no workload 'sleep'"),
        ("[[axis]]\nname = 'cpus'", "Did you mean 'cpu'?"),
        ("name = '../up'\n[[point]]\ncpus = 1", "name"),
        ("point = 3", "point"),
        (f"repeats = {10**20}\n[[point]]\ncpus = 1", "more than 1,000,000 trials"),
        (
            (
                f"[product]\ncpus = {[*range(1, 301)]}\ncpu-shares = {[*range(2, 302)]}\n"
                f"threads = {[*range(1, 301)]}"
            ),
            "more than 10,000 points",
        ),
        (f"[product]\ncpuset-cpus = ['{'9' * 5000}']", "is not a CPU list"),
        (f"[[point]]\nmemory = '{'9' * 5000}'", "is not a size"),
        (f"[[point]]\nulimit-nofile = '{'9' * 5000}'", "is no ulimit"),
    ],
    ids=lambda text: text[:60],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PlanError) as refused:
        plan_of(tmp_path, text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot read"):
        sweepfile.load(
            tmp_path / "nothing.toml", Options(), lambda name: workloads.find(name, tmp_path)
        )
