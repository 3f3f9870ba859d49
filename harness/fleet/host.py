"""A host's own side of a task.

A folder for it, and a ``bench`` that measures in there; the worker only waits. What it waits for
outlives the connection that brought it: a host whose scheduler is gone measures on, and whoever
asks for the same task again, of this process or of the next, is given what there is, finished or to
be gone on with. Nothing that was measured is measured twice.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol

from harness import files
from harness.errors import MeasurementError, PlanError, ResultsError
from harness.fleet import parcel
from harness.limits import format_cpu_list, parse_cpu_list
from harness.model import BesideRun, Order, Reply, Task
from harness.store import claims, fleets, folder, runs, trials

TASK, RUNS, BASELINES = "task.json", "runs", "baselines"
_ATTEMPTS, _SAID = "attempts", "said.log"
_MOST_ATTEMPTS = 10
"""Of one task on one host, whoever counts: the controller asks less often, a worker that dies each
time would never end."""
_KEPT_TASKS = 10
"""Folders of tasks that stay, the newest: whoever asked may not have what is in them yet."""
_POLL_S = 1.0
_END_S = 60.0
_SAID_BYTES = 1 << 16


def default_folder() -> Path:
    """Where tasks lie: beside the private engine's folder for root, else in the user's own."""
    if os.geteuid() == 0:
        return Path("/var/lib/limitbench/fleet")
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "limitbench" / "fleet"


class Measuring(Protocol):
    """A measurement that goes on: the boundary that a simulation replaces."""

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code; None where it still goes on after so long."""

    def end(self) -> None:
        """Have it end soon, keeping what it finished."""

    def said(self) -> str:
        """Its last words."""


Begin = Callable[[Path], Measuring]
"""Begins what the task in this folder asks for."""


class Child:
    """A ``bench`` of its own: it measures as by hand, with the host's lock, and as `resume` does.

    Its standard input is ours alone: where we die, however that is, it ends by itself.
    """

    def __init__(self, command: Sequence[str], task: Path, cpus: frozenset[int]) -> None:
        self._log = task / _SAID
        with self._log.open("wb") as said:
            self._process = _started([*command, str(task)], task, said, cpus)

    def wait(self, timeout_s: float) -> int | None:
        """As of ``Measuring``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout_s)
        return None

    def end(self) -> None:
        """As of ``Measuring``."""
        self._process.send_signal(signal.SIGTERM)
        if self.wait(_END_S) is None:
            self._process.kill()
            self._process.wait()

    def said(self) -> str:
        """As of ``Measuring``."""
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _SAID_BYTES))
            return log.read().decode(errors="replace")
        return ""


def _started(
    command: Sequence[str], task: Path, said: IO[bytes], cpus: frozenset[int]
) -> subprocess.Popen[bytes]:
    """With the CPUs of the whole host: what a thread starts has that thread's own."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        return subprocess.Popen(
            command, cwd=task, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said,
            env=_environment(), start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise MeasurementError(f"cannot start {command[0]}: {error.strerror}.") from error
    finally:
        os.sched_setaffinity(0, ours)


def _environment() -> dict[str, str]:
    """Ours, without what would say where results lie or how it is measured: a task says that."""
    kept = {"BENCH_ENGINE_DIR", "BENCH_INSTALL_ENGINE", "BENCH_ENGINE_HOST", "BENCH_DEVICE"}
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith("BENCH_")
    }


@dataclass(slots=True)
class _Current:
    """The measurement that goes on."""

    task: Task
    folder: Path
    measuring: Measuring
    attempts: int
    began_s: float
    cpu_s: float


