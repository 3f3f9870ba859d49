"""Whether what `bench find` says of real programs holds: found, then measured again.

``python -m benchmarks found`` finds how much CPU and how much memory nginx, redis, PostgreSQL and
xz need, then sweeps the limit that was found and the one a step below it anew. FIND.md has what
came of it. Each program runs as its file in workloads/ says, but for the load that is named here.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.cli.dialogue import say
from harness.engine.connect import Connection
from harness.engine.image import workloads_root
from harness.errors import MeasurementError, UsageError
from harness.host import identity
from harness.sizing import goal as goals
from harness.sizing import response
from harness.sizing.ladder import KINDS
from harness.store import runs

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "found.json"
PAGE = ROOT / "benchmarks" / "FIND.md"
HEADING = "## Programs"
REPEATS = 9
"""Of the two settings that are measured again."""
OVERHEAD_S = 1.0
"""Of a trial with a load beside it, outside warm-up and window; only for what is announced."""
ENDS_S = 60.0
"""A bench that is interrupted is given so long to remove what it made."""
_BENCH = str(Path(sys.executable).with_name("bench"))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One limit of one program that is to be found."""

    program: str
    limit: str
    goal: str
    least: str
    most: str
    step: str
    budget_s: int
    trial_s: float
    """About what a trial takes with all around its window: for what is announced."""
    window_s: float | None = None
    """None of a batch program, which runs to its end."""
    threads: int = 1
    load: tuple[tuple[str, str], ...] = ()
    """(a line of its file, what stands there instead)."""

    @property
    def name(self) -> str:
        """What it is called where it is told of."""
        return f"{self.program} {self.limit}"

    @property
    def words(self) -> str:
        """Its load, where it is not that of the shipped file; empty where it is."""
        lines = [new.replace("\n", ", ") for _, new in self.load]
        return ", ".join([*lines, *([f"{self.threads} threads"] if self.threads > 1 else [])])

    @property
    def estimated_s(self) -> float:
        """At the most, in seconds."""
        return self.budget_s + 2 * REPEATS * self.trial_s


_NGINX = (("rate = 500", "rate = 2000"),)
# 8 MB of values, nine in ten of which are set by the window's end.
_REDIS = (("rate = 1000", "rate = 2000\nwrites = 80\nvalue-bytes = 4096\nkeys = 2000"),)
_POSTGRES = (("rate = 100", "rate = 400"),)
# Where memory is short it reads its own pages again and again, and would be waited for.
_SOON = (("ready-s = 60", "ready-s = 15"),)
_QUICK = "p99 < 20ms and errors = 0"
_ALIVE = "no-kill and errors = 0"

