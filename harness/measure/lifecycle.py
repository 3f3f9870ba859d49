"""One trial of a lifecycle: each of the engine's commands once, timed from here.

What is timed is what a user waits for: from the request to the engine's answer. A signal's effect,
a limit's being in force and a program's being ready come later than the answer; where they are
asked for, they have a number of their own. What an engine refuses is a note, and the rest goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from harness import cgroup, limits
from harness.engine.boundary import Box, Commands
from harness.errors import EngineRefusedError, MeasurementError
from harness.host.counters import HostReader
from harness.interrupts import held_back
from harness.model import (
    ContainerRecord,
    Lifecycle,
    Note,
    Outcome,
    Plan,
    PlannedTrial,
    Sample,
    TrialRecord,
)

_log = logging.getLogger(__name__)

DEADLINE_S = 120
"""The hand ends by itself so long after its start, whatever happens to us."""
READY_S = 60.0
PAUSED_S = 0.1
"""So long a paused container is watched."""
UPDATED_PERIODS = 5
_PERIOD_S = 0.1
_HELD_S = 1.0
"""So long the kernel's file, and the throttling, are waited for at the most."""
_BYTES = 64 << 20
_LOOK_S = 0.001
_PHASES = {
    "create": "create_s", "start": "start_call_s", "ready": "ready_s", "remove": "remove_s",
}  # fmt: skip
"""Of any trial → what it is called here."""


