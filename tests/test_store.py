"""Runs on disk: durable, complete, and readable when damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import plan as planning
from harness import runner, store
from harness.axes import Options
from harness.errors import ResultsError
from tests.fakes import ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World


def make_run(root: Path, *, finish: bool = True, options: Options | None = None) -> Path:
    plan = planning.build("cpu", options or Options(repeats=2), host_cpus=2)
    run = store.create(root, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS)
    runner.run_plan(plan, run.info.name, World().surroundings(), run.keep, runner.Observer())
    if finish:
        run.finish("finished")
    return run.path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    run = store.load(make_run(tmp_path))
    assert run.damage == ()
    assert run.info.status == "finished"
    assert len(run.trials) == 10
    assert run.info.plan == planning.build("cpu", Options(repeats=2), host_cpus=2)
    assert run.info.host == HOST_FACTS
    assert run.info.engine == ENGINE_FACTS
    table = run.samples()
    assert table.num_rows == 10 * 151
    assert run.samples(trial=3, columns=["t_mono_ns"]).num_rows == 151
    assert sorted(p.name for p in run.path.iterdir()) == [
        "run.json", "samples.parquet", "trials.jsonl",
    ]  # fmt: skip


def test_a_run_that_is_still_going_on_has_samples_too(tmp_path: Path) -> None:
    run = store.load(make_run(tmp_path, finish=False))
    assert run.info.status == "running"
    assert run.samples().num_rows == 10 * 151
    assert run.damage == ()


def test_a_line_that_was_cut_off_costs_one_trial(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    lines = path / "trials.jsonl"
    lines.write_bytes(lines.read_bytes()[:-200])
    run = store.load(path)
    assert len(run.trials) == 9
    assert run.damage == ("line 10 of trials.jsonl is damaged and left out",)


def test_missing_samples_are_told(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    (path / "samples.parquet").unlink()
    run = store.load(path)
    assert run.samples().num_rows == 0
    assert "samples are missing" in run.damage[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "Install a newer limitbench"),
        ({"schema": None}, "names no schema"),
        ({"plan": {}}, "damaged at plan"),
    ],
)
def test_documents_that_are_not_ours(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = make_run(tmp_path) / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ResultsError) as refused:
        store.load(path.parent)
    assert message in str(refused.value)
    assert list(store.list_runs(tmp_path).unreadable) == [path.parent.name]


def test_a_foreign_folder_and_a_damaged_document(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="is not a run"):
        store.load(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ResultsError, match="is damaged"):
        store.load(tmp_path)


def test_runs_are_found_by_name_part_path_or_age(tmp_path: Path) -> None:
    first, second = make_run(tmp_path), make_run(tmp_path)
    assert first.name != second.name
    assert store.find(tmp_path, first.name).path == first
    assert store.find(tmp_path / "elsewhere", str(second)).path == second
    assert [run.path for run in store.list_runs(tmp_path).runs][-1] in (first, second)
    with pytest.raises(ResultsError, match="no run 'nothing'"):
        store.find(tmp_path, "nothing")
    with pytest.raises(ResultsError, match="bench sweep cpu"):
        store.find(tmp_path / "empty", None)


def test_a_folder_that_cannot_be_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError) as refused:
        store.prepare_root(tmp_path / "file" / "results")
    assert "--results" in str(refused.value)
