"""Does `bench check` cry wolf, and does it find what is there? Measured, not promised.

``python -m benchmarks.power collect DIR`` measures a bank of undisturbed trials on this host, and
trials with faults that are really injected: another limit than the plan says, a runtime that lets
more through, a busy neighbour, another CFS slice. ``alarms DIR`` and ``power DIR`` resample them
into some hundred checks, through the very code that `bench check` runs, ``live DIR`` runs twenty
short checks of an unchanged host, and each writes its part of benchmarks/POWER.md.
``freeze DIR`` makes tests/data/bank.json.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter
from scipy import stats

from harness import axes, comparing, store
from harness import plan as planning
from harness.agenda import half_width
from harness.analysis import counts, summarise
from harness.axes import Options
from harness.cli.dialogue import say
from harness.cli.measuring import measure
from harness.digest import digest
from harness.engine import (
    Connection,
    Container,
    DockerEngine,
    daemon,
    obtain_engine,
    start_private,
)
from harness.model import (
    Change,
    Compared,
    ContainerSpec,
    Digest,
    Limits,
    Noise,
    Plan,
    Point,
    RunInfo,
    TrialRecord,
)

ROOT = Path(__file__).parents[1]
POINTS = {
    "cpu": "0.25,0.5,1,2",
    "shares": "1024:1024,1024:512",
    "period": "2000,10000,100000",
}
"""The bank: points of three axes, on a host with two CPUs or more."""
WINDOW_S = 1.0
"""A third of the default: what is found in it is found in a longer window all the better."""
DEFAULT_POINTS = {"cpu": "0.25,1", "shares": "1024:512"}
"""Points whose power in windows of 1 s is the least, in windows of the default length as well."""
DEFAULT_WINDOW_S = 3.0
DEFAULT_TRIALS = 30
BANK_RUNS = 5
REPEATS = 10
FAULT_TRIALS = 24
LIVE_POINTS = {"cpu": "0.5", "shares": "1024:512"}
LIVE_REPEATS = 8
"""The least at which one change among so few metrics can be significant."""
CHECKS = 300
LIVE_CHECKS = 20
SLICE = Path("/proc/sys/kernel/sched_cfs_bandwidth_slice_us")

Alter = Callable[[Limits], Limits]


# --- faults ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """Something that a check must find, and where."""

    name: str
    text: str
    axis: str
    values: str
    metric: str
    """The one that is expected to show it."""
    tails: tuple[str, ...] = ()
    """Others whose power is stated too."""
    alter: Alter = lambda limits: limits
    window_s: float = WINDOW_S
    busy: bool = False
    runtime: str | None = None
    slice_us: int | None = None
    goal: str = ""
    """The power that is asked for."""


def _cpus(factor: float) -> Alter:
    return lambda limits: replace(limits, cpus=round((limits.cpus or 1) * factor, 4))


def _shares(factor: float) -> Alter:
    def alter(limits: Limits) -> Limits:
        if limits.cpu_shares != 1024:
            return limits
        return replace(limits, cpu_shares=round(1024 * factor))

    return alter


def _swapped(limits: Limits) -> Limits:
    return replace(limits, cpu_shares={1024: 512, 512: 1024}[limits.cpu_shares or 0])


def _period(period_us: int) -> Alter:
    return lambda limits: replace(
        limits, cpu_period_us=period_us, cpu_quota_us=period_us // 2
    )  # fmt: skip


FIVE = "≥ 95 % at 10 repeats"
TWO = "≥ 95 % at --until 0.5%"
TAILS = ("gap_p99_s", "gap_max_s")
SLACK = "slack"
FAULTS = (
    Fault("over-5", "a quota 5 % too large", "cpu", "0.25,0.5,1", "cpus",
          alter=_cpus(1.05), goal=FIVE),
    Fault("under-5", "a quota 5 % too small", "cpu", "0.25,0.5,1", "cpus",
          alter=_cpus(0.95), goal=FIVE),
    Fault("over-2", "a quota 2 % too large", "cpu", "0.25,0.5,1", "cpus",
          alter=_cpus(1.02), goal=TWO),
    Fault("shares-5", "one share 5 % too large", "shares", "1024:512", "ratio",
          alter=_shares(1.05), goal=FIVE),
    Fault("shares-2", "one share 2 % too large", "shares", "1024:512", "ratio",
          alter=_shares(1.02), goal=TWO),
    Fault("over-2-default", "a quota 2 % too large, windows of 3 s", "cpu", "0.25,1", "cpus",
          alter=_cpus(1.02), window_s=DEFAULT_WINDOW_S, goal=TWO),
    Fault("under-2-default", "a quota 2 % too small, windows of 3 s", "cpu", "0.25", "cpus",
          alter=_cpus(0.98), window_s=DEFAULT_WINDOW_S, goal=TWO),
    Fault("shares-2-default", "one share 2 % too large, windows of 3 s", "shares", "1024:512",
          "ratio", alter=_shares(1.02), window_s=DEFAULT_WINDOW_S, goal=TWO),
    Fault("swapped", "shares swapped", "shares", "1024:512", "ratio", alter=_swapped, goal=FIVE),
    Fault("wrapper", "a wrapper of runc that writes a quota 5 % larger", "cpu", "0.5", "cpus",
          runtime=SLACK, goal=FIVE),
    Fault("busy", "a busy process on the CPU, told to be ignored", "shares", "1024:512", "cpus",
          ("gap_s", *TAILS), busy=True, goal=FIVE),
    Fault("period", "a period of 50 ms instead of 100, at the same ratio", "period", "100000",
          "gap_s", TAILS, _period(50_000)),
    Fault("period-130", "a period of 130 ms instead of 100, at the same ratio", "period", "100000",
          "gap_s", TAILS, _period(130_000)),
    Fault("slice", "sched_cfs_bandwidth_slice_us of 20 ms instead of 5", "cpu", "1", "cpus",
          TAILS, slice_us=20_000),
)  # fmt: skip


class Faulty(DockerEngine):
    """A product made wrong on purpose: it sets other limits than the plan says."""

    alter: Alter = staticmethod(lambda limits: limits)
    runtime: str | None = None

    def create(self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float) -> Container:
        """A container with limits that were altered."""
        wrong = replace(spec, limits=self.alter(spec.limits), runtime=self.runtime)
        return super().create(name=name, run=run, spec=wrong, deadline_s=deadline_s)


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
def wrapping_engine() -> Iterator[Connection]:
    """A private engine apart from any other, which knows the wrapper as a runtime."""
    with tempfile.TemporaryDirectory(prefix="power") as scratch:
        program, folder = Path(scratch) / SLACK, Path(scratch) / "engine"
        program.write_text(WRAPPER)
        program.chmod(0o755)
        before = os.environ.get("BENCH_ENGINE_DIR")
        os.environ["BENCH_ENGINE_DIR"] = str(folder)
        try:
            started = start_private(say)
            config = folder / "dockerd.json"
            known = {**json.loads(config.read_text()), "runtimes": {SLACK: {"path": str(program)}}}
            config.write_text(json.dumps(known))
            assert started.pid is not None
            os.kill(started.pid, signal.SIGHUP)  # which makes dockerd read its runtimes again
            time.sleep(2)
            yield obtain_engine(started.host, say)
        finally:
            daemon.stop(purge=True)
            del os.environ["BENCH_ENGINE_DIR"]
            if before is not None:
                os.environ["BENCH_ENGINE_DIR"] = before


@contextlib.contextmanager
def cfs_slice(slice_us: int) -> Iterator[None]:
    """The kernel hands quota to CPUs in other pieces; put back afterwards."""
    before = SLICE.read_text()
    SLICE.write_text(f"{slice_us}")
    try:
        yield
    finally:
        SLICE.write_text(before)


def _plan(  # noqa: PLR0913, PLR0917 - what differs from one plan to the next
    name: str, wanted: Mapping[str, str], repeats: int, seed: int, cpus: int,
    window_s: float = WINDOW_S,
) -> Plan:  # fmt: skip
    def points_of(options: Options, host_cpus: int) -> Iterable[Point]:
        for axis, values in wanted.items():
            yield from axes.find(axis).points(replace(options, values=values), host_cpus)

    options = Options(repeats=repeats, duration_s=window_s, seed=seed)
    return planning.build(name, options, host_cpus=cpus, points_of=points_of)


def collect(folder: Path, only: Sequence[str]) -> None:
    """Measure runs of the bank, and one run a fault: all of them, or those that are named."""
    engine = Faulty(obtain_engine(None, say))
    cpus = engine.facts().cpus
    for seed in range(1, BANK_RUNS + 1):
        if not only or "bank" in only:
            measure(_plan("bank", POINTS, REPEATS, seed, cpus), engine, folder)
    if not only or "default" in only:
        plan = _plan("default", DEFAULT_POINTS, DEFAULT_TRIALS, 1, cpus, DEFAULT_WINDOW_S)
        measure(plan, engine, folder)
    for fault in FAULTS:
        if not only or fault.name in only:
            inject(fault, engine, folder)


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
        cpus = engine.facts().cpus
        plan = _plan(f"fault-{fault.name}", wanted, FAULT_TRIALS, 1, cpus, fault.window_s)
        measure(plan, engine, folder)


# --- the study ---------------------------------------------------------------------------------

Trials = dict[str, list[TrialRecord]]
"""The trials of each point that count."""


@dataclass(frozen=True)
class Bank:
    """Trials that were measured, by point, and the run that describes their host."""

    info: RunInfo
    default: tuple[RunInfo, Trials] | None
    """Windows of the default length."""
    runs: tuple[Trials, ...]
    faults: dict[str, tuple[RunInfo, Trials]]

    @property
    def pooled(self) -> Trials:
        """All undisturbed trials of each point."""
        points = [point.id for point in self.info.plan.points]
        return {point: [t for run in self.runs for t in run[point]] for point in points}


def load(folder: Path) -> Bank:
    """The runs that ``collect`` left in a folder."""
    runs: list[Trials] = []
    faults: dict[str, tuple[RunInfo, Trials]] = {}
    info: RunInfo | None = None
    default: tuple[RunInfo, Trials] | None = None
    by_name = {f"fault-{fault.name}": fault for fault in FAULTS}
    for listed in reversed(store.list_runs(folder).runs):
        run = store.load(listed.path)
        if run.info.status != "finished":
            continue
        fault = by_name.get(run.info.plan.sweep)
        trials = [_ignoring_foreign(t) if fault and fault.busy else t for t in run.trials]
        found: Trials = {point.id: [] for point in run.info.plan.points}
        for trial in trials:
            if counts(trial):
                found[trial.point_id].append(trial)
        if run.info.plan.sweep == "bank":
            info = info or run.info
            runs.append(found)
        elif run.info.plan.sweep == "default":
            default = _joined(default, (run.info, found))
        elif fault:
            faults[fault.name] = _joined(faults.get(fault.name), (run.info, found))
    if info is None:
        raise SystemExit(f"{folder} holds no bank: python -m benchmarks.power collect {folder}")
    return Bank(info, default, tuple(runs), faults)


def _joined(
    earlier: tuple[RunInfo, Trials] | None, later: tuple[RunInfo, Trials]
) -> tuple[RunInfo, Trials]:  # fmt: skip
    """The trials of two runs of one kind; the points may be others."""
    if earlier is None:
        return later
    (info, before), (more, after) = earlier, later
    points = {one.id: one for run in (info, more) for one in run.plan.points}
    trials = {point: [*before.get(point, []), *after.get(point, [])] for point in points}
    return replace(more, plan=replace(more.plan, points=tuple(points.values()))), trials


def _ignoring_foreign(trial: TrialRecord) -> TrialRecord:
    """The trial as it would count if nobody minded the foreign process."""
    other = trial.invalid is not None and "other processes" not in trial.invalid
    return trial if other else replace(trial, invalid=None)


def digested(info: RunInfo, trials: Trials, points: Sequence[str] | None = None) -> Digest:
    """A run of those trials, as `bench check` sees it."""
    plan = info.plan
    if points is not None:
        kept = tuple(point for point in plan.points if point.id in points)
        plan = replace(plan, points=kept)
    return digest(replace(info, plan=plan), [t for mine in trials.values() for t in mine])


def checked(bank: Bank, before: Trials, after: Trials, noise: Noise | None = None) -> Compared:
    """One check, by the product's own code. That the host is the same is a matter of course."""
    return comparing.compare(
        digested(bank.info, before), digested(bank.info, after), allow=comparing.FACTS, noise=noise
    )


