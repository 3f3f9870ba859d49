"""Measures the bank: checks of an unchanged host, trials with each fault really in force."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.commands import CHECK_CODES, Commands
from benchmarks.power.faults import DEFAULT_WINDOW_S, FAULTS, REPEATS, SLACK, WINDOW_S, Alter, Fault
from benchmarks.recipe import neighbour
from harness.cli.dialogue import say
from harness.cli.measuring import measure
from harness.engine import daemon
from harness.engine.boundary import Container
from harness.engine.connect import Connection, obtain_engine, start_private
from harness.engine.docker_engine import DockerEngine
from harness.limits import EngineCpus
from harness.model import ContainerSpec, Plan, Point
from harness.plan import axes
from harness.plan import build as planning
from harness.plan.axes import Options

POINTS = {"cpu": "0.25,0.5,1", "shares": "1024:512"}
"""The bank: points of two axes, on a host with two CPUs or more."""
DEFAULT_POINTS = {"cpu": "0.25,1", "shares": "1024:512"}
"""Points whose power in windows of 1 s is the least, in windows of the default length as well."""
DEFAULT_TRIALS = 36
STARTS = 3
CHECKS_A_START = 14
FAULTY = "faults"
"""Folder of what is no check; beside it a folder for each start of the engine."""
NEIGHBOUR = "neighbour"
"""Folder of the checks beside one; the file of it tells how they ended, like that of each start."""
SLICE = Path("/proc/sys/kernel/sched_cfs_bandwidth_slice_us")


class Faulty(DockerEngine):
    """A product made wrong on purpose: it sets other limits than the plan says."""

    alter: Alter = staticmethod(lambda limits: limits)
    runtime: str | None = None

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        """A container with limits that were altered."""
        wrong = replace(spec, limits=self.alter(spec.limits), runtime=self.runtime)
        return super().create(
            name=name, run=run, spec=wrong, deadline_s=deadline_s, together=together
        )


@contextlib.contextmanager
def busy(cpu: int) -> Iterator[None]:
    """A process of the host that takes what it can get of a CPU."""
    code = f"import os; os.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            yield
        finally:
            process.kill()


WRAPPER = """#!/usr/bin/env python3
import json, os, sys
if "create" in sys.argv:
    path = os.path.join(sys.argv[sys.argv.index("--bundle") + 1], "config.json")
    with open(path) as file:
        config = json.load(file)
    cpu = config["linux"]["resources"].get("cpu", {})
    if cpu.get("quota", 0) > 0:
        cpu["quota"] = cpu["quota"] * 105 // 100
    with open(path, "w") as file:
        json.dump(config, file)
