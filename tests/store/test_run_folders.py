"""Runs under any name, copied, removed while they are measured, or left by a dead process."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli import measuring
from harness.cli.terminal import show_page
from harness.errors import ResultsError
from harness.measure import runner
from harness.model import Load, Plan, Spin
from harness.plan import build as planning
from harness.plan import sweepfile
from harness.plan.axes import Options
from harness.show import plots
from harness.show.report import html, several
from harness.show.report import view as views
from harness.store import listing, runs, writer
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World
from tests.runs import measured

DOCKERS_RULE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
"""moby, names.RestrictedNamePattern"""
NAMES = [
    "my sweep (1)",
    "größe",
    "--help",
    ".",
    "日本",
    "a/b",
    "x" * 300,
    "tab\tnew\nline",
]


def plan_of(name: str, point: str = "plain") -> Plan:
    folder = {"point": [{"name": point, "cpus": 0.5}]}
    table = sweepfile._parse(sweepfile._SweepTable, folder, "here")
    file = sweepfile.SweepFile(name, Options(repeats=3), table, _no_program)
    return planning.build(name, file.options, cpus=CPUS, points_of=file.points)


def _no_program(name: str | None) -> Load:
    assert name is None
    return Spin()


# --- names -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "ab-my sweep (1)"])
def test_a_sweep_of_any_name_is_measured_kept_and_shown(tmp_path: Path, name: str) -> None:
    world = World()
    root = tmp_path / "my results ü (2)"
    plan = plan_of(name)
    run = runs.create(root, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS)
    runner.run_plan(plan, run.info.name, world.surroundings(), run.keep, runner.Listener())
    run.finish("finished")
    assert len(world.containers) == 3
    assert all(DOCKERS_RULE.fullmatch(one.id) for one in world.containers)
    assert DOCKERS_RULE.fullmatch(run.path.name)
    assert len(run.path.name) < 80
    found = runs.find(root, None)
    assert found.info.plan.sweep == name, "shown as it was written"
    assert len(found.trials) == 3
    html.render(views.build(found))


def test_names_stay_readable(tmp_path: Path) -> None:
    for name, kept in {"my sweep (1)": "my-sweep-1", "größe": "gro-e", "日本": "sweep"}.items():
        made = runs.create(
            tmp_path, plan_of(name), host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS
        )
        assert made.path.name[16:] == kept
        made.finish("finished")


def test_a_file_whose_name_is_no_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(bytes(tmp_path) + b"/\xff.toml"))
    path.write_text("[[point]]\ncpus = 0.5\n")
    found = sweepfile.load(path, Options(repeats=3), _no_program)
    plan = planning.build(found.name, found.options, cpus=CPUS, points_of=found.points)
    run = runs.create(tmp_path, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS)
    run.finish("finished")
    assert runs.load(run.path).info.plan.sweep == "\ufffd"


@pytest.mark.slow
@pytest.mark.parametrize("point", ["[/red] $x_{ <b> größe", "a/b", " ", "\u202e"])
def test_a_point_of_any_name(
    tmp_path: Path, point: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from harness.show.report import markdown, terminal  # noqa: PLC0415

    plan = plan_of("named", point)
    run = runs.create(tmp_path, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS)
    runner.run_plan(plan, run.info.name, World().surroundings(), run.keep, runner.Listener())
    run.finish("finished")
    found = runs.load(run.path)
    view = views.build(found)
    show_page(terminal.Page(view))
    assert view.headline in capsys.readouterr().out
    assert found.info.name in html.render(view)
    assert view.headline in markdown.render(view)


# --- copies ------------------------------------------------------------------------------------


def test_the_newest_run_is_so_by_time_and_not_by_name(tmp_path: Path) -> None:
    old, new = measured(tmp_path), measured(tmp_path)
    old.path.rename(tmp_path / "zzz")
    document = json.loads((tmp_path / "zzz" / "run.json").read_text())
    document["created"] = "2020-01-01T00:00:00+00:00"
    (tmp_path / "zzz" / "run.json").write_text(json.dumps(document))
    assert runs.find(tmp_path, None).path == new.path
    assert [one.path.name for one in listing.list_runs(tmp_path).runs] == [new.path.name, "zzz"]


def test_a_copy_is_told_apart_by_its_folder_everywhere(tmp_path: Path) -> None:
    run = measured(tmp_path)
    shutil.copytree(run.path, tmp_path / "before the upgrade")
    listed = [one.name for one in listing.list_runs(tmp_path).runs]
    assert sorted(listed) == sorted([run.path.name, "before the upgrade"])
    for name in listed:
        assert runs.find(tmp_path, name).info.name == name
    both = [runs.find(tmp_path, name) for name in listed]
    assert several.build(both).labels != several.build(both).labels[::-1]
    assert set(plots.data.labels(both)) == set(listed)
    assert runs.load(Path(os.path.relpath(run.path)) / ".").info.name == run.path.name


# --- a folder that goes ------------------------------------------------------------------------


@pytest.mark.parametrize("again", [False, True], ids=["removed", "removed and made again"])
def test_a_run_removed_while_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], again: bool
) -> None:
    world = World()
    plan = planning.build("cpu", Options(repeats=3), cpus=CPUS)

    def on_create(number: int) -> None:
        if number == 4:
            (folder,) = (tmp_path / "results").iterdir()
            shutil.rmtree(folder)
            if again:
                (folder / "samples").mkdir(parents=True)

    world.on_create = on_create
    where = world.surroundings()
    monkeypatch.setattr(runner, "real_surroundings", lambda *_args, **_more: where)
    with pytest.raises(ResultsError, match=r"cannot write to .*cpu: ") as told:
        measuring.measure(plan, where.engine, tmp_path / "results")
    assert told.value.exit_code == 2
    assert len(str(told.value).splitlines()) == 1
    assert len(world.containers) < len(plan.trials)
    assert {one.id for one in world.containers} == set(world.removed)
    assert "kept in" not in capsys.readouterr().err or again


def test_a_results_folder_that_cannot_be_written_to_in_the_end(tmp_path: Path) -> None:
    plan = planning.build("cpu", Options(repeats=3), cpus=CPUS)
    run = runs.create(tmp_path, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS)
    shutil.rmtree(run.path)
    with pytest.raises(ResultsError, match="removed or moved"):
        run.finish("finished")


# --- a process that goes -----------------------------------------------------------------------

DIES = """
import os, pathlib, sys
from tests.store.test_run_folders import *
made = runs.create(pathlib.Path(sys.argv[1]), plan_of("cpu"), host=HOST_FACTS, engine=ENGINE_FACTS,
                   workload=WORKLOAD_FACTS)
