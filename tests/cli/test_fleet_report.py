"""``bench fleet report`` from outside: what it says, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import fleets
from tests.cli.conftest import Bench
from tests.command import one_line


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run of five hosts, and one that never came."""
    root = tmp_path_factory.mktemp("fleet")
    results = fleets.folder(root, ["a", "b", "c", "d", "e"])
    fleets.roll(results, hosts=[{"name": "z", "status": "unreachable", "reason": "no answer"}])
    return root


@pytest.mark.slow
def test_it_writes_every_form(bench: Bench, five: Path) -> None:
    done = bench("fleet", "report", "--html", "f.html", "--markdown", "f.md", cwd=five)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("6 hosts: 1 unreachable, 5 conform.")
    assert "no answer" in done.stdout
    assert (five / "f.html").read_text().startswith("<!DOCTYPE html>")
    assert "| z | ! unreachable | no answer |" in (five / "f.md").read_text()
    told = json.loads(bench("fleet", "report", "--json", "--anonymous", cwd=five).stdout)
    assert [one["host"] for one in told["hosts"]] == [f"host-{i}" for i in range(1, 7)]


def test_only_strict_answers_by_its_exit_code(bench: Bench, five: Path) -> None:
    assert bench("fleet", "report", "--metric", "cpus", cwd=five).returncode == 0
    assert bench("fleet", "report", "--metric", "cpus", "--strict", cwd=five).returncode == 3


def test_what_cannot_be_told_is_refused_in_a_line(bench: Bench, five: Path, tmp_path: Path) -> None:
    def refused(*args: str, cwd: Path, words: tuple[str, ...]) -> None:
        one_line(bench("fleet", "report", *args, cwd=cwd), 2, *words)

    refused(cwd=tmp_path, words=("there is no folder results",))
    (tmp_path / "results").mkdir()
    refused(cwd=tmp_path, words=("no run of any host in results", "bench sweep cpu"))
    refused("x", cwd=five, words=("no fleet 'x'", "20260102-080000-cpu"))
    refused("--metric", "cpu", cwd=five, words=("no metric 'cpu'", "cpus"))
    refused("--sweep", "cpux", cwd=tmp_path, words=("unknown axis 'cpux'", "cpu"))
