"""A run far larger than most: 1,000 points × 10 trials with 10 million samples, read in every way.

The run is synthetic and made anew each time, in the format of ``results/``: a trial's line has the
size that real ones have, gaps and frames of docker stats included. Each job runs in a process of
its own, from Python's start on, so that its peak of memory is its own too. Beside it stands what a
person would do without us: the same samples as CSV, through plain pandas; and smaller runs, which
show how the cost grows.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.figures import ROOT, Figure
from harness.cli import report as reporting
from harness.model import (
    ContainerRecord,
    ContainerSpec,
    EngineFacts,
    HostFacts,
    HostSample,
    InsideReport,
    KernelLimits,
    Limits,
    Outcome,
    Pairs,
    Plan,
    PlannedTrial,
    Point,
    Sample,
    SamplerCost,
    Spin,
    StatsFrame,
    ThreadReport,
    TrialRecord,
    WorkloadFacts,
)
from harness.show import export, frames
from harness.show.report import view as views
from harness.store import listing, runs
from harness.store import samples as store_samples
from harness.store import trials as store_trials

POINTS, REPEATS, SAMPLES_A_TRIAL = 1_000, 10, 1_000
MANY_RUNS = 10_000
LARGE_REPEATS = 100
SIZES = (100, 300, 1_000)
"""Points of the runs that show how the cost grows: of 1, 3 and 10 million samples."""
TURNS = 3
SAMPLES = "load, and summarise all samples"
PERIOD_NS, WINDOW_NS, THREADS = 100_000_000, 3_000_000_000, 2
HOST_CPUS = 64

HOST = HostFacts(
    hostname="synthetic", os="none", kernel="0", architecture="x86_64", cpu_model="none",
    cpus=HOST_CPUS, usable_cpus=HOST_CPUS, tick_ns=4_000_000, memory_bytes=1 << 38, swap_bytes=0,
    cgroup_version=1, cfs_slice_us=5000, virtualisation=None, governor=None,
)  # fmt: skip
ENGINE = EngineFacts(
    host="unix:///synthetic.sock", name="none", version="0", api_version="0", cgroup_version=1,
    cgroup_driver="cgroupfs", runtime="runc", runtime_version="0", storage_driver="none",
    architecture="x86_64", kernel="0", cpus=HOST_CPUS, memory_bytes=1 << 38, private=True,
)  # fmt: skip


def plan(points: int = POINTS, repeats: int = REPEATS) -> Plan:
    """A sweep of ``--cpus`` in so many steps."""
    steps = tuple(
        Point(
            id=f"cpus={0.5 + i * 1e-3:g}", axis="cpu", value=f"{0.5 + i * 1e-3:g}",
            containers=(ContainerSpec(limits=Limits(cpus=round(0.5 + i * 1e-3, 3)),
                                      workload=Spin(threads=THREADS)),),
            duration_s=WINDOW_NS / 1e9,
        )
        for i in range(points)
    )  # fmt: skip
    trials = tuple(
        PlannedTrial(index=block * points + i, block=block, point_id=point.id)
        for block in range(repeats)
        for i, point in enumerate(steps)
    )
    return Plan(sweep="cpu", points=steps, trials=trials, repeats=repeats, seed=1, cadence_hz=330,
                command="synthetic")  # fmt: skip


def records(of: Plan) -> Iterator[TrialRecord]:
    """The trials, each a little off its promise."""
    rng = random.Random(1)
    points = {point.id: point for point in of.points}
    for trial in of.trials:
        limits = points[trial.point_id].containers[0].limits
        assert limits.cpus is not None
        begin = 10**15 + trial.index * 4 * 10**9
        used = round(limits.cpus * WINDOW_NS * rng.gauss(1, 0.001))
        off = round(PERIOD_NS * (1 - limits.cpus / THREADS))
        gaps = tuple(
            (i * PERIOD_NS + PERIOD_NS - off, max(600_000, off + rng.randrange(-(10**6), 10**6)))
            for i in range(WINDOW_NS // PERIOD_NS)
            for _ in range(THREADS)
        )
        total = sum(length for _, length in gaps)
        thread = ThreadReport(
            t_start_ns=begin, t_end_ns=begin + WINDOW_NS, cpu_ns=used // THREADS, work=used // 1000,
            gaps=len(gaps) // THREADS, gap_total_ns=total // THREADS,
            gap_max_ns=max(length for _, length in gaps),
            cpus=Pairs((cpu, used // 8000) for cpu in range(8)),
        )  # fmt: skip
        first = Sample(t_mono_ns=begin, cpu_usage_ns=10**9, nr_periods=5, nr_throttled=5,
                       throttled_ns=10**8, memory_bytes=1 << 20)  # fmt: skip
        last = replace(
            first, t_mono_ns=begin + WINDOW_NS, cpu_usage_ns=10**9 + used, nr_periods=35,
            nr_throttled=35, throttled_ns=2 * 10**9,
        )  # fmt: skip
        host = HostSample(t_mono_ns=begin, root_usage_ns=0, steal_ns=(0,) * HOST_CPUS,
                          harness_cpu_ns=0)  # fmt: skip
        quota = KernelLimits(cpu_quota_us=int(limits.cpus * 100_000), cpu_period_us=100_000)
        yield TrialRecord(
            index=trial.index, block=trial.block, point_id=trial.point_id,
            outcome=Outcome.COMPLETED, started_at="2026-01-01T00:00:00+00:00",
            containers=(
                ContainerRecord(
                    requested=limits, engine=limits, kernel=quota, kernel_after=quota,
                    first=first, last=last,
                    inside=InsideReport(
                        t_start_ns=begin, t_end_ns=begin + WINDOW_NS, gap_threshold_ns=500_000,
                        threads=(thread,) * THREADS, gap_list=Pairs(gaps),
                    ),
                    stats=(StatsFrame(read="2026-01-01T00:00:01Z", cpu_percent=used / WINDOW_NS,
                                      memory_bytes=1 << 20),),
                    exit_code=0, oom_killed=False,
                ),
            ),
            host_first=host,
            host_last=replace(host, t_mono_ns=begin + WINDOW_NS, root_usage_ns=used + 10**7,
                              harness_cpu_ns=10**7),
            sampler=SamplerCost(ticks=SAMPLES_A_TRIAL, missed=0, lateness_p50_ns=50_000,
                                lateness_p99_ns=90_000, cpu_ns=10**7),
            phases_s={"create": 0.1, "start": 0.1, "ready": 0.01, "warm-up": 0.5, "window": 3.0},
        )  # fmt: skip


def make(root: Path, points: int = POINTS, repeats: int = REPEATS) -> Path:
    """Write the run as the store writes it; ten million samples take a few seconds."""
    of = plan(points, repeats)
    facts = WorkloadFacts(image_id="none", probe_sha256="none", compiler="none")
    writer = runs.create(root, of, host=HOST, engine=ENGINE, workload=facts)
    with (writer.path / "trials.jsonl").open("wb") as lines:
        for record in records(of):
            lines.write(store_trials.line_of(record))
    writer.finish("finished")
    schema = store_samples.sample_schema()
    at_once = store_samples.ROWS_A_GROUP // SAMPLES_A_TRIAL
    rows = at_once * SAMPLES_A_TRIAL
    steps = np.tile(np.arange(SAMPLES_A_TRIAL, dtype=np.int64), at_once)
    with (
        store_samples.replacing(writer.path / "samples.parquet") as file,
        pq.ParquetWriter(file, schema, compression="zstd") as samples,
    ):
        for first in range(0, len(of.trials), at_once):
            trials = np.repeat(np.arange(first, first + at_once, dtype=np.int32), SAMPLES_A_TRIAL)
            noise = np.random.default_rng(first).integers(0, 1000, rows)
            columns = {"trial": pa.array(trials), "container": pa.array(np.zeros(rows, np.int32))}
            for name in schema.names[2:]:
                rate = _RATES.get(name)
                columns[name] = (
                    pa.nulls(rows, pa.int64()) if rate is None else pa.array(steps * rate + noise)
                )
            samples.write_table(pa.table(columns, schema=schema))
    return writer.path


_RATES = {
    "t_mono_ns": 3_000_000, "cpu_usage_ns": 1_500_000, "nr_periods": 1, "nr_throttled": 1,
    "throttled_ns": 1_000_000, "memory_bytes": 4096, "total_bytes": 4096,
}  # fmt: skip
"""Of each counter, a sample; the others were not measured."""


# --- what is done with it ------------------------------------------------------------------------


def _list(path: Path) -> str:
    return f"{listing.list_runs(path.parent).runs[0].trials} trials"


def _load(path: Path) -> str:
    return f"{len(runs.load(path).trials)} trials"


def _summarise(path: Path) -> str:
    return views.build(runs.load(path)).headline


def _report(path: Path) -> str:
    page = path / "report.html"
    reporting.report.main([str(path), "--output", str(page)], standalone_mode=False)
    return f"{page.stat().st_size / 2**20:.1f} MiB of HTML, figures included"


def _frames(path: Path) -> str:
    run = runs.load(path)
    shapes = [len(frame(run)) for frame in (frames.trials, frames.errors, frames.gaps)]
    return f"{shapes[0]} trials, {shapes[1]} errors, {shapes[2]} gaps"


def _columns(path: Path) -> str:
    frame = frames.samples(runs.load(path), columns=["trial", "t_mono_ns", "cpu_usage_ns"])
    return f"{len(frame)} samples, 3 of {len(store_samples.sample_schema().names)} columns"


def _timeline(path: Path) -> str:
    return f"{len(frames.timeline(runs.load(path), 7_777))} samples of one trial"


def _export(path: Path) -> str:
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path of ours
        return f"{export.write([runs.load(path)], 'samples', 'csv', nowhere)} samples as CSV"


def _achieved(samples: pd.DataFrame) -> pd.Series[float]:
    """CPUs achieved in each trial, from the first and the last of its samples."""
    moves = samples.groupby("trial")[["t_mono_ns", "cpu_usage_ns"]].agg(["first", "last"])
    used, span = (
        moves[name]["last"] - moves[name]["first"] for name in ("cpu_usage_ns", "t_mono_ns")
    )
    achieved: pd.Series[float] = used / span
    return achieved


def _samples(path: Path) -> str:
    run = runs.load(path)
    achieved = _achieved(frames.samples(run, columns=["trial", "t_mono_ns", "cpu_usage_ns"]))
    return f"{achieved.groupby(achieved.index % len(run.info.plan.points)).median().size} medians"


def _plain(path: Path) -> pd.DataFrame:
    """The same, as people do it: ``read_csv`` and two times ``groupby``."""
    achieved = _achieved(pd.read_csv(path / "samples.csv"))
    points = achieved.groupby(achieved.index % (len(achieved) // REPEATS))
    return points.agg(["median", "min", "max"])


def _plain_samples(path: Path) -> str:
    return f"{len(_plain(path))} medians"


def _plain_report(path: Path) -> str:
    from matplotlib.figure import Figure as Drawing  # noqa: PLC0415 - this job's own cost

    table = _plain(path)
    drawing = Drawing()
    drawing.subplots().plot(table.index, table["median"])
    page = io.BytesIO()
    drawing.savefig(page, format="svg")
    text = table.to_html()
    return f"{(len(text) + page.tell()) / 2**20:.1f} MiB: one table and one line"


JOBS: Mapping[str, tuple[Callable[[Path], str], float, float]] = {
    "list the runs": (_list, 2, 300),
    "load": (_load, 5, 500),
    "load and summarise": (_summarise, 7, 500),
    "load and report as HTML": (_report, 20, 800),
    "load, and make the frames of trials, errors and gaps": (_frames, 12, 800),
    "load, and read three columns of all samples": (_columns, 4, 1_500),
    "load, and read the timeline of one trial": (_timeline, 5, 600),
    "load, and export all samples": (_export, 14, 1_000),
    SAMPLES: (_samples, 4, 2_000),
}
"""Job → (what it does, seconds and MiB that it may take): twice what it took where the bounds were
set, on 2 CPUs of 2026, Python's start and all imports included."""


