"""The numbers of a load on files: rates, latencies, and nothing at all where it met an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.comparison.digest import digest
from harness.judge import io, laws, remarks
from harness.judge.metrics import METRICS
from harness.judge.run import judge
from harness.measure import protocol
from harness.model import ContainerRecord, Io, IoReport, Limits
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import runs
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, World
from tests.reports import REFUSED, io_line, io_message, io_report
from tests.runs import measured

OPTIONS = Options(values="volume:fsync", repeats=5)


def container(report: IoReport | None) -> ContainerRecord:
    return ContainerRecord(requested=Limits(), io=report)


def test_rates_are_those_of_the_window_and_latencies_those_told() -> None:
    one = container(io_report())
    assert io.ios_a_second(one) == 200
    assert io.bytes_a_second(one) == 200 * 4096
    assert io.latency_s(one, "p99") == 0.0013
    assert io.latency_s(one, "max") == 0.009
    assert io.errno(one) == 0
    assert io.unfinished_share(one) is None  # there was no rate that it could have missed
    paced = container(io_report(rate_hz=250, offered=250, unfinished=50))
    assert io.unfinished_share(paced) == 0.2


def test_files_with_nothing_in_them_have_a_rate_and_no_bytes() -> None:
    lives = container(io_report(operation="files", way="buffered", block_bytes=0, file_bytes=0,
                                bytes=0))  # fmt: skip
    assert io.ios_a_second(lives) == 200
    assert io.bytes_a_second(lives) is None


def test_what_met_an_error_has_no_rate_and_what_is_no_load_on_files_no_number() -> None:
    for report in (io_report(**REFUSED), io_report(refused="io", errno=28, errors=1)):
        refused = container(report)
        assert io.errno(refused) == report.errno
        assert io.ios_a_second(refused) is io.bytes_a_second(refused) is None
        assert io.latency_s(refused, "p99") is None
    spin = container(None)
    assert io.errno(spin) is io.ios_a_second(spin) is io.charged_bytes(spin) is None


@pytest.mark.parametrize(
    "changed",
    [{"refused": 7, "errno": "no number"}, {"offered": None}, {"latency_p50_ns": "soon"},
     {"bytes": 1 << 65}, {"mode": "burst"}, {"complete": False}],
    ids=str,
)  # fmt: skip
def test_a_report_that_makes_no_sense_is_garbled(changed: dict[str, object]) -> None:
    with pytest.raises(protocol.GarbledError):
        protocol.report(io_message(**changed), Io())


def test_a_run_keeps_them_and_a_comparison_knows_them(tmp_path: Path) -> None:
    run = measured(tmp_path, "storage", options=OPTIONS, world=World(says={"report": io_line()}))
    assert len(run.trials) == 5
    assert run.trials[0].containers[0].io == io_report()
    (judged,) = judge(run.info, run.trials)
    assert judged.verdicts == ()  # a disk promises nothing
    rate = judged.summary.estimate("io_rate")
    assert rate is not None
    assert rate.median == 200
    series = {one.metric for one in digest(run.info, run.trials).points[0].series}
    assert {"io_bytes_rate", "io_p99_s"} <= series
    assert "cpus" not in series  # which is nobody's promise there


def test_files_that_hold_nothing_are_compared_by_their_number(tmp_path: Path) -> None:
    files = io_line(operation="files", block_bytes=0, bytes=0)
    options = replace(OPTIONS, values="volume:files")
    run = measured(tmp_path, "storage", options=options, world=World(says={"report": files}))
    assert run.damage == ()
    series = {one.metric for one in digest(run.info, run.trials).points[0].series}
    assert {"file_rate", "io_p99_s"} <= series
    assert "io_bytes_rate" not in series


def test_nothing_is_None_in_what_is_kept_of_one_that_was_refused(tmp_path: Path) -> None:
    world = World(says={"report": io_line(**REFUSED)})
    run = measured(tmp_path, "storage", options=OPTIONS, world=world)
    assert run.damage == ()
    (note,) = [n for n in run.trials[0].warnings if n.code == "io-refused"]
    assert note.text == "the file could not be opened for fsync I/O: EINVAL (Invalid argument)"
    assert all(trial.invalid is None for trial in run.trials)
    assert runs.load(run.path).trials[0].containers[0].io == io_report(**REFUSED)


def test_what_could_not_be_made_or_failed_later_is_told_as_that() -> None:
    full = remarks._refusal(io_report(**{**REFUSED, "refused": "layout", "errno": 28}))
    assert "the file of 16.0 MiB could not be made: ENOSPC" in full.text
    later = remarks._refusal(io_report(refused="io", errno=5, errors=1, ios=3, bytes=3 * 4096))
    assert "after 3 I/Os a write failed: EIO" in later.text


def test_a_neighbour_makes_it_slower_and_not_wrong(tmp_path: Path) -> None:
    world = World(foreign_cpus=1.9, says={"report": io_line()})
    run = measured(tmp_path, "storage", options=OPTIONS, world=world)
    assert all(trial.invalid is None for trial in run.trials)
    codes = {note.code for trial in run.trials for note in trial.warnings}
    assert "disturbed" in codes
    cpu = measured(tmp_path, "cpu", options=replace(OPTIONS, values="0.5"),
                   world=World(foreign_cpus=1.9))  # fmt: skip
    assert any(trial.invalid for trial in cpu.trials)  # of a load that wants it


@pytest.mark.parametrize(
    "changed",
    [{"completed": 150}, {"bytes": 5}, {"t_end_ns": 1}, {"latency_p99_ns": 10**8},
     {"latency_histogram": [1, 2]}],
    ids=str,
)  # fmt: skip
def test_what_does_not_add_up_is_left_out(tmp_path: Path, changed: dict[str, object]) -> None:
    world = World(says={"report": io_line(**changed)})
    run = measured(tmp_path, "storage", options=replace(OPTIONS, repeats=1), world=world)
    assert run.trials == ()
    assert len(run.damage) == 1


def test_each_of_its_metrics_is_known() -> None:
    for name in ("io_bytes_rate", "io_rate", "io_p50_s", "io_p99_s", "io_max_s", "io_errno",
                 "io_unfinished_share", "io_charged_bytes"):  # fmt: skip
        assert name in METRICS
    (point,) = planning.build("storage", OPTIONS, cpus=CPUS).points
    assert laws.expectations(point, laws.Circumstances(engine=ENGINE_FACTS, host=HOST_FACTS)) == ()