class LifecycleTrial:
    """One trial, to be executed once."""

    def __init__(self, plan: Plan, planned: PlannedTrial, lab: Commands) -> None:
        self._lab, self._point = lab, plan.point(planned.point_id)
        self._spec, *self._beside = self._point.containers
        self._took: dict[str, float] = {}
        self._notes: list[Note] = []
        self.record = TrialRecord(
            index=planned.index,
            block=planned.block,
            point_id=planned.point_id,
            outcome=Outcome.FAILED,
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            containers=tuple(
                ContainerRecord(requested=spec.limits) for spec in self._point.containers
            ),
        )

    def execute(
        self, enter: Callable[[str], None]
    ) -> tuple[TrialRecord, tuple[tuple[Sample, ...], ...]]:
        """The whole trial. Its containers and images are gone when this returns or raises."""
        host = HostReader()
        try:
            enter("starting")
            self._load()
            first = host.read()
            enter("measuring")
            box = self._begin()
            self._look(box)
            self._pause(box)
            self._update(box)
            self._end(box)
            self._end_of_one_that_heeds()
            self._replace(outcome=Outcome.COMPLETED, host_first=first, host_last=host.read())
        except EngineRefusedError as refused:
            self._replace(outcome=Outcome.NOT_STARTED, failure=refused.message.rstrip("."))
        except TimeoutError as late:
            self._replace(outcome=Outcome.TIMED_OUT, failure=str(late))
        finally:
            with held_back():
                self._lab.close()
        one, *others = self.record.containers
        one = dataclasses.replace(one, metrics=tuple(self._took.items()))
        self._replace(
            containers=(one, *others),
            phases_s={
                phase: self._took[name] for phase, name in _PHASES.items() if name in self._took
            },
            warnings=tuple(self._notes),
        )
        return self.record, ()

    def _replace(self, **changes: object) -> None:
        self.record = dataclasses.replace(self.record, **changes)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """What the block takes, as ``name_s``; what the engine refuses has no time."""
        began = time.monotonic()
        try:
            yield
        except EngineRefusedError as refused:
            _log.info("%s: refused: %s", name, refused.message)
            self._note("refused", refused.message.rstrip("."))
        else:
            self._took[f"{name}_s"] = time.monotonic() - began

    def _note(self, code: str, text: str) -> None:
        remedy = "the other commands were timed all the same"
        self._notes.append(Note(code=code, text=text, remedy=remedy))

    def _load(self) -> None:
        """The image, and whoever makes the host full, before anything is timed."""
        _log.debug("the hand's image is %s", self._lab.hand)
        for spec in self._beside:
            threads = spec.workload.threads
            words = ("say", "ready", "+", "spin", f"{DEADLINE_S}", f"{threads}")
            box = self._lab.create(*words, pids_limit=threads + 8)
            box.start().await_line("ready", READY_S)

    def _begin(self) -> Box:
        """Created, started and ready; what comes after needs it, so a refusal ends the trial."""
        told = limits.to_engine(self._spec.limits)
        words = self._spec.workload.command_line(DEADLINE_S)
        began = time.monotonic()
        box = self._lab.create(*words, runtime=self._spec.runtime, **told)
        created = time.monotonic()
        box.start()
        started = time.monotonic()
        _await(box, "ready")
        ready = time.monotonic()
        self._took |= {
            "create_s": created - began, "start_call_s": started - created,
            "ready_s": ready - started,
        }  # fmt: skip
        one, *others = self.record.containers
        paths = _paths(box)
        one = dataclasses.replace(
            one,
            engine=limits.from_engine(box.host_config),
            kernel=cgroup.kernel_limits(paths) if paths else None,
            effective=cgroup.effective_limits(paths) if paths else None,
        )
        self._replace(containers=(one, *others))
        return box

    def _look(self, box: Box) -> None:
        """What only looks at it, or changes no limit."""
        with self._timed("exec"):
            box.execute("say", "done")
        with self._timed("top"):
            box.top()
        with self._timed("logs"):
            box.logs()
        with self._timed("copy"):
            box.put("/", {"copied": bytes(4096)})
        with self._timed("rename"):
            box.rename(self._lab.name())
        with self._timed("commit"):
            box.commit(self._lab.tag())

    def _pause(self, box: Box) -> None:
        with self._timed("pause"):
            box.pause()
        if "pause_s" not in self._took:
            return
        with _counters(box) as read:
            if read:
                first = read()
                time.sleep(PAUSED_S)
                self._count("paused_cpus", first, read())
        with self._timed("unpause"):
            box.unpause()

    def _update(self, box: Box) -> None:
        """Each limit on the live container, until the kernel's file holds it.

        The CPU comes last: it is what shows in its behaviour.
        """
        first_cpu = str(self._lab.facts.cpus_to_give.numbers[0])
        for name, changed in (
            ("update_memory", {"mem_limit": _BYTES, "memswap_limit": _BYTES}),
            ("update_shares", {"cpu_shares": 512}),
            ("update_cpuset", {"cpuset_cpus": first_cpu}),
        ):
            self._updated(name, box, **changed)
        quota_us = round(Lifecycle.UPDATED_CPUS * _PERIOD_S * 1e6)
        with _counters(box) as read:
            before = read() if read else None
            began = time.monotonic()
            self._updated("update_cpus", box, cpu_quota=quota_us, cpu_period=round(_PERIOD_S * 1e6))
            if read and before and "update_cpus_s" in self._took:
                self._acts(read, before, began)

    def _updated(self, name: str, box: Box, **changed: int | str) -> None:
        """An update, timed until the kernel's files hold it; without a time where they never do.

        They do not either where what is asked for is in force already.
        """
        paths = _paths(box)
        before = cgroup.kernel_limits(paths) if paths else None
        held = False
        with self._timed(name):
            box.update(**changed)
            deadline = time.monotonic() + _HELD_S
            while paths and not (held := cgroup.kernel_limits(paths) != before):
                if time.monotonic() >= deadline:
                    break
                time.sleep(_LOOK_S)
        if not held and self._took.pop(f"{name}_s", None) is not None:
            why = (
                f"within {_HELD_S:g} s nothing changed" if paths else "they are not seen from here"
            )
            self._note("not-held", f"{name.replace('_', ' ')}: in the kernel's files {why}")

    def _count(self, name: str, first: Sample, last: Sample) -> None:
        """The CPUs used from one moment to the other, where the kernel tells them."""
        if first.cpu_usage_ns is not None and last.cpu_usage_ns is not None:
            span_ns = last.t_mono_ns - first.t_mono_ns
            self._took[name] = (last.cpu_usage_ns - first.cpu_usage_ns) / span_ns

    def _acts(self, read: Callable[[], Sample], before: Sample, began: float) -> None:
        """When its behaviour shows the new quota, and what it uses once a period has passed."""
        was_held = self.record.containers[0].requested.cpu_quota_us is not None
        while not was_held and time.monotonic() < began + _HELD_S:
            if (read().nr_throttled or 0) > (before.nr_throttled or 0):
                self._took["update_acts_s"] = time.monotonic() - began
                break
            time.sleep(_LOOK_S)
        time.sleep(max(0.0, began + self._took["update_cpus_s"] + _PERIOD_S - time.monotonic()))
        first = read()
        time.sleep(UPDATED_PERIODS * _PERIOD_S)
        self._count("updated_cpus", first, read())

    def _end(self, box: Box) -> None:
        said = box.logs().count("ready")
        with self._timed("restart"):
            box.restart()
        # One that is killed before it is ready has said nothing, and how long its end takes then
        # is another matter.
        _await(box, "ready", said)
        with self._timed("kill"):
            box.kill()
            box.wait(READY_S)
        said = box.logs().count("ready")
        box.start()
        _await(box, "ready", said)
        # PID 1 without a handler hears no SIGTERM: the whole grace time goes by.
        with self._timed("stop"):
            box.stop(Lifecycle.GRACE_S)
        with self._timed("remove"):
            box.remove()

    def _end_of_one_that_heeds(self) -> None:
        box = self._lab.create("heed", str(DEADLINE_S), "0", **limits.to_engine(self._spec.limits))
        _await(box.start(), "heeding")
        with self._timed("stop_heeded"):
            box.stop(round(READY_S))


def _await(box: Box, text: str, said: int = 0) -> None:
    """Until it has said so more often than it had. A look asks the engine, which takes some ms.

    TimeoutError where it does not, or has ended.
    """
    deadline = time.monotonic() + READY_S
    while box.logs().count(text) <= said:
        if time.monotonic() >= deadline:
            raise TimeoutError(f"the container was not ready within {READY_S:g} s")
        if not box.pid and box.logs().count(text) <= said:
            raise TimeoutError("the container ended before it was ready")
        time.sleep(_LOOK_S)


def _paths(box: Box) -> cgroup.CgroupPaths | None:
    """Where its cgroups are; None where they are not seen from here."""
    try:
        return cgroup.locate(box.pid, box.id)
    except MeasurementError:
        return None


@contextlib.contextmanager
def _counters(box: Box) -> Iterator[Callable[[], Sample] | None]:
    """What reads its CPU counters; None where they are not seen."""
    paths = _paths(box)
    if paths is None:
        yield None
        return
    reader = cgroup.CounterReader(paths)
    try:
        yield lambda: reader.parse(*reader.read_edge())
    finally:
        reader.close()