PLAIN: Mapping[str, Callable[[Path], str]] = {
    "nothing": lambda _: "",
    "pandas": _plain_samples,
    "pandas and a page": _plain_report,
}
"""The same jobs without limitbench, on the samples as CSV."""


def _timed(job: str, path: Path) -> tuple[float, str, float]:
    """(seconds, what it did, peak of memory in MiB) of a job in a process of its own."""
    before = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", job, str(path)],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    took_s = time.perf_counter() - before
    detail, peak_mib = json.loads(done.stdout.splitlines()[-1])  # behind what a command says
    return took_s, detail, peak_mib


def measure() -> list[Figure]:
    """Time and peak memory of each job, in a process of its own, from its first import on."""
    return [*_bounds(), *_rivals(), *_growth(), *_large(), *_many(), _small()]


def _small() -> Figure:
    """The report of a sweep as people make it: `bench sweep cpu`, from the command to the file."""
    sample = ROOT / "results" / "sample-cpu"
    info = json.loads((sample / "run.json").read_text())
    plan = info["plan"]
    plan["points"] = [point for point in plan["points"] if point["axis"] == "cpu"]
    ids = {point["id"] for point in plan["points"]}
    plan["trials"] = [trial for trial in plan["trials"] if trial["point_id"] in ids]
    info.pop("crc32", None)
    with tempfile.TemporaryDirectory(prefix="limitbench-small-") as folder:
        path = Path(folder) / sample.name
        shutil.copytree(sample, path)
        (path / "run.json").write_text(json.dumps(info))
        lines = (sample / "trials.jsonl").read_text().splitlines(keepends=True)
        own = [line for line in lines if json.loads(line)["point_id"] in ids]
        (path / "trials.jsonl").write_text("".join(own))
        took_s = statistics.median(_command_s("report", folder, sample.name) for _ in range(TURNS))
        size = (path / "report.html").stat().st_size / 2**20
    against = f"{len(ids)} points, {len(own)} trials"
    return Figure(
        "bench report: time", against, took_s, 1.5, "s", f"{size:.1f} MiB of HTML",
        explanation="about half of it is Python's start and the imports of pandas and matplotlib, "
        "which every figure needs.",
    )  # fmt: skip