def halves(trials: Trials, rng: random.Random, n: int = REPEATS) -> tuple[Trials, Trials]:
    """Two disjoint draws of n trials of each point; as many as there are where there are fewer."""
    a, b = {}, {}
    for point, mine in trials.items():
        drawn = rng.sample(mine, min(2 * n, len(mine)))
        a[point], b[point] = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
    return a, b


# --- false alarms ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alarms:
    """How some A/A checks ended."""

    name: str
    green: int
    open: int
    red: int
    reasons: tuple[str, ...] = ()
    """What the red ones said."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.green + self.open + self.red

    @property
    def bound(self) -> float:
        """The share of red ones that these checks exclude with 95 % confidence."""
        return upper(self.red, self.total)


def upper(found: int, total: int) -> float:
    """Clopper and Pearson's one-sided 95 % bound."""
    return float(stats.beta.ppf(0.95, found + 1, total - found)) if found < total else 1.0


def tally(name: str, checks: Iterable[Compared]) -> Alarms:
    """Count the checks by how they ended."""
    ends: Counter[str] = Counter()
    reasons = []
    for one in checks:
        red = one.status is Change.REGRESSED
        green = one.status in (Change.SAME, Change.IMPROVED)
        ends["red" if red else "green" if green else "open"] += 1
        if red:
            rows = [row for row in one.rows if row.status is Change.REGRESSED]
            reasons += [f"{row.point_id} {row.metric}: {row.reason}" for row in rows]
            reasons += [f"{law.point_id} law {law.law}: {law.reason}" for law in one.violations]
    return Alarms(name, ends["green"], ends["open"], ends["red"], tuple(reasons))


