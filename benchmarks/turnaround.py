"""What a measurement takes in wall time: beside its windows, until an interval is narrow."""

from __future__ import annotations

import re
import statistics
import subprocess
import time
from collections.abc import Sequence

from benchmarks.figures import Figure
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.host import identity
from harness.judge import estimates
from harness.measure import runner
from harness.model import Estimate, Plan, TrialRecord
from harness.plan import build as planning
from harness.plan.axes import Options

TRIALS = 10
TURNS = 3
WINDOW_S = 1.0
INTERVAL_WINDOW_S, INTERVAL_WARMUP_S = 0.5, 0.1
"""As long as the scatter needs. A quota is overrun by up to a tick of 4 ms, and the next period
pays for it: so a window at 0.5 CPUs is off by the difference of two overruns, whatever its length.
Of 60 windows each, of 0.5, 0.7 and 1 s in turn, the standard deviation was 0.55, 0.46 and 0.30 %
by the cgroup's counter and 0.56, 0.43 and 0.29 % by the threads' own clocks. Five of 0.5 s are
then within ±1 % more often than not, and no window holds fewer than five periods."""
UNTIL = 0.01
SETTLE_S = 1.0
MOST_S = 150.0
"""A rival that is not done by then is given up, and its figure is at least so good."""
_PERCENT = re.compile(r"([0-9.]+)%")


def measure(connection: Connection) -> list[Figure]:
    """Overhead of a trial, and the time to ±1 % at ``--cpus 0.5``."""
    engine = DockerEngine(connection)
    image = engine.prepare_images().image_id
    return [_overhead(connection, engine, image), _interval(connection, engine, image)]


def _executed(plan: Plan, where: runner.Surroundings) -> list[TrialRecord]:
    records: list[TrialRecord] = []
    runner.run_plan(plan, "benchmark", where, lambda r, _: records.append(r), runner.Listener())
    return records


def _docker(connection: Connection, *arguments: str) -> list[str]:
    return ["docker", "--host", connection.host, *arguments]


def _overhead(connection: Connection, engine: DockerEngine, image: str) -> Figure:
    """A trial of ours and one turn of a shell loop, in turn."""
    where = runner.real_surroundings(engine, engine.facts(), identity.facts())
    ours: list[float] = []
    theirs: list[float] = []
    phases: dict[str, list[float]] = {}
    measured_s = 0.0
    for number in range(TRIALS):
        options = Options(values="0.5", repeats=1, duration_s=WINDOW_S, seed=number)
        plan = planning.build("cpu", options, cpus=where.engine_facts.cpus_to_give)
        measured_s = plan.points[0].warmup_s + plan.points[0].duration_s
        for record in _executed(plan, where):
            ours.append(sum(record.phases_s.values()) - measured_s)
            for name, seconds in record.phases_s.items():
                phases.setdefault(name, []).append(seconds)
        theirs.append(_shell_turn_s(connection, image))
    mine, other = statistics.median(ours), statistics.median(theirs)
    where_to = ", ".join(
        f"{name} {statistics.median(found) - (measured_s if 'window' in name else 0):.3f}"
        for name, found in phases.items()
    )
    return Figure(
        "time outside warm-up and window per trial", "a shell loop of docker run", mine / other,
        1.0, "×", f"medians of {len(ours)} and {len(theirs)} trials in turn: {mine:.3f} s against "
        f"{other:.3f} s; ours reads back every limit and every counter (s: {where_to})",
        explanation=f"where the time goes, in s: {where_to}",
    )  # fmt: skip


def _shell_turn_s(connection: Connection, image: str) -> float:
    """One ``docker run`` of the same load, less its window, which begins once it is ready."""
    run = _docker(connection, "run", "-i", "--rm", "--network", "none", "--cpus", "0.5", image,
                  "spin", "--threads", "1", "--deadline", "30")  # fmt: skip
    before = time.perf_counter()
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as container:  # fmt: skip
        assert container.stdin is not None
        assert container.stdout is not None
        container.stdout.readline()
        container.stdin.write(f"go 0 {round(WINDOW_S * 1e9)}\n".encode())
        container.stdin.flush()
        time.sleep(WINDOW_S)
        container.stdin.write(b"stop\n")
        container.stdin.close()
        container.stdout.read()
    return time.perf_counter() - before - WINDOW_S


