"""Two runs side by side: has a metric changed, by how much, and does it matter? Pure.

The replicate is the trial. Per point, metric and container: a percentile bootstrap interval of the
ratio (or difference) of the two medians, and a Mann-Whitney test whose p is adjusted over all of
them by Benjamini and Hochberg. *Regressed* or *improved* is what is significant **and** whose whole
interval lies beyond the smallest effect that matters; *same* is what lies within it; all else is
*inconclusive*, which is never green. docs/decisions/010 and 011 say why.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from harness import limits as rules
from harness.analysis import METRICS
from harness.check import signed
from harness.digest import bare
from harness.model import (
    Change,
    Compared,
    Comparison,
    Difference,
    Digest,
    DigestedPoint,
    Fingerprint,
    Floor,
    JudgedLaw,
    LawChange,
    Noise,
    Scale,
    Series,
    Status,
)
from harness.significance import (
    ALPHA,
    MIN_TRIALS,
    MOST_REPEATS,
    Shift,
    adjusted,
    repeats_that_decide,
    shift,
)

ALLOW_LAWS = "laws"
"""Beside the facts of the fingerprint: laws that the baseline violated already."""
FACTS = tuple(field.name for field in fields(Fingerprint))


# --- what matters ------------------------------------------------------------------------------


class Better(StrEnum):
    """Which way of two a metric should go."""

    LOWER = "lower"
    HIGHER = "higher"
    LAW = "as the law says"
    """Nearer to it is better; where no law speaks of the point, any change is for the worse."""


class Step(StrEnum):
    """The finest difference that the kernel's accounting can show at all."""

    NONE = "none"
    TICK = "one tick"
    SHARE_OF_WINDOW = "one tick of the window"
    PERIOD = "one quota period of the window"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """When a change of a metric matters. See ``SENSITIVITY``."""

    metric: str
    better: Better
    relative: float
    """The smallest share of the median that matters; 0 for metrics that are compared by
    difference."""
    absolute: float
    """A difference below this never matters, in the metric's unit."""
    step: Step = Step.NONE
    """Nor does one below this."""
    most: float
    """So many times that, noise may widen what counts as the same; beyond it nothing is decided."""
    decides: bool
    """Whether its being inconclusive leaves the check inconclusive. A *watched* metric turns a
    check red as any other does, but it is a tail or a time of the engine's: ten trials often cannot
    tell, and a check that could never be green would be switched off."""
    why: str


def _watched(metric: str, relative: float, absolute: float, why: str, **other: Any) -> Sensitivity:
    given: dict[str, Any] = {"better": Better.LOWER, "most": 4.0, **other}
    return Sensitivity(
        metric=metric, relative=relative, absolute=absolute, decides=False, why=why, **given
    )


SENSITIVITY: Mapping[str, Sensitivity] = {
    one.metric: one
    for one in (
        Sensitivity(
            metric="ratio", better=Better.LAW, relative=0.01, absolute=0.0,
            step=Step.SHARE_OF_WINDOW, most=3, decides=True,
            why="half of the law's tolerance: a formula for weights moves it by 13 %",
        ),
        Sensitivity(
            metric="cpus", better=Better.LAW, relative=0.01, absolute=0.0,
            step=Step.SHARE_OF_WINDOW, most=3, decides=True,
            why="the law's own tolerance, and counters move by the tick",
        ),
        Sensitivity(
            metric="outside_cpus", better=Better.LOWER, relative=0.0, absolute=0.001, most=1,
            decides=True, why="it is exactly 0 where a cpuset holds: 1 ms a second is a leak",
        ),
        Sensitivity(
            metric="throttled_share", better=Better.LOWER, relative=0.0, absolute=0.05,
            step=Step.PERIOD, most=3, decides=True, why="one period in twenty",
        ),
        Sensitivity(
            metric="reached_bytes", better=Better.LAW, relative=0.01, absolute=512 * 1024, most=3,
            decides=True, why="the law's tolerance: page tables and batches of pages",
        ),
        _watched("throttled_rate", 0.05, 0.02, "throttled time is summed over run queues"),
        _watched("gap_s", 0.10, 0.0, "a typical gap ends at a tick", step=Step.TICK),
        _watched("gap_p99_s", 0.20, 0.0, "tails scatter, and end at a tick", step=Step.TICK),
        _watched("gap_max_s", 0.25, 0.0, "the largest of few", step=Step.TICK),
        _watched(
            "work_rate", 0.03, 0.0, "frequency, caches and neighbours move it by 1 to 2 %",
            better=Better.HIGHER,
        ),
        _watched("peak_bytes", 0.01, 512 * 1024, "the kernel's own number; as the law's tolerance"),
        _watched("swapping_page_s", 0.25, 1e-6, "the disk behind the swap"),
        _watched("response_p99_s", 0.20, 0.0, "the tail of random arrivals", step=Step.TICK),
        _watched("cpu_some", 0.0, 0.05, "pressure: one second in twenty"),
        _watched("memory_full", 0.0, 0.05, "pressure: one second in twenty"),
        _watched("io_full", 0.0, 0.05, "pressure: one second in twenty"),
        _watched("start_s", 0.25, 0.02, "the engine's own work; 20 ms is what people can notice"),
    )
}  # fmt: skip
"""Metric → direction and smallest effect that matters, each with its reason. The effect that is
gated on is the larger of this and the host's own noise (``bench calibrate``)."""


