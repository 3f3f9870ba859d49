"""Runs of claims on disk: whole, told apart from runs of sweeps, and never silently wrong."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ResultsError
from harness.model import ClaimVerdict
from harness.store import claims, folder, listing, runs
from tests import runs as sweeps
from tests.claimed import HOLDS, RESULTS, TEXTS, result, stored


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    found = claims.load(stored(tmp_path))
    assert found.results == RESULTS
    assert found.info.claims == TEXTS
    assert (found.info.status, found.damage) == ("finished", ())
    assert found.info.name == found.path.name
    assert found.path.name.endswith("-claims")


def test_a_result_is_on_disk_before_the_next_and_of_two_the_last_counts(tmp_path: Path) -> None:
    path = stored(tmp_path, [result("swap-doubles", ClaimVerdict.INCONCLUSIVE)], status="")
    assert claims.load(path).info.status == "running"  # by this very process
    assert [one.finding.verdict for one in claims.load(path).results] == ["inconclusive"]
    path = stored(tmp_path, [*RESULTS, result("swap-doubles", HOLDS, topic="swap")])
    found = claims.load(path)
    assert [one.id for one in found.results] == [one.id for one in TEXTS]
    assert found.result("swap-doubles") == result("swap-doubles", HOLDS, topic="swap")


def test_a_line_that_was_changed_or_torn_is_left_out_and_told(tmp_path: Path) -> None:
    path = stored(tmp_path)
    file = path / folder.CLAIMS
    lines = file.read_bytes().splitlines(keepends=True)
    lines[0] = lines[0].replace(b"0.500 CPUs", b"0.501 CPUs")
    lines[1] = lines[1][:40] + b"\n"
    lines[2] = b"\xff{}\n"
    file.write_bytes(b"".join(lines))
    found = claims.load(path)
    assert found.results == RESULTS[3:]
    assert found.damage == tuple(
        f"line {n} of claims.jsonl is damaged and left out" for n in (1, 2, 3)
    )


def test_run_json_that_was_changed_is_told(tmp_path: Path) -> None:
    path = stored(tmp_path)
    file = path / "run.json"
    file.write_text(file.read_text().replace('"seed": 1', '"seed": 2'))
    assert claims.load(path).damage == (folder.CHANGED,)
    file.write_text(file.read_text().replace('"claims",', '"trees",', 1))
    with pytest.raises(ResultsError, match="no run of claims"):
        claims.load(path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = stored(tmp_path)
    document = json.loads((path / "run.json").read_text()) | {"schema": claims.SCHEMA + 1}
    (path / "run.json").write_text(json.dumps(document))
    with pytest.raises(ResultsError, match="Install a newer"):
        claims.load(path)


def test_the_two_kinds_of_runs_are_told_apart(tmp_path: Path) -> None:
    sweep = sweeps.stored(tmp_path, "cpu")
    of_claims = stored(tmp_path)
    os.utime(of_claims)
    assert [one.path for one in listing.list_runs(tmp_path).runs] == [sweep]
    assert listing.list_runs(tmp_path).unreadable == {}
    found, unreadable = claims.listed(tmp_path)
    assert ([one.path for one in found], unreadable) == ([of_claims], {})
    # What wants trials gets the newest that has any, and refuses the other by name.
    assert runs.find(tmp_path, None).path == sweep
    with pytest.raises(ResultsError, match="is a run of claims, which has no trials"):
        runs.find(tmp_path, of_claims.name)
    either = claims.find(tmp_path, of_claims.name[-8:])
    assert isinstance(either, claims.ClaimsRun)
    assert isinstance(claims.find(tmp_path, sweep.name), runs.Run)


def test_a_document_is_the_run(tmp_path: Path) -> None:
    run = claims.load(stored(tmp_path))
    file = tmp_path / "before.json"
    file.write_text(json.dumps(claims.documented(run)))
    read = claims.read_document(file)
    # Times in a document are rounded to a millisecond; these are.
    assert read.results == run.results
    assert read.info == replace(
        run.info,
        writer=None,
        claims=tuple(replace(one, refuted_by="", by_hand=(), story="") for one in TEXTS),
    )


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"kind": "claims", "results": [1]}', "[" * 100_000, '"\\ud800"'],
)
def test_another_document_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(ResultsError, match="is no result of claims") as refused:
        claims.read_document(file)
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(ResultsError, match="cannot read"):
        claims.read_document(tmp_path)


def test_without_names(tmp_path: Path) -> None:
    engine = replace(claims.load(stored(tmp_path)).info.engine, host="ssh://alice@box/run/d.sock")
    said = "the engine refused: /home/alice/x on box (tcp://10.1.2.3:2376)"
    path = stored(
        tmp_path, [result("cpus-bind", ClaimVerdict.INCONCLUSIVE, said=said, at="/srv/x")],
        engine=engine,
    )  # fmt: skip
    text = json.dumps(claims.documented(claims.anonymous(claims.load(path))))
    for secret in ("alice", "10.1.2.3", "/srv", "ssh:", claims.load(path).info.host.hostname):
        assert secret not in text
