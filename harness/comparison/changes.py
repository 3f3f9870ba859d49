"""Two runs side by side: which changes matter?

Of each metric: has it changed, by how much, and does that matter? Of each law: does it still hold?
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace

from harness.comparison.answer import answered
from harness.comparison.causes import explained, law_of
from harness.comparison.deciding import decides
from harness.comparison.drift import between, drift_of
from harness.comparison.noise import floor_of, noise_remark
from harness.comparison.pairs import are_enough, common_series, paired, unpaired
from harness.comparison.sensitivity import (
    SENSITIVITY,
    UNSTEADY_EFFECT,
    is_unsteady,
    scale_of,
    smallest_effect,
)
from harness.comparison.significance import (
    MIN_TRIALS,
    MOST_REPEATS,
    Shift,
    adjusted,
    alpha_at,
    repeats_that_decide,
    shift,
    widened,
)
from harness.comparison.words import change_text, differing, headline, law_headline, span, within
from harness.judge.metrics import Better
from harness.model import (
    Change,
    Compared,
    Comparison,
    Difference,
    Digest,
    DigestedPoint,
    Fingerprint,
    LawChange,
    Noise,
    Scale,
    Series,
    Status,
)
from harness.wording import agreeing, counted

ALLOW_LAWS = "laws"
"""Beside the facts of the fingerprint: laws that the baseline violated already."""


FACTS = tuple(field.name for field in fields(Fingerprint))


def compare(
    before: Digest,
    after: Digest,
    *,
    allow: Collection[str] = (),
    noise: Noise | None = None,
    ab: bool = False,
) -> Compared:
    """What changed from one run to another.

    ``allow`` names the facts of the fingerprint that may differ, because they are what is put to
    the test. ``ab`` is for the two sides of an A/B run: their points may be set differently, and
    what a law promises them is then taken into account.
    """
    found = differences(before.fingerprint, after.fingerprint, allow)
    refused = [one for one in found if not one.allowed]
    pairs, apart = ([], []) if refused else paired(before, after, ab=ab)
    then_of = {now.point.id: then for then, now in pairs}
    frame = _Frame(before, after, noise, ab)
    measured = [row for pair in pairs for row in _rows(*pair, frame)]
    rows = [explained(row, before, after) for row in _tested(measured, after.look)]
    # Whether limits behave as they should is asked of every point, comparable or not.
    laws = [
        law for point in after.points for law in _laws(then_of.get(point.point.id), point)
    ]  # fmt: skip
    violations = [
        law for law in laws
        if law.after is Status.DEVIATES
        and not (ALLOW_LAWS in allow and law.before is Status.DEVIATES)
    ]  # fmt: skip
    said = list(_remarks(before, after))
    if not refused:
        noted = noise_remark(noise, before, after) if pairs and not ab else ()
        said = [*unpaired(before, after), *apart, *noted, *said]
    compared = Compared(
        before=before, after=after, status=Change.INCOMPARABLE, headline="", differences=found,
        remarks=tuple(said), rows=tuple(rows), laws=tuple(laws), violations=tuple(violations),
    )  # fmt: skip
    if not pairs:
        return answered(replace(compared, headline=_incomparable(compared, refused, apart)))
    status = _overall(rows, laws, violations, apart=bool(apart))
    compared = replace(compared, status=status)
    compared = replace(compared, headline=headline(compared, len(pairs)))
    # Of two sides none is how it was before.
    return compared if ab else answered(compared)


def laws_alone(after: Digest) -> Compared:
    """The laws of one run, where there is nothing to compare it with."""
    laws = tuple(law for point in after.points for law in _laws(None, point))
    violations = tuple(law for law in laws if law.after is Status.DEVIATES)
    status = _overall([], laws, violations, apart=not laws)
    compared = Compared(
        before=None, after=after, status=status, headline="", laws=laws, violations=violations
    )
    return answered(
        replace(compared, headline=f"{law_headline(compared)}. Laws alone: no baseline.")
    )


def differences(
    before: Fingerprint, after: Fingerprint, allow: Collection[str] = ()
) -> tuple[Difference, ...]:
    """The facts that differ, those that are not allowed first."""
    found = [
        Difference(fact=fact, before=then, after=now, allowed=fact in allow)
        for fact in FACTS
        if (then := getattr(before, fact)) != (now := getattr(after, fact))
    ]
    return tuple(sorted(found, key=lambda one: one.allowed))


@dataclass(frozen=True, slots=True)
class _Measured:
    """A row before it is judged.

    Its status is what it would be if the change were real; ``smallest`` is the smallest effect
    that matters, without regard to noise.
    """

    row: Comparison
    found: Shift
    smallest: float


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all rows of a comparison have in common."""

    before: Digest
    after: Digest
    noise: Noise | None
    ab: bool


