"""Sweeps that users write: what they may say, and what happens when they say it wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import plan as planning
from harness import sweepfile
from harness.axes import Options
from harness.errors import PlanError
from harness.model import Limits, Plan, Point, Program, ProgramImage, Workload

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


def find_program(name: str) -> Program:
    if name != "mine":
        raise PlanError(f"there is no workload '{name}'.", "Known: mine.")
    return Program(image=ProgramImage(reference="mine"), command=("run",))


def plan_of(path: Path, text: str, options: Options | None = None) -> Plan:
    file = path / "my sweep.toml"
    file.write_text(text)
    found = sweepfile.load(file, options or Options(), find_program)
    return planning.build(found.name, found.options, host_cpus=2, points_of=found.points)


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
    assert burst == Workload(name="burst", threads=2, cost_us=5000, rate_hz=10)
    own = points["cpus=0.75 workload=mine"].containers[0].workload
    assert own == Workload(name="mine", threads=2, program=find_program("mine"))
    grower = points["workload=memory kind=tmpfs"].containers[0].workload
    assert (grower.kind, grower.target_bytes) == ("tmpfs", 4 * memory)
    period = points["period=10000"].containers[0].limits
    assert period == Limits(cpu_period_us=10_000, cpu_quota_us=2_500, memory_bytes=memory)
    assert {point.duration_s for point in plan.points if "memory" not in point.id} == {2.0}


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
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PlanError) as refused:
        plan_of(tmp_path, text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot read"):
        sweepfile.load(tmp_path / "nothing.toml", Options(), find_program)
