"""Why a metric changed, where the runs' own facts tell."""

from __future__ import annotations

from dataclasses import replace

from harness import limits as rules
from harness.model import (
    Change,
    Comparison,
    Digest,
    DigestedPoint,
    JudgedLaw,
)


def law_of(point: DigestedPoint, metric: str, container: int) -> JudgedLaw | None:
    """The law that gives a metric its target; a mere ceiling gives none."""
    for law in point.laws:
        if (law.metric, law.container) == (metric, container) and law.law != "cpu-ceiling":
            return law
    return None


def explained(row: Comparison, before: Digest, after: Digest) -> Comparison:
    """The row with the cause, where the change is one that is known."""
    if row.status not in (Change.REGRESSED, Change.IMPROVED):
        return row
    then, now = (
        next(one for one in digest.points if one.point.id == row.point_id)
        for digest in (before, after)
    )
    causes = [
        cause
        for cause in (
            _weights_cause(row, then, now, before, after),
            _tick_cause(row, then, now),
            _cpuset_cause(row, now),
            _limits_cause(row, now),
        )
        if cause
    ]
    return replace(row, reason="; ".join([row.reason, *causes])) if causes else row


def _weights_cause(
    row: Comparison, then: DigestedPoint, now: DigestedPoint, before: Digest, after: Digest
) -> str:
    """Two runtimes turn the same shares into other weights; told by the weights themselves."""
    if row.metric not in ("ratio", "cpus") or len(now.point.containers) < 2:
        return ""
    formulas = [
        _formula_of(point) or digest.fingerprint.weights
        for point, digest in ((then, before), (now, after))
    ]
    if formulas[0] == formulas[1] or rules.UNKNOWN_WEIGHTS in formulas:
        return ""
    shares = ":".join(str(spec.limits.cpu_shares or "unset") for spec in now.point.containers)
    held = [":".join(map(str, point.weights)) or "not read" for point in (then, now)]
    return (
        f"the conversion of shares to weights changed from the {formulas[0]} to the {formulas[1]}: "
        f"shares {shares} became weights {held[0]}, and now {held[1]}"
    )


def _formula_of(point: DigestedPoint) -> str:
    """The formula that gives the weights that the kernel held; empty where neither does."""
    shares = [spec.limits.cpu_shares for spec in point.point.containers]
    if not point.weights or None in shares:
        return ""
    for formula in (rules.OLD_WEIGHTS, rules.NEW_WEIGHTS):
        due = [rules.weight_of_shares(share or 0, formula) for share in shares]
        if due == list(point.weights):
            return formula
    return ""


def _tick_cause(row: Comparison, then: DigestedPoint, now: DigestedPoint) -> str:
    laws = [law_of(point, "cpus", row.container) for point in (then, now)]
    said = [law.explanation for law in laws if law and law.explanation]
    return said[-1] if said else ""


def _cpuset_cause(row: Comparison, now: DigestedPoint) -> str:
    law = law_of(now, "cpus", row.container)
    quota = rules.quota_and_period_us(now.point.containers[row.container].limits)
    if row.metric not in ("throttled_share", "throttled_rate") or not (law and quota):
        return ""
    if law.bound != "cpuset":
        return ""
    return "the quota is larger than the cpuset can use, so that throttling here is needless"


def _limits_cause(row: Comparison, now: DigestedPoint) -> str:
    """Another limit is in force than the one that was asked for: told by the read-backs."""
    if row.metric in ("start_s", "work_rate"):
        return ""  # which a limit does not make faster or slower
    for law in now.laws:
        head, found, _ = law.reason.partition("; ")
        if found and "requested" in head and "holds" in head:
            return head
    return ""