def false_alarms(bank: Bank, checks: int) -> Iterator[Alarms]:
    """A/A checks: out of one pool, between runs, and both with the noise that is calibrated."""
    rng = random.Random(1)
    noise = calibrated(bank)
    pool = bank.pooled
    pairs = [(a, b) for a in bank.runs for b in bank.runs if a is not b]
    drawn = [halves(pool, rng) for _ in range(checks)]
    if bank.default is not None:
        info, trials = bank.default
        long = Bank(info, None, (), {})
        more = [halves(trials, rng) for _ in range(checks)]
        yield tally(
            f"windows of {DEFAULT_WINDOW_S:g} s, {len(trials)} points",
            (checked(long, a, b) for a, b in more),
        )
    yield from (
        tally(f"windows of {WINDOW_S:g} s, from all runs", (checked(bank, a, b) for a, b in drawn)),
        tally("the same, calibrated", (checked(bank, a, b, noise) for a, b in drawn)),
        tally("each run against each other", (checked(bank, a, b) for a, b in pairs)),
        tally("the same, calibrated", (checked(bank, a, b, noise) for a, b in pairs)),
    )


def calibrated(bank: Bank) -> Noise:
    """What `bench calibrate` says of the first three runs."""
    digests = [digested(bank.info, run) for run in bank.runs[:3]]
    return Noise(
        created="", hostname=bank.info.host.hostname, fingerprint=digests[0].fingerprint,
        runs=tuple(one.run for one in digests), repeats=REPEATS, floors=comparing.floors(digests),
    )  # fmt: skip


