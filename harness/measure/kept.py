"""One trial of what is left of a file when its container is removed.

It is looked at, and not concluded: a container writes the file, is removed, and another one with
the same place looks for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from harness import limits
from harness.engine.boundary import Commands
from harness.errors import EngineRefusedError
from harness.host.counters import HostReader
from harness.interrupts import held_back
from harness.model import (
    ContainerRecord,
    Kept,
    Outcome,
    Place,
    Plan,
    PlannedTrial,
    Sample,
    TrialRecord,
)

WAIT_S = 60.0
_TEXT = "limitbench-was-here"
_FOLDER, _NAME = "/data", "file"
_ROOT = "0:0"
"""Who may write in any place."""


class KeptTrial:
    """One trial, to be executed once."""

    def __init__(self, plan: Plan, planned: PlannedTrial, lab: Commands) -> None:
        self._lab = lab
        self._spec = plan.point(planned.point_id).containers[0]
        self.record = TrialRecord(
            index=planned.index,
            block=planned.block,
            point_id=planned.point_id,
            outcome=Outcome.FAILED,
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            containers=(ContainerRecord(requested=self._spec.limits),),
        )

    def execute(
        self, enter: Callable[[str], None]
    ) -> tuple[TrialRecord, tuple[tuple[Sample, ...], ...]]:
        """The whole trial. What it made is gone when this returns or raises."""
        host = HostReader()
        try:
            enter("starting")
            at, place = self._place()
            first = host.read()
            enter("measuring")
            before, after = self._written(at, place), self._found(at, place)
            if before:
                self._replace(outcome=Outcome.COMPLETED, host_first=first, host_last=host.read())
            else:
                self._replace(failure="its own container does not find the file that it wrote")
        except EngineRefusedError as refused:
            self._replace(outcome=Outcome.NOT_STARTED, failure=refused.message.rstrip("."))
        except TimeoutError as late:
            self._replace(outcome=Outcome.TIMED_OUT, failure=str(late))
        else:
            self._keep(metrics=(("file_kept", float(after)),))
        finally:
            with held_back():
                self._lab.close()
        return self.record, ()

    def _replace(self, **changes: Any) -> None:
        self.record = dataclasses.replace(self.record, **changes)

    def _keep(self, **changes: Any) -> None:
        (one,) = self.record.containers
        self._replace(containers=(dataclasses.replace(one, **changes),))

    def _place(self) -> tuple[str, dict[str, Any]]:
        """(the file's path in a container, how the engine is told of the place)."""
        told = limits.to_engine(self._spec.limits)
        workload = self._spec.workload
        assert isinstance(workload, Kept)
        path = f"{_FOLDER}/{_NAME}"
        places: dict[Place, tuple[str, Callable[[], dict[str, Any]]]] = {
            "layer": (f"/{_NAME}", dict),
            "volume": (path, lambda: {"binds": [f"{self._lab.volume()}:{_FOLDER}"]}),
            "bind": (path, lambda: {"binds": [f"{self._lab.folder()}:{_FOLDER}"]}),
            "tmpfs": (path, lambda: {"tmpfs": {**told.get("tmpfs", {}), _FOLDER: ""}}),
            "shm": (f"/dev/shm/{_NAME}", dict),
        }
        at, make = places[workload.place]
        return at, {**told, "runtime": self._spec.runtime, "user": _ROOT, **make()}

    def _written(self, at: str, place: dict[str, Any]) -> bool:
        """Whether a container found what it wrote; it is removed."""
        box = self._lab.create("write", at, _TEXT, "+", "read", at, **place)
        box.start().wait(WAIT_S)
        found = _TEXT in box.logs()
        self._keep(engine=limits.from_engine(box.host_config))
        box.remove()
        return found

    def _found(self, at: str, place: dict[str, Any]) -> bool:
        """Whether another one, in the same place, does."""
        box = self._lab.create("read", at, **place)
        box.start().wait(WAIT_S)
        return _TEXT in box.logs()
