"""Runs on disk: durable, complete, and readable when damaged."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ResultsError
from harness.judge import run as judge_run
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import folder, listing, runs
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS
from tests.runs import stored

DATA = Path(__file__).parents[1] / "data"


def make_run(root: Path, status: str | None = "finished") -> Path:
    return stored(root, options=Options(repeats=2), status=status)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    run = runs.load(make_run(tmp_path))
    assert run.damage == ()
    assert run.info.status == "finished"
    assert len(run.trials) == 10
    assert run.info.plan == planning.build("cpu", Options(repeats=2), cpus=CPUS)
    assert run.info.host == HOST_FACTS
    assert run.info.engine == ENGINE_FACTS
    table = run.samples()
    assert table.num_rows == 10 * 151
    assert run.samples(trial=3, columns=["t_mono_ns"]).num_rows == 151
    assert sorted(p.name for p in run.path.iterdir()) == [
        "run.json", "samples.parquet", "trials.jsonl",
    ]  # fmt: skip


def test_samples_are_read_without_the_trials_and_those_once(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    lines, aside = path / "trials.jsonl", tmp_path / "aside"
    lines.rename(aside)
    run, without = runs.load(path), runs.load(path)
    assert run.samples().num_rows == 10 * 151
    assert without.damage == ("trials.jsonl is missing",)
    aside.rename(lines)
    assert len(run.trials) == 10
    assert without.trials == ()
    lines.unlink()
    assert len(run.trials) == 10
    assert run.damage == ()
    named = run.telling(replace(run.info, name="another"))
    assert (named.info.name, named.trials) == ("another", run.trials)
    part = run.holding(run.trials[:3])
    assert (len(part.trials), len(run.trials)) == (3, 10)
    assert len(part.telling(run.info).trials) == 3


def test_a_run_that_is_still_going_on_has_samples_too(tmp_path: Path) -> None:
    run = runs.load(make_run(tmp_path, status=None))
    assert run.info.status == "running"
    assert run.samples().num_rows == 10 * 151
    assert run.damage == ()


def test_a_line_that_was_cut_off_costs_one_trial(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    lines = path / "trials.jsonl"
    lines.write_bytes(lines.read_bytes()[:-200])
    run = runs.load(path)
    assert len(run.trials) == 9
    assert run.damage == ("line 10 of trials.jsonl is damaged and left out",)


def test_missing_samples_are_told(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    (path / "samples.parquet").unlink()
    run = runs.load(path)
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
        runs.load(path.parent)
    assert message in str(refused.value)
    assert list(listing.list_runs(tmp_path).unreadable) == [path.parent.name]


def test_a_foreign_folder_and_a_damaged_document(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="is not a run"):
        runs.load(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ResultsError, match="is damaged"):
        runs.load(tmp_path)


def test_runs_are_found_by_name_part_path_or_age(tmp_path: Path) -> None:
    first, second = make_run(tmp_path), make_run(tmp_path)
    assert first.name != second.name
    assert runs.find(tmp_path, first.name).path == first
    assert runs.find(tmp_path / "elsewhere", str(second)).path == second
    assert [run.path for run in listing.list_runs(tmp_path).runs][-1] in (first, second)
    with pytest.raises(ResultsError, match="no run 'nothing'"):
        runs.find(tmp_path, "nothing")
    with pytest.raises(ResultsError, match="bench sweep cpu"):
        runs.find(tmp_path / "empty", None)


def test_a_folder_that_cannot_be_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError) as refused:
        folder.prepare_root(tmp_path / "file" / "results")
    assert "--results" in str(refused.value)


# --- damage --------------------------------------------------------------------------------------


def test_samples_that_were_cut_off_are_told_and_all_the_rest_is_shown(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    samples = path / "samples.parquet"
    samples.write_bytes(samples.read_bytes()[:-20])
    run = runs.load(path)
    assert run.damage == ("samples.parquet is damaged: no timelines",)
    assert run.samples().num_rows == 0
    assert list(run.sample_batches()) == []
    assert len(run.trials) == 10


def test_one_part_that_was_cut_off_costs_its_own_trial(tmp_path: Path) -> None:
    path = make_run(tmp_path, status=None)
    part = path / "samples" / "000003.parquet"
    part.write_bytes(part.read_bytes()[:50])
    run = runs.load(path)
    assert run.damage == ("the samples of 1 trial are damaged and left out",)
    assert run.samples().num_rows == 9 * 151


def test_samples_that_are_no_samples_are_an_error_with_words(tmp_path: Path) -> None:
    """In a run of before files bore checksums: theirs tell it before anybody reads them."""
    path = Path(shutil.copytree(DATA / "run-v1", tmp_path / "run"))
    samples = path / "samples.parquet"
    data = bytearray(samples.read_bytes())
    data[20:-400] = b"\xff" * len(data[20:-400])
    samples.write_bytes(data)
    run = runs.load(path)
    with pytest.raises(ResultsError, match="cannot be read") as told:
        run.samples()
    assert "\n" not in str(told.value)
    with pytest.raises(ResultsError, match="cannot be read"):
        list(run.sample_batches())


def test_a_list_of_runs_counts_trials_without_reading_them(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    (path / "trials.jsonl").write_bytes(b"no json\n" * 7)
    (listed,) = listing.list_runs(tmp_path).runs
    assert (listed.path, listed.trials) == (path, 7)


def test_samples_of_ours_are_read_when_they_are_named(tmp_path: Path) -> None:
    make_run(tmp_path).rename(tmp_path / "sample-cpu")
    with pytest.raises(ResultsError, match="examples are named: sample-cpu"):
        runs.find(tmp_path, None)
    assert runs.find(tmp_path, "sample").path.name == "sample-cpu"
    own = make_run(tmp_path)
    assert runs.find(tmp_path, None).path == own
    assert runs.find(tmp_path, "cpu").path == own  # and not both
    assert {run.path.name for run in listing.list_runs(tmp_path).runs} == {"sample-cpu", own.name}


def test_a_folder_that_is_named_and_is_no_run_says_so(tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    with pytest.raises(ResultsError, match="is not a run"):
        runs.find(tmp_path, str(tmp_path / "foreign"))


def test_what_was_worked_out_from_a_run_goes_with_it(tmp_path: Path) -> None:
    run = runs.load(make_run(tmp_path))
    assert judge_run.points(run) is judge_run.points(run)
    kept = weakref.ref(run)
    del run
    gc.collect()
    assert kept() is None
