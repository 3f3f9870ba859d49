"""Levels that are kept count as long as they are of this run, and no longer."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.comparison.collected import collected
from harness.model import RunLevels
from harness.store import levels
from tests.histories import level, point, run
from tests.runs import stored


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A run with its levels beside it."""
    path = stored(tmp_path / "results")
    assert len(collected([tmp_path / "results"]).runs) == 1
    return path


def of(folder: Path) -> RunLevels:
    found = levels.read(folder)
    assert found is not None
    return found


def test_what_is_kept_is_what_was_made(there: Path) -> None:
    (made,) = collected([there.parent]).runs
    assert of(there) == made
    assert made.run == there.name
    assert {"kernel", "engine", "runtime", "limitbench"} <= set(made.facts)


def test_kept_levels_are_taken_in_place_of_trials(there: Path) -> None:
    other = run(0, {point(): [level(0.123)]})
    altered = replace(other, run=there.name)
    levels.keep(there, levels.source(there), altered)
    (found,) = collected([there.parent]).runs
    assert found == altered


def test_a_run_that_changed_since_is_read_again(there: Path) -> None:
    made = of(there)
    os.utime(there / "trials.jsonl", (0, 0))
    assert levels.read(there) is None
    assert collected([there.parent]).runs == (made,)
    assert of(there) == made


@pytest.mark.parametrize("text", ["", "{}", "[]", "\0", '{"made_of": 1}'])
def test_what_is_damaged_is_made_again(there: Path, text: str) -> None:
    made = of(there)
    (there / levels.LEVELS).write_text(text)
    assert levels.read(there) is None
    assert collected([there.parent]).runs == (made,)


def test_what_somebody_changed_is_made_again(there: Path) -> None:
    path = there / levels.LEVELS
    document = json.loads(path.read_text())
    path.write_text(path.read_text().replace(document["levels"]["hostname"], "another"))
    assert levels.read(there) is None


def test_a_copy_of_another_name_is_another_run(there: Path) -> None:
    made = of(there)
    other = there.with_name("another-name")
    there.rename(other)
    assert levels.read(other) is None
    assert made.run != "another-name"


def test_nothing_is_left_where_nothing_can_be_written(there: Path) -> None:
    (there / levels.LEVELS).unlink()
    (there / levels.LEVELS).mkdir()
    made = levels.source(there)
    levels.keep(there, made, run(0, {}))
    assert not list(there.glob(".*"))
    assert len(collected([there.parent]).runs) == 1
