"""``bench claims`` and the commands that know its runs, without an engine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.claims.catalogue import CLAIMS
from tests import runs as sweeps
from tests.claimed import RESULTS, stored
from tests.command import NO_ENGINE, bench, one_line

pytestmark = pytest.mark.slow


def test_the_catalogue_is_told_without_an_engine(tmp_path: Path) -> None:
    env = {"BENCH_ENGINE_HOST": NO_ENGINE}
    text = bench("claims", "--list", cwd=tmp_path, COLUMNS="80", **env).stdout
    for one in CLAIMS:
        assert f"[{one.id}]" in text
    assert max(map(len, text.splitlines())) <= 80
    korean = bench("claims", "--list", "--lang", "ko", "shares", cwd=tmp_path, **env).stdout
    assert "제한한다" in korean
    assert "[pause-freezes]" not in korean
    told = json.loads(bench("claims", "--list", "--json", cwd=tmp_path, **env).stdout)
    assert [one["id"] for one in told] == [one.id for one in CLAIMS]
    assert told[0]["korean"]
    assert told[0]["expected"][0]["source"]


def test_a_claim_is_explained_in_full(tmp_path: Path) -> None:
    (pause,) = (one for one in CLAIMS if one.id == "pause-freezes")
    result = bench("claims", pause.id, "--explain", cwd=tmp_path, COLUMNS="200")
    assert result.returncode == 0
    for part in (pause.sentence, pause.korean, pause.story, pause.refuted_by, *pause.by_hand):
        assert " ".join(part.split()) in " ".join(result.stdout.split())
    assert pause.expected[0].source in " ".join(result.stdout.split())
    one_line(bench("claims", "--explain", cwd=tmp_path), 2, "needs an ID or a TOPIC")
    one_line(bench("claims", "cpu", "--list", "--explain", cwd=tmp_path), 2, "exclude")


def test_what_is_wrong_is_told_before_an_engine_is_started(tmp_path: Path) -> None:
    env = {"BENCH_ENGINE_DIR": str(tmp_path / "engine")}
    wrong = bench("claims", "pause-freeze", cwd=tmp_path, **env)
    one_line(wrong, 2, "Did you mean 'pause-freezes'?")
    one_line(bench("claims", "--against", "none", cwd=tmp_path, **env), 2, "no run 'none'")
    (tmp_path / "other.json").write_text("{}")
    wrong = bench("claims", "--against", "other.json", cwd=tmp_path, **env)
    one_line(wrong, 2, "is no result of claims", "bench claims --json")
    assert not (tmp_path / "engine").exists()
    wrong = bench("claims", "--engine-host", NO_ENGINE, cwd=tmp_path)
    one_line(wrong, 4, "/nonexistent/docker.sock")


def test_runs_show_and_report_know_it(tmp_path: Path) -> None:
    sweeps.stored(tmp_path / "results")
    path = stored(tmp_path / "results")
    assert "5 of 5    claims  fakehost" in bench("runs", cwd=tmp_path).stdout
    told = json.loads(bench("runs", "--json", cwd=tmp_path).stdout)
    of_claims = [(one["run"], one["claims"]) for one in told if one["sweep"] == "claims"]
    assert of_claims == [(path.name, 5)]
    assert "memory-binds" in bench("show", path.name, cwd=tmp_path).stdout
    told = json.loads(bench("show", "claims", "--json", cwd=tmp_path).stdout)
    assert told["verdict"] == "not as expected"
    said = bench("report", path.name, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "The textbook put to the test" in (path / "report.html").read_text()
    assert bench("report", path.name, "--format", "md", cwd=tmp_path).stdout.startswith(
        "### Claims"
    )
    assert bench("report", path.name, "--format", "csv", cwd=tmp_path).stdout.startswith("id,topic")
    public = bench("report", path.name, "--format", "json", "--anonymous", cwd=tmp_path).stdout
    assert "fakehost" not in public
    assert str(tmp_path) not in public


@pytest.mark.parametrize("command", [("export",), ("check",), ("baseline", "set")])
def test_whatever_needs_trials_refuses_it_in_one_line(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = stored(tmp_path / "results")
    words = "is a run of claims, which has no trials"
    one_line(bench(*command, path.name, cwd=tmp_path), 2, words)


def test_compare_tells_whose_verdict_changed(tmp_path: Path) -> None:
    root = tmp_path / "results"
    before = stored(root)
    after = stored(root, [replace(RESULTS[0], finding=RESULTS[2].finding), *RESULTS[1:]])
    result = bench("compare", before.name, after.name, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "1 claim changed, 4 are as before." in result.stdout
    assert bench("compare", before.name, after.name, "--strict", cwd=tmp_path).returncode == 1
    document = bench("show", before.name, "--json", cwd=tmp_path).stdout
    (tmp_path / "before.json").write_text(document)
    told = bench("compare", "before.json", after.name, "--json", "--markdown", "x.md", cwd=tmp_path)
    assert [one["change"] for one in json.loads(told.stdout)["claims"]] == [
        "changed",
        *["same"] * 4,
    ]
    assert (tmp_path / "x.md").read_text().startswith("### Claims: 1 claim changed")
    same = bench("compare", before.name, "before.json", "--strict", cwd=tmp_path)
    assert (same.returncode, "No claim changed" in same.stdout) == (0, True)


def test_compare_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    root = tmp_path / "results"
    path, sweep = stored(root), sweeps.stored(root)
    one_line(bench("compare", path.name, cwd=tmp_path), 2, "Name a second run")
    wrong = bench("compare", path.name, sweep.name, cwd=tmp_path)
    one_line(wrong, 2, "is a run of a sweep, not of claims")
    one_line(bench("compare", sweep.name, path.name, cwd=tmp_path), 2, "is a run of claims")
    wrong = bench("compare", path.name, path.name, "--allow", "kernel", cwd=tmp_path)
    one_line(wrong, 2, "--allow")
    wrong = bench("report", path.name, sweep.name, cwd=tmp_path)
    one_line(wrong, 2, "none of claims", "bench compare")
