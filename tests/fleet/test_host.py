"""A host's own side, without Dask: one measurement at a time, gone on with, never twice."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.errors import MeasurementError, PlanError
from harness.fleet import host as hosts
from harness.fleet import parcel
from harness.fleet.host import RUNS, TASK, Host
from harness.measure import runner
from harness.model import Order, Reply, Task
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import fleets, runs
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World

PLAN = planning.build("cpu", Options(values="0.5", repeats=1, duration_s=0.5), cpus=CPUS)
TASK_OF = Task(schema=1, fleet="20261125-101500-cpu", host="one", order=Order(plan=PLAN))


@dataclass
class Fake:
    """A measurement that ends as it is told to."""

    folder: Path
    codes: list[int] = field(default_factory=lambda: [0])
    begun: int = 0
    ended: int = 0
    words: str = ""

    def __call__(self, task: Path) -> Fake:
        assert fleets.read_task((task / TASK).read_bytes()).host == "one"
        self.folder, self.begun = task, self.begun + 1
        return self

    def wait(self, timeout_s: float) -> int | None:
        code = self.codes.pop(0)
        if code == 0:
            run = runs.create(
                self.folder / RUNS, PLAN, host=HOST_FACTS, engine=ENGINE_FACTS,
                workload=WORKLOAD_FACTS,
            )  # fmt: skip
            where = World().surroundings()
            runner.run_plan(PLAN, run.info.name, where, run.keep, runner.Listener())
            run.finish("finished")
        return code

    def end(self) -> None:
        self.ended += 1

    def said(self) -> str:
        return self.words


def asked(host: Host, task: Task = TASK_OF) -> Reply:
    done = host.measure(fleets.task_text(task), lambda said: None, threading.Event())
    assert done is not None
    return parcel.unpack(done, host._root, "one")[0]


def test_a_task_that_is_asked_for_again_is_sent_and_not_measured_again(tmp_path: Path) -> None:
    fake = Fake(tmp_path)
    host = Host("one", tmp_path / "work", fake)
    first = asked(host)
    assert (first.code, first.attempts) == (0, 1)
    assert asked(host) == first
    assert asked(Host("one", tmp_path / "work", fake)) == first
    assert fake.begun == 1
    # Another plan under the same name is another task.
    fake.codes = [0]
    other = replace(TASK_OF, order=Order(plan=replace(PLAN, seed=2)))
    assert (asked(host, other).attempts, fake.begun) == (1, 2)


def test_what_ended_badly_is_told_by_its_last_line_and_begun_again(tmp_path: Path) -> None:
    fake = Fake(tmp_path, codes=[4, -9, 0], words="1 of 2 done\nbench: no engine answers.\n")
    host = Host("one", tmp_path / "work", fake)
    assert asked(host) == Reply(
        host="one", run=None, code=4, reason="no engine answers.", attempts=1
    )
    fake.words = ""
    assert asked(host).reason == "killed by signal 9"
    assert (asked(host).code, fake.begun) == (0, 3)


def test_a_task_that_never_ends_well_is_begun_so_often_and_no_more(tmp_path: Path) -> None:
    host = Host("one", tmp_path / "work", Fake(tmp_path, codes=[70] * 20))
    for _ in range(10):
        asked(host)
    with pytest.raises(MeasurementError, match="10 times to no end"):
        asked(host)


def test_who_no_longer_waits_leaves_the_measurement_to_the_next(tmp_path: Path) -> None:
    left = threading.Event()

    class Slow(Fake):
        def wait(self, timeout_s: float) -> int | None:
            left.set()
            return None

    fake = Slow(tmp_path)
    host = Host("one", tmp_path / "work", fake)
    assert host.measure(fleets.task_text(TASK_OF), lambda said: None, left) is None
    host.close()
    assert (fake.begun, fake.ended) == (1, 1)


def test_anothers_task_and_nonsense_are_refused_before_anything_is_begun(tmp_path: Path) -> None:
    fake = Fake(tmp_path)
    host = Host("one", tmp_path / "work", fake)
    with pytest.raises(MeasurementError, match="a task of two came to one"):
        asked(host, replace(TASK_OF, host="two"))
    with pytest.raises(PlanError):
        host.measure(b"{}", lambda said: None, threading.Event())
    assert fake.begun == 0
    assert not (tmp_path / "work").exists()


def test_the_newest_tasks_stay_and_nothing_else_is_removed(tmp_path: Path) -> None:
    work = tmp_path / "work"
    host = Host("one", work, Fake(tmp_path, codes=[4] * 20))
    (work / "dask").mkdir(parents=True)
    for number in range(13):
        asked(host, replace(TASK_OF, fleet=f"20261125-1015{number:02d}-cpu"))
        os.utime(work / f"20261125-1015{number:02d}-cpu", (number, number))
    there = sorted(one.name for one in work.iterdir())
    assert there == [*(f"20261125-1015{number:02d}-cpu" for number in range(3, 13)), "dask"]


def test_housekeeping_is_what_the_host_sets_apart(tmp_path: Path) -> None:
    isolated = tmp_path / "isolated"
    assert hosts.housekeeping_cpus(isolated) == frozenset()
    isolated.write_text("\n")
    assert hosts.housekeeping_cpus(isolated) == frozenset()
    cpus = os.sched_getaffinity(0)
    isolated.write_text("100-101\n")
    assert hosts.housekeeping_cpus(isolated) == cpus
