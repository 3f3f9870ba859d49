"""The benchmark that follows the README's recipe: what it runs, and what it tells."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from benchmarks import commands, recipe
from harness.errors import MeasurementError, UsageError

HERE = Mock(host="unix:///nowhere.sock")


def bench(folder: Path, *codes: int) -> str:
    """A command that says what it was asked, and whose checks end with these codes in turn."""
    command = folder / "bench"
    command.write_text(
        f'#!/bin/sh\necho "$*" >> {folder}/asked\n'
        f'[ "$1" = check ] || exit 0\n'
        f"n=$(grep -c ^check {folder}/asked)\n"
        f"echo said $n\n"
        f"exit $(echo {' '.join(map(str, codes))} | cut -d' ' -f$n)\n"
    )
    command.chmod(0o755)
    return str(command)


def test_it_is_the_recipe_and_every_ending_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "BENCH", bench(tmp_path, 0, 3, 0, 4, 1, 0))
    said = recipe.report(HERE, checks=3)
    assert (tmp_path / "asked").read_text().splitlines() == [
        "sweep cpu --repeats 10", "baseline set", *["check"] * 6,
    ]  # fmt: skip
    idle, neighbour = said.splitlines()
    assert idle.startswith("idle: 3 checks: 2 green, 1 open; ")
    assert neighbour.startswith("neighbour: 3 checks: 1 refused, 1 red, 1 green; ")


def test_an_ending_that_no_check_has_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "BENCH", bench(tmp_path, 70))
    with pytest.raises(MeasurementError, match="`bench check`"):
        recipe.report(HERE, only="idle")
    with pytest.raises(UsageError, match="Known: idle, neighbour"):
        recipe.report(HERE, only="busy")