def _many() -> list[Figure]:
    """A folder of 10,000 runs, as the commands see it: once read, and listed again."""
    source = ROOT / "results" / "sample-cpu"
    info = json.loads((source / "run.json").read_text())
    info.pop("crc32", None)
    lines = "".join((source / "trials.jsonl").read_text().splitlines(keepends=True)[:9])
    with tempfile.TemporaryDirectory(prefix="limitbench-many-") as folder:
        begin = datetime(2025, 1, 1, tzinfo=UTC)
        for number in range(MANY_RUNS):
            created = begin + timedelta(minutes=37 * number)
            path = Path(folder) / f"{created:%Y%m%d-%H%M%S}-cpu"
            path.mkdir()
            told = {**info, "name": path.name, "created": created.isoformat()}
            (path / "run.json").write_text(json.dumps(told))
            (path / "trials.jsonl").write_text(lines)
        first_s = _command_s("runs", folder)
        listed_s, shown_s = (
            statistics.median(_command_s(name, folder) for _ in range(TURNS))
            for name in ("runs", "show")
        )
    against = f"a folder of {MANY_RUNS:,} runs"
    why = f"{first_s:.1f} s the first time, when each is read"
    return [
        Figure("bench runs: time", against, listed_s, 2, "s", why),
        Figure("bench show of the newest: time", against, shown_s, 1, "s", ""),
    ]