# --- power -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Power:
    """How often a metric showed a fault at a point."""

    fault: Fault
    point: str
    metric: str
    change: float
    """Of the median of all trials, as a share."""
    trials: str
    """On both sides."""
    found: int
    red: int
    draws: int

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper and Pearson's, 90 %."""
        return 1 - upper(self.draws - self.found, self.draws), upper(self.found, self.draws)


def power(bank: Bank, fault: Fault, draws: int) -> list[Power]:
    """A fault at each of its points, the other points being A/A, in whole checks."""
    out = []
    if fault.window_s != WINDOW_S and bank.default is not None:
        bank = replace(bank, info=bank.default[0], runs=(bank.default[1],))
    info, faulty = bank.faults[fault.name]
    for point, trials in faulty.items():
        if len(trials) < REPEATS:
            continue
        medians = [
            _medians(digested(of, {point: mine}, [point]))
            for of, mine in ((bank.info, bank.pooled[point]), (info, trials))
        ]
        rng = random.Random(f"{fault.name} {point}")
        ways = {f"{REPEATS}": [_with_fault(bank, point, trials, rng) for _ in range(draws)]}
        if fault.goal == TWO:
            results, sizes = _until(bank, point, trials, rng, draws)
            ways[sizes] = results
        for metric in (fault.metric, *fault.tails):
            change = medians[1][metric] / medians[0][metric] - 1
            for sizes, results in ways.items():
                found = sum(_shows(one, point, metric) for one in results)
                red = sum(one.status is Change.REGRESSED for one in results)
                out.append(Power(fault, point, metric, change, sizes, found, red, draws))
    return out


