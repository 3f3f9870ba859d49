"""`fleet-ID.json`, and what travels: read like any file from outside."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import BenchError, PlanError, ResultsError, UsageError
from harness.model import FleetHost, HostStatus, Order, Task
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import checks, fleets
from tests.fakes import CPUS

PLAN = planning.build("cpu", Options(values="0.5", repeats=2), cpus=CPUS)
TASK = Task(schema=1, fleet="20261125-101500-cpu", host="one", order=Order(plan=PLAN))


def begun(root: Path, *hosts: str) -> fleets.FleetWriter:
    return fleets.create(
        root, Order(plan=PLAN), hosts, command="bench fleet sweep cpu",
        scheduler="tcp://127.0.0.1:8786",
    )  # fmt: skip


def test_what_is_written_is_read_and_has_the_agreed_names(tmp_path: Path) -> None:
    writer = begun(tmp_path, "one", "two")
    writer.note(FleetHost(name="one", status=HostStatus.FINISHED, run="run-one", attempts=1))
    writer.close(ended=False)
    found = fleets.load(fleets.find(tmp_path, None))
    assert found == writer.fleet
    document = json.loads(fleets.find(tmp_path, writer.fleet.id).read_text())
    assert document["schema"] == 1
    assert {"id", "command", "plan_digest", "started", "hosts"} <= document.keys()
    assert document["hosts"][0] == {
        "name": "one", "status": "finished", "run": "run-one", "reason": "", "attempts": 1
    }  # fmt: skip


def test_two_fleets_of_one_second_have_two_names(tmp_path: Path) -> None:
    assert len({begun(tmp_path, "one").fleet.id for _ in range(3)}) == 3


def test_gone_on_with_is_what_is_open_and_what_has_no_run_any_more(tmp_path: Path) -> None:
    writer = begun(tmp_path, "done", "lost", "failed", "away")
    (tmp_path / "run-done").mkdir()
    for name, status, run in (
        ("done", HostStatus.FINISHED, "run-done"), ("lost", HostStatus.FINISHED, "run-lost"),
        ("failed", HostStatus.FAILED, None), ("away", HostStatus.UNREACHABLE, None),
    ):  # fmt: skip
        writer.note(FleetHost(name=name, status=status, run=run, reason="why"))
    with pytest.raises(UsageError, match="still collected, by process"):
        fleets.reopen(tmp_path, writer.fleet)
    writer.close(ended=False)
    again = fleets.reopen(tmp_path, writer.fleet)
    told = {host.name: host.status.value for host in again.fleet.hosts}
    assert told == {"done": "finished", "lost": "waiting", "failed": "waiting", "away": "waiting"}


def test_a_fleet_that_has_ended_is_found_by_name_alone(tmp_path: Path) -> None:
    writer = begun(tmp_path, "one")
    writer.close(ended=True)
    with pytest.raises(ResultsError, match="unfinished"):
        fleets.find(tmp_path, None)
    assert fleets.find(tmp_path, writer.fleet.id).exists()
    with pytest.raises(ResultsError, match=f"There are: {writer.fleet.id}"):
        fleets.find(tmp_path, "20261125-101500-cpu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(schema=2), "Install a newer"),
        (lambda d: d.pop("schema"), "names no schema"),
        (lambda d: d.pop("hosts"), "damaged at hosts"),
        (lambda d: d["hosts"][0].update(status="gone"), "damaged at hosts.0.status"),
        (lambda d: d["order"]["plan"].update(points=[]), "no points"),
        (lambda d: d["order"]["plan"].update(cadence_hz=0), "samples a second"),
    ],
)
def test_a_file_that_makes_no_sense(
    tmp_path: Path, change: Callable[[Any], object], words: str
) -> None:
    writer = begun(tmp_path, "one")
    writer.close(ended=False)
    path = fleets.find(tmp_path, None)
    document = json.loads(path.read_text())
    del document["crc32"]
    change(document)
    path.write_bytes(checks.stamped(json.dumps(document).encode()))
    with pytest.raises(ResultsError, match=words):
        fleets.load(path)
    path.write_bytes(path.read_bytes().replace(b'"one"', b'"two"'))
    with pytest.raises(ResultsError):
        fleets.load(path)


def test_a_task_is_read_as_it_was_sent() -> None:
    assert fleets.read_task(fleets.task_text(TASK)) == TASK
    claims = replace(TASK, order=Order(claims=("memory",), seed=3))
    assert fleets.read_task(fleets.task_text(claims)) == claims


@pytest.mark.parametrize(
    "task",
    [
        replace(TASK, schema=2),
        replace(TASK, fleet="../../etc"),
        replace(TASK, host=".."),
        replace(TASK, host="a/b"),
        replace(TASK, order=Order(plan=replace(PLAN, points=()))),
        replace(TASK, order=Order(plan=replace(PLAN, points=PLAN.points * 2))),
        replace(TASK, order=Order(plan=replace(PLAN, repeats=0))),
        replace(TASK, order=Order(plan=replace(PLAN, cadence_hz=float("inf")))),
    ],
)
def test_a_task_that_cannot_be_carried_out_is_refused(task: Task) -> None:
    with pytest.raises(PlanError):
        fleets.read_task(fleets._task.dump_json(task))


@pytest.mark.parametrize("text", [b"", b"[]", b"\x80", b"{}", b'{"schema": 1}', b"[" * 100_000])
def test_bytes_that_are_no_task_or_reply_are_told_in_a_line(text: bytes) -> None:
    for read in (fleets.read_task, fleets.read_reply):
        with pytest.raises(BenchError) as refused:
            read(text)
        assert "\n" not in str(refused.value)


def test_the_newest_fleet_comes_first_and_what_is_none_is_told(tmp_path: Path) -> None:
    assert fleets.listing(tmp_path / "nowhere") == fleets.Listing()
    for _ in range(2):
        begun(tmp_path, "one").close(ended=True)
    (tmp_path / "fleet-a.json").write_text("[" * 100_000)
    (tmp_path / "fleet-b.json").mkdir()
    (tmp_path / "fleet-c.json").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fleet-d.json")
    (tmp_path / "fleet-e.json").write_bytes(b"\xff\xfe")
    found = fleets.listing(tmp_path)
    assert len(found.fleets) == 2
    assert found.fleets[0].started >= found.fleets[1].started
    assert sorted(found.unreadable) == [f"fleet-{one}.json" for one in "abcde"]
