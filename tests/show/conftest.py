"""Two runs that every form of the report must show: one of every verdict, and one that attacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness.model import Note, Outcome, TrialRecord
from harness.store.runs import Run
from tests import chromium
from tests.runs import HOSTILE, altered, measured, scattered


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of every verdict one: conforms, deviates, inconclusive."""
    made = measured(tmp_path_factory.mktemp("run"))
    return scattered(made, {"cpus=0.5": 1.05, "cpus=1.5": 1.01}, sigma=0.001)


@pytest.fixture(scope="module")
def hostile(run: Run) -> Run:
    """Everything that comes from outside is an attack."""
    info = run.info
    info = replace(
        info, reason=HOSTILE, status="failed",
        host=replace(info.host, hostname=HOSTILE, os=HOSTILE, cpu_model=HOSTILE, kernel=HOSTILE),
        engine=replace(info.engine, name=HOSTILE, version=HOSTILE, runtime=HOSTILE,
                       warnings=(HOSTILE,)),
        plan=replace(info.plan, command=f"bench sweep cpu {HOSTILE}"),
    )  # fmt: skip

    def alter(trial: TrialRecord) -> TrialRecord:
        note = Note(code="x", text=HOSTILE, remedy=HOSTILE)
        if trial.block == 0:
            return replace(trial, outcome=Outcome.FAILED, failure=HOSTILE)
        return replace(trial, warnings=(note,), invalid=HOSTILE if trial.block == 1 else None)

    return altered(replace(run, info=info).holding(run.trials, (HOSTILE,)), alter)


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Chromium]:
    """The browser that a module's pages are looked at in."""
    program = chromium.find()
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(chromium.NAMES)} is on PATH")
    with chromium.Chromium(program) as started:
        yield started