os._exit(1)
"""


@pytest.mark.slow
def test_a_run_whose_process_has_died_is_interrupted(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path)], cwd=Path(__file__).parents[2], check=False
    )
    (listed,) = listing.list_runs(tmp_path).runs
    found = runs.load(listed.path)
    assert (listed.status, found.info.reason) == ("interrupted", "its process is gone")
    remarks = views.build(found).remarks
    assert "The run was interrupted (its process is gone): 0 trials are kept." in remarks


def test_a_run_whose_process_lives_goes_on(tmp_path: Path) -> None:
    made = runs.create(
        tmp_path, plan_of("x"), host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS
    )
    assert runs.load(made.path).info.status == "running"
    made.finish("finished")
    assert runs.load(made.path).info.status == "finished"


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({}, "running", ""),
        ({"pid": 1 << 30}, "interrupted", "its process is gone"),
        ({"started_s": 1.0}, "interrupted", "its process is gone"),
        ({"boot_id": "another"}, "interrupted", "its host was started anew"),
        ({"host": "afar"}, "running", "as far as is known here: its process is on afar"),
        ({"pid_namespace": "pid:[1]"}, "running", "as far as is known here: "),
    ],
)
def test_what_a_reader_can_know(change: dict[str, Any], status: str, reason: str) -> None:
    found = writer.state(replace(writer.own(), **change))
    assert found[0] == status
    assert found[1].startswith(reason)
    assert bool(found[1]) == bool(reason)
