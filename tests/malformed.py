"""Whatever is read of what others wrote: a true one of each kind, and what reads it.

``TARGETS`` is for tests and for ``make fuzz`` alike: given any bytes, a target returns, or raises
an error with words. Anything else is a defect.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cgroup.mounts import visible_mounts
from harness.cgroup.parsing import parse_flat, parse_pressure
from harness.cgroup.paths import memberships
from harness.cgroup.v1 import V1
from harness.cgroup.v2 import V2
from harness.cgroup.version import CgroupVersion, RawSample
from harness.cli import settings, sweep
from harness.engine.stats import usable_frames
from harness.errors import BenchError
from harness.measure import protocol
from harness.model import Burst, Growth, Io, Spin
from harness.plan import build as planning
from harness.plan import programs, sweepfile
from harness.plan.axes import Options
from harness.store import baselines
from tests.fakes import CPUS

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of input."""

    seeds: tuple[bytes, ...]
    read: Callable[[bytes], object]

    def refuses(self, data: bytes) -> bool:
        """Whether it is refused in one line; AssertionError for more, any other for a defect."""
        try:
            self.read(data)
        except (BenchError, protocol.GarbledError) as error:
            words = str(error)
        else:
            return False
        assert len(words.splitlines()) == 1, words
        return True


def _in_a_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    def reads(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(data)
            return read(path)

    return reads


def _sweep(path: Path) -> object:
    file = sweepfile.load(path, Options(), lambda _: Spin())
    return planning.build(file.name, file.options, cpus=CPUS, points_of=file.points)


def _mounts(path: Path) -> object:
    (path.parent / "self").mkdir()
    path.rename(path.parent / "self" / "mountinfo")
    return visible_mounts(path.parent)


def _frames(data: bytes) -> object:
    lines = [(i, line) for i, line in enumerate(data.split(b"\n"))]
    return usable_frames(lines, 0, len(lines))


def _counters(version: CgroupVersion) -> Callable[[bytes], object]:
    def reads(data: bytes) -> object:
        parts = data.split(b"\0")
        files = [parts[i % len(parts)] for i in range(len(version.tick_files))]
        details = [parts[i % len(parts)] for i in range(len(version.detail_files))]
        return version.sample(RawSample(0, 0, tuple(files), tuple(details)), data)

    return reads


def _said(data: bytes) -> None:
    line = data.decode(errors="replace")
    found = protocol.message(line)
    for kind in ("ready", "done"):
        with suppress(protocol.GarbledError):
            protocol.expect(found, kind)
    for workload in (Spin(), Burst(), Io(), Growth(target_bytes=1)):
        with suppress(protocol.GarbledError):
            protocol.report(found, workload)


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


_THREAD = {"t_start_ns": 1, "t_end_ns": 9, "cpu_ns": 5, "work": 3, "gaps": 1, "gap_total_ns": 2,
           "gap_max_ns": 2, "cpus": [[0, 3]]}  # fmt: skip
_REPORT = {"probe": "report", "version": 1, "complete": True, "t_start_ns": 1, "t_end_ns": 9}
_SPIN = {**_REPORT, "mode": "spin", "gap_threshold_ns": 1, "gap_edges_ns": [1, 2],
         "gap_histogram": [1], "gap_list": [[1, 1]], "threads": [_THREAD]}  # fmt: skip
_GROWTH = {**_REPORT, "mode": "memory", "kind": "anon", "target_bytes": 9, "step_bytes": 3,
           "touched_bytes": 9, "killed": False, "errno": 0, "step_ns": [1, 2], "churn_pages": 1,
           "churn_ns": 1, "churn_max_ns": 1}  # fmt: skip
_STATS = [path.read_bytes().replace(b"\n", b"") for path in
          sorted((DATA / "cases" / "R5-stats-frames").glob("*.json"))]  # fmt: skip

TARGETS: Mapping[str, Target] = {
    "baseline": Target(
        ((DATA / "baseline-1.json").read_bytes(),),
        _in_a_file("default.json", lambda path: baselines.load(path.parent, "default")),
    ),
    "sweep file": Target(
        (
            (b'repeats = 5\nduration = 2.5\n[fixed]\nmemory = "64m"\n[product]\ncpus = [0.5, 1.0]\n'
            b'cpuset-cpus = ["0", "0-1"]\n[[point]]\ncpu-quota = 20000\nthreads = 2\n'),
            (b'[[axis]]\nname = "period"\nvalues = "10000,100000"\n[[point]]\n'
            b'containers = [{cpu-shares = 1024}, {cpu-shares = 512}]\ncpuset-cpus = "0"\n'),
        ),
        _in_a_file("any.toml", _sweep),
    ),
    "workload file": Target(
        (
            (b'command = ["x", "{threads}"]\nready = "on"\nstop-signal = "SIGINT"\n[image]\n'
            b'archive = "a.tar"\n[[metric]]\nname = "ops"\npattern = "cpu ([0-9.]+)$"\n'),
        ),
        _in_a_file("any.toml", lambda path: programs.find(str(path), path.parent)),
    ),
    "settings": Target(
        (b'[sweep]\nrepeats = 10\nquick = true\nresults = "there"\n[runs]\njson = true\n',),
        _in_a_file(
            "bench.toml", lambda path: settings.from_file(sweep.sweep, "sweep", path.parent)
        ),
    ),
    "stats frames": Target((b"\n".join(_STATS), b"\n".join(_STATS[1:2] * 3)), _frames),
    "cgroup v1": Target(
        (b"123\n\0nr_periods 3\nnr_throttled 1\nthrottled_time 5\n\0some avg10=0 total=7\n",),
        _counters(V1),
    ),
    "cgroup v2": Target(
        (b"usage_usec 12\nnr_periods 3\n\0 4096\n\0oom_kill 1\n\0full avg10=0.0 total=7\n",),
        _counters(V2),
    ),
    "a cgroup's texts": Target(
        (b"key 1\nsome avg10=0 total=1\n0::/a/b\n4:cpu,cpuacct:/docker/x\n",),
        lambda data: (parse_flat(data), parse_pressure(data),
                      memberships(data.decode(errors="replace"))),
    ),
    "mountinfo": Target(
        (
            (b"24 1 0:22 / / rw - ext4 /dev/sda rw\n30 24 0:26 / /sys/fs/cgroup rw,nosuid "
            b"shared:9 - cgroup2 cgroup2 rw\n31 30 0:27 /x /sys/fs/cgroup/cpu rw - cgroup c cpu\n"),
        ),
        _in_a_file("mountinfo", _mounts),
    ),
    "probe": Target((_json({"probe": "ready"}), _json(_SPIN), _json(_GROWTH)), _said),
}  # fmt: skip

TOKENS = (
    b"-1", b"0", b"1e308", b"1e999", b"NaN", b"Infinity", b"null", b"true", b'""', b"[]", b"{}",
    b"[[", b'{"":', b"99999999999999999999", b"9" * 5000, b"\xff", b"\x00", b'"\\ud800"', b"\n",
    b"0001-01-01T00:00:00Z", b"[" * 3000, b"\xe2\x80\xae", b"'", b'"', b"=", b"..", b"1_0",
)  # fmt: skip


def mangled(seed: bytes, rng: random.Random, tokens: Sequence[bytes] = TOKENS) -> bytes:
    """The input with one to four places flipped, cut, doubled or replaced."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        to = min(to, at + rng.choice((1, 1, 4, 30, 1000)))
        match rng.randrange(5):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:to]
            case 2:
                data[at:at] = data[at:to]
            case 3:
                data[at:to] = rng.choice(tokens)
            case _:
                whole = _number_at(data, at)
                data[whole] = rng.choice(tokens)
    return bytes(data)


def _number_at(data: bytearray, at: int) -> slice:
    """The next number from there on: what is put there still parses."""
    while at < len(data) and not chr(data[at]).isdigit():
        at += 1
    to = at
    while to < len(data) and chr(data[to]) in "0123456789.":
        to += 1
    return slice(at, to)
