"""The view-model: everything a report says, worked out once, before any form is chosen."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from harness import units
from harness.judge import neighbour, surroundings, verdicts
from harness.judge import points as judge_points
from harness.judge import run as judge_run
from harness.judge.metrics import METRICS, Metric
from harness.judge.points import PointSummary
from harness.judge.run import JudgedPoint
from harness.judge.surroundings import Sampling
from harness.judge.width import half_width, stays
from harness.limits import ReadBack
from harness.model import Estimate, Expectation, Gap, Io, Status, Verdict
from harness.store.runs import Run
from harness.wording import agreeing, counted

WORDS = {
    Status.CONFORMS: ("conforms", "conform"),
    Status.DEVIATES: ("deviates", "deviate"),
    Status.INCONCLUSIVE: ("is inconclusive", "are inconclusive"),
    Status.NOT_EXERCISABLE: ("cannot be put to the test here",) * 2,
}
"""Of one point, and of several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One metric of one container of a point: promised, achieved, and the verdict."""

    metric: Metric
    container: int
    law: Expectation | None
    """None for a measurement without a law."""
    promised: float | None
    """What the law came to in the windows: less than its bare value on a full host."""
    achieved: Estimate | None
    deviation: Estimate | None
    verdict: Verdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One point: its lines, the main one first, and its limits as they were read back."""

    summary: PointSummary
    lines: tuple[Line, ...]
    readbacks: tuple[ReadBack, ...]
    status: Status | None
    """The worst of its lines; None where no law speaks of the point."""


@dataclass(frozen=True, slots=True)
class Warned:
    """A note that stands on one or more trials."""

    text: str
    remedy: str
    trials: int


@dataclass(frozen=True, slots=True)
class View:
    """One run, as every report shows it."""

    run: Run
    status: Status
    headline: str
    rows: tuple[Row, ...]
    rejected: tuple[str, ...]
    warnings: tuple[Warned, ...]
    remarks: tuple[str, ...]
    """What a reader must know to read the numbers rightly."""


def build(run: Run) -> View:
    """The view of a run in any state; a run without trials has rows without numbers."""
    rows = [_row(point) for point in judge_run.points(run)]
    status = verdicts.overall(row.status for row in rows if row.status is not None)
    return View(
        run=run,
        status=status,
        headline=_headline(rows, status),
        rows=tuple(rows),
        rejected=_rejected(run),
        warnings=_warnings(run),
        remarks=_remarks(run, rows),
    )


def _row(point: JudgedPoint) -> Row:
    summary = point.summary
    lines = [
        Line(
            metric=METRICS[result.expectation.metric],
            container=result.expectation.container,
            law=result.expectation,
            promised=result.expectation.value if result.expected is None else result.expected,
            achieved=result.achieved,
            deviation=result.deviation,
            verdict=verdict,
        )
        for result, verdict in zip(summary.results, point.verdicts, strict=True)
    ]
    return Row(
        summary=summary,
        lines=tuple(lines or _unjudged(summary)),
        readbacks=point.readbacks,
        status=verdicts.overall(v.status for line in lines if (v := line.verdict))
        if lines
        else None,
    )


def _unjudged(summary: PointSummary) -> list[Line]:
    """What a point without a law was measured for."""
    containers = len(summary.point.containers)
    on_files = isinstance(summary.point.containers[0].workload, Io)
    alone, together = ("io_rate", "io_ratio") if on_files else ("cpus", "ratio")
    measured = [(together, i) for i in range(containers - 1)] or [(alone, 0)]
    if on_files and summary.point.axis == neighbour.AXIS:  # which is relative to itself alone
        measured = [(alone, 0)]
    if summary.point.parent is not None:  # what a neighbour left of the first one's page cache
        measured = [("kept_bytes", 0)]
    return [
        Line(
            metric=METRICS[name], container=i, law=None, promised=None,
            achieved=summary.estimate(name, i), deviation=None, verdict=None,
        )
        for name, i in measured
    ]  # fmt: skip


def _headline(rows: list[Row], status: Status) -> str:
    tally = Counter(row.status for row in rows if row.status is not None)
    total = tally.total()
    if not total:
        return "No law speaks of these points: they are measurements."
    all_of_them = agreeing(total, "The point conforms", f"All {total} points conform")
    if status is Status.CONFORMS and tally[status] == total:
        errors = [
            (abs(line.deviation.median), line.law)
            for row in rows for line in row.lines[:1]
            if line.deviation and line.law and not line.law.is_ceiling
            and (line.law.low or line.law.high)  # else it holds or does not: no error to speak of
            and math.isfinite(line.deviation.median)
        ]  # fmt: skip
        # Of a share, a ratio and a size none is the largest.
        if len({(law.metric, law.scale) for _, law in errors}) != 1:
            return f"{all_of_them}."
        worst, law = max(errors, key=lambda pair: pair[0])
        said = verdicts.error_text(worst, law).lstrip("+")
        return f"{all_of_them}: the largest median error is {said}."
    parts = (
        [
            f"{tally[kind]} of {counted(total, 'point')} {agreeing(tally[kind], *WORDS[kind])}"
            for kind in WORDS
            if tally[kind]
        ]
        if total > 1
        else [f"The point {WORDS[status][0]}"]
    )
    return "; ".join(sorted(parts, key=lambda part: "conform" in part)) + "."


