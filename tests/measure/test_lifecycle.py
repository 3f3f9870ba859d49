"""A trial of the engine's commands, on an engine that is not there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EngineRefusedError
from harness.judge import points
from harness.judge.lifecycle import COMMANDS
from harness.measure import lifecycle, runner
from harness.measure.lifecycle import LifecycleTrial
from harness.model import EngineFacts, Lifecycle, Outcome, Plan, TrialRecord
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS


@dataclass
class FakeBox:
    """A container that does whatever it is told at once."""

    engine: FakeCommands
    words: tuple[str, ...]
    host_config: dict[str, Any]
    id: str = "f" * 64
    pid: int = 1 << 22
    starts: int = 0

    def start(self) -> FakeBox:
        self.engine.does("start")
        self.starts += 1
        return self

    def await_line(self, text: str, timeout_s: float) -> None:
        assert text in self.logs()

    def logs(self) -> str:
        return ("ready\nheeding\n" if self.engine.gets_ready else "") * self.starts

    def execute(self, *words: str) -> None:
        self.engine.does("exec")

    def top(self) -> None:
        self.engine.does("top")

    def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        self.engine.does("copy")

    def rename(self, name: str) -> None:
        self.engine.does("rename")

    def commit(self, name: str) -> str:
        self.engine.does("commit")
        return "sha256:c"

    def pause(self) -> None:
        self.engine.does("pause")

    def unpause(self) -> None:
        self.engine.does("unpause")

    def update(self, **limits: Any) -> None:
        self.engine.does(f"update {' '.join(limits)}")

    def restart(self) -> None:
        self.engine.does("restart")
        self.starts += 1

    def kill(self) -> None:
        self.engine.does("kill")

    def wait(self, timeout_s: float) -> None:
        pass

    def stop(self, grace_s: int) -> float:
        self.engine.does(f"stop {grace_s}")
        return 0.0

    def remove(self) -> None:
        self.engine.does("remove")


@dataclass
class FakeCommands:
    refuses: str = ""
    gets_ready: bool = True
    done: list[str] = field(default_factory=list)
    closed: int = 0
    facts: EngineFacts = ENGINE_FACTS
    hand: str = "sha256:hand"
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def does(self, what: str) -> None:
        if what.partition(" ")[0] == self.refuses:
            raise EngineRefusedError(f"the engine refused to {what} a container: it cannot.")
        self.done.append(what)

    def name(self) -> str:
        return f"name-{next(self.numbers)}"

    def tag(self) -> str:
        return f"limitbench-claims:{next(self.numbers)}"

    def volume(self) -> str:
        raise AssertionError("a lifecycle has no data")

    def folder(self) -> Path:
        raise AssertionError("a lifecycle has no data")

    def create(self, *words: str, **host: Any) -> FakeBox:
        self.does("create")
        return FakeBox(self, words, {"Memory": host.get("mem_limit") or 0})

    def close(self) -> None:
        self.closed += 1


def plan(values: str) -> Plan:
    options = Options(values=values, repeats=1)
    return planning.build("lifecycle", options, cpus=CPUS)


def tried(lab: FakeCommands, values: str = "free") -> TrialRecord:
    made = plan(values)
    record, samples = LifecycleTrial(made, made.trials[0], lab).execute(lambda phase: None)
    assert samples == ()
    assert lab.closed == 1
    return record


def test_each_command_is_timed_and_all_goes() -> None:
    lab = FakeCommands()
    record = tried(lab)
    assert record.outcome is Outcome.COMPLETED
    timed = dict(record.containers[0].metrics)
    # What only a kernel's counters show is not there, and nothing stands for it.
    unseen = {f"{name}_s" for name in COMMANDS if name.startswith("update_")}
    assert {f"{name}_s" for name in COMMANDS} - set(timed) == unseen
    assert [note.code for note in record.warnings] == ["not-held"] * 4
    assert not {"paused_cpus", "updated_cpus"} & set(timed)
    assert f"stop {Lifecycle.GRACE_S}" in lab.done
    assert set(record.phases_s) == {"create", "start", "ready", "remove"}


def test_what_the_engine_refuses_is_told_and_the_rest_goes_on() -> None:
    record = tried(FakeCommands(refuses="pause"))
    assert record.outcome is Outcome.COMPLETED
    timed = dict(record.containers[0].metrics)
    assert not {"pause_s", "unpause_s", "paused_cpus"} & set(timed)
    assert "kill_s" in timed
    assert record.warnings[0].code == "refused"
    assert "pause a container" in record.warnings[0].text


def test_one_that_is_not_created_was_not_started() -> None:
    record = tried(FakeCommands(refuses="create"))
    assert record.outcome is Outcome.NOT_STARTED
    assert "refused to create" in str(record.failure)


def test_one_that_gets_not_ready_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "READY_S", 0.05)
    record = tried(FakeCommands(gets_ready=False))
    assert record.outcome is Outcome.TIMED_OUT
    assert not points.counts(record)


def test_a_full_host_is_a_load_beside_it() -> None:
    (point,) = plan("busy").points
    assert [spec.workload.name for spec in point.containers] == ["lifecycle", "spin"]
    lab = FakeCommands()
    tried(lab, "busy")
    assert lab.done[:2] == ["create", "start"]  # the load's, before anything is timed
    assert lab.done.count("create") == 3


def test_the_runner_has_it_done_by_the_engines_laboratory() -> None:
    lab, made = FakeCommands(), plan("free,memory=16m")
    kept: list[TrialRecord] = []
    engine: Any = type("Engine", (), {"laboratory": lambda *_, **__: lab})()
    where = replace(
        runner.real_surroundings(engine, ENGINE_FACTS, HOST_FACTS), engine_facts=ENGINE_FACTS
    )
    runner.run_plan(made, "run", where, lambda record, _: kept.append(record), runner.Listener())
    assert [record.point_id for record in kept] == [trial.point_id for trial in made.trials]
    assert all(record.invalid is None for record in kept)