BELOW_A_TICK = "cpu-bandwidth-below-a-tick"
"""The law of a point where nothing is steady: its metrics are watched only."""
UNSTEADY_EFFECT = 0.15
"""Of achieved CPU there, which scatters by 8 % from trial to trial: docs/decisions/011."""


def _unsteady(*points: DigestedPoint) -> bool:
    """True where trials scatter by their nature: below a tick, and under a load of random times."""
    return any(law.law == BELOW_A_TICK for point in points for law in point.laws) or any(
        spec.workload.name == "burst" for point in points for spec in point.point.containers
    )


def _smallest(
    kind: Sensitivity, before: DigestedPoint, scale: Scale, median: float, tick_s: float
) -> float:
    """The smallest effect that matters, on ``scale``, without regard to noise."""
    absolute = kind.absolute
    if kind.step is Step.TICK:
        absolute = max(absolute, tick_s)
    elif kind.step is Step.PERIOD:
        quotas = [rules.quota_and_period_us(spec.limits) for spec in before.point.containers]
        period_us = max((quota[1] for quota in quotas if quota), default=0)
        absolute = max(absolute, period_us / 1e6 / before.point.duration_s)
    elif kind.step is Step.SHARE_OF_WINDOW and scale is Scale.RELATIVE:
        # Of the least that any of its containers used: a ratio is as coarse as its smaller part.
        least = min((statistics.median(one.values) for one in before.series
                     if one.metric == "cpus" and one.values), default=0.0)  # fmt: skip
        step = tick_s / (before.point.duration_s * least) if least > 0 else 0.0
        return max(kind.relative, step)
    elif kind.step is Step.SHARE_OF_WINDOW:
        absolute = max(absolute, tick_s / before.point.duration_s)
    return max(kind.relative, absolute / median) if scale is Scale.RELATIVE else absolute


# --- two digests -------------------------------------------------------------------------------


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
    pairs, apart = ([], []) if refused else _pairs(before, after, ab=ab)
    then_of = {now.point.id: then for then, now in pairs}
    measured = [row for pair in pairs for row in _rows(*pair, before.tick_s, noise, ab=ab)]
    rows = [_explained(row, before, after) for row in _tested(measured)]
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
        noted = _noise_remark(noise, ab=ab) if pairs else ()
        said = [*_unpaired(before, after), *apart, *noted, *said]
    compared = Compared(
        before=before, after=after, status=Change.INCOMPARABLE, headline="", differences=found,
        remarks=tuple(said), rows=tuple(rows), laws=tuple(laws), violations=tuple(violations),
    )  # fmt: skip
    if not pairs:
        return replace(compared, headline=_incomparable(compared, refused, apart))
    status = _overall(rows, laws, violations, apart=bool(apart))
    compared = replace(compared, status=status)
    return replace(compared, headline=_headline(compared, len(pairs)))