def _rows(
    then: DigestedPoint, now: DigestedPoint, frame: _Frame
) -> Iterator[Comparison | _Measured]:
    """The rows of a point; those with numbers are judged together with all others."""
    if min(then.valid, now.valid) < MIN_TRIALS:
        yield _too_few(then, now)
        return
    unsteady = is_unsteady(then, now)
    for metric, a, b in common_series(then, now):
        kind = SENSITIVITY[metric]
        container = (a or b or Series(metric="", values=())).container
        if a is None or b is None or not are_enough(a, b):
            n = len(a.values) if a else 0, len(b.values) if b else 0
            yield _too_rare(then, now, metric, container, n)
            continue
        scale = scale_of(kind, a, b)
        due = _due(then, now, metric, container) if frame.ab and scale is Scale.RELATIVE else 1.0
        found = shift(a.values, [value / due for value in b.values], scale, frame.after.look)
        known = drift_of(frame.noise, now.point.id, container, metric, scale)
        drift = between(known, frame.before, frame.after) if known else None
        if drift is not None:
            found = widened(found, *drift, frame.after.look)
        medians = statistics.median(a.values), statistics.median(b.values)
        smallest = smallest_effect(kind, then, scale, medians[0], frame.before.tick_s)
        if unsteady and metric == "cpus":
            smallest = max(smallest, UNSTEADY_EFFECT)
        if missed := (a.error or 0.0) + (b.error or 0.0):
            # Both may be off by it, and not alike: a change below says nothing.
            of = max(map(abs, medians)) if scale is Scale.ABSOLUTE else 1.0
            smallest = max(smallest, missed * of)
        # The interval allows for it already.
        floor = None if drift else floor_of(frame.noise, now.point.id, container, metric, scale)
        row = Comparison(
            point_id=now.point.id,
            metric=metric,
            container=container,
            status=Change.INCONCLUSIVE,
            reason="" if due == 1 else "beside what each side's law promises: ",
            decides=decides(then, now, metric, container),
            before=medians[0],
            after=medians[1],
            n=(len(a.values), len(b.values)),
            scale=scale,
            change=found.change,
            low=found.low,
            high=found.high,
            p=found.p,
            effect=max(smallest, floor or 0.0),
            floor=floor,
            drift=None if drift is None else found.fixed,
        )
        status = _direction(then, now, row, smallest)
        yield _Measured(replace(row, status=status), found, smallest)


def _too_few(then: DigestedPoint, now: DigestedPoint) -> Comparison:
    said = [
        f"{point.valid} of {counted(point.trials, 'trial')} {when} "
        + agreeing(point.valid, "counts", "count")
        + (f" ({point.rejected})" if point.rejected else "")
        for point, when in ((then, "before"), (now, "now"))
        if point.valid < MIN_TRIALS
    ]
    about = now.laws[0].metric if now.laws else "cpus"
    return Comparison(
        point_id=now.point.id, metric=about, status=Change.INCONCLUSIVE, decides=True,
        n=(then.valid, now.valid),
        reason=f"{' and '.join(said)}: {MIN_TRIALS} are needed: measure again with "
        f"--repeats {2 * MIN_TRIALS}",
        repeats=2 * MIN_TRIALS,
    )  # fmt: skip


def _too_rare(
    then: DigestedPoint, now: DigestedPoint, metric: str, container: int, n: tuple[int, int]
) -> Comparison:
    """Not every metric is there in every trial: no gap is no gap."""
    return Comparison(
        point_id=now.point.id, metric=metric, container=container, n=n,
        status=Change.INCONCLUSIVE, decides=decides(then, now, metric, container),
        reason=f"measured in {counted(n[0], 'trial')} before and {n[1]} now: "
        f"{MIN_TRIALS} are needed",
    )  # fmt: skip


def _due(then: DigestedPoint, now: DigestedPoint, metric: str, container: int) -> float:
    """What the laws promise b for each unit that they promise a: 1 where neither has such a law."""
    if SENSITIVITY[metric].better is not Better.LAW:
        return 1.0
    laws = [law_of(point, metric, container) for point in (then, now)]
    promised = [law.promised if law else 0.0 for law in laws]
    return promised[1] / promised[0] if min(promised) > 0 else 1.0


def _direction(then: DigestedPoint, now: DigestedPoint, row: Comparison, smallest: float) -> Change:
    """What a change would be: for better or for worse."""
    assert row.before is not None
    assert row.after is not None
    better = SENSITIVITY[row.metric].better
    if better is Better.LAW:
        laws = [law_of(point, row.metric, row.container) for point in (then, now)]
        off = [
            abs(median - law.promised) / (law.promised if row.scale is Scale.RELATIVE else 1)
            for law, median in zip(laws, (row.before, row.after), strict=True)
            if law is not None and law.promised > 0
        ]
        # Where the law was kept before, and what it promises has changed, nothing has improved.
        improved = len(off) == 2 and off[1] < off[0] and off[0] > smallest
    else:
        improved = (row.after > row.before) is (better is Better.HIGHER)
    return Change.IMPROVED if improved else Change.REGRESSED


