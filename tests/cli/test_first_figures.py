"""What a sweep says of each point before its table is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.first_figures import FirstFigures
from harness.cli.progress import progress
from harness.model import ForCheck
from harness.plan.axes import Options
from tests.runs import measured, scattered

TWO = Options(values="0.5,1", repeats=3)


def test_each_point_is_told_once_by_its_first_trial_that_counts(tmp_path: Path) -> None:
    run = measured(tmp_path, options=TWO)
    first, *others = [trial for trial in run.trials if trial.point_id == "cpus=0.5"]
    figures = FirstFigures(run.info)
    assert figures.of(replace(first, invalid="a neighbour")) == ""
    assert figures.of(others[0]) == (
        "cpus=0.5: CPUs achieved 0.5000, promised 0.5000 (its first trial)"
    )
    assert figures.of(others[1]) == ""


def test_what_is_told_is_what_was_measured(tmp_path: Path) -> None:
    run = scattered(measured(tmp_path, options=TWO), factors={"cpus=1": 0.9}, sigma=0)
    figures = FirstFigures(run.info)
    said = [line for trial in run.trials if (line := figures.of(trial))]
    assert sorted(said)[1].startswith("cpus=1: CPUs achieved 0.9000, promised 1.0000")
    assert len(said) == 2


def test_a_sweep_tells_them_and_a_check_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = measured(tmp_path, options=TWO)
    for purpose, told in ((None, 2), (ForCheck(against=None), 0)):
        with progress(replace(run.info, purpose=purpose)) as listener:
            for number, trial in enumerate(run.trials, 1):
                listener.finished(trial, number, len(run.trials))
        assert capsys.readouterr().err.count("(its first trial)") == told
