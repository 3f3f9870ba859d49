"""A workload that says what the probe never would: each is an error of its trial, none of ours."""

from __future__ import annotations

import json

import pytest

from harness.measure import protocol
from harness.model import Spin

REPORT = {
    "probe": "report", "mode": "spin", "complete": True, "t_start_ns": 1, "t_end_ns": 2,
    "gap_threshold_ns": 5, "gap_edges_ns": [5], "gap_histogram": [], "gap_list": [],
    "threads": [],
}  # fmt: skip


def test_a_report_is_read() -> None:
    assert list(protocol.report(protocol.message(json.dumps(REPORT)), Spin())) == ["inside"]


@pytest.mark.parametrize("line", ["", "\0\xff", "[" * 100_000, "7", "null", '{"probe"'])
def test_what_is_no_object(line: str) -> None:
    with pytest.raises(protocol.GarbledError):
        protocol.message(line)


@pytest.mark.parametrize(
    "changed",
    [
        '"t_end_ns": 1e999',
        '"t_end_ns": NaN',
        '"t_end_ns": 1' + "0" * 400,
        '"t_end_ns": "1' + "0" * 5000 + '"',
        '"t_end_ns": -1' + "0" * 20,
        '"threads": 5',
        '"threads": [5]',
        '"gap_list": [[1]]',
        '"complete": false',
        '"mode": {"spin": 1}',
    ],
)
def test_what_is_no_report(changed: str) -> None:
    line = json.dumps(REPORT)[:-1] + f", {changed}}}"  # of a key that is there twice, the last
    with pytest.raises(protocol.GarbledError):
        protocol.report(protocol.message(line), Spin())