def _medians(one: Digest) -> dict[str, float]:
    """The median of each metric of the only point's first container."""
    (point,) = one.points
    return {s.metric: statistics.median(s.values) for s in point.series if s.container == 0}


def _shows(one: Compared, point: str, metric: str) -> bool:
    """Whether a check says that the metric of the point's first container has changed."""
    return any(
        (row.point_id, row.metric, row.container) == (point, metric, 0)
        and row.status in (Change.REGRESSED, Change.IMPROVED)
        for row in one.rows
    )


def _with_fault(
    bank: Bank, point: str, trials: Sequence[TrialRecord], rng: random.Random
) -> Compared:
    before, after = halves(bank.pooled, rng)
    return checked(bank, before, {**after, point: rng.sample(list(trials), REPEATS)})


def _until(
    bank: Bank, point: str, trials: Sequence[TrialRecord], rng: random.Random, draws: int
) -> tuple[list[Compared], str]:
    """Both sides go on until the point's interval is as narrow as `--until 0.5%` asks."""
    results, sizes = [], []
    for _ in range(draws):
        before, after = halves(bank.pooled, rng)
        before[point] = narrow(bank, point, bank.pooled[point], rng)
        after[point] = narrow(bank, point, trials, rng)
        sizes += [len(before[point]), len(after[point])]
        results.append(checked(bank, before, after))
    return results, f"--until 0.5%: {min(sizes)} to {max(sizes)}"


def narrow(
    bank: Bank, point: str, trials: Sequence[TrialRecord], rng: random.Random, until: float = 0.005
) -> list[TrialRecord]:
    """Trials in random order until half of the interval is narrow enough twice in a row."""
    order = rng.sample(list(trials), len(trials))
    plan = replace(bank.info.plan, points=(bank.info.plan.point(point),))
    in_a_row = 0
    for n in range(REPEATS, len(order) + 1):
        (summary,) = summarise(plan, order[:n], bank.info.engine, bank.info.host)
        width = half_width(summary)
        in_a_row = in_a_row + 1 if width is not None and width <= until else 0
        if in_a_row == 2:
            return order[:n]
    return order


# --- the report --------------------------------------------------------------------------------

