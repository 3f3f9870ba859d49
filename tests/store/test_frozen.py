"""A run of every version of the format must load for ever, and say what it said then.

``tests/data/run-v1`` was measured on a real engine (Debian 12, Docker 20.10, cgroup v1), and never
is written again. A change that fails here needs an upgrade in
``harness.store.runs``, not a new run.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.show import frames, plots
from harness.show.report import html, markdown
from harness.show.report import view as views
from harness.store import runs, samples
from harness.store.runs import Run

DATA = Path(__file__).parents[1] / "data"
KNOWN = json.loads((DATA / "run-v1.json").read_text())
"""What the run said when it was frozen."""


@pytest.fixture(scope="module")
def run() -> Run:
    return runs.load(DATA / "run-v1")


def test_there_is_one_of_every_version() -> None:
    found = [json.loads((path / "run.json").read_text())["schema"] for path in DATA.glob("run-v*/")]
    assert sorted(found) == list(range(1, runs.SCHEMA + 1))


def test_it_loads_whole(run: Run) -> None:
    assert run.damage == ()
    assert len(run.trials) == KNOWN["trials"]
    assert run.samples().num_rows == KNOWN["samples"]
    assert run.samples().schema == samples.sample_schema()


def test_its_numbers_are_what_they_were(run: Run) -> None:
    estimates = frames.estimates(run)
    now = {
        f"{row['point']} {row['metric']} {row['container']}": row["median"]
        for row in estimates.to_dict("records")
    }
    for name, median in KNOWN["medians"].items():
        assert now[name] == pytest.approx(median, rel=1e-12), name


@pytest.mark.slow
def test_it_can_be_shown_in_every_form(run: Run) -> None:
    view = views.build(run)
    assert {row.summary.point.id for row in view.rows} == set(KNOWN["points"])
    assert "run-v1" in html.render(view)
    told = markdown.render(view).splitlines()
    assert told[0].endswith("2 of 4 points are inconclusive; 2 of 4 points conform.")
    assert "| 0.5 | 0.5000 | 0.4963 | -0.74% | ±1.00% | 1 of 4 | ? inconclusive |" in told
    assert "| 16m | Killed for memory | yes | yes | 0 | none | 2 of 2 | ✓ conforms |" in told
    assert set(KNOWN["figures"]) <= set(plots.available(run))
    assert not frames.gaps(run).empty
    assert not frames.growth(run).empty
    assert not frames.timeline(run, 0).empty


def test_a_field_that_a_later_version_added_is_no_obstacle(tmp_path: Path) -> None:
    """Within a version fields are added; what an older limitbench does not know it passes over."""
    later = tmp_path / "run-v1"
    shutil.copytree(DATA / "run-v1", later)
    document = json.loads((later / "run.json").read_text())
    document["host"]["invented"] = {"later": 1}
    (later / "run.json").write_text(json.dumps(document))
    lines = [json.loads(line) for line in (later / "trials.jsonl").read_text().splitlines()]
    for line in lines:
        line["containers"][0]["invented"] = [1, 2]
    (later / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = runs.load(later)
    assert run.damage == ()
    assert len(run.trials) == KNOWN["trials"]