WANTED = (
    Wanted(program="nginx", limit="cpus", goal=_QUICK, least="0.03", most="0.6", step="10%",
           budget_s=270, trial_s=3.3, window_s=2.0, threads=2, load=_NGINX),
    # Of two workers Docker's least, 6m, is more than enough: so these are as many as sixteen CPUs
    # would have.
    Wanted(program="nginx", limit="memory", goal=_ALIVE, least="6m", most="32m", step="1m",
           budget_s=150, trial_s=3.0, window_s=1.0, threads=16, load=_NGINX),
    Wanted(program="redis", limit="cpus", goal=_QUICK, least="0.02", most="0.4", step="10%",
           budget_s=330, trial_s=3.3, window_s=2.0, load=_REDIS),
    Wanted(program="redis", limit="memory", goal=_ALIVE, least="6m", most="48m", step="1m",
           budget_s=150, trial_s=3.5, window_s=2.0, load=_REDIS),
    Wanted(program="postgres", limit="cpus", goal="p99 < 100ms", least="0.15", most="1.2",
           step="25%", budget_s=360, trial_s=8.0, window_s=2.0, load=_POSTGRES),
    Wanted(program="postgres", limit="memory", goal="no-kill and p99 < 200ms", least="36m",
           most="128m", step="10%", budget_s=180, trial_s=6.0, window_s=2.0, load=_SOON),
    Wanted(program="xz", limit="cpus", goal="wall_s < 4s", least="0.2", most="1.6", step="10%",
           budget_s=360, trial_s=5.0),
    Wanted(program="xz", limit="memory", goal="no-kill and exit_code = 0", least="8m",
           most="128m", step="1m", budget_s=90, trial_s=3.0),
)  # fmt: skip
PROGRAMS = tuple(dict.fromkeys(one.program for one in WANTED))


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came of one of them."""

    name: str
    goal: str
    step: str
    load: str
    ending: str
    holds: float | None
    fails: float | None
    trials: int
    find_s: float
    measured: str = ""
    """The day."""
    host: str = ""
    at: tuple[int, int] | None = None
    """(held, trials) of the limit that was found, measured again; None = it was not."""
    below_value: float | None = None
    below: tuple[int, int] | None = None
    """The same of a step below it."""

    @property
    def confirmed(self) -> str:
        """Whether most trials hold at the limit and most fail a step below it.

        At the least limit that will do, little more than half of all trials hold: nine of them are
        held against it only where they contradict it at 95 %.
        """
        if self.at is None or self.below is None:
            return "not measured" if self.ending == "found" else "–"
        (holds, of), (below, of_below) = self.at, self.below
        if _few(holds, of):
            return "**no**: fails at it"
        if _few(of_below - below, of_below):
            return "**no**: holds a step below"
        if 2 * holds > of and 2 * below < of_below:
            return "yes"
        return "open: about half hold"

    def told(self) -> str:
        """A row of the table."""
        kind = KINDS[self.name.split()[1]]
        holds, fails = (
            "–" if v is None else kind.write(v) for v in (self.holds, self.fails)
        )  # fmt: skip
        below = "" if self.below_value is None else f" at {kind.write(self.below_value)}"
        return (
            f"| {self.name} | {self.goal}, {self.step} | {self.ending} | {holds} | {fails} | "
            f"{self.trials} | {self.find_s / 60:.1f} min | {_share(self.at)} | "
            f"{_share(self.below)}{below} | {self.confirmed} |"
        )


def _few(held: int, of: int) -> bool:
    """Whether so few would hold in one case of twenty at the most, if half of all did."""
    return sum(math.comb(of, k) for k in range(held + 1)) <= 0.05 * 2**of or not of


def _share(held: tuple[int, int] | None) -> str:
    return "–" if held is None else f"{held[0]} of {held[1]}"


def chosen(only: str | None) -> tuple[Wanted, ...]:
    """Those of ``redis,xz``, or of ``redis memory``; all without it. UsageError for another."""
    if not only:
        return WANTED
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = {*PROGRAMS, *(one.name for one in WANTED)}
    for name in names:
        if name not in known:
            raise UsageError(f"--only {name} is none of them.", f"Known: {', '.join(PROGRAMS)}.")
    return tuple(one for one in WANTED if {one.program, one.name} & set(names))


def report(connection: Connection, only: str | None = None) -> str:
    """Find and confirm each; what is done is kept and written to FIND.md after each of them."""
    wanted = chosen(only)
    results = ROOT / "results" / f"found-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    most_s = sum(one.estimated_s for one in wanted)
    say(f"{len(wanted)} finds, {most_s / 60:.0f} minutes at the most; the runs go to {results}.")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="limitbench-found-") as made:
        there = _There(connection.host, Path(made), results)
        for i, one in enumerate(wanted):
            left_s = sum(other.estimated_s for other in wanted[i:])
            say(f"[{i + 1}/{len(wanted)}] {one.name}: {one.goal}; {left_s / 60:.0f} min left at "
                "the most.")  # fmt: skip
            for row in there.measured(one):
                rows = [*(r for r in rows if r.name != row.name), row]
                keep(row)
            say(rows[-1].told())
    return "\n".join([*_HEAD, *(row.told() for row in rows)])


class _There:
    """Commands on an engine, with programs' files of our own and one folder of results."""

    def __init__(self, host: str, made: Path, results: Path) -> None:
        self._host, self._made, self._results = host, made, results

    def measured(self, wanted: Wanted) -> Iterator[Row]:
        """What the find came to, and again once it is confirmed."""
        workload = of_program(wanted, self._made)
        own = [] if wanted.window_s is None else ["--duration", f"{wanted.window_s:g}"]
        own += ["--threads", str(wanted.threads), "--workload", str(workload)]
        began = time.monotonic()
        told = json.loads(self._bench(
            ["find", wanted.limit, "--goal", wanted.goal, "--from", wanted.least, "--to",
             wanted.most, "--resolution", wanted.step, "--budget", f"{wanted.budget_s}s", *own],
            codes=(0, 1, 3),
        ))  # fmt: skip
        (limit,) = told["limits"]
        row = Row(
            name=wanted.name, goal=wanted.goal, step=wanted.step,
            load=wanted.words,
            ending=told["ending"] or "interrupted", holds=limit["holds"], fails=limit["fails"],
            trials=sum(one["trials"] for one in limit["tried"]),
            find_s=time.monotonic() - began, measured=f"{datetime.now(UTC):%Y-%m-%d}",
            host=_host(),
        )  # fmt: skip
        yield row
        if row.ending == "found" and row.holds is not None:
            yield self._confirmed(wanted, row, row.holds, own)

    def _confirmed(self, wanted: Wanted, row: Row, at: float, own: list[str]) -> Row:
        """The limit and a step below it, in fresh trials of a sweep."""
        kind = KINDS[wanted.limit]
        below = kind.rounded(a_step_below(at, wanted))
        values = ",".join(kind.write(one) for one in (below, at))
        axis = kind.axis
        say(f"Again at {values}, {REPEATS} trials each.")
        before = set(self._runs())
        self._bench(["sweep", axis, "--values", values, "--repeats", str(REPEATS), *own])
        (path,) = set(self._runs()) - before
        held = self._held(path, wanted, (below, at))
        return replace(row, at=held[1], below=held[0], below_value=below)

    def _held(
        self, path: Path, wanted: Wanted, values: Sequence[float]
    ) -> tuple[tuple[int, int], ...]:
        """(held, trials) of the points of a sweep, by the limit that each has."""
        run, kind = runs.load(path), KINDS[wanted.limit]
        goal = goals.parse(wanted.goal, run.info.plan.points[0])
        found = []
        for value in values:
            mine = {
                point.id for point in run.info.plan.points
                if getattr(point.containers[0].limits, kind.field) == value
            }  # fmt: skip
            told = [
                response.holds(goal, trial, response.Unlimited(()))
                for trial in run.trials if trial.point_id in mine
            ]  # fmt: skip
            counted = [one for one in told if one is not None]
            found.append((sum(counted), len(counted)))
        return tuple(found)

    def _runs(self) -> Iterable[Path]:
        return self._results.iterdir() if self._results.exists() else ()

    def _bench(self, args: Sequence[str], codes: Sequence[int] = (0,)) -> str:
        """What a command says. Its progress is shown; Ctrl-C is its own matter, and waited for."""
        environment = {
            **os.environ, "BENCH_ENGINE_HOST": self._host, "BENCH_RESULTS": str(self._results),
        }  # fmt: skip
        command = [_BENCH, *args, *(["--json"] if "--json" not in args else [])]
        with subprocess.Popen(
            command, cwd=self._made, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                said, _ = process.communicate()
            except KeyboardInterrupt:
                # It has heard the same signal, and removes its containers.
                process.wait(timeout=ENDS_S)
                raise
        if process.returncode not in codes:
            raise MeasurementError(
                f"`bench {' '.join(args)}` ended with {process.returncode}.",
                "What it said stands above.",
            )
        return said


def of_program(wanted: Wanted, made: Path) -> Path:
    """A copy of the program's folder below ``made``, with the load that is wanted: its file."""
    folder = made / wanted.limit / wanted.program
    if not folder.exists():
        shutil.copytree(workloads_root() / wanted.program, folder)
        path = folder / "workload.toml"
        path.write_text(_loaded(path.read_text(), wanted.load))
    return folder / "workload.toml"


def a_step_below(at: float, wanted: Wanted) -> float:
    """A limit less one step of the resolution."""
    if wanted.step.endswith("%"):
        return at / (1 + float(wanted.step[:-1]) / 100)
    return at - KINDS[wanted.limit].read(wanted.step)


def _loaded(text: str, load: Iterable[tuple[str, str]]) -> str:
    """A program's file with another load; MeasurementError where a line is not there."""
    for old, new in load:
        lines = text.splitlines()
        if lines.count(old) != 1:
            raise MeasurementError(f"'{old}' is no line of the workload.", "Mend it in found.py.")
        text = "\n".join(new if line == old else line for line in lines) + "\n"
    return text


def _host() -> str:
    host = identity.facts()
    return f"{host.cpus} CPUs, kernel {host.kernel}"


# --- kept ------------------------------------------------------------------------------------

_COLUMNS = ("program, limit", "goal, resolution", "ending", "holds", "fails", "trials", "took",
            "held at it", "held a step below", "confirmed")  # fmt: skip
_HEAD = (f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|")


def keep(row: Row) -> None:
    """Keep a row in place of the one of its name, and write the section of FIND.md."""
    held: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    held[row.name] = asdict(row)
    order = [one.name for one in WANTED]
    held = {name: held[name] for name in order if name in held}
    KEPT.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(with_section(PAGE.read_text(), section(held)))


def section(held: Mapping[str, Mapping[str, Any]]) -> str:
    """The section of FIND.md that tells of the programs."""
    rows = [Row(**{**one, "at": _pair(one["at"]), "below": _pair(one["below"])})
            for one in held.values()]  # fmt: skip
    days = sorted({row.measured for row in rows})
    loads = {row.load: "" for row in rows if row.load}
    for load in loads:
        loads[load] = " and ".join(row.name for row in rows if row.load == load)
    said = "; ".join(f"{names}: {load}" for load, names in loads.items())
    sure = sum(row.confirmed == "yes" for row in rows)
    intro = (
        f"`python -m benchmarks found`, {' to '.join(dict.fromkeys((days[0], days[-1])))}, "
        f"{'; '.join(dict.fromkeys(row.host for row in rows))}. Each limit that was found, and the "
        f"one a step below it, was swept anew, {REPEATS} trials each. *Confirmed*: most of them "
        f"hold at the limit, most fail a step below: {sure} of {len(rows)}. *Open*: about half "
        "hold, and neither is contradicted at 95 %."
    )
    return "\n".join([
        HEADING, "", intro, "", *_HEAD, *(row.told() for row in rows), "",
        *([f"Loads other than in the shipped files: {said}."] if said else []),
    ]).rstrip() + "\n"  # fmt: skip


def _pair(told: Sequence[int] | None) -> tuple[int, int] | None:
    return None if told is None else (told[0], told[1])


def with_section(page: str, written: str) -> str:
    """A page with a section in place of the one of that heading, or at its end."""
    before, found, rest = page.partition(f"{HEADING}\n")
    if not found:
        return f"{page.rstrip()}\n\n{written}"
    _, next_heading, after = rest.partition("\n## ")
    return before + written + (f"\n## {after}" if next_heading else "")
