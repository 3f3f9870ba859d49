"""Whether the probe's I/O figures are those of fio: the same loads on the same file, in turn.

Both run as plain processes, so that nothing but their own loops differs: threads with a synchronous
call each. The file is made once and stays as it is; which of the two comes first changes from turn
to turn. A disk that others use too gives each of them another rate; one that the kernel holds to a
rate (blkio.throttle, cgroup v1) does not, and then only what they count can differ.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from harness.cli.dialogue import say
from harness.engine.connect import Connection
from harness.engine.image import probe_binary
from harness.host import identity
from harness.judge import estimates

TURNS = 7
WINDOW_S, WARMUP_S = 3.0, 1.0
"""Long beside the 0.1 s in which the kernel counts what it lets through (blk-throttle.c)."""
FILE_BYTES = 64 << 20
NAME = "limitbench-io"
GOAL = 0.03
FOLDER = "/var/tmp"
"""On a disk: what lies in memory is as quick as the loops of the two, which are not the same."""


@dataclass(frozen=True)
class _Load:
    """One load in the words of both."""

    name: str
    probe: tuple[str, ...]
    fio: tuple[str, ...]
    depth: int = 1
    most_hz: int | None = None
    """Reads a second that the kernel lets through."""


_READ = ("--operation", "read", "--order", "random")
LOADS = (
    _Load("direct random reads of 4 KiB, of a disk held to 400 a second", _READ,
          ("--rw=randread", "--direct=1"), 4, most_hz=400),
    _Load("direct random reads of 4 KiB", _READ, ("--rw=randread", "--direct=1")),
    _Load("direct random reads, 4 at once", _READ, ("--rw=randread", "--direct=1"), 4),
    _Load("random writes of 4 KiB with fsync", ("--way", "fsync", "--order", "random"),
          ("--rw=randwrite", "--fsync=1")),
)  # fmt: skip


def measure(_connection: Connection) -> list[Figure]:
    """How far the I/Os a second are from fio's, load by load; nothing where fio is missing."""
    probe = str(probe_binary(identity.facts().architecture).path)
    try:
        subprocess.run(["fio", "--version"], check=True, capture_output=True)
    except OSError:
        say("fio is not installed (apt-get install fio): the probe is held to nothing.")
        return []
    found = []
    for load in LOADS:
        try:
            found.append(_compared(load, probe))
        except OSError as error:
            say(f"{load.name}: cannot be set up here ({error}).")
    return found


@contextlib.contextmanager
def _held(most_hz: int | None) -> Iterator[tuple[str, ...]]:
    """What a command begins with, to be in a cgroup that reads a disk so often a second."""
    if most_hz is None:
        yield ()
        return
    cgroup = Path("/sys/fs/cgroup/blkio", f"limitbench-benchmark-{os.getpid()}")
    device = Path(FOLDER).stat().st_dev
    cgroup.mkdir()
    try:
        rule = f"{os.major(device)}:{os.minor(device)} {most_hz}"
        (cgroup / "blkio.throttle.read_iops_device").write_text(rule)
        yield ("sh", "-c", f'echo $$ >{cgroup}/cgroup.procs && exec "$@"', "sh")
    finally:
        cgroup.rmdir()


def _compared(load: _Load, probe: str) -> Figure:
    """Both in turn on one file; the ratio of each pair, and the middle one."""
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, _held(load.most_hz) as inside:
        Path(folder, NAME).write_bytes(b"limitbench" * (FILE_BYTES // 10 + 1))
        subprocess.run(["sync", "-f", folder], check=True)
        for turn in range(TURNS):
            for mine in (True, False) if turn % 2 else (False, True):
                if mine:
                    ours.append(_by_probe(load, (*inside, probe), folder))
                else:
                    theirs.append(_by_fio(load, inside, folder))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    found = estimates.estimate("ratio", "1", ratios)
    middle = statistics.median(ratios)
    rates = f"{statistics.median(ours):.0f} against {statistics.median(theirs):.0f} a second"
    interval = (
        f"{found.low - 1:+.1%} to {found.high - 1:+.1%}"
        if found is not None and found.low is not None and found.high is not None
        else "no interval"
    )
    scatter = statistics.stdev(theirs) / statistics.fmean(theirs)
    return Figure(
        f"I/Os a second: {load.name}", "fio", abs(middle - 1) * 100, GOAL * 100,
        "%", f"median of {TURNS} pairs in turn, of {WINDOW_S:g} s each, {middle - 1:+.1%} "
        f"({interval}): {rates}; fio against itself scatters by {scatter:.1%}",
        explanation=f"fio's own turns scatter by {scatter:.1%} on this host; the interval is "
        f"{interval}",
    )  # fmt: skip


def _by_probe(load: _Load, probe: Sequence[str], folder: str) -> float:
    options = ["--block", "4096", "--file", str(FILE_BYTES), "--depth", str(load.depth)]
    where = ["--path", folder, "--existing", NAME, "--deadline", "60"]
    with subprocess.Popen([*probe, "io", *load.probe, *options, *where], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:  # fmt: skip
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdout.readline()
        running.stdin.write(f"go {round(WARMUP_S * 1e9)} {round(WINDOW_S * 1e9)}\n")
        running.stdin.flush()
        time.sleep(WARMUP_S + WINDOW_S + 0.02)
        running.stdin.write("stop\n")
        running.stdin.close()
        report = json.loads(running.stdout.readline())
    if report["errno"]:
        raise RuntimeError(f"the probe met errno {report['errno']}")
    return float(report["ios"] / WINDOW_S)


def _by_fio(load: _Load, inside: Sequence[str], folder: str) -> float:
    command = [
        *inside, "fio", "--name=io", f"--filename={folder}/{NAME}", f"--size={FILE_BYTES}",
        "--bs=4k",
        "--ioengine=psync", "--thread", f"--numjobs={load.depth}", "--group_reporting",
        "--norandommap", "--time_based", f"--runtime={WINDOW_S * 1e3:.0f}ms",
        f"--ramp_time={WARMUP_S * 1e3:.0f}ms",
        "--allow_file_create=0", "--output-format=json", *load.fio,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (job,) = json.loads(done.stdout[done.stdout.index("{") :])["jobs"]
    which: dict[str, Any] = job["read" if "randread" in load.fio[0] else "write"]
    return float(which["iops"])
