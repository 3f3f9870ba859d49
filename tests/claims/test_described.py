"""docs/claims.md is what the catalogue says, and each verdict that surprises is explained."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from harness.claims import described
from harness.claims.catalogue import CLAIMS
from harness.model import ClaimVerdict
from harness.store import claims
from harness.store.claims import read_document
from tests.claimed import result, stored

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "docs" / "claims"
PAUSE = next(one for one in CLAIMS if one.id == "pause-freezes")


def test_the_page_is_made_of_the_catalogue() -> None:
    page = (ROOT / "docs" / "claims.md").read_text()
    assert page == described.page(RECORDED) + "\n", "run `make docs`"
    for one in CLAIMS:
        assert f"\n### {one.id}\n" in page


def test_each_recorded_verdict_that_surprises_is_explained_and_nothing_else_is() -> None:
    found = {path.stem: read_document(path) for path in RECORDED.glob("*.json")}
    file = RECORDED / "unexpected.toml"
    explained = tomllib.loads(file.read_text()) if file.exists() else {}
    odd = {(name, one.id) for name, one in described.surprises(found)}
    assert odd == {(name, one) for name, ids in explained.items() for one in ids}
    for run in found.values():
        assert run.info.host.hostname == "HOST"  # recorded with --anonymous


def recorded(root: Path, verdict: ClaimVerdict) -> claims.ClaimsRun:
    found = result(PAUSE.id, verdict, said="12 ns of CPU in 1 s while paused")
    return claims.load(stored(root, [found], [PAUSE.text]))


def test_recorded_runs_stand_side_by_side(tmp_path: Path) -> None:
    runs = {
        "old": recorded(tmp_path, ClaimVerdict.HOLDS),
        "new": recorded(tmp_path, ClaimVerdict.REFUTED),
    }
    # What it was recorded with does not matter: the catalogue may have learnt since.
    runs["old"] = replace(
        runs["old"], results=(replace(runs["old"].results[0], expected=ClaimVerdict.REFUTED),)
    )
    page = described.markdown(runs, {"new": {PAUSE.id: "A kernel of our own."}})
    assert "| claim | old | new |" in page
    assert f"(#{PAUSE.id}) | holds | **refuted** |" in page
    assert "12 ns of CPU in 1 s while paused. A kernel of our own." in page
    assert "Not explained yet." not in page
    assert "Not explained yet." in described.markdown(runs, {})
    assert [name for name, _ in described.surprises(runs)] == ["new"]
