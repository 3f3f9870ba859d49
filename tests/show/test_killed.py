"""The figure of who was killed: true in its title, also where the kernel took another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from harness.model import (
    ContainerRecord,
    MemoryCounters,
    MemoryReport,
    Outcome,
    Point,
    TrialRecord,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.plan.axes.oom import SHARED_BYTES, holds_bytes
from harness.show import plots
from harness.store.runs import Run
from tests.fakes import CPUS
from tests.runs import measured

pytestmark = pytest.mark.slow


def ended(index: int, point: Point, victim: int) -> TrialRecord:
    wanted = holds_bytes(SHARED_BYTES, len(point.containers))
    return TrialRecord(
        index=index, block=0, point_id=point.id, outcome=Outcome.OOM_KILLED, started_at="",
        containers=tuple(
            ContainerRecord(
                requested=spec.limits,
                memory=MemoryReport(
                    kind="anon", t_start_ns=1, t_end_ns=2, target_bytes=wanted[i],
                    step_bytes=1 << 18, touched_bytes=wanted[i], killed=i == victim, errno=0,
                    step_ns=(), churn_pages=0, churn_ns=0, churn_max_ns=0,
                ),
                memory_first=MemoryCounters(oom_kills=0),
                memory_last=MemoryCounters(oom_kills=int(i == victim)),
            )
            for i, spec in enumerate(point.containers)
        ),
    )  # fmt: skip


def run_of(root: Path, victims: Mapping[str, int]) -> Run:
    """A run of these points, in each of which that container was killed."""
    plan = planning.build("oom", Options(values=",".join(victims), repeats=1), cpus=CPUS)
    some = measured(root, options=Options(repeats=1, values="0.5", duration_s=1))
    trials = [ended(i, point, victims[point.value]) for i, point in enumerate(plan.points)]
    return some.telling(replace(some.info, plan=plan)).holding(trials)


def drawn(run: Run) -> plots.Picture:
    (picture,) = plots.pictures(run, names=["killed"])
    assert plots.png(picture).startswith(b"\x89PNG")
    return picture


def test_the_highest_score(tmp_path: Path) -> None:
    picture = drawn(run_of(tmp_path, {"0:0": 0, "0:300": 1, "-1000:0": 1}))
    assert picture.title.replace("\N{NO-BREAK SPACE}", " ") == (
        "Killed is who has the highest score, and never who has −1000"
    )
    assert "-1000:0, container 1: score never, killed in 0%" in picture.alt


def test_another_than_the_highest(tmp_path: Path) -> None:
    assert drawn(run_of(tmp_path, {"0:0": 0, "0:300": 0})).title.startswith("At 0:300 another")


def test_it_is_offered_where_containers_share_a_limit_alone(tmp_path: Path) -> None:
    assert "killed" not in plots.available(measured(tmp_path, options=Options(repeats=1)))
