"""How right each way of measuring is: achieved CPU under ``--cpus``, in the same wall time.

The truth is the probe's own thread CPU clocks in every case. docker stats and the cgroup's counters
look at the same containers; BenchExec's ``runexec`` starts the same probe itself, under the same
quota through its cgroup option, in turn with them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure
from harness.audit import errors
from harness.audit.errors import Errors
from harness.cli.dialogue import say
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.engine.image import probe_binary
from harness.host import identity
from harness.judge import points
from harness.measure import runner
from harness.model import TrialRecord
from harness.plan import build as planning
from harness.plan.axes import Options

CPUS = (0.1, 0.25, 0.5, 1.0, 1.5)
TRIALS = 30
"""Of each way that count; a block has one of each limit."""
MOST_BLOCKS = 9
WINDOW_S = 3.0
BENCHEXEC = "benchexec==3.35"


@dataclass(frozen=True)
class _Runexec:
    """BenchExec, installed beside us and not into our own environment."""

    folder: Path

    def error(self, probe: Path, cpus: float) -> float:
        """(cputime / walltime) / truth - 1 of one run."""
        quota = f"cpu.cfs_quota_us={round(cpus * 100_000)}"
        load = (
            # The load goes on until it is told to stop: nothing but its start and end is idle.
            f"(echo 'go 0 {round(WINDOW_S * 1e9)}'; sleep {WINDOW_S + 0.02}; echo stop)"
            f" | {probe} spin --threads {int(cpus) + 1} --deadline 30"
        )
        with tempfile.NamedTemporaryFile() as output:
            done = subprocess.run(
                [self.folder / "bin" / "runexec", "--no-container", "--set-cgroup-value", quota,
                 "--output", output.name, "--", "sh", "-c", load],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            report = json.loads(Path(output.name).read_text().splitlines()[-1])
        told = dict(re.findall(r"^(walltime|cputime)=([0-9.]+)s$", done.stdout, re.MULTILINE))
        inside_ns = sum(thread["cpu_ns"] for thread in report["threads"])
        truth = inside_ns / (report["t_end_ns"] - report["t_start_ns"])
        return float(float(told["cputime"]) / float(told["walltime"]) / truth - 1)


def _install(folder: Path) -> _Runexec | None:
    """BenchExec from PyPI in an environment of its own; None where that cannot be had."""
    try:
        if not (folder / "bin" / "runexec").exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([folder / "bin" / "pip", "install", "-q", BENCHEXEC], check=True)
        found = _Runexec(folder)
        found.error(probe_binary(identity.facts().architecture).path, 0.5)
    except (OSError, subprocess.CalledProcessError, KeyError, ValueError) as error:
        say(f"BenchExec cannot be compared here: {error}")
        return None
    return found


def measure(connection: Connection) -> list[Figure]:
    """RMS errors over 30 trials of each way, and their ratios."""
    engine = DockerEngine(connection)
    where = runner.real_surroundings(engine, engine.facts(), identity.facts())
    probe = probe_binary(identity.facts().architecture).path
    fitting = [cpus for cpus in CPUS if cpus < where.engine_facts.cpus]
    rival = _install(Path(tempfile.gettempdir()) / "limitbench-benchexec")
    records: list[TrialRecord] = []
    theirs: list[float] = []
    for block in range(MOST_BLOCKS):
        if sum(points.counts(record) for record in records) >= TRIALS:
            break
        options = Options(
            values=",".join(f"{cpus:g}" for cpus in fitting), repeats=1, duration_s=WINDOW_S,
            seed=block,
        )  # fmt: skip
        plan = planning.build("cpu", options, cpus=where.engine_facts.cpus_to_give)
        runner.run_plan(plan, "benchmark", where, lambda r, _: records.append(r), runner.Listener())
        theirs += [rival.error(probe, cpus) for cpus in fitting] if rival else []
    counted = [record for record in records if points.counts(record)]
    ours, stats = errors.summarise({WINDOW_S: counted}, [], None).cpu
    out = [_compared("docker stats, mean of its frames", ours.errors, stats.errors)]
    if theirs:
        out.append(_compared(f"BenchExec {BENCHEXEC.split('==')[1]}, cputime / walltime",
                             ours.errors, Errors.of(list(theirs))))  # fmt: skip
    return out


def _compared(against: str, ours: Errors, theirs: Errors) -> Figure:
    assert ours.rms is not None
    assert theirs.rms is not None
    bias = ", ".join(f"{(one.bias or 0) * 100:+.3f} %" for one in (ours, theirs))
    return Figure(
        "RMS error of achieved CPU, --cpus 0.1 to 1.5", against, ours.rms / theirs.rms, 0.2, "×",
        f"{ours.rms:.3%} over {ours.n} trials against {theirs.rms:.3%} over {theirs.n}, of 3 s "
        f"each; bias {bias}",
    )  # fmt: skip
