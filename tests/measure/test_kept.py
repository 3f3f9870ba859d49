"""What is left of a file when its container is removed, on an engine that is not there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EngineRefusedError
from harness.judge import points
from harness.judge.laws.kept import STAYS
from harness.judge.verdicts import judge
from harness.measure.kept import KeptTrial
from harness.model import EngineFacts, Outcome, Plan, Status, TrialRecord
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS


@dataclass
class Box:
    """A container that writes or reads when it is started."""

    engine: Engine
    words: tuple[str, ...]
    host_config: dict[str, Any]
    own: dict[str, str] = field(default_factory=dict)
    id: str = "f" * 64
    pid: int = 0
    said: str = ""

    def _files(self, path: str) -> dict[str, str]:
        """Where a path of it lies: a bind outlives it, all else is its own."""
        for bind in self.host_config.get("binds", ()):
            source, target = bind.split(":")
            if path.startswith(target):
                return self.engine.stays.setdefault(source, {})
        return self.engine.layers if self.engine.keeps_layers else self.own

    def start(self) -> Box:
        if self.engine.refuses:
            raise EngineRefusedError("the engine refused to start a container: it cannot.")
        for verb, path, *text in _parted(self.words):
            if verb == "write":
                self._files(path)[path] = text[0]
            else:
                self.said += self._files(path).get(path, "")
        return self

    def wait(self, timeout_s: float) -> None:
        pass

    def logs(self) -> str:
        return self.said

    def remove(self) -> None:
        if self.engine.takes_all:
            self.engine.stays.clear()

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not asked of it")


def _parted(words: tuple[str, ...]) -> Iterator[list[str]]:
    for between, part in itertools.groupby(words, lambda word: word == "+"):
        if not between:
            yield list(part)


@dataclass
class Engine:
    """Its commands; ``takes_all`` and ``keeps_layers`` are what a wrong product would do."""

    refuses: bool = False
    takes_all: bool = False
    keeps_layers: bool = False
    stays: dict[str, dict[str, str]] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    facts: EngineFacts = ENGINE_FACTS
    hand: str = "sha256:hand"
    closed: int = 0
    asked: list[Mapping[str, Any]] = field(default_factory=list)

    def name(self) -> str:
        return "name"

    def tag(self) -> str:
        return "tag"

    def volume(self) -> str:
        return "a-volume"

    def folder(self) -> Path:
        return Path("/a-folder")

    def create(self, *words: str, **host: Any) -> Box:
        self.asked.append(host)
        return Box(self, words, host)

    def close(self) -> None:
        self.closed += 1


def planned(place: str) -> Plan:
    return planning.build("storage", Options(values=f"{place}:rm", repeats=1), cpus=CPUS)


def tried(place: str, engine: Engine) -> TrialRecord:
    plan = planned(place)
    record, samples = KeptTrial(plan, plan.trials[0], engine).execute(lambda _: None)
    assert samples == ()
    assert engine.closed == 1
    return record


def status(place: str, engine: Engine) -> Status:
    plan = planned(place)
    (summary,) = points.summarise(plan, [tried(place, engine)] * 5, ENGINE_FACTS, HOST_FACTS)
    (result,) = summary.results
    return judge(summary, result, ()).status


@pytest.mark.parametrize("place", STAYS)
def test_what_outlives_its_container_is_found_by_the_next(place: str) -> None:
    record = tried(place, engine := Engine())
    assert record.outcome is Outcome.COMPLETED
    assert dict(record.containers[0].metrics) == {"file_kept": float(place in ("volume", "bind"))}
    assert status(place, Engine()) is Status.CONFORMS
    assert engine.asked[0] == engine.asked[1]  # the same place


@pytest.mark.parametrize(("place", "wrong"), [
    ("volume", Engine(takes_all=True)), ("bind", Engine(takes_all=True)),
    ("layer", Engine(keeps_layers=True)), ("tmpfs", Engine(keeps_layers=True)),
    ("shm", Engine(keeps_layers=True)),
])  # fmt: skip
def test_an_engine_that_takes_what_should_stay_or_keeps_what_should_not_deviates(
    place: str, wrong: Engine
) -> None:
    assert status(place, wrong) is Status.DEVIATES


def test_what_the_engine_refuses_is_told_and_cleaned_up() -> None:
    record = tried("volume", Engine(refuses=True))
    assert record.outcome is Outcome.NOT_STARTED
    assert record.failure == "the engine refused to start a container: it cannot"
    assert record.containers[0].metrics == ()