os.execvp("runc", ["runc", *sys.argv[1:]])
"""
"""A runtime that does what runc does, with 5 % more quota than it is told."""


@contextlib.contextmanager
def fresh_engine() -> Iterator[tuple[Connection, Path]]:
    """A private engine that is begun here, apart from any other, with its folder; ended after."""
    with tempfile.TemporaryDirectory(prefix="power") as scratch:
        folder = Path(scratch) / "engine"
        before = os.environ.get("BENCH_ENGINE_DIR")
        os.environ["BENCH_ENGINE_DIR"] = str(folder)
        try:
            started = start_private(say)
            yield obtain_engine(started.host, say), folder
        finally:
            daemon.stop(purge=True)
            del os.environ["BENCH_ENGINE_DIR"]
            if before is not None:
                os.environ["BENCH_ENGINE_DIR"] = before


@contextlib.contextmanager
def wrapping_engine() -> Iterator[Connection]:
    """One that knows the wrapper as a runtime."""
    with fresh_engine() as (connection, folder):
        program = folder.parent / SLACK
        program.write_text(WRAPPER)
        program.chmod(0o755)
        config = folder / "dockerd.json"
        known = {**json.loads(config.read_text()), "runtimes": {SLACK: {"path": str(program)}}}
        config.write_text(json.dumps(known))
        pid = daemon.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGHUP)  # which makes dockerd read its runtimes again
        time.sleep(2)
        yield connection


@contextlib.contextmanager
def cfs_slice(slice_us: int) -> Iterator[None]:
    """The kernel hands quota to CPUs in other pieces; put back afterwards."""
    before = SLICE.read_text()
    SLICE.write_text(f"{slice_us}")
    try:
        yield
    finally:
        SLICE.write_text(before)


def plan_of(  # noqa: PLR0913, PLR0917 - what differs from one plan to the next
    name: str, wanted: Mapping[str, str], repeats: int, seed: int, cpus: EngineCpus,
    window_s: float = WINDOW_S,
) -> Plan:  # fmt: skip
    """The plan of a run of the bank."""

    def points_of(options: Options, given: EngineCpus) -> Iterable[Point]:
        for axis, values in wanted.items():
            yield from axes.find(axis).points(replace(options, values=values), given)

    options = Options(repeats=repeats, duration_s=window_s, seed=seed)
    return planning.build(name, options, cpus=cpus, points_of=points_of)


def collect(folder: Path, only: Sequence[str]) -> None:
    """Measure checks of an unchanged host, and one run a fault: all, or those that are named."""
    for number in range(1, STARTS + 1):
        if not only or "checks" in only:
            with fresh_engine() as (connection, _):
                check(folder, connection, f"start-{number}", CHECKS_A_START)
    if NEIGHBOUR in only:
        with fresh_engine() as (connection, _), neighbour():
            check(folder, connection, NEIGHBOUR, CHECKS_A_START)
    engine = Faulty(obtain_engine(None, say))
    cpus = engine.facts().cpus_to_give
    if not only or "default" in only:
        plan = plan_of("default", DEFAULT_POINTS, DEFAULT_TRIALS, 1, cpus, DEFAULT_WINDOW_S)
        measure(plan, engine, folder / FAULTY)
    for fault in FAULTS:
        if not only or fault.name in only:
            inject(fault, engine, folder / FAULTY)


def check(folder: Path, connection: Connection, name: str, checks: int) -> None:
    """So many times `bench check`, against each baseline that there is in turn.

    One of this start is made first, but not beside a neighbour.
    """
    bench = Commands(connection, folder)
    if name != NEIGHBOUR:
        engine = DockerEngine(connection)
        plan = plan_of("bank", POINTS, REPEATS, 1, engine.facts().cpus_to_give)
        made = measure(plan, engine, folder / name)
        bench.run("baseline", "set", made.name, "--name", name, "--results", name)
    known = sorted(path.stem for path in (folder / "baselines").glob("*.json"))
    for number in range(checks):
        against = known[number % len(known)]
        began = time.monotonic()
        ended = bench.run(
            "check", "--against", against, "--results", name, "--seed", f"{number + 2}",
            codes=CHECK_CODES,
        )  # fmt: skip
        took_s = time.monotonic() - began
        say(f"{name}, check {number + 1} of {checks}: {CHECK_CODES[ended.code]}, {took_s:.0f} s")
        row = {"against": against, "code": ended.code, "took_s": took_s, "said": ended.said}
        with (folder / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


def inject(fault: Fault, engine: Faulty, folder: Path) -> None:
    """Measure one run with the fault in force."""
    with contextlib.ExitStack() as stack:
        if fault.busy:
            stack.enter_context(busy(engine.facts().cpus - 1))
        if fault.slice_us:
            stack.enter_context(cfs_slice(fault.slice_us))
        if fault.runtime:
            engine = Faulty(stack.enter_context(wrapping_engine()))
        engine.alter, engine.runtime = fault.alter, fault.runtime
        wanted = {fault.axis: fault.values}
        cpus = engine.facts().cpus_to_give
        plan = plan_of(f"fault-{fault.name}", wanted, fault.trials, 1, cpus, fault.window_s)
        measure(plan, engine, folder)
