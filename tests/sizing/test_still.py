"""Whether a limit that was found still does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.sizing import finding
from harness.sizing.finding import Study
from harness.sizing.still import Still, asked, points_of, still
from tests.searched import searched


@pytest.mark.parametrize(
    ("trials", "held", "holds"),
    [
        (15, 15, True), (15, 12, True), (15, 11, None), (15, 8, None), (15, 4, None),
        (15, 3, False), (15, 0, False), (6, 6, True), (5, 5, None), (0, 0, None),
    ],
)  # fmt: skip
def test_so_many_of_the_trials_must_go_one_way(trials: int, held: int, holds: bool | None) -> None:
    assert Still((("cpus", 0.5),), trials, held, 0.95).holds is holds


@pytest.mark.slow
def test_fresh_trials_of_the_answer_alone_are_held_against_the_goal(tmp_path: Path) -> None:
    run = searched(tmp_path, "cpus > 50% of unlimited")
    study = Study(run.info, tuple(run.trials))
    assert study.chosen is not None
    names = {one.id for one in points_of(study, study.chosen).points}
    assert names == {finding.name_of(study.chosen), finding.UNLIMITED}
    again = replace(run.info, purpose=asked(study, study.chosen))
    now = still(again, run.trials)
    assert now.trials == now.held >= 5
    # As if the host gave less today: what holds at a lower limit alone.
    (edge,) = study.edges
    below = edge.setting(edge.fails or 0.0)
    fewer = [replace(t, point_id=finding.name_of(study.chosen)) for t in study.trials_of(below)]
    free = [t for t in run.trials if t.point_id == finding.UNLIMITED]
    assert still(again, [*fewer, *free]).held == 0