PARTS = ("about", "alarms", "power", "live")
"""Of POWER.md, in its order; each is kept in the bank's folder until it is measured again."""


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def about(bank: Bank) -> str:
    """What the study rests on."""
    host, engine = bank.info.host, bank.info.engine
    counted = ", ".join(f"{point} {len(mine)}" for point, mine in bank.pooled.items())
    return (
        "# False alarms and power of `bench check`\n\n"
        "`python -m benchmarks.power collect DIR` measured the trials, and `power`, `alarms` and "
        "`live` with the same folder made the tables from them, through the code that "
        f"`bench check` runs. Measured {datetime.now(UTC):%Y-%m-%d} on {host.cpus} CPUs "
        f"({host.virtualisation or 'bare metal'}), kernel {host.kernel}, cgroup "
        f"v{engine.cgroup_version}, Docker {engine.version}. Windows of {WINDOW_S:g} s, a third of "
        f"the default. Undisturbed trials that count, from {len(bank.runs)} runs: {counted}."
    )


def alarms_part(bank: Bank, checks: int) -> str:
    """The A/A checks."""
    found = list(false_alarms(bank, checks))
    rows = [(a.name, a.total, a.green, a.open, a.red, f"{a.bound:.1%}") for a in found]
    reds = "\n".join(f"- red: {reason}" for one in found for reason in one.reasons[:10])
    heads = ("checks", "total", "green", "open", "red", "red at most (95 %)")
    return (
        "## A/A checks: nothing differs\n\n"
        f"Each check compares {len(bank.info.plan.points)} points at {REPEATS} trials a side (or "
        "what there is), all metrics and laws. *red* is exit code 1, *open* exit code 3. The "
        "resampled checks share trials, so they are not independent of each other; the runs "
        f"are.\n\n{table(heads, rows)}\n\n{reds}".rstrip()
    )


def power_part(folder: Path, bank: Bank, only: Sequence[str], draws: int) -> str:
    """The faults: those that are named, or all; what others came to is kept in the folder."""
    kept = folder / "power.json"
    known: dict[str, list[list[str]]] = json.loads(kept.read_text()) if kept.exists() else {}
    for fault in FAULTS:
        if fault.name in bank.faults and (not only or fault.name in only):
            known[fault.name] = [_row(one) for one in power(bank, fault, draws)]
    kept.write_text(json.dumps(known, indent=1))
    heads = (
        "fault", "point", "metric", "moved by", "trials a side", "found", "90 % interval", "red",
        "asked for",
    )  # fmt: skip
    rows = [row for fault in FAULTS for row in known.get(fault.name, [])]
    return (
        "## Faults that were really injected\n\n"
        "Trials with the fault against undisturbed ones, in whole checks whose other points are "
        "A/A. *found*: that very metric has changed (regressed, or with shorter gaps improved), "
        "adjusted for all others. *red*: the check. *moved by*: the median of all trials. "
        f"Each check draws its trials anew from those that were measured ({_counts(bank)}), so the "
        "checks are not independent, and the interval is of the draws alone. What a larger CFS "
        "slice moves is below what matters here; that it differs is told by every check."
        f"\n\n{table(heads, rows)}"
    )


def _counts(bank: Bank) -> str:
    """How many trials the checks draw from."""
    faulty = [len(mine) for _, trials in bank.faults.values() for mine in trials.values()]
    default = [*bank.default[1].values()] if bank.default else []
    sound = [len(mine) for mine in (*bank.pooled.values(), *default)]
    return (
        f"of each point {min(n for n in faulty if n >= REPEATS)} to {max(faulty)} with a fault, "
        f"{min(sound)} to {max(sound)} without"
    )


def _row(one: Power) -> list[str]:
    low, high = one.interval
    return [
        one.fault.text, one.point, one.metric, f"{one.change:+.1%}", one.trials,
        f"{one.found} of {one.draws}", f"{low:.0%} … {high:.0%}", f"{one.red / one.draws:.0%}",
        one.fault.goal if one.fault.goal and one.metric == one.fault.metric else "(stated)",
    ]  # fmt: skip


