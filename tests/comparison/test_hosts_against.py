"""Each host against a baseline: one that all share, or its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.comparison.digest import digest
from harness.comparison.hosts import beside
from harness.comparison.hosts_against import against
from harness.comparison.hosts_found import found
from harness.errors import ComparisonError
from harness.model import Change, Digest, Hosts
from harness.store import runs
from tests import fleets

pytestmark = pytest.mark.slow


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three hosts, the last with CPU that is off by a tenth and a runtime of its own."""
    results = fleets.folder(tmp_path, ["a", "b"])
    fleets.keep(results, fleets.off(1.1), "20260101-080009-cpu", "c", "1.2.4")
    return results


def compared(results: Path, name: str, load: Callable[[str], Digest], *allow: str) -> Hosts:
    return against(
        beside(found(results)), results, name, load=load, noise=lambda _: None, allow=allow
    )


def of(results: Path) -> Digest:
    run = runs.load(results / "20260101-080000-cpu")
    return digest(run.info, run.trials)


def test_a_baseline_that_all_share(results: Path) -> None:
    def load(name: str) -> Digest:
        assert name == "default"
        return of(results)

    hosts = compared(results, "default", load, "runtime")
    assert [row.change for row in hosts.rows] == [Change.SAME, Change.SAME, Change.REGRESSED]
    assert hosts.against == "default"
    without = compared(results, "default", load)
    assert without.rows[2].change is Change.INCOMPARABLE
    assert "runtime was runc" in without.rows[2].changed


def test_a_baseline_of_each_host_s_own(results: Path) -> None:
    def load(name: str) -> Digest:
        if name != "nightly-a":
            raise ComparisonError(f"no baseline '{name}'.")
        return of(results)

    rows = compared(results, "nightly-HOST", load).rows
    assert [row.change for row in rows] == [Change.SAME, Change.INCOMPARABLE, Change.INCOMPARABLE]
    assert rows[1].changed == "no baseline 'nightly-b'."
    with pytest.raises(ComparisonError):
        compared(results, "gone", load)
