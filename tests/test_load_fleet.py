"""``harness.load_fleet``: hosts side by side as frames."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from harness.errors import ResultsError
from tests import fleets


@pytest.mark.slow
def test_its_frames_are_tidy_and_typed(tmp_path: Path) -> None:
    results = fleets.folder(
        tmp_path, ["a", "b", "c", "d", "e"], runtimes=["1.1.5", "1.1.5", "1.1.5", "1.1.5", "1.2.4"]
    )
    fleets.roll(results, hosts=[{"name": "z", "status": "failed", "reason": "gone"}])
    found = harness.load_fleet(results)
    hosts = found.hosts.set_index("host")
    assert list(hosts.index) == ["a", "b", "c", "d", "e", "z"]
    assert hosts.loc["z", "standing"] == "failed"
    assert hosts["created"].isna().to_dict()["z"]
    assert found.hosts["created"].dtype == "datetime64[s, UTC]"
    assert hosts.loc["e", "runtime"] == "runc 1.2.4"
    assert hosts.loc["z", "runtime"] == ""
    levels = found.levels
    assert set(levels[levels["metric"] == "cpus"]["host"]) == {"a", "b", "c", "d", "e"}
    assert levels["median"].dtype == "float64"
    assert not levels["apart"].any()
    assert found.shared.empty
    assert found.shared["among"].dtype == "int64"
    assert found.by("runtime").loc["runc 1.2.4"].sum() == 1
    assert "6 hosts" in repr(found)
    only = harness.load_fleet(results, metric="cpus").levels
    assert set(only["metric"]) == {"cpus"}


def test_a_folder_without_hosts(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no run of any host"):
        harness.load_fleet(tmp_path)
    with pytest.raises(ResultsError, match="there is no folder"):
        harness.load_fleet(tmp_path / "nowhere")