def _rejected(run: Run) -> tuple[str, ...]:
    """Trials that do not count, those of one point with one outcome in a line."""
    found: dict[tuple[str, str], list[str]] = {}
    for trial in run.trials:
        if not judge_points.counts(trial):
            kind = "rejected" if trial.invalid else trial.outcome.value
            reason = trial.invalid or trial.failure or ""
            found.setdefault((trial.point_id, kind), []).append(reason)
    return tuple(
        f"{point_id}: {counted(len(reasons), 'trial')} {kind}: {reasons[0]}"
        for (point_id, kind), reasons in found.items()
    )


def _warnings(run: Run) -> tuple[Warned, ...]:
    found: dict[str, list[tuple[str, str]]] = {}
    for trial in run.trials:
        for note in trial.warnings:
            found.setdefault(note.code, []).append((note.text, note.remedy))
    return tuple(Warned(text=n[0][0], remedy=n[0][1], trials=len(n)) for n in found.values())


def _remarks(run: Run, rows: list[Row]) -> tuple[str, ...]:
    out = list(run.damage)
    info = run.info
    if info.status == "interrupted":
        kept = len(run.trials)
        why = f" ({info.reason})" if info.reason else ""
        out.append(
            f"The run was interrupted{why}: {counted(kept, 'trial')} "
            f"{agreeing(kept, 'is', 'are')} kept."
        )
    elif info.status == "running" and info.reason:
        out.append(f"The run goes on, {info.reason}.")
    elif info.status == "failed":
        out.append(f"The run failed: {info.reason}")
    out += map(_gap, info.gaps)
    for row in rows:
        line, foreign = row.lines[0], row.summary.estimate("foreign_cpus")
        if line.law and line.law.capacity_cpus and foreign and line.achieved:
            out.append(
                f"{row.summary.point.id} wants every CPU that it may use: judged against "
                f"{line.promised:.3f}, what others leave of {line.law.capacity_cpus:g}."
            )
    # Where a limit did nothing, no law tells it: it is no deviation, and must not pass in silence.
    out += dict.fromkeys(
        f"{one.option} {one.requested}: the engine holds {one.engine}, the kernel {one.kernel}."
        for row in rows
        for one in row.readbacks
        if one.kernel.endswith(": ignored")
    )
    if not info.checks:
        out.append("An older limitbench wrote it, without checksums: a changed digit goes unseen.")
    deviations = [line.deviation for row in rows for line in row.lines if line.deviation]
    if info.plan.quick:
        out.append("--quick: few and short trials, so the intervals are wide.")
    coverages = sorted({d.confidence for d in deviations if d.confidence is not None})
    if coverages:
        methods = sorted({d.method for d in deviations} - {"none"})
        said = f"{coverages[0]:.0%}" if len(coverages) == 1 else (
            f"{coverages[0]:.0%} to {coverages[-1]:.0%}"
        )  # fmt: skip
        out.append(f"Intervals cover the median {said} of the time ({', '.join(methods)}).")
    out += _until(run, rows)
    sampling = surroundings.sampling(run.trials)
    if sampling is not None:
        out.append(_sampler(sampling))
    return tuple(out)


def _gap(gap: Gap) -> str:
    """That a run was resumed, and what may be otherwise since."""
    done = f"{counted(gap.trials, 'trial')} {agreeing(gap.trials, 'was', 'were')}"
    said = (
        f"Resumed at {gap.resumed}: it had stopped at {gap.stopped} ({gap.why.rstrip('.')}), when "
        f"{done} finished; conditions may have changed"
    )
    said += f": {'; '.join(gap.differences)}." if gap.differences else "."
    aside = f" Set aside, and not read: {', '.join(gap.aside)}." if gap.aside else ""
    return said + aside


def _until(run: Run, rows: list[Row]) -> list[str]:
    """Which points are not as narrow as ``--until`` asked for."""
    until = run.info.plan.until
    if until is None:
        return []
    points = {row.summary.point.id: row.summary for row in rows}
    wide = [
        f"{name} ({_width(summary)})"
        for name, summary in points.items()
        if (width := half_width(summary)) is None or width > until
    ]
    if not wide:
        return [f"Repeated until ±{until:.2%}: every point is that narrow."]
    return [f"Repeated until ±{until:.2%}: wider are {', '.join(wide)}."]


def _width(summary: PointSummary) -> str:
    width, always = half_width(summary), stays(summary)
    if width is None:
        return "no interval"
    return f"±{width:.2%}" + (f", ±{always:.2%} whatever the repeats" if always else "")


def _sampler(cost: Sampling) -> str:
    """What sampling took, in one line."""
    due = cost.ticks + cost.missed
    missed = (
        f"{cost.missed} of {due} ticks missed" if cost.missed else f"none of {due} ticks missed"
    )
    apart = f", apart on CPU {cost.cpus}" if cost.cpus else ""
    return (
        f"The sampler took {cost.cpu_share:.2%} of one CPU{apart}; {missed}; late by "
        f"{units.duration(cost.lateness_p50_s)} (median), "
        f"{units.duration(cost.lateness_p99_s)} (99 %)."
    )