class Host:
    """The one host that a worker is on."""

    def __init__(self, name: str, root: Path, begin: Begin, cpus: str = "") -> None:
        self.name, self._root, self._begin, self._cpus = name, root, begin, cpus
        self._lock = threading.Lock()
        self._current: _Current | None = None
        self._closed = False

    def measure(
        self, text: bytes, tell: Callable[[str], None], left: threading.Event
    ) -> bytes | None:
        """Carry a task out, or go on with it; a parcel, or None once nobody waits (``left``).

        ``tell`` is called with a line now and then. PlanError where the task makes no sense.
        """
        task = fleets.read_task(text)
        if task.host != self.name:
            raise MeasurementError(f"a task of {task.host} came to {self.name}.")
        where = self._root / task.fleet
        while not left.is_set():
            with self._lock:
                if self._closed:
                    return None
                current = self._current
                if current is None:
                    done = self._finished(task, where)
                    if done is not None:
                        return done
                    current = self._current = self._begun(task, text, where)
            mine = current.task == task
            code = self._awaited(current, tell if mine else _silent, left)
            if code is None:
                return None
            with self._lock:
                if self._current is current:
                    self._current = None
                    self._note_cost(current)
            if mine:
                return self._replied(current, code)
        return None

    def close(self) -> None:
        """End what is measured; it is gone on with by whoever asks again."""
        with self._lock:
            self._closed = True
            current = self._current
        if current is not None:
            current.measuring.end()

    def _begun(self, task: Task, text: bytes, where: Path) -> _Current:
        with folder.writing(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            self._remove_old(where)
            if _order_in(where) != task.order:  # none, or another's that had this name
                shutil.rmtree(where, ignore_errors=True)
            where.mkdir(exist_ok=True)
            attempts = _attempts(where) + 1
            if attempts > _MOST_ATTEMPTS:
                raise MeasurementError(
                    f"{self.name} began {task.fleet} {attempts - 1} times to no end.",
                    f"See {where / _SAID} there; remove {where} to have it begun again.",
                )
            (where / _ATTEMPTS).write_text(f"{attempts}\n")
            (where / TASK).write_bytes(text)
        return _Current(
            task, where, self._begin(where), attempts, time.monotonic(), time.process_time()
        )  # fmt: skip

    def _remove_old(self, but: Path) -> None:
        there = [one.parent for one in self._root.glob(f"*/{TASK}") if one.parent != but]
        for one in sorted(there, key=lambda path: path.stat().st_mtime)[: -_KEPT_TASKS + 1]:
            shutil.rmtree(one, ignore_errors=True)

    def _awaited(
        self, current: _Current, tell: Callable[[str], None], left: threading.Event
    ) -> int | None:
        told = ""
        while not left.is_set():
            code = current.measuring.wait(_POLL_S)
            if code is not None:
                return code
            if (now := _progress(current)) != told:
                tell(told := now)
        return None

    def _note_cost(self, current: _Current) -> None:
        run = _run_of(current.folder)
        if run is not None:
            fleets.write_beside(
                run,
                BesideRun(
                    schema=fleets.SCHEMA, fleet=current.task.fleet, host=self.name,
                    attempts=current.attempts,
                    worker_cpu_s=round(time.process_time() - current.cpu_s, 6),
                    elapsed_s=round(time.monotonic() - current.began_s, 3),
                    worker_cpus=self._cpus,
                ),
            )  # fmt: skip

    def _replied(self, current: _Current, code: int) -> bytes:
        run = _run_of(current.folder) if code == 0 else None
        if code == 0 and run is None:
            code = 70
        reply = Reply(
            host=self.name, run=run.name if run else None, code=code, attempts=current.attempts,
            reason="" if code == 0 else _reason(current.measuring.said(), code),
        )  # fmt: skip
        try:
            return parcel.pack(reply, run)
        except ResultsError as error:
            return parcel.pack(replace(reply, run=None, code=2, reason=str(error)), None)

    def _finished(self, task: Task, where: Path) -> bytes | None:
        """What is there of a task that was carried out already."""
        run = _run_of(where)
        if run is None or fleets.beside(run) is None or not _is_whole(run):
            return None
        if _order_in(where) != task.order:
            return None
        return parcel.pack(
            Reply(host=self.name, run=run.name, code=0, reason="", attempts=_attempts(where)), run
        )


def _silent(_text: str) -> None:
    """How far another's task is, nobody who waits behind it is told."""


def _run_of(where: Path) -> Path | None:
    """The run of a task; the newest where claims were begun anew."""
    found = folder.folders(where / RUNS)
    return found[0] if found else None


def _order_in(where: Path) -> Order | None:
    """What was asked for in the folder of a task; None where there is none that can be read."""
    try:
        return fleets.read_task(files.read(where / TASK, fleets.TASK_BYTES)).order
    except (OSError, PlanError):
        return None


def _is_whole(run: Path) -> bool:
    info = claims.load(run).info if folder.is_of_claims(run) else runs.load(run).info
    return info.status == "finished"


def _attempts(where: Path) -> int:
    try:
        return int((where / _ATTEMPTS).read_text())
    except (OSError, ValueError):
        return 0


def _progress(current: _Current) -> str:
    """As far as it is, by a look at one file."""
    run = _run_of(current.folder)
    plan = current.task.order.plan
    if run is None or plan is None:
        return "measures"
    return f"{trials.count(run)} of {len(plan.trials)}"


def _reason(said: str, code: int) -> str:
    """Why it ended so: the line that ``bench`` ends by."""
    lines = [line.removeprefix("bench: ") for line in said.splitlines() if line.strip()]
    told = [line for line in said.splitlines() if line.startswith("bench: ")]
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return (told[-1].removeprefix("bench: ") if told else " ".join(lines[-1:]))[:500] or how


def housekeeping_cpus(isolated: Path = Path("/sys/devices/system/cpu/isolated")) -> frozenset[int]:
    """The CPUs for whatever is not measured, where this host sets others apart (``isolcpus=``).

    Empty where it does not: then no CPU is better than another.
    """
    try:
        text = isolated.read_text().strip()
    except OSError:
        return frozenset()
    if not text:
        return frozenset()
    return frozenset(os.sched_getaffinity(0)) - parse_cpu_list(text)


def listed(cpus: frozenset[int]) -> str:
    """CPUs as the kernel writes them."""
    return format_cpu_list(cpus) if cpus else ""


def keep_on(cpus: frozenset[int]) -> None:
    """Keep this thread, and those that it starts, on these CPUs; on any where there are none."""
    if cpus:
        os.sched_setaffinity(0, cpus)
