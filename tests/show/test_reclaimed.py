"""The figure of what gave way where memory was short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.model import (
    ContainerRecord,
    MemoryCounters,
    MemoryReport,
    Outcome,
    Plan,
    PlannedTrial,
    TrialRecord,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.show import plots
from harness.store import runs
from harness.store.runs import Run
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS

pytestmark = pytest.mark.slow
MIB = 1 << 20


def grown(kind: str) -> MemoryReport:
    return MemoryReport(
        kind=kind, t_start_ns=0, t_end_ns=1, target_bytes=24 * MIB, step_bytes=MIB,
        touched_bytes=24 * MIB, killed=False, errno=0, step_ns=(), churn_pages=0, churn_ns=0,
        churn_max_ns=0,
    )  # fmt: skip


def ran(folder: Path, axis: str, values: str, amounts: dict[str, int]) -> Run:
    """A run whose first container has kept, or swapped out, so many MiB at each value."""
    plan: Plan = planning.build(axis, Options(values=values, repeats=5), cpus=CPUS)
    made = runs.create(folder, plan, host=replace(HOST_FACTS, swap_bytes=1 << 30),
                       engine=ENGINE_FACTS, workload=WORKLOAD_FACTS)  # fmt: skip
    made.finish("finished")

    def record(planned: PlannedTrial) -> TrialRecord:
        point = plan.point(planned.point_id)
        found = amounts[point.value] * MIB
        pressed = axis == "reservation"
        each = tuple(
            ContainerRecord(
                requested=spec.limits, memory=grown("file" if pressed else "mixed"),
                memory_first=MemoryCounters(file_bytes=0),
                memory_last=MemoryCounters(file_bytes=found), peak_swap_bytes=found,
            )
            for spec in point.containers
        )  # fmt: skip
        return TrialRecord(index=planned.index, block=planned.block, point_id=point.id,
                           outcome=Outcome.COMPLETED, started_at="2026-01-01T00:00:00Z",
                           containers=each)  # fmt: skip

    return runs.load(made.path).holding([record(one) for one in plan.trials])


def said(run: Run) -> tuple[str, str]:
    (picture,) = plots.pictures(run, names=["reclaimed"])
    assert plots.png(picture).startswith(b"\x89PNG")
    return picture.title.replace("\N{NO-BREAK SPACE}", " "), picture.alt


def test_what_a_reservation_spared_stands_beside_what_was_left_without(tmp_path: Path) -> None:
    amounts = {"none pressed": 8, "16m pressed": 13, "32m pressed": 23, "16m": 1}
    run = ran(tmp_path, "reservation", "none@pressed,16m@pressed,32m@pressed,16m", amounts)
    title, alt = said(run)
    assert title == (
        "Of 24.0 MiB of page cache a neighbour left 8.0 MiB; with a reservation of 32m, 23.0 MiB"
    )
    assert "16m: 13.0 MiB; 32m: 23.0 MiB." in alt  # and nothing of the point without a neighbour
    alone = run.holding([one for one in run.trials if "none" not in one.point_id])
    assert said(alone)[0] == "Of 24.0 MiB of page cache beside a neighbour 13.0 MiB were left"


def test_what_each_swappiness_swapped_out(tmp_path: Path) -> None:
    run = ran(tmp_path, "swappiness", "0,60,100", {"0": 0, "60": 10, "100": 21})
    assert said(run)[0] == (
        "Swapped out by --memory-swappiness 0: 0 KiB, 60: 10.0 MiB, 100: 21.0 MiB"
    )
    assert "reclaimed" not in plots.available(run.holding(()))
