"""Verdicts: what the estimates say of the laws. Pure.

By equivalence: the whole interval inside ± tolerance → conforms; wholly outside → deviates;
straddling, or no interval at all → inconclusive, which is never green.
"""

from __future__ import annotations

from harness import limits as rules
from harness.analysis import PointSummary
from harness.model import UNLIMITED, ContainerRecord, Estimate, Status, Verdict


def by_equivalence(estimate: Estimate | None, *, tolerance: float) -> tuple[Status, str]:
    """The verdict on a relative error whose law says 0, with the reason in words."""
    if estimate is None:
        return Status.INCONCLUSIVE, "no valid trial"
    if estimate.low is None or estimate.high is None:
        return Status.INCONCLUSIVE, f"{estimate.n} valid trial gives no interval"
    within = f"± {tolerance:.2%}"
    span = f"[{estimate.low:+.2%}, {estimate.high:+.2%}]"
    if -tolerance <= estimate.low and estimate.high <= tolerance:
        return Status.CONFORMS, f"error {span} is inside {within}"
    if estimate.low > tolerance or estimate.high < -tolerance:
        return Status.DEVIATES, f"error {span} is outside {within}"
    return Status.INCONCLUSIVE, f"error {span} straddles {within}: more repeats would decide"


def readback_mismatches(container: ContainerRecord) -> list[str]:
    """Each limit whose read-back differs from the request, in words.

    A value that could not be read back (None) is no mismatch; it is shown as "not read".
    """
    out: list[str] = []
    wanted = rules.quota_and_period_us(container.requested)
    kernel, engine = container.kernel, container.engine
    if engine is not None:
        given = rules.quota_and_period_us(engine)
        if given != wanted:
            out.append(f"requested {_quota(wanted)}, the engine holds {_quota(given)}")
    for when, held in (("", kernel), (" after the window", container.kernel_after)):
        if held is None or held.cpu_quota_us is None or held.cpu_period_us is None:
            continue
        has = None if held.cpu_quota_us == UNLIMITED else (held.cpu_quota_us, held.cpu_period_us)
        if has != wanted:
            out.append(f"requested {_quota(wanted)}, the kernel holds {_quota(has)}{when}")
    cpuset = container.requested.cpuset_cpus
    if (
        cpuset
        and kernel is not None
        and kernel.cpuset_cpus is not None
        and rules.parse_cpu_list(cpuset) != rules.parse_cpu_list(kernel.cpuset_cpus)
    ):
        out.append(f"requested CPUs {cpuset}, the kernel holds {kernel.cpuset_cpus}")
    return out


def _quota(pair: tuple[int, int] | None) -> str:
    return "no quota" if pair is None else f"{pair[0]}/{pair[1]} µs"


def judge(summary: PointSummary, containers: list[ContainerRecord]) -> Verdict:
    """The verdict of the CPU law on a point, explained where the reason is known."""
    status, reason = by_equivalence(
        summary.error, tolerance=summary.law.expectation.tolerance
    )
    mismatches = sorted({m for container in containers for m in readback_mismatches(container)})
    if mismatches:
        # The law is about the limit that was asked for, and another one is in force.
        reason = f"{'; '.join(mismatches)}; {reason}"
        if status is Status.CONFORMS:
            status = Status.INCONCLUSIVE
    return Verdict(point_id=summary.point.id, metric="cpus", status=status, reason=reason)


def overall(verdicts: list[Verdict]) -> Status:
    """The verdict of a whole run: the worst of its points; inconclusive where there is none."""
    for status in (Status.DEVIATES, Status.INCONCLUSIVE):
        if any(v.status is status for v in verdicts):
            return status
    return Status.CONFORMS if verdicts else Status.INCONCLUSIVE