def live_part(folder: Path, checks: int) -> str:
    """Short checks of a host on which nothing changes, each against the run before it.

    Runs that are there already count; as many as are missing are measured.
    """
    missing = checks + 1 - len(_live(folder)[0])
    if missing > 0:
        engine = DockerEngine(obtain_engine(None, say))
        for seed in range(checks + 1 - missing, checks + 1):
            plan = _plan("live", LIVE_POINTS, LIVE_REPEATS, seed, engine.facts().cpus)
            measure(plan, engine, folder)
    digests, refused = _live(folder)
    pairs = itertools.pairwise(digests)
    found = tally("live", (comparing.compare(a, b) for a, b in pairs))
    reds = "".join(f"\n- red: {reason}" for reason in found.reasons)
    return (
        "## Live checks\n\n"
        f"{found.total} checks of {len(LIVE_POINTS)} points at {LIVE_REPEATS} trials a side, each "
        f"against the run before it: {found.green} green, {found.open} open, {found.red} red (at "
        f"most {found.bound:.1%}). {refused} more runs were so disturbed that most of their trials "
        f"were rejected: `bench check` refuses such, with exit code 4.{reds}"
    )


def _live(folder: Path) -> tuple[list[Digest], int]:
    """The live runs that say something of the host, in their order, and how many do not."""
    listed = [one for one in store.list_runs(folder).runs if one.info.plan.sweep == "live"]
    runs = [store.load(one.path) for one in reversed(listed) if one.info.status == "finished"]
    digests = [digest(run.info, run.trials) for run in runs]
    telling = [
        one for one in digests
        if 2 * sum(point.valid for point in one.points) >= sum(p.trials for p in one.points)
    ]  # fmt: skip
    return telling, len(digests) - len(telling)


# --- the bank of the tests ---------------------------------------------------------------------

FROZEN = ROOT / "tests" / "data" / "bank.json"
FROZEN_POINTS = ("cpus=0.5", "cpus=1", "shares=1024:512", "period=100000")


def freeze(bank: Bank) -> str:
    """A few points of bank and faults as values, trial by trial; see tests/test_power.py."""
    pooled = digested(bank.info, bank.pooled, FROZEN_POINTS)
    empty = replace(
        pooled, points=tuple(replace(one, series=(), rejected="") for one in pooled.points)
    )
    kept = {
        name: {
            point: _values(info, mine) for point, mine in trials.items() if point in FROZEN_POINTS
        }
        for name, (info, trials) in {"bank": (bank.info, bank.pooled), **bank.faults}.items()
    }
    return json.dumps(
        {
            "about": "Real trials of one host, made by python -m benchmarks.power freeze.",
            "digest": TypeAdapter(Digest).dump_python(empty, mode="json"),
            "metrics": {fault.name: fault.metric for fault in FAULTS},
            "trials": kept,
        }
    )


def _values(info: RunInfo, trials: Sequence[TrialRecord]) -> list[dict[str, float]]:
    """Of each trial: metric and container → value, as a digest has them."""
    out = []
    for trial in trials:
        one = digested(info, {trial.point_id: [trial]}, [trial.point_id]).points[0]
        out.append({f"{s.metric} {s.container}": s.values[0] for s in one.series})
    return out


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["collect", "alarms", "power", "live", "freeze"])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "only", nargs="*", help="of collect and power: names of faults; bank, default"
    )
    parser.add_argument("--checks", type=int, help=f"of alarms: {CHECKS}; of live: {LIVE_CHECKS}")
    parser.add_argument("--draws", type=int, default=60)
    given = parser.parse_args()
    folder: Path = given.folder
    if given.what == "collect":
        collect(folder, given.only)
        return
    bank = load(folder)
    if given.what == "freeze":
        FROZEN.write_text(freeze(bank) + "\n")
        return
    part: dict[str, Callable[[], str]] = {
        "alarms": lambda: alarms_part(bank, given.checks or CHECKS),
        "power": lambda: power_part(folder, bank, given.only, given.draws),
        "live": lambda: live_part(folder, given.checks or LIVE_CHECKS),
    }
    (folder / f"{given.what}.md").write_text(part[given.what]())
    (folder / "about.md").write_text(about(bank))
    parts = [folder / f"{name}.md" for name in PARTS]
    text = "\n\n".join(one.read_text() for one in parts if one.exists()) + "\n"
    (ROOT / "benchmarks" / "POWER.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
