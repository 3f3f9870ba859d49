"""Victims relative to themselves alone: as a figure, in the terminal's table, in frames."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from harness.model import (
    BurstReport,
    ContainerRecord,
    MemoryReport,
    Outcome,
    Point,
    Sample,
    TrialRecord,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.show import frames, plots
from harness.show.report import terminal, view
from harness.store import runs
from harness.store.runs import Run
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS
from tests.reports import io_report

TIMES = {"alone": 1.0, "none": 14.0, "quota=0.2": 4.0, "shares=2": 1.25, "cpuset": 1.0,
         "bps=4m": 1.05, "weight=10": 13.0, "limit=64m": 1.1, "reservation=48m": 2.5,
         "swap=256m": 1.2}  # fmt: skip
"""How many times as long a victim's slowest responses take, by its protection."""


def burst(times: float) -> BurstReport:
    ns, late = round(8e6 * times), 150 if times > 10 else 0
    return BurstReport(
        t_start_ns=0, t_end_ns=3_000_000_000, cost_ns=2_000_000, rate_hz=300, offered=900,
        completed=900 - late, unfinished=late, response_p50_ns=ns, response_p90_ns=ns,
        response_p99_ns=ns, response_max_ns=ns, response_edges_ns=(), response_histogram=(),
        cpu_ns=(900 - late) * 2_000_000, backlog=late,
    )  # fmt: skip


def grown(times: float) -> MemoryReport:
    return MemoryReport(
        kind="anon", t_start_ns=0, t_end_ns=1, target_bytes=32 << 20, step_bytes=1,
        touched_bytes=32 << 20, killed=False, errno=0, step_ns=(),
        churn_pages=round(1e6 / times), churn_ns=1_000_000_000, churn_max_ns=round(2e5 * times),
    )  # fmt: skip


def record(point: Point, index: int, block: int) -> TrialRecord:
    times = TIMES[point.value.partition("@")[0]] * (1 + 0.02 * block)
    first = Sample(t_mono_ns=0, cpu_usage_ns=0)
    last = Sample(t_mono_ns=3_000_000_000, cpu_usage_ns=1_500_000_000)
    of_memory, of_a_disk = (point.value.endswith(kind) for kind in ("@memory", "@io"))
    commits = io_report(latency_p99_ns=round(2e6 * times), ios=round(1e3 / times))
    victim = ContainerRecord(
        requested=point.containers[0].limits, first=first, last=last,
        burst=None if of_memory or of_a_disk else burst(times),
        memory=grown(times) if of_memory else None, io=commits if of_a_disk else None,
    )  # fmt: skip
    beside = [
        ContainerRecord(
            requested=spec.limits,
            first=first,
            last=last,
            memory=grown(times) if of_memory else None,
        )
        for spec in point.containers[1:]
    ]
    return TrialRecord(
        index=index, block=block, point_id=point.id, outcome=Outcome.COMPLETED,
        started_at="2026-01-01T00:00:00Z", containers=(victim, *beside),
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    plan = planning.build("neighbour", Options(), cpus=CPUS)
    made = runs.create(
        tmp_path_factory.mktemp("neighbour"), plan, host=HOST_FACTS, engine=ENGINE_FACTS,
        workload=WORKLOAD_FACTS,
    )  # fmt: skip
    made.finish("finished")
    trials = [record(plan.point(t.point_id), t.index, t.block) for t in plan.trials]
    return runs.load(made.path).holding(trials)


@pytest.mark.slow
def test_a_cell_a_protection_and_aggressor(run: Run) -> None:
    (picture,) = plots.pictures(run, names=["neighbour"])
    text = " ".join(ET.fromstring(plots.svg(picture)).itertext())
    for said in (
        "14 times as long",
        "83 % of its work",
        "wants CPU",
        "wants memory",
        "wants the disk",
        "shares=2",
    ):
        assert said in text, text
    # Each of nine protections but "none" is one of a single aggressor.
    assert text.count("–") >= 16
    title = picture.title.replace("\N{NO-BREAK SPACE}", " ")
    assert title == (
        "Beside a neighbour that wants CPU the slowest responses take 14 times as long; with "
        "cpuset, 1.00 times"
    )
    assert "reservation=48m where it wants memory: 2.50 times as long" in picture.alt
    assert plots.pictures(run.holding(()), names=["neighbour"]) == []


@pytest.mark.slow
def test_without_the_victim_alone_nothing_is_relative(run: Run) -> None:
    without = run.holding([t for t in run.trials if "alone" not in t.point_id])
    assert "neighbour" not in plots.available(without)


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_s_table_has_it_where_there_is_room(run: Run, width: int) -> None:
    console = Console(width=width, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(terminal.Page(view.build(run)))
    said = captured.get()
    assert all(len(line) <= width for line in said.splitlines())
    assert "…" not in said
    rows = [line.split() for line in said.splitlines() if line.split()[:1] == ["shares=2"]]
    assert [row[0] for row in rows] == ["shares=2", "shares=2"]
    assert rows[1] == ["shares=2", "1.25", "1.25", "100%", "100%"]


def test_frames_have_it_with_its_interval(run: Run) -> None:
    found = frames.estimates(run)
    row = found[(found["metric"] == "tail_vs_alone") & (found["point"] == "neighbour=none")]
    assert row["median"].tolist() == [pytest.approx(14.0)]
    assert row["n"].tolist() == [5]
    assert row["unit"].tolist() == ["1"]
