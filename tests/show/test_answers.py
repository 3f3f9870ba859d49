"""A server's run, from the fake world's trials to its figure and its reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.judge.laws.cpu import standstill_s
from harness.measure import runner
from harness.model import (
    ContainerSpec,
    Limits,
    ProgramDescription,
    ProgramImage,
    Requests,
    Server,
    Serving,
    Spin,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.show import plots
from harness.store import anonymous, runs
from harness.store.runs import Run
from tests.command import bench
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World

SERVER = Server(
    name="web",
    description=ProgramDescription(
        image=ProgramImage(pack="web", files=(("/etc/web", "root /home/ada/site"),)),
        command=("web",),
    ),
    serving=Serving(port=8080, requests=Requests(rate_hz=100)),
)


def measured(root: Path, **options: object) -> Run:
    asked = Options(workload=SERVER, repeats=5, **options)  # type: ignore[arg-type]
    plan = planning.build("cpu", asked, cpus=CPUS)
    run = runs.create(root, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS)
    runner.run_plan(plan, run.info.name, World().surroundings(), run.keep, runner.Listener())
    run.finish("finished")
    return runs.load(run.path)


def test_the_figure_shows_answers_and_the_gap_law(tmp_path: Path) -> None:
    run = measured(tmp_path, values="0.25,0.5,1")
    assert "answers" in plots.available(run)
    (picture,) = plots.pictures(run, names=["answers"])
    assert picture.title.replace("\N{NO-BREAK SPACE}", " ").startswith(
        "99 % of answers come within 2.0 ms"
    )
    assert "Throttled periods: 0.25: " in picture.alt
    legend = picture.figure.columns[0][0].get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["median", "99 %", "longest", "period - quota/threads"]
    assert plots.png(picture).startswith(b"\x89PNG")


def test_where_nobody_is_asked_there_is_no_such_figure(tmp_path: Path) -> None:
    plan = planning.build("cpu", Options(values="0.5", repeats=1), cpus=CPUS)
    run = runs.create(tmp_path, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS)
    runner.run_plan(plan, run.info.name, World().surroundings(), run.keep, runner.Listener())
    assert "answers" not in plots.available(runs.load(run.path))


@pytest.mark.parametrize(
    ("limits", "threads", "still_s"),
    [
        (Limits(cpus=0.5), 1, 0.05),
        (Limits(cpus=0.5), 2, 0.075),
        (Limits(cpus=2), 2, None),
        (Limits(), 2, None),
    ],
)
def test_the_gap_law_of_a_quota(limits: Limits, threads: int, still_s: float | None) -> None:
    found = standstill_s(ContainerSpec(limits=limits, workload=Spin(threads=threads)))
    assert found == pytest.approx(still_s) if still_s else found is None


def test_reports_and_comparisons_know_the_metrics(tmp_path: Path) -> None:
    first, second = (measured(tmp_path / one, values="0.5") for one in ("a", "b"))
    shown = bench("show", str(first.path), "--json", cwd=tmp_path)
    assert shown.returncode == 0
    assert "request_p99_s" in shown.stdout
    compared = bench("compare", str(first.path), str(second.path), "--json", cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    for name in ("request_p99_s", "request_rate", "request_errors"):
        assert f'"metric": "{name}"' in compared.stdout


def test_what_is_in_an_image_names_nobody_when_it_is_passed_on(tmp_path: Path) -> None:
    run = measured(tmp_path, values="0.5")
    cleaned = anonymous.anonymous(run).info
    (spec,) = cleaned.plan.points[0].containers
    assert isinstance(spec.workload, Server)
    assert "ada" not in json.dumps(spec.workload.description.image.files)
    assert spec.workload.serving == SERVER.serving  # and the rest is there