def laws_alone(after: Digest) -> Compared:
    """The laws of one run, where there is nothing to compare it with."""
    laws = tuple(law for point in after.points for law in _laws(None, point))
    violations = tuple(law for law in laws if law.after is Status.DEVIATES)
    status = _overall([], laws, violations, apart=not laws)
    compared = Compared(
        before=None, after=after, status=status, headline="", laws=laws, violations=violations
    )
    return replace(compared, headline=f"{_law_headline(compared)}. Laws alone: no baseline.")


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


def differing(found: Sequence[Difference]) -> str:
    """The differences in words."""
    return "; ".join(
        f"{one.fact} was {brief(one.before)}, is {brief(one.after)}" for one in found
    )  # fmt: skip


def brief(fact: str) -> str:
    """A fact with the beginning of a checksum in place of all of it."""
    return _CHECKSUM.sub(r"\1…", fact)


_CHECKSUM = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")


def floors(digests: Sequence[Digest]) -> tuple[Floor, ...]:
    """The noise of each metric of each point, from runs of which nothing differs.

    The furthest edge of the intervals of all pairs of runs: what a comparison of two such runs
    must take for nothing. It holds for as many trials as the runs had.
    """
    furthest: dict[tuple[str, str, int], list[tuple[Shift, float]]] = {}
    for before, after in itertools.combinations(digests, 2):
        for then, now in _pairs(before, after, ab=False)[0]:
            for kind, a, b in _series(then, now):
                if a is not None and b is not None and _enough(a, b):
                    found = shift(a.values, b.values, _scale(kind, a, b))
                    key = then.point.id, kind.metric, a.container
                    furthest.setdefault(key, []).append((found, statistics.median(a.values)))
    return tuple(
        _floor(point_id, metric, container, found)
        for (point_id, metric, container), found in furthest.items()
    )


def _floor(
    point_id: str, metric: str, container: int, found: Sequence[tuple[Shift, float]]
) -> Floor:
    scale = Scale.ABSOLUTE if any(s.scale is Scale.ABSOLUTE for s, _ in found) else Scale.RELATIVE
    edges = [
        max(abs(one.low), abs(one.high)) * (median if one.scale is not scale else 1)
        for one, median in found
    ]
    return Floor(
        point_id=point_id, metric=metric, container=container, scale=scale,
        change=float(f"{max(edges):.4g}"),
    )  # fmt: skip


# --- points ------------------------------------------------------------------------------------

Pair = tuple[DigestedPoint, DigestedPoint]


def _pairs(before: Digest, after: Digest, *, ab: bool) -> tuple[list[Pair], list[str]]:
    """The points that can be put side by side, and why others of the same name cannot."""
    now = {one.point.id: one for one in after.points}
    pairs, apart = [], []
    for one in before.points:
        other = now.get(one.point.id)
        if other is None:
            continue
        if ab or bare(one.point) == bare(other.point):
            pairs.append((one, other))
        else:
            names = [field.name for field in fields(one.point)]
            differ = [
                _differing(name, getattr(one.point, name), getattr(other.point, name))
                for name in names
                if getattr(one.point, name) != getattr(other.point, name)
            ]
            apart.append(f"{one.point.id} is not compared: {' and '.join(differ)}.")
    return pairs, apart


def _differing(name: str, then: object, now: object) -> str:
    if isinstance(then, float) and isinstance(now, float):
        return f"its {name} was {then:g}, is {now:g}"
    return "its limits or its load differ" if name == "containers" else f"its {name} differs"


def _unpaired(before: Digest, after: Digest) -> list[str]:
    then, now = ({one.point.id for one in digest.points} for digest in (before, after))
    said = []
    for only, where in ((then - now, "before"), (now - then, "now")):
        if only:
            names = ", ".join(sorted(only)[:4]) + ", …" * (len(only) > 4)
            said.append(f"Measured only {where}, so not compared: {names}.")
    return said


def _series(
    then: DigestedPoint, now: DigestedPoint
) -> Iterator[tuple[Sensitivity, Series | None, Series | None]]:
    """What was measured on either side, in the order of ``SENSITIVITY``."""
    a, b = ({(one.metric, one.container): one for one in point.series} for point in (then, now))
    for kind in SENSITIVITY.values():
        for container in range(len(now.point.containers)):
            key = kind.metric, container
            if key in a or key in b:
                yield kind, a.get(key), b.get(key)


