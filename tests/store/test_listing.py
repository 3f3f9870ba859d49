"""Many runs in a list: what was read of them is read once, and never believed of other files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.plan.axes import Options
from harness.store import listing, runs
from tests.runs import stored

MANY, OPTIONS = 101, Options(repeats=2)


@pytest.fixture(scope="module")
def read_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of so many runs that what was read of them is kept."""
    root = tmp_path_factory.mktemp("many")
    first = stored(root, options=OPTIONS)
    document = json.loads((first / "run.json").read_text())
    document["status"] = "finished"
    document.pop("crc32", None)
    (first / "run.json").write_text(json.dumps(document))
    for number in range(MANY - 1):
        shutil.copytree(first, root / f"2020{number // 28 + 1:02}{number % 28 + 1:02}-080000-cpu")
    listing.list_runs(root)
    return root


@pytest.fixture
def many(read_once: Path, tmp_path: Path) -> Path:
    root = tmp_path / "results"
    shutil.copytree(read_once, root)  # with the times of the files
    assert (root / listing.INDEX).exists()
    return root


def test_what_is_kept_says_what_the_runs_say(many: Path) -> None:
    kept = listing.list_runs(many)
    (many / listing.INDEX).unlink()
    assert listing.list_runs(many) == kept
    assert len(kept.runs) == MANY


def test_nothing_is_read_twice(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "facts", None)
    assert len(listing.list_runs(many).runs) == MANY


def test_a_run_that_was_changed_is_read_again(many: Path) -> None:
    (one,) = (found for found in listing.list_runs(many).runs if found.name.startswith("20200105"))
    (one.path / "trials.jsonl").write_bytes(b"no json\n" * 7)
    document = json.loads((one.path / "run.json").read_text())
    document["host"]["hostname"] = "elsewhere"
    (one.path / "run.json").write_text(json.dumps(document))
    (again,) = (found for found in listing.list_runs(many).runs if found.path == one.path)
    assert (again.host, again.trials) == ("elsewhere", 7)
    shutil.rmtree(one.path)
    assert len(listing.list_runs(many).runs) == MANY - 1


@pytest.mark.parametrize("damage", ["{}", "no json", '{"runs": {"a": 1}}', "\x00" * 99])
def test_an_index_that_is_damaged_or_forged_is_none(many: Path, damage: str) -> None:
    said = listing.list_runs(many)
    (many / listing.INDEX).write_text(damage)
    assert listing.list_runs(many) == said
    text = (many / listing.INDEX).read_text()  # made again
    (many / listing.INDEX).write_text(text.replace('"trials": ', '"trials": 9', 1))
    assert listing.list_runs(many) == said


def test_a_small_folder_stays_as_it_is(tmp_path: Path) -> None:
    stored(tmp_path, options=OPTIONS)
    listing.list_runs(tmp_path)
    assert not (tmp_path / listing.INDEX).exists()


def test_the_newest_of_many_is_found_by_the_last_day_and_by_those_of_no_day(many: Path) -> None:
    (own,) = (one for one in listing.list_runs(many).runs if not one.name.startswith("2020"))
    assert runs.find(many, None).path == own.path
    other = many / "of-no-day"
    shutil.copytree(own.path, other)
    document = json.loads((other / "run.json").read_text())
    document["created"] = "2999-01-01T00:00:00+00:00"
    (other / "run.json").write_text(json.dumps(document))
    assert runs.find(many, None).path == other
