"""The view-model: everything a report says, worked out once, before any form is chosen."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from harness import analysis, check, judged
from harness.agenda import half_width, stays
from harness.analysis import METRICS, Metric, PointSummary, Sampling
from harness.check import ReadBack
from harness.judged import JudgedPoint
from harness.model import Estimate, Expectation, Status, Verdict
from harness.store import Run

WORDS = {
    Status.CONFORMS: "conform",
    Status.DEVIATES: "deviate",
    Status.INCONCLUSIVE: "are inconclusive",
    Status.NOT_EXERCISABLE: "cannot be put to the test here",
}


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
    rows = [_row(point) for point in judged.points(run)]
    status = check.overall(row.status for row in rows if row.status is not None)
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
        status=check.overall(v.status for line in lines if (v := line.verdict)) if lines else None,
    )


def _unjudged(summary: PointSummary) -> list[Line]:
    """What a point without a law was measured for."""
    containers = len(summary.point.containers)
    measured = [("ratio", i) for i in range(containers - 1)] or [("cpus", 0)]
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
            return f"All {total} points conform."
        worst, law = max(errors, key=lambda pair: pair[0])
        said = check.amount(worst, law).lstrip("+")
        return f"All {total} points conform: the largest median error is {said}."
    parts = [f"{tally[kind]} of {total} points {WORDS[kind]}" for kind in WORDS if tally[kind]]
    return "; ".join(sorted(parts, key=lambda part: "conform" in part)) + "."


def _rejected(run: Run) -> tuple[str, ...]:
    """Trials that do not count, those of one point with one outcome in a line."""
    found: dict[tuple[str, str], list[str]] = {}
    for trial in run.trials:
        if not analysis.counts(trial):
            kind = "rejected" if trial.invalid else trial.outcome.value
            reason = trial.invalid or trial.failure or ""
            found.setdefault((trial.point_id, kind), []).append(reason)
    return tuple(
        f"{point_id}: {len(reasons)} trial{'s' * (len(reasons) > 1)} {kind}: {reasons[0]}"
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
        out.append(f"The run was interrupted: {len(run.trials)} trials are kept.")
    elif info.status == "failed":
        out.append(f"The run failed: {info.reason}")
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
    sampling = analysis.sampling(run.trials)
    if sampling is not None:
        out.append(_sampler(sampling))
    return tuple(out)


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
        f"{cost.lateness_p50_s * 1e6:.0f} µs (median), {cost.lateness_p99_s * 1e6:.0f} µs (99 %)."
    )


def as_json(view: View) -> dict[str, Any]:
    """The view as plain data with stable names; numbers are not rounded."""
    info = view.run.info
    sampling = analysis.sampling(view.run.trials)
    return {
        "run": info.name,
        "path": str(view.run.path),
        "state": info.status,
        "verdict": view.status.value,
        "headline": view.headline,
        "points": [_row_json(row) for row in view.rows],
        "rejected": list(view.rejected),
        "warnings": [
            {"text": w.text, "remedy": w.remedy, "trials": w.trials} for w in view.warnings
        ],
        "remarks": list(view.remarks),
        "sampler": sampling and asdict(sampling),
    }


def _row_json(row: Row) -> dict[str, Any]:
    summary = row.summary
    return {
        "point": summary.point.id,
        "axis": summary.point.axis,
        "value": summary.point.value,
        "verdict": row.status and row.status.value,
        "trials": summary.trials,
        "valid": summary.valid,
        "rejected": list(summary.rejected),
        "docker_stats_frames": summary.stats_frames,
        "limits": [
            {
                "option": readback.option,
                "container": readback.container,
                "requested": readback.requested,
                "engine": readback.engine,
                "kernel": readback.kernel,
                "agrees": readback.agrees,
            }
            for readback in row.readbacks
        ],
        "laws": [_line_json(line) for line in row.lines if line.law],
        "metrics": [
            {"metric": name, "container": container, **_estimate_json(estimate)}
            for (name, container), estimate in summary.estimates.items()
        ],
    }


def _line_json(line: Line) -> dict[str, Any]:
    law, verdict = line.law, line.verdict
    assert law is not None
    assert verdict is not None
    return {
        "metric": line.metric.name,
        "unit": line.metric.unit,
        "container": line.container,
        "law": law.law,
        "text": law.text,
        "source": law.source,
        "bound_by": law.bound,
        "promised": law.value,
        "expected": line.promised,
        "scale": law.scale.value,
        "tolerance": [law.low, law.high],
        "achieved": line.achieved and _estimate_json(line.achieved),
        "error": line.deviation and _estimate_json(line.deviation),
        "verdict": verdict.status.value,
        "reason": verdict.reason,
    }


def _estimate_json(estimate: Estimate) -> dict[str, Any]:
    return {
        "unit": estimate.unit,
        "median": estimate.median,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "confidence": estimate.confidence,
        "method": estimate.method,
    }