def _tested(rows: Sequence[Comparison | _Measured], look: int) -> list[Comparison]:
    """The rows with their p adjusted over all of them, and judged by it."""
    ps = [row.found.p for row in rows if isinstance(row, _Measured)]
    of, alpha = iter(adjusted(ps)), alpha_at(look)
    return [
        _judged(row, next(of), len(ps), alpha) if isinstance(row, _Measured) else row
        for row in rows
    ]


def _judged(measured: _Measured, adjusted_p: float, tests: int, alpha: float) -> Comparison:
    row, found = replace(measured.row, adjusted_p=adjusted_p), measured.found
    # Noise may widen what counts as the same, and only so far: a host that scatters by 20 % says
    # nothing of a change by 10 %.
    same = min(row.effect, SENSITIVITY[row.metric].most * measured.smallest)
    said = f"{change_text(found.change, row)} ({span(row)})"
    effect = within(row.effect, row)
    if -same <= found.low and found.high <= same:
        reason = f"{said} lies within {within(same, row)}"
        return replace(row, status=Change.SAME, reason=row.reason + reason)
    beyond = found.low > row.effect or found.high < -row.effect
    if beyond and adjusted_p < alpha:
        reason = f"{said} lies beyond {effect}, p = {adjusted_p:.2g}"
        return replace(row, reason=row.reason + reason)
    repeats = repeats_that_decide(found, same, min(row.n), tests)
    what = f"is beyond {effect}, but p = {adjusted_p:.2g}" if beyond else f"straddles {effect}"
    advice = f"about {counted(repeats or 0, 'trial')} on both sides would decide"
    if repeats is None:
        advice = f"more than {MOST_REPEATS} trials would be needed to decide"
    return replace(
        row, status=Change.INCONCLUSIVE, repeats=repeats,
        reason=f"{row.reason}{said} {what}: {advice}",
    )  # fmt: skip


def _laws(then: DigestedPoint | None, now: DigestedPoint) -> Iterator[LawChange]:
    """Each law of a point, then and now. What could be tested neither time is left out."""
    for law in now.laws:
        before = None
        if then is not None:
            held = {(one.metric, one.container): one.status for one in then.laws}
            before = held.get((law.metric, law.container))
        if law.status is Status.NOT_EXERCISABLE and before in (None, Status.NOT_EXERCISABLE):
            continue
        yield LawChange(
            point_id=now.point.id, metric=law.metric, container=law.container, law=law.law,
            status=_law_status(before, law.status), reason=law.reason, before=before,
            after=law.status,
        )  # fmt: skip


def _law_status(before: Status | None, after: Status) -> Change:
    match before, after:
        case (Status.DEVIATES, Status.DEVIATES):
            return Change.SAME
        case (_, Status.DEVIATES):
            return Change.REGRESSED
        case (_, Status.INCONCLUSIVE):
            return Change.INCONCLUSIVE
        case (_, Status.NOT_EXERCISABLE):
            return Change.INCOMPARABLE
        case (Status.DEVIATES, _):
            return Change.IMPROVED
    return Change.SAME


def _overall(
    rows: Collection[Comparison], laws: Collection[LawChange], violations: Collection[LawChange],
    *, apart: bool,
) -> Change:  # fmt: skip
    """The worst of all. A watched metric that is inconclusive makes nothing worse."""
    found = {row.status for row in rows if row.decides or row.status is not Change.INCONCLUSIVE}
    found |= {law.status for law in laws}
    known = {law.point_id for law in laws}
    known |= {row.point_id for row in rows if row.status is not Change.INCONCLUSIVE}
    if any(row.point_id not in known for row in rows):
        found.add(Change.INCONCLUSIVE)  # of a point of which nothing is known nothing is well
    if violations or Change.REGRESSED in found:
        return Change.REGRESSED
    if apart:
        found.add(Change.INCOMPARABLE)
    for status in (Change.INCOMPARABLE, Change.INCONCLUSIVE, Change.IMPROVED):
        if status in found:
            return status
    return Change.SAME


def _incomparable(
    compared: Compared, refused: Sequence[Difference], apart: Collection[str]
) -> str:  # fmt: skip
    """Why nothing could be compared, and what to do; what the laws say matters all the same."""
    if refused:
        names = ",".join(one.fact for one in refused)
        said = (
            f"{differing(refused)}. If that is what you put to the test: --allow {names}; else set "
            "a baseline of how it is now"
        )
    else:
        what = "its points were measured otherwise" if apart else "no point in common"
        said = (
            f"{what}. Compare runs of the same sweep; without RUN and --sweep, `bench check` "
            "measures the baseline's points"
        )
    laws = f" {law_headline(compared)}." if compared.violations else ""
    return f"Not comparable: {said}.{laws}"


def _remarks(before: Digest, after: Digest) -> tuple[str, ...]:
    said = [
        f"{name} was {then}, is {now}."
        for name, then in before.conditions.items()
        if (now := after.conditions.get(name, then)) != then
    ]
    if before.run == after.run:
        said.append("Both are the same run, which differs from itself in nothing.")
    if before.hostname != after.hostname:
        said.append(f"Measured on {before.hostname} before, on {after.hostname} now.")
    return tuple(said)
