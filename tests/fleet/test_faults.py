"""Whatever dies on the way: what was measured is kept, and nothing is measured twice.

Real schedulers, workers and connections; the engine behind `bench` is a fake.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.fleet import reach
from harness.measure import runner
from harness.model import HostStatus, RunInfo, TrialRecord
from harness.store import fleets, runs
from harness.store.runs import Run
from tests.fakes import ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World
from tests.fleet.places import PATIENCE_S, SHORT, Place, place, plan, until

pytestmark = pytest.mark.slow


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as made:
        yield made


def stored(here: Place, run: str | None) -> Run:
    assert run is not None
    return runs.load(here.results / run)


def in_background(here: Place, *hosts: str) -> tuple[threading.Thread, dict[str, object]]:
    said: dict[str, object] = {}
    thread = threading.Thread(target=lambda: said.update(here.collected(*hosts)))
    thread.start()
    return thread, said


def is_whole(run: Run) -> bool:
    trials = sorted(trial.index for trial in run.trials)
    return run.info.status == "finished" and trials == [t.index for t in run.info.plan.trials]


def but_for_times(trials: tuple[TrialRecord, ...]) -> list[TrialRecord]:
    return [replace(trial, started_at="", phases_s={}) for trial in trials]


def timeless(info: RunInfo) -> RunInfo:
    return replace(info, name="", created="", ended="", writer=None)


def test_a_fleet_of_one_measures_what_a_sweep_does(here: Place) -> None:
    here.worker("one")
    host = here.collected("one")["one"]
    assert (host.status, host.attempts) == (HostStatus.FINISHED, 1)
    found = stored(here, host.run)
    itself = runs.create(
        here.folder / "itself", plan(), host=replace(HOST_FACTS, hostname="one"),
        engine=ENGINE_FACTS, workload=WORKLOAD_FACTS,
    )  # fmt: skip
    runner.run_plan(
        plan(), itself.info.name, World().surroundings(), itself.keep, runner.Listener()
    )
    itself.finish("finished")
    alone = runs.load(itself.path)
    assert but_for_times(found.trials) == but_for_times(alone.trials)
    assert found.samples().equals(alone.samples())
    assert found.damage == ()
    assert timeless(found.info) == timeless(alone.info)
    beside = fleets.beside(found.path)
    assert beside is not None
    assert (beside.host, beside.attempts) == ("one", 1)
    assert 0 < beside.worker_cpu_s < beside.elapsed_s


def test_a_worker_that_is_killed_amid_a_trial_costs_that_trial_alone(here: Place) -> None:
    (here.faults / "held").write_text("2")
    here.worker("one")
    thread, said = in_background(here, "one")
    until(lambda: len(here.measured("one")) == 2, "two trials")
    here.end("worker-one", signal.SIGKILL)
    here.worker("one")
    until(lambda: here.said("worker-one").count("is there for") == 2, "another worker")
    (here.faults / "held").unlink()
    thread.join()
    (host,) = fleets.load(next(here.results.glob("fleet-*.json"))).hosts
    assert (host.status, host.attempts) == (HostStatus.FINISHED, 2)
    run = stored(here, host.run)
    assert is_whole(run)
    assert len(run.info.gaps) == 1
    measured = here.measured("one")
    assert len(measured) == len(set(measured))
    assert said


def test_an_engine_that_is_away_for_a_while_is_asked_again(here: Place) -> None:
    (here.faults / "gone").touch()
    here.worker("one")
    thread, _ = in_background(here, "one")
    until(lambda: list((here.folder / "one").glob("*/said.log")), "a first attempt")
    until(lambda: "no engine" in next((here.folder / "one").glob("*/said.log")).read_text(), "it")
    (here.faults / "gone").unlink()
    thread.join()
    (host,) = fleets.load(next(here.results.glob("fleet-*.json"))).hosts
    assert host.status is HostStatus.FINISHED
    assert host.attempts > 1
    assert is_whole(stored(here, host.run))


def test_an_engine_that_stays_away_is_told_and_no_longer_asked(here: Place) -> None:
    (here.faults / "gone").touch()
    here.worker("one")
    host = here.collected("one")["one"]
    assert (host.status, host.run) == (HostStatus.FAILED, None)
    assert host.reason == "no engine answers. Start one."


def test_a_scheduler_that_is_started_anew_costs_nothing(here: Place) -> None:
    (here.faults / "held").write_text("1")
    here.worker("one")
    thread, _ = in_background(here, "one")
    until(lambda: here.measured("one"), "a trial")
    here.end("scheduler", signal.SIGKILL)
    here.scheduler()
    (here.faults / "held").unlink()
    thread.join()
    (host,) = fleets.load(next(here.results.glob("fleet-*.json"))).hosts
    # It measured on meanwhile: begun once, and never gone on with.
    assert (host.status, host.attempts) == (HostStatus.FINISHED, 1)
    run = stored(here, host.run)
    assert is_whole(run)
    assert run.info.gaps == ()


def test_a_controller_that_is_killed_leaves_what_resume_collects(here: Place) -> None:
    (here.faults / "held").write_text("1")
    here.worker("one")
    sweep = here.bench(
        "fleet", "sweep", "cpu", "--values", "0.5", "--repeats", "4", "--duration", "0.5",
        "--scheduler", here.address, "--results", str(here.results),
    )  # fmt: skip
    until(lambda: here.measured("one"), "a trial")
    refused = here.bench("fleet", "resume", "--scheduler", here.address,
                         "--results", str(here.results))  # fmt: skip
    assert refused.wait(PATIENCE_S) == 2
    assert "is still collected" in here.said("bench-3")
    sweep.kill()
    sweep.wait()
    (here.faults / "held").unlink()
    resumed = here.bench("fleet", "resume", "--scheduler", here.address,
                         "--results", str(here.results))  # fmt: skip
    assert resumed.wait(PATIENCE_S) == 0
    (host,) = fleets.load(next(here.results.glob("fleet-*.json"))).hosts
    assert (host.status, host.attempts) == (HostStatus.FINISHED, 1)
    assert here.measured("one") == list(range(4))
    assert is_whole(stored(here, host.run))


def test_a_host_that_never_joins_is_told_and_keeps_nobody_waiting(here: Place) -> None:
    here.worker("one")
    began_s = time.monotonic()
    found = here.collected("one", "never", wait_s=6.0)
    assert found["one"].status is HostStatus.FINISHED
    assert found["never"].status is HostStatus.UNREACHABLE
    assert found["never"].reason == "no worker for 6 s"
    assert time.monotonic() - began_s >= 6.0


def test_two_controllers_have_a_host_one_after_the_other(here: Place) -> None:
    here.worker("one")

    async def both() -> None:
        writers = [here.begun("one", plan=plan(replace(SHORT, seed=seed))) for seed in (1, 2)]
        await asyncio.gather(*map(here.collect, writers))

    with reach.quiet():
        asyncio.run(both())
    found = [fleets.load(path).hosts[0] for path in here.results.glob("fleet-*.json")]
    assert [host.status for host in found] == [HostStatus.FINISHED] * 2
    spans = sorted(
        (min(times), max(times))
        for host in found
        if (times := [trial.started_at for trial in stored(here, host.run).trials])
    )
    assert spans[0][1] < spans[1][0]