def _interval(connection: Connection, engine: DockerEngine, image: str) -> Figure:
    """Both repeat until the same kind of interval is ±1 %, with at least five trials; in turn."""
    where = runner.real_surroundings(engine, engine.facts(), identity.facts())
    ours: list[tuple[float, int]] = []
    theirs: list[tuple[float, int]] = []
    said: list[float] = []
    given_up = 0
    for seed in range(TURNS):
        options = Options(values="0.5", repeats=5, duration_s=INTERVAL_WINDOW_S,
                          warmup_s=INTERVAL_WARMUP_S, until=UNTIL, seed=seed)  # fmt: skip
        plan = planning.build("cpu", options, cpus=where.engine_facts.cpus_to_give)
        before = time.perf_counter()
        records = _executed(plan, where)
        ours.append((time.perf_counter() - before, len(records)))

        before, readings = time.perf_counter(), list[float]()
        while time.perf_counter() - before < MOST_S and not _narrow(readings):
            readings.append(_shell_reading(connection, image))
        theirs.append((time.perf_counter() - before, len(readings)))
        said += readings
        given_up += not _narrow(readings)
    (ours_s, trials), (theirs_s, readings_of) = (
        tuple(statistics.median(column) for column in zip(*turns, strict=True))
        for turns in (ours, theirs)
    )
    gave_up = f", given up {given_up} times" if given_up else ""
    return Figure(
        "time to a ±1 % interval at --cpus 0.5", "a shell loop with docker stats --no-stream",
        ours_s / theirs_s, 0.2, "×",
        f"medians of {TURNS} in turn: {ours_s:.1f} s and {trials:g} trials against "
        f"{theirs_s:.0f} s and {readings_of:g} readings{gave_up}; theirs read {min(said):.3f} to "
        f"{max(said):.3f} CPUs",
        explanation="an interval takes 5 trials at the least, theirs of "
        f"{theirs_s / readings_of:.1f} s each and ours of {ours_s / trials:.2f} s, of which "
        f"{INTERVAL_WARMUP_S:g} s are warm-up and {INTERVAL_WINDOW_S:g} s the window: shorter ones "
        "scatter too much to stop at 5, since the kernel charges by the tick.",
    )  # fmt: skip


def _shell_reading(connection: Connection, image: str) -> float:
    """One container and one reading of docker stats, as a person's script would do it."""
    name = "limitbench-shell"
    run = _docker(connection, "run", "-i", "--rm", "--name", name, "--network", "none", "--cpus",
                  "0.5", image, "spin", "--threads", "1", "--deadline", "30")  # fmt: skip
    stats = _docker(connection, "stats", "--no-stream", "--format", "{{.CPUPerc}}", name)
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as container:  # fmt: skip
        assert container.stdin is not None
        container.stdin.write(b"go 0 60000000000\n")
        container.stdin.flush()
        time.sleep(SETTLE_S)
        said = subprocess.run(stats, check=True, capture_output=True, text=True).stdout
        container.stdin.close()
    match = _PERCENT.search(said)
    if match is None:
        raise RuntimeError(f"docker stats said {said!r}")
    return float(match[1]) / 100


def _estimate(readings: Sequence[float]) -> Estimate | None:
    return estimates.estimate("cpus", "CPUs", list(readings))


def _narrow(readings: Sequence[float]) -> bool:
    found = _estimate(readings)
    if found is None or len(readings) < estimates.MIN_EXACT_N:
        return False
    if found.low is None or found.high is None or not found.median:
        return False
    return (found.high - found.low) / 2 / found.median <= UNTIL
