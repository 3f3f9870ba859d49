"""A run that was killed anywhere and resumed has the trials of one that was not."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli.terminal import show_page
from harness.errors import ResultsError
from harness.measure import runner
from harness.measure.queue import Queue
from harness.model import Plan, PlannedTrial, TrialRecord
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.show.report import json_data, markdown, terminal
from harness.show.report import view as views
from harness.store import resumed, runs
from harness.store.runs import Run
from tests.command import spoken
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World

PLAIN = Options(values="0.25,0.5", repeats=3, duration_s=0.5, cadence_hz=4.0)
UNTIL = replace(PLAIN, repeats=5, until=0.02, most_repeats=9)
REJECTED = frozenset({1, 4, 6})
"""The third is already a trial that is repeated."""


@dataclass
class Scene(runner.Listener):
    """A world in which what a trial is like follows from its number, whoever measures it."""

    world: World
    dies_at: int | None = None

    def phase(self, planned: PlannedTrial, done: int, total: int, phase: str) -> None:
        if phase == "starting" and planned.index == self.dies_at:
            raise KilledError
        self.world.wrong_cgroup = planned.index in REJECTED
        self.world.quota_factor = 1 + 0.01 * (planned.index * 7 % 5 - 2)


class KilledError(BaseException):
    """What no handler of ours turns into a record, as SIGKILL."""


def measured(run: runs.RunWriter, queue: Queue | None = None, dies_at: int | None = None) -> None:
    scene = Scene(World(), dies_at)
    where = scene.world.surroundings()
    runner.run_plan(run.info.plan, run.info.name, where, run.keep, scene, queue=queue)


def resume(path: Path, dies_at: int | None = None) -> Run:
    """What ``bench resume`` does once it is sure that it may."""
    found = runs.load(path)
    queue = Queue(found.info.plan, found.info.engine, found.info.host, found.trials)
    run = resumed.reopen(found)
    measured(run, queue, dies_at)
    run.finish("finished")
    return runs.load(path)


def begun(root: Path, options: Options) -> runs.RunWriter:
    plan = planning.build("cpu", options, cpus=CPUS)
    return runs.create(root, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS)


@pytest.fixture(scope="module", params=[PLAIN, UNTIL], ids=["repeated", "until"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that went through, as it was before it was closed: a kill leaves a part of this."""
    run = begun(tmp_path_factory.mktemp("whole"), request.param)
    measured(run)
    return run.path


