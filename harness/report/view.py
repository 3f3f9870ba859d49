"""The view-model: everything a report says, worked out once, before any form is chosen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from harness import analysis, check
from harness.analysis import PointSummary
from harness.model import Estimate, Status, Verdict
from harness.store import Run


@dataclass(frozen=True, slots=True)
class Row:
    """One point: its summary, its verdict, and what was read back."""

    summary: PointSummary
    verdict: Verdict
    engine: str
    """The limit as the engine reads it back, in words."""
    kernel: str
    """The limit as the kernel's files hold it, in words."""


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
    info = run.info
    rows = []
    for summary in analysis.summarise(info.plan, run.trials, info.engine, info.host):
        containers = [
            t.containers[0]
            for t in run.trials
            if t.point_id == summary.point.id and t.containers and analysis.counts(t)
        ]
        last = containers[-1] if containers else None
        rows.append(
            Row(
                summary,
                check.judge(summary, containers),
                engine=_quota_words(last.engine.cpus if last and last.engine else None),
                kernel=_kernel_words(last.kernel if last else None),
            )
        )
    verdicts = [row.verdict for row in rows]
    status = check.overall(verdicts)
    return View(
        run=run,
        status=status,
        headline=_headline(rows, status),
        rows=tuple(rows),
        rejected=_rejected(run),
        warnings=_warnings(run),
        remarks=_remarks(run, rows),
    )


def _quota_words(cpus: float | None) -> str:
    return "not read" if cpus is None else f"{cpus:g} CPUs"


def _kernel_words(kernel: Any) -> str:
    if kernel is None or kernel.cpu_quota_us is None:
        return "not read"
    if kernel.cpu_quota_us < 0:
        return "no quota"
    return f"{kernel.cpu_quota_us}/{kernel.cpu_period_us} µs"


def _headline(rows: list[Row], status: Status) -> str:
    tally = Counter(row.verdict.status for row in rows)
    total = len(rows)
    if status is Status.CONFORMS:
        worst = max((abs(r.summary.error.median) for r in rows if r.summary.error), default=0.0)
        return f"All {total} points conform: the largest median error is {worst:.2%}."
    parts = []
    for kind in (Status.DEVIATES, Status.INCONCLUSIVE, Status.CONFORMS):
        if tally[kind]:
            verb = {"deviates": "deviate", "conforms": "conform"}.get(kind.value, f"are {kind.value}")
            parts.append(f"{tally[kind]} of {total} points {verb}")
    return "; ".join(parts) + "." if parts else "No point was measured."


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
        summary = row.summary
        if summary.law.wants_host and summary.foreign and summary.expected_cpus:
            out.append(
                f"{summary.point.id} wants every CPU: judged against {summary.expected_cpus:.3f}, "
                f"what {summary.foreign.median:.3f} CPUs of others leave."
            )
    if info.plan.quick:
        out.append("--quick: few and short trials, so the intervals are wide.")
    coverages = sorted(
        {e.confidence for row in rows if (e := row.summary.error) and e.confidence is not None}
    )
    if coverages:
        methods = sorted({e.method for row in rows if (e := row.summary.error)} - {"none"})
        said = f"{coverages[0]:.0%}" if len(coverages) == 1 else (
            f"{coverages[0]:.0%} to {coverages[-1]:.0%}"
        )  # fmt: skip
        out.append(f"Intervals cover the median {said} of the time ({', '.join(methods)}).")
    return tuple(out)


def as_json(view: View) -> dict[str, Any]:
    """The view as plain data with stable names; numbers are not rounded."""
    info = view.run.info
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
    }


def _row_json(row: Row) -> dict[str, Any]:
    summary = row.summary
    return {
        "point": summary.point.id,
        "requested": summary.point.value,
        "engine": row.engine,
        "kernel": row.kernel,
        "promised_cpus": summary.law.expectation.value,
        "bound_by": summary.law.bound.value,
        "expected_cpus": summary.expected_cpus,
        "achieved_cpus": _estimate_json(summary.achieved),
        "error": _estimate_json(summary.error),
        "tolerance": summary.law.expectation.tolerance,
        "inside_cpus": _estimate_json(summary.inside),
        "throttled_share": _estimate_json(summary.throttled),
        "longest_gap_s": _estimate_json(summary.gap_s),
        "docker_stats_cpus": _estimate_json(summary.stats),
        "docker_stats_frames": summary.stats_frames,
        "foreign_cpus": _estimate_json(summary.foreign),
        "trials": summary.trials,
        "valid": summary.valid,
        "verdict": row.verdict.status.value,
        "reason": row.verdict.reason,
    }


def _estimate_json(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {
        "median": estimate.median,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "confidence": estimate.confidence,
        "method": estimate.method,
    }
