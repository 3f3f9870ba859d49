"""What is told with a trial that decides nothing of whether it counts."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from harness import limits as rules
from harness import units
from harness.judge import readbacks, surroundings
from harness.model import ContainerRecord, EngineFacts, IoReport, Note, TrialRecord


def remarks(trial: TrialRecord, engine: EngineFacts) -> list[Note]:
    """Limits that were altered, I/O that was refused, ticks missed, clocks set, output cut."""
    return [
        *_readbacks(trial.containers, engine), *_refused(trial), *_missed(trial), *clocks(trial),
        *_cut(trial),
    ]  # fmt: skip


def _readbacks(containers: Sequence[ContainerRecord], engine: EngineFacts) -> list[Note]:
    unsupported = [rules.not_supported(container.requested, engine) for container in containers]
    return [
        *(
            Note(
                code="not-supported",
                text=why,
                remedy="leave that value out, or measure it on an engine that supports it",
            )
            for why in dict.fromkeys(unsupported)
            if why
        ),
        *_altered(containers, engine),
    ]


def _altered(containers: Sequence[ContainerRecord], engine: EngineFacts) -> list[Note]:
    return [
        Note(
            code="readback",
            text=readback.text,
            remedy="the engine or its runtime altered the limit: see `bench doctor`",
        )
        for i, container in enumerate(containers)
        for readback in readbacks.readbacks(container, engine, i)
        if readback.agrees is False
    ]


def clocks(trial: TrialRecord) -> list[Note]:
    """Every figure is by the monotonic clock; what others stamped with theirs may not fit it."""
    told = []
    if (set_s := surroundings.clock_set_s(trial)) is not None:
        told.append(f"the host's clock was set by {set_s:+.3f} s within the window")
    if (slept_s := surroundings.suspended_s(trial)) is not None:
        told.append(f"the host was suspended for {slept_s:.3f} s within the window")
    return [
        Note(
            code="clock",
            text=f"{what}: its length is that of the monotonic clock",
            remedy="measure again where docker stats or times of day matter",
        )
        for what in told
    ]


def _cut(trial: TrialRecord) -> list[Note]:
    return [_CUT] if any(container.output_cut for container in trial.containers) else []


def _refused(trial: TrialRecord) -> list[Note]:
    return [_refusal(one.io) for one in trial.containers if one.io and one.io.errno]


_WHAT = {"write": "a write", "read": "a read", "files": "a file's making, renaming or removal"}


def _refusal(report: IoReport) -> Note:
    code = errno.errorcode.get(report.errno, f"errno {report.errno}")
    tried = {
        "open": f"the file could not be opened for {report.way} I/O",
        "layout": f"the file of {units.size(report.file_bytes)} could not be made",
    }.get(report.refused or "", f"after {report.ios} I/Os {_WHAT[report.operation]} failed")
    return Note(
        code="io-refused",
        text=f"{tried}: {code} ({os.strerror(report.errno)})",
        remedy="nothing was measured there: give it more room, or another place",
    )


def _missed(trial: TrialRecord) -> list[Note]:
    cost = trial.sampler
    if cost is None or cost.missed <= 0.01 * (cost.ticks + cost.missed):
        return []
    return [
        Note(
            code="missed-ticks",
            text=f"the sampler missed {cost.missed} of {cost.ticks + cost.missed} ticks",
            remedy="lower --cadence; the window's totals do not depend on it",
        )
    ]


_CUT = Note(
    code="output-cut",
    text="the workload printed more than is kept: its metrics are those of the end of its output",
    remedy="have it print less, or its metrics last",
)