def killed(whole: Path, root: Path, trials: int, torn: bytes, part: str | None) -> Path:
    """The folder as it is after so many trials, a piece of a line, and a part of its samples."""
    path = root / whole.name
    shutil.copytree(whole, path)
    lines = (whole / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (path / "trials.jsonl").write_bytes(b"".join(lines[:trials]) + torn)
    for file in (path / "samples").iterdir():
        index = int(file.stem)
        if index > trials or (index == trials and part is None):
            file.unlink()
        elif index == trials and part == "torn":
            file.write_bytes(file.read_bytes()[:-50])
            (path / "samples" / f".{file.name}.new").write_bytes(b"PAR1")
    return path


def said(trials: tuple[TrialRecord, ...]) -> list[tuple[Any, ...]]:
    return [(one.index, one.block, one.point_id, one.invalid) for one in trials]


def rows(run: Run) -> Counter[int]:
    return Counter(run.samples(columns=["trial"])["trial"].to_pylist())


@pytest.mark.slow
@pytest.mark.parametrize("first", range(6))
def test_a_run_killed_at_any_moment_is_resumed_to_the_set_of_one_that_was_not(
    tmp_path: Path, whole: Path, first: int
) -> None:
    there = runs.load(whole)
    lines = (whole / "trials.jsonl").read_bytes().splitlines()
    cases = [
        (done, cut, part)
        for done in range(first, len(lines), 6)
        for cut, part in (
            (0, None), (1, "torn"), (len(lines[done]) // 2, "whole"), (len(lines[done]), "whole"),
        )
    ]  # fmt: skip
    for number, (done, cut, part) in enumerate(cases):
        torn = lines[done][:cut]
        path = killed(whole, tmp_path / str(number), done, torn, part)
        before = (path / "trials.jsonl").read_bytes()
        again = resume(path)
        assert said(again.trials) == said(there.trials)
        assert rows(again) == rows(there)
        assert again.damage == ()
        assert again.info.status == "finished"
        assert again.info.plan == there.info.plan
        (gap,) = again.info.gaps
        # The last line was whole, but for its end: then it was a trial.
        kept = done + (cut == len(lines[done]))
        assert gap.trials == kept
        after = (path / "trials.jsonl").read_bytes()
        assert after.splitlines()[:kept] == lines[:kept], "not a byte of them is another"
        aside = {name: (path / name).read_bytes() for name in gap.aside}
        if cut == 0 or kept > done:
            assert aside == {}
            assert after.startswith(before)
        else:
            assert aside["trials.jsonl.torn-1"] == torn
            assert f"samples-{done:06d}.parquet.torn-1" in aside
        names = {"run.json", "samples.parquet", "trials.jsonl", *aside}
        assert {file.name for file in path.iterdir()} == names


def test_a_run_killed_at_every_trial_says_each_gap_and_sets_nothing_aside_twice(
    tmp_path: Path,
) -> None:
    whole = begun(tmp_path, PLAIN)
    measured(whole)
    run = begun(tmp_path, PLAIN)
    with pytest.raises(KilledError):
        measured(run, dies_at=0)
    there = runs.load(whole.path).trials
    for index in range(1, len(there)):
        with (run.path / "trials.jsonl").open("ab") as file:
            file.write(b'{"index": ')
        with pytest.raises(KilledError):
            resume(run.path, dies_at=index)
    again = resume(run.path)
    assert said(again.trials) == said(there)
    assert [gap.trials for gap in again.info.gaps] == list(range(len(there)))
    assert [gap.aside for gap in again.info.gaps] == [
        *((f"trials.jsonl.torn-{n}",) for n in range(1, len(there))), (),
    ]  # fmt: skip


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_a_run_that_was_closed_goes_on_with_the_samples_that_it_had_merged(
    tmp_path: Path, whole: Path, status: str
) -> None:
    there = runs.load(whole)
    run = begun(tmp_path, PLAIN if there.info.plan.until is None else UNTIL)
    with pytest.raises(KilledError):
        measured(run, dies_at=5)
    run.finish(status, "the engine stopped answering.")
    with pytest.raises(KilledError):
        resume(run.path, dies_at=7)
    halfway = runs.load(run.path)
    assert sorted(rows(halfway)) == list(range(7)), "while it goes on, all can be read"
    again = resume(run.path)
    assert said(again.trials) == said(there.trials)
    assert rows(again) == rows(there)
    assert again.samples(columns=["trial"])["trial"].to_pylist() == sorted(rows(there).elements())
    assert [gap.why for gap in again.info.gaps] == [
        f"{status}: the engine stopped answering.", "running",
    ]  # fmt: skip


def test_a_merging_that_was_cut_off_costs_no_sample(tmp_path: Path, whole: Path) -> None:
    """Between the merged file's being there and the last part's being gone, and before."""
    there = runs.load(whole)
    path = killed(whole, tmp_path, len(there.trials), b"", None)
    parts = tmp_path / "parts"
    shutil.copytree(path / "samples", parts)
    closed = resume(path)
    for number, torn in enumerate((0, 100)):
        shutil.copytree(parts, path / "samples")
        merged = path / "samples.parquet"
        merged.write_bytes(merged.read_bytes()[: merged.stat().st_size - torn])
        again = resume(path)
        assert rows(again) == rows(closed)
        assert len(again.info.gaps[-1].aside) == number


def test_a_line_that_was_damaged_in_the_middle_is_measured_again(tmp_path: Path) -> None:
    run = begun(tmp_path, replace(PLAIN, repeats=1, values="0.25,0.5,1,2"))
    where = World().surroundings()
    runner.run_plan(run.info.plan, run.info.name, where, run.keep, runner.Listener())
    run.finish("finished")
    there = runs.load(run.path)
    lines = (run.path / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (run.path / "trials.jsonl").write_bytes(b"".join([lines[0], b"{}\n", *lines[2:]]))
    again = resume(run.path)
    assert sorted(said(again.trials)) == sorted(said(there.trials))
    assert rows(again) == rows(there)
    assert again.info.gaps[0].aside == ("samples.parquet.torn-1", "trials.jsonl.torn-1")


def test_trials_that_are_not_the_plan_s_are_refused(tmp_path: Path, whole: Path) -> None:
    def queue(plan: Plan, trials: list[TrialRecord]) -> Queue:
        return Queue(plan, ENGINE_FACTS, HOST_FACTS, trials)

    there = runs.load(whole)
    plan, trials = there.info.plan, list(there.trials)
    assert not queue(plan, trials).is_open
    other = planning.build("cpu", replace(PLAIN, seed=2), cpus=CPUS)
    with pytest.raises(ResultsError, match="measure it anew"):
        queue(other, trials)
    planned = len(plan.trials)
    assert len(trials) > planned
    # One that was chosen by what the others had been, of which one is missing.
    with pytest.raises(ResultsError, match=f"trial {planned} "):
        queue(plan, [trials[0], *trials[2:]])


def test_a_resumed_run_says_so(tmp_path: Path, whole: Path) -> None:
    path = killed(whole, tmp_path, 4, b"{", None)
    found = runs.load(path)
    writer = resumed.reopen(found, ["kernel was 6.1.0, is 6.2.0"])
    writer.finish("interrupted")
    view = views.build(runs.load(path))
    (gap,) = view.run.info.gaps
    assert gap.stopped >= found.trials[3].started_at[:19]
    assert gap.resumed >= gap.stopped[:19]
    words = (
        f"Resumed at {gap.resumed}: it had stopped at {gap.stopped} (running), when 4 trials were "
        "finished; conditions may have changed: kernel was 6.1.0, is 6.2.0. Set aside, and not "
        "read: trials.jsonl.torn-1."
    )
    assert words in view.remarks
    assert "Resumed at" in markdown.render(view)
    assert "Resumed at" in spoken(lambda: show_page(terminal.Page(view)))
    (told,) = json_data.as_json(view)["gaps"]
    assert (told["stopped"], told["resumed"], told["trials"]) == (gap.stopped, gap.resumed, 4)
