"""Runs that are damaged in any way are refused in one line, or shown without what is damaged."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import BenchError
from harness.show.report import view
from harness.store import runs
from tests.mutations import SOURCES, numbers, outcome


@pytest.mark.slow
def test_no_damage_ends_in_an_exception_of_ours(tmp_path: Path) -> None:
    kinds: Counter[str] = Counter()
    for number in range(60):
        kind, said = outcome(number, tmp_path)
        assert kind in ("result", "refused"), f"{number}: {said}\n{kind}"
        kinds[kind] += 1
    assert min(kinds["result"], kinds["refused"]) > 5, kinds


def once_each(text: str, seen: set[str]) -> Iterator[tuple[str, int]]:
    """The kinds of numbers in a JSON text that no earlier one had, and which of its they are."""
    for at, (kind, _, _) in enumerate(numbers(json.loads(text))):
        if kind not in seen:
            seen.add(kind)
            yield kind, at


@pytest.mark.slow
@pytest.mark.parametrize("value", [0, 2**62])
@pytest.mark.parametrize("file", ["run.json", "trials.jsonl"])
def test_every_number_of_a_run_may_be_the_least_or_the_largest(
    file: str, value: int, tmp_path: Path
) -> None:
    seen: set[str] = set()
    told = 0
    for source in SOURCES:
        folder = tmp_path / source.name
        shutil.copytree(source, folder)
        text = (source / file).read_text()
        lines = text.splitlines()[:5]
        first, rest = (text, "") if file == "run.json" else (lines[0], "\n".join(lines[1:]))
        for kind, at in once_each(first, seen):
            document = json.loads(first)
            document.pop("crc32", None)  # it says what it is meant to
            _, where, key = list(numbers(document))[at]
            where[key] = value
            (folder / file).write_text(f"{json.dumps(document)}\n{rest}")
            try:
                run = runs.load(folder)
                view.build(run)
                told += bool(run.damage)
            except BenchError:
                told += 1
            except Exception as error:  # noqa: BLE001 - what is looked for
                pytest.fail(f"{source.name}: {kind} = {value}: {error!r}")
    assert 0 < told < len(seen)