def _enough(a: Series, b: Series) -> bool:
    return min(len(a.values), len(b.values)) >= MIN_TRIALS


def _scale(kind: Sensitivity, a: Series, b: Series) -> Scale:
    if kind.relative and min(*a.values, *b.values) > 0:
        return Scale.RELATIVE
    return Scale.ABSOLUTE


@dataclass(frozen=True, slots=True)
class _Measured:
    """A row before it is judged.

    Its status is what it would be if the change were real; ``smallest`` is the smallest effect
    that matters, without regard to noise.
    """

    row: Comparison
    found: Shift
    smallest: float


def _rows(
    then: DigestedPoint, now: DigestedPoint, tick_s: float, noise: Noise | None, *, ab: bool
) -> Iterator[Comparison | _Measured]:
    """The rows of a point; those with numbers are judged together with all others."""
    if min(then.valid, now.valid) < MIN_TRIALS:
        yield _too_few(then, now)
        return
    unsteady = _unsteady(then, now)
    for kind, a, b in _series(then, now):
        container = (a or b or Series(metric="", values=())).container
        if a is None or b is None or not _enough(a, b):
            n = len(a.values) if a else 0, len(b.values) if b else 0
            # Not every metric is there in every trial: no gap is no gap.
            reason = f"measured in {n[0]} trials before and {n[1]} now: {MIN_TRIALS} are needed"
            yield Comparison(
                point_id=now.point.id, metric=kind.metric, container=container, n=n,
                status=Change.INCONCLUSIVE, reason=reason,
                decides=kind.decides and not unsteady,
            )  # fmt: skip
            continue
        scale = _scale(kind, a, b)
        due = _due(then, now, kind, container) if ab and scale is Scale.RELATIVE else 1.0
        found = shift(a.values, [value / due for value in b.values], scale)
        medians = statistics.median(a.values), statistics.median(b.values)
        smallest = _smallest(kind, then, scale, medians[0], tick_s)
        if unsteady and kind.metric == "cpus":
            smallest = max(smallest, UNSTEADY_EFFECT)
        if missed := (a.error or 0.0) + (b.error or 0.0):
            # Both may be off by it, and not alike: a change below says nothing.
            of = max(map(abs, medians)) if scale is Scale.ABSOLUTE else 1.0
            smallest = max(smallest, missed * of)
        floor = _floor_of(noise, now.point.id, container, kind.metric, scale)
        row = Comparison(
            point_id=now.point.id,
            metric=kind.metric,
            container=container,
            status=Change.INCONCLUSIVE,
            reason="" if due == 1 else "beside what each side's law promises: ",
            decides=kind.decides and not unsteady,
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
        )
        status = _direction(kind, then, now, row, smallest)
        yield _Measured(replace(row, status=status), found, smallest)


def _too_few(then: DigestedPoint, now: DigestedPoint) -> Comparison:
    said = [
        f"{point.valid} of {point.trials} trials {when} count"
        + (f" ({point.rejected})" if point.rejected else "")
        for point, when in ((then, "before"), (now, "now"))
        if point.valid < MIN_TRIALS
    ]
    return Comparison(
        point_id=now.point.id, metric="cpus", status=Change.INCONCLUSIVE, decides=True,
        n=(then.valid, now.valid),
        reason=f"{' and '.join(said)}: {MIN_TRIALS} are needed: measure again with "
        f"--repeats {2 * MIN_TRIALS}",
        repeats=2 * MIN_TRIALS,
    )  # fmt: skip


def _due(then: DigestedPoint, now: DigestedPoint, kind: Sensitivity, container: int) -> float:
    """What the laws promise b for each unit that they promise a: 1 where neither has such a law."""
    if kind.better is not Better.LAW:
        return 1.0
    laws = [_law(point, kind.metric, container) for point in (then, now)]
    promised = [law.promised if law else 0.0 for law in laws]
    return promised[1] / promised[0] if min(promised) > 0 else 1.0


