"""The diff of semantics: what counts as changed, and what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.comparison.claims import compare
from harness.model import ClaimVerdict
from harness.store import claims
from tests.claimed import HOLDS, REFUTED, RESULTS, TEXTS, loaded, result, stored, text
from tests.fakes import ENGINE_FACTS


def kinds(root: Path, before: claims.ClaimsRun, after: claims.ClaimsRun) -> dict[str, str]:
    return {one.id: one.kind for one in compare(before, after).changes}


def test_each_kind_of_change(tmp_path: Path) -> None:
    before = loaded(tmp_path)
    after = claims.load(stored(
        tmp_path,
        [
            result("cpus-bind", REFUTED),
            result("shares-cap", REFUTED, topic="shares"),
            result("memory-binds", ClaimVerdict.NOT_EXERCISABLE, topic="memory"),
            result("swap-doubles", HOLDS, topic="swap"),
            result("tmpfs-gone", HOLDS, topic="tmpfs"),
        ],
        [*TEXTS[:4], text("tmpfs-gone", "tmpfs")],
    ))  # fmt: skip
    assert kinds(tmp_path, before, after) == {
        "cpus-bind": "changed",
        "shares-cap": "same",
        "memory-binds": "open",
        "swap-doubles": "open",
        "tmpfs-gone": "appeared",
        "ports-open": "vanished",
    }


def test_what_was_not_asked_for_or_not_reached_has_not_vanished(tmp_path: Path) -> None:
    before = loaded(tmp_path)
    part = claims.load(stored(tmp_path, RESULTS[:1], TEXTS[:1]))
    assert kinds(tmp_path, before, part) == {"cpus-bind": "same"}
    cut = claims.load(stored(tmp_path, RESULTS[:1], status="interrupted"))
    assert kinds(tmp_path, before, cut) == {"cpus-bind": "same"}


def test_engines_and_kernels_are_named_where_they_differ(tmp_path: Path) -> None:
    newer = replace(ENGINE_FACTS, version="28.0.1", cgroup_version=2, kernel="6.12.0")
    found = compare(loaded(tmp_path), claims.load(stored(tmp_path, engine=newer)))
    assert [name for name, _, _ in found.differences] == ["engine", "cgroup", "kernel"]
    assert found.differences[0] == ("engine", "Docker 20.10.24", "Docker 28.0.1")
    assert {one.kind for one in found.changes} == {"same"}
