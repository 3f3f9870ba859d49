"""The figure that says where data should live."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.model import ContainerRecord, Limits, Outcome, PlannedTrial, TrialRecord
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.show import plots
from harness.store import runs
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World
from tests.reports import io_line, io_report
from tests.runs import altered, measured

pytestmark = pytest.mark.slow

VALUES = "volume:fsync,layer:fsync,tmpfs:fsync,volume:read,volume:cached@8m"


def test_places_are_compared_by_what_a_commit_takes(tmp_path: Path) -> None:
    world = World(says={"report": io_line()})
    run = measured(tmp_path, "storage", options=Options(values=VALUES, repeats=5), world=world)
    quick = {"storage=tmpfs:fsync": 50_000, "storage=layer:fsync": 100}

    def alter(trial: TrialRecord) -> TrialRecord:
        ios = quick.get(trial.point_id, 200)
        report = io_report(ios=ios, bytes=ios * 4096)
        return replace(trial, containers=(replace(trial.containers[0], io=report),))

    run = altered(run, alter)
    assert "storage" in plots.available(run)
    assert "achieved" not in plots.available(run)
    (picture,) = plots.pictures(run, names=["storage"])
    title = picture.title.replace("\N{NO-BREAK SPACE}", " ")
    assert title == (
        "fsync a second, on a disk: volume 200 (99 % within 1.3 ms), layer 100; "
        "in memory: tmpfs 50,000 (99 % within 1.3 ms)"
    )
    assert "volume:fsync: 200 a second" in picture.alt
    assert plots.png(picture).startswith(b"\x89PNG")


def test_what_is_lost_with_its_container_is_told_apart(tmp_path: Path) -> None:
    values = "volume:fsync,layer:fsync,image:fsync,tmpfs:fsync,volume:rm,layer:rm,tmpfs:rm"
    plan = planning.build("storage", Options(values=values, repeats=5), cpus=CPUS)
    made = runs.create(
        tmp_path, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS
    )
    made.finish("finished")
    rates = {"volume": 200, "layer": 300, "image": 250, "tmpfs": 50_000}

    def record(planned: PlannedTrial) -> TrialRecord:
        place, _, load = planned.point_id.removeprefix("storage=").partition(":")
        one = ContainerRecord(requested=Limits(), io=io_report(ios=rates[place]))
        if load == "rm":
            one = ContainerRecord(
                requested=Limits(), metrics=(("file_kept", float(place == "volume")),)
            )
        return TrialRecord(
            index=planned.index, block=planned.block, point_id=planned.point_id,
            outcome=Outcome.COMPLETED, started_at="2026-01-01T00:00:00Z", containers=(one,),
        )  # fmt: skip

    run = runs.load(made.path).holding([record(one) for one in plan.trials])
    (picture,) = plots.pictures(run, names=["storage"])
    assert picture.title.replace("\N{NO-BREAK SPACE}", " ") == (
        "fsync a second, kept after rm: volume 200 (99 % within 1.3 ms); "
        "lost with rm: tmpfs 50,000 (99 % within 1.3 ms), layer 300, image 250"
    )
    assert "is there after docker rm" in plots.svg(picture)


def test_other_sweeps_have_none(tmp_path: Path) -> None:
    assert "storage" not in plots.available(measured(tmp_path, "cpu"))