def _law(point: DigestedPoint, metric: str, container: int) -> JudgedLaw | None:
    """The law that gives a metric its target; a mere ceiling gives none."""
    for law in point.laws:
        if (law.metric, law.container) == (metric, container) and law.law != "cpu-ceiling":
            return law
    return None


def _direction(
    kind: Sensitivity, then: DigestedPoint, now: DigestedPoint, row: Comparison, smallest: float
) -> Change:
    """What a change would be: for better or for worse."""
    assert row.before is not None
    assert row.after is not None
    if kind.better is Better.LAW:
        laws = [_law(point, kind.metric, row.container) for point in (then, now)]
        off = [
            abs(median - law.promised) / (law.promised if row.scale is Scale.RELATIVE else 1)
            for law, median in zip(laws, (row.before, row.after), strict=True)
            if law is not None and law.promised > 0
        ]
        # Where the law was kept before, and what it promises has changed, nothing has improved.
        better = len(off) == 2 and off[1] < off[0] and off[0] > smallest
    else:
        better = (row.after > row.before) is (kind.better is Better.HIGHER)
    return Change.IMPROVED if better else Change.REGRESSED


def _tested(rows: Sequence[Comparison | _Measured]) -> list[Comparison]:
    """The rows with their p adjusted over all of them, and judged by it."""
    ps = [row.found.p for row in rows if isinstance(row, _Measured)]
    of = iter(adjusted(ps))
    return [_judged(row, next(of), len(ps)) if isinstance(row, _Measured) else row for row in rows]


def _judged(measured: _Measured, adjusted_p: float, tests: int) -> Comparison:
    row, found = replace(measured.row, adjusted_p=adjusted_p), measured.found
    # Noise may widen what counts as the same, and only so far: a host that scatters by 20 % says
    # nothing of a change by 10 %.
    same = min(row.effect, SENSITIVITY[row.metric].most * measured.smallest)
    said = f"{amount(found.change, row)} ({span(row)})"
    within = amount(row.effect, row).lstrip("+")
    if -same <= found.low and found.high <= same:
        reason = f"{said} lies within ±{amount(same, row).lstrip('+')}"
        return replace(row, status=Change.SAME, reason=row.reason + reason)
    beyond = found.low > row.effect or found.high < -row.effect
    if beyond and adjusted_p < ALPHA:
        reason = f"{said} lies beyond ±{within}, p = {adjusted_p:.2g}"
        return replace(row, reason=row.reason + reason)
    repeats = repeats_that_decide(found, same, min(row.n), tests)
    what = f"is beyond ±{within}, but p = {adjusted_p:.2g}" if beyond else f"straddles ±{within}"
    advice = f"about {repeats} trials on both sides would decide"
    if repeats is None:
        advice = f"more than {MOST_REPEATS} trials would be needed to decide"
    return replace(
        row, status=Change.INCONCLUSIVE, repeats=repeats,
        reason=f"{row.reason}{said} {what}: {advice}",
    )  # fmt: skip


def _floor_of(
    noise: Noise | None, point_id: str, container: int, metric: str, scale: Scale
) -> float | None:
    """The noise of a metric of a point, on that scale; None where it was not measured.

    For a point that was not calibrated it is the largest that the metric has anywhere.
    """
    of_metric = [
        one for one in (noise.floors if noise else ())
        if one.metric == metric and one.scale is scale
    ]  # fmt: skip
    own = [one for one in of_metric if (one.point_id, one.container) == (point_id, container)]
    return max((one.change for one in own or of_metric), default=None)


# --- laws --------------------------------------------------------------------------------------


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


# --- changes that have a name ------------------------------------------------------------------


def _explained(row: Comparison, before: Digest, after: Digest) -> Comparison:
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
    if formulas[0] == formulas[1]:
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
    for formula, version in ((rules.OLD_WEIGHTS, "1.1.0"), (rules.NEW_WEIGHTS, "1.4.0")):
        due = [rules.weight_of_shares(share or 0, "runc", version) for share in shares]
        if due == list(point.weights):
            return formula
    return ""


