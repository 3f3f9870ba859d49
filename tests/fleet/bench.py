"""Stands for `bench fleet measure` beyond the boundary of a process: a fake engine measures.

What is to go wrong lies as files in the folder of ``FAKED``: ``gone`` (the engine does not answer),
``held`` (so many trials end, and the next goes on for as long as the file is there).
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from harness.cli.fleet_measure import end_with_worker
from harness.fleet.host import RUNS, TASK
from harness.measure import runner
from harness.measure.queue import Queue
from harness.model import TrialRecord
from harness.store import fleets, folder, resumed, runs
from tests.fakes import ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World

FAKED = "FAKED_FLEET"


def faked(name: str) -> str | None:
    """What a fault's file says; None where there is none."""
    try:
        return (Path(os.environ[FAKED]) / name).read_text()
    except FileNotFoundError:
        return None


def main(task: Path) -> int:
    end_with_worker()
    asked = fleets.read_task((task / TASK).read_bytes())
    plan = asked.order.plan
    assert plan is not None

    def on_create(number: int) -> None:
        if faked("gone") is not None:
            raise SystemExit(_said(4, "the engine stopped answering. See its log."))
        while (held := faked("held")) is not None and number >= int(held):
            time.sleep(0.05)

    if faked("gone") is not None:
        return _said(4, "no engine answers. Start one.")
    where = World(on_create=on_create).surroundings()
    found = folder.folders(task / RUNS)
    if found and runs.load(found[0]).info.status == "finished":
        return 0
    if found:
        run = runs.load(found[0])
        writer = resumed.reopen(run)
        queue = Queue(plan, run.info.engine, run.info.host, run.trials)
    else:
        host = replace(HOST_FACTS, hostname=asked.host)
        writer = runs.create(
            task / RUNS, plan, host=host, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS
        )
        queue = Queue(plan, ENGINE_FACTS, host)
    with (task / "measured").open("a") as told:

        def keep(record: TrialRecord, samples: runner.Samples) -> None:
            writer.keep(record, samples)
            told.write(f"{record.index}\n")
            told.flush()

        runner.run_plan(plan, writer.info.name, where, keep, runner.Listener(), queue=queue)
    writer.finish("finished")
    return 0


def _said(code: int, line: str) -> int:
    sys.stderr.write(f"bench: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