def _command_s(name: str, results: str, *run: str) -> float:
    started = time.perf_counter()
    subprocess.run(
        [ROOT / ".venv" / "bin" / "bench", name, *run, "--results", results], check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - started


def _rivals() -> list[Figure]:
    """Ours and plain pandas in turn, on the largest run."""
    with tempfile.TemporaryDirectory(prefix="limitbench-scale-") as folder:
        path = make(Path(folder))
        with (path / "samples.csv").open("wb") as file:
            export.write([runs.load(path)], "samples", "csv", file)
        size = (path / "samples.csv").stat().st_size / 2**20
        against = f"plain pandas, of a CSV file of {size:.0f} MiB"
        out = []
        start_s, judge_s = (
            statistics.median(_timed(job, path)[0] for _ in range(TURNS))
            for job in ("nothing", "load and summarise")
        )
        start = f"{start_s:.1f} s are Python's start and imports, which theirs has too"
        for name, ours, theirs, goal, rest in (
            ("load and summarise 10 million samples", SAMPLES, "pandas", 1 / 3,
             [(-start_s, "the samples: the trials are not read for them")]),
            ("report of 1,000 points", "load and report as HTML", "pandas and a page", 1 / 2,
             [(judge_s - start_s, "loading and judging 10,000 trials"),
              (-judge_s, ("five figures of all trials, and sortable tables; theirs draws one line "
                          "and a table without a verdict"))]),
        ):  # fmt: skip
            turns = [(_timed(ours, path), _timed(theirs, path)) for _ in range(TURNS)]
            mine, other = (statistics.median(turn[i][0] for turn in turns) for i in (0, 1))
            out.append(Figure(
                f"{name}: time", against, mine / other, goal, "×",
                f"medians of {TURNS} in turn: {mine:.1f} s ({turns[0][0][1]}) and "
                f"{turns[0][0][2]:.0f} MiB against {other:.1f} s ({turns[0][1][1]}) and "
                f"{turns[0][1][2]:.0f} MiB",
                explanation=", ".join([start, *(
                    f"{seconds if seconds > 0 else mine + seconds:.1f} s {what}"
                    for seconds, what in rest
                )]) + ".",
            ))  # fmt: skip
        return out


def _growth() -> list[Figure]:
    """How the cost grows with the run: 1 is linear, less is better than that."""
    cost: dict[int, tuple[float, float]] = {}
    for points in SIZES:
        with tempfile.TemporaryDirectory(prefix="limitbench-scale-") as folder:
            path = make(Path(folder), points)
            turns = [_timed(SAMPLES, path)[0] for _ in range(TURNS)]
            report = [_timed("load and report as HTML", path)[0] for _ in range(TURNS)]
            cost[points] = statistics.median(turns), statistics.median(report)
    small, large = SIZES[0], SIZES[-1]
    out = []
    for i, name in enumerate(("load and summarise samples", "report")):
        each = "; ".join(
            f"{points * REPEATS * SAMPLES_A_TRIAL / 1e6:g} million: {seconds[i]:.1f} s"
            for points, seconds in cost.items()
        )
        grown = (cost[large][i] / cost[small][i]) / (large / small)
        out.append(Figure(
            f"{name}: growth of the time with the samples", "in proportion", grown, 1.0, "×", each
        ))  # fmt: skip
    return out


def _large() -> list[Figure]:
    """A run of 100,000 trials and 100 million samples, in 2 GB."""
    with tempfile.TemporaryDirectory(prefix="limitbench-scale-") as folder:
        path = make(Path(folder), repeats=LARGE_REPEATS)
        jobs = ("list the runs", "load and summarise", "load and report as HTML")
        told = {name: _timed(name, path) for name in jobs}
    each = "; ".join(
        f"{name}: {took_s:.1f} s, {mib:.0f} MiB" for name, (took_s, _, mib) in told.items()
    )
    trials = POINTS * LARGE_REPEATS
    return [Figure(
        f"a run of {trials:,} trials: peak of memory", f"{trials * SAMPLES_A_TRIAL:,} samples",
        max(mib for _, _, mib in told.values()), 2_000, "MiB", each,
    )]  # fmt: skip


def _bounds() -> list[Figure]:
    out = []
    with tempfile.TemporaryDirectory(prefix="limitbench-scale-") as folder:
        path = make(Path(folder))
        lines, samples = (
            (path / name).stat().st_size / 2**20 for name in ("trials.jsonl", "samples.parquet")
        )
        against = (
            f"{POINTS} points × {REPEATS} trials ({lines:.0f} MiB), "
            f"{POINTS * REPEATS * SAMPLES_A_TRIAL / 1e6:g} million samples ({samples:.0f} MiB)"
        )
        for name, (_, most_s, most_mib) in JOBS.items():
            took_s, detail, peak_mib = _timed(name, path)
            out += [
                Figure(f"{name}: time", against, took_s, most_s, "s", detail),
                Figure(f"{name}: peak of memory", against, peak_mib, most_mib, "MiB", detail),
            ]
    return out


def main() -> None:
    """One job, in this process: prints what it did, and its peak of memory."""
    name, path = sys.argv[1:]
    detail = (PLAIN[name] if name in PLAIN else JOBS[name][0])(Path(path))
    # Of processes side by side, as those that draw a report, the largest is told.
    peak_mib = (
        max(
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        / 1024
    )
    sys.stdout.write(json.dumps([detail, peak_mib]))


if __name__ == "__main__":
    main()