def _tick_cause(row: Comparison, then: DigestedPoint, now: DigestedPoint) -> str:
    laws = [_law(point, "cpus", row.container) for point in (then, now)]
    said = [law.explanation for law in laws if law and law.explanation]
    return said[-1] if said else ""


def _cpuset_cause(row: Comparison, now: DigestedPoint) -> str:
    law = _law(now, "cpus", row.container)
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


# --- all of it ---------------------------------------------------------------------------------


def _overall(
    rows: Iterable[Comparison], laws: Iterable[LawChange], violations: Collection[LawChange],
    *, apart: bool,
) -> Change:  # fmt: skip
    """The worst of all. A watched metric that is inconclusive makes nothing worse."""
    found = {row.status for row in rows if row.decides or row.status is not Change.INCONCLUSIVE}
    found |= {law.status for law in laws}
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
    laws = f" {_law_headline(compared)}." if compared.violations else ""
    return f"Not comparable: {said}.{laws}"


def _headline(compared: Compared, points: int) -> str:
    tally = Counter(row.status for row in compared.rows)
    order = (Change.REGRESSED, Change.IMPROVED, Change.INCONCLUSIVE, Change.SAME)
    parts = [f"{tally[status]} {status.value}" for status in order if tally[status]]
    watched = sum(row.status is Change.INCONCLUSIVE and not row.decides for row in compared.rows)
    if watched:
        parts = [part + f" ({watched} only watched)" * ("inconclusive" in part) for part in parts]
    head = {
        Change.REGRESSED: "Regressed",
        Change.IMPROVED: "Improved",
        Change.SAME: "No change that matters",
        Change.INCONCLUSIVE: "Inconclusive",
        Change.INCOMPARABLE: "Not all of it is comparable",
    }[compared.status]
    said = f"{head}: {', '.join(parts)} at {points} point{'s' * (points > 1)}"
    return f"{said}. {_law_headline(compared)}."


def _law_headline(compared: Compared) -> str:
    tally = Counter(law.after for law in compared.laws)
    total = tally.total()
    if not total:
        return "No law speaks of these points"
    words = {Status.CONFORMS: "conform", Status.DEVIATES: "violated",
             Status.INCONCLUSIVE: "inconclusive",
             Status.NOT_EXERCISABLE: "no longer exercisable"}  # fmt: skip
    if len(tally) == 1:
        (status,) = tally
        many, verb = total > 1, "" if status is Status.CONFORMS else "are " if total > 1 else "is "
        word = "conforms" if status is Status.CONFORMS and not many else words[status]
        return f"{f'All {total} laws' if many else 'The law'} {verb}{word}"
    words[Status.CONFORMS] += "s" * (tally[Status.CONFORMS] == 1)
    parts = [f"{tally[status]} {word}" for status, word in words.items() if tally[status]]
    return f"Of {total} laws {', '.join(parts)}"


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


def _noise_remark(noise: Noise | None, *, ab: bool) -> tuple[str, ...]:
    if ab:
        return ()
    if noise is None:
        return ("This host's noise between runs is not known: `bench calibrate` measures it.",)
    return (f"No effect below this host's own noise counts (`bench calibrate`, {noise.created}).",)


_FORMS = {
    "s": (1e3, "+.2f", " ms"),
    "bytes": (2**-20, "+.2f", " MiB"),
    "share": (100, "+.1f", " points"),
}
"""Of a difference, by the metric's unit: factor, form, and the unit that it is written in."""


def amount(change: float, row: Comparison) -> str:
    """A change in words: ``+1.20%``, or in the metric's unit where it is a difference."""
    factor, form, unit = _form(row)
    return f"{signed(change * factor, form)}{unit}"


def span(row: Comparison) -> str:
    """A change's interval in words: ``-0.31 … +0.42%``; empty where there is none."""
    if row.low is None or row.high is None:
        return ""
    factor, form, unit = _form(row)
    low, high = (signed(edge * factor, form) for edge in (row.low, row.high))
    return f"{low} … {high}{unit}"


def _form(row: Comparison) -> tuple[float, str, str]:
    if row.scale is Scale.RELATIVE:
        return 100, "+.2f", "%"
    return _FORMS.get(METRICS[row.metric].unit, (1, "+.4f", ""))
