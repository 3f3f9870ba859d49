"""From a run to its levels: what a history needs of it. Pure.

A median a metric, with its interval, and the least change that counts there: a hundredth of the
digest that it is made of.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import fields

from harness.comparison.causes import law_of
from harness.comparison.digest import bare, digest
from harness.comparison.sensitivity import (
    SENSITIVITY,
    UNSTEADY_EFFECT,
    is_unsteady,
    smallest_effect,
)
from harness.comparison.significance import MIN_TRIALS, median_error
from harness.judge import estimates, verdicts
from harness.model import (
    Digest,
    DigestedPoint,
    Fingerprint,
    ForCheck,
    Level,
    PointLevels,
    RunInfo,
    RunLevels,
    Scale,
    Series,
    Status,
    TrialRecord,
)


def levels(info: RunInfo, trials: Sequence[TrialRecord]) -> RunLevels:
    """What a history needs of a run without sides, as far as it came."""
    made = digest(info, trials)
    return RunLevels(
        run=made.run,
        created=made.created,
        hostname=made.hostname,
        sweep=made.sweep,
        check=isinstance(info.purpose, ForCheck),
        facts=facts_of(made),
        points=tuple(_point(one, made.tick_s) for one in made.points),
    )


def facts_of(made: Digest) -> dict[str, str]:
    """Whatever is recorded of host, engine and workload, by the names of ``--allow`` first."""
    identity = {one.name: getattr(made.fingerprint, one.name) for one in fields(Fingerprint)}
    return identity | made.conditions


def _point(one: DigestedPoint, tick_s: float) -> PointLevels:
    series = one.series if one.valid >= MIN_TRIALS else ()
    verdict = verdicts.overall(law.status for law in one.laws) if one.laws else None
    decisive = next((law.reason for law in one.laws if law.status is verdict), "")
    return PointLevels(
        point=bare(one.point),
        valid=one.valid,
        rejected=one.rejected,
        levels=tuple(
            _level(found, one, tick_s) for found in series if len(found.values) >= MIN_TRIALS
        ),
        verdict=verdict,
        why="" if verdict is Status.CONFORMS else decisive,
    )


def _level(series: Series, of: DigestedPoint, tick_s: float) -> Level:
    kind, values = SENSITIVITY[series.metric], series.values
    median = statistics.median(values)
    relative = kind.relative > 0 and min(values) > 0
    scale = Scale.RELATIVE if relative else Scale.ABSOLUTE
    least = smallest_effect(kind, of, scale, median, tick_s)
    if series.metric == "cpus" and is_unsteady(of):
        least = max(least, UNSTEADY_EFFECT)
    unit = median if relative else 1.0
    # Two runs may both be off by what their source may miss, and not alike.
    matters = max(least * unit, 2 * (series.error or 0.0) * abs(median))
    found = estimates.estimate(series.metric, "", values)
    law = law_of(of, series.metric, series.container)
    return Level(
        metric=series.metric,
        container=series.container,
        n=len(values),
        median=median,
        low=found.low if found else None,
        high=found.high if found else None,
        deviation=float(f"{median_error(values):.4g}"),
        matters=float(f"{matters:.4g}"),
        relative=relative,
        promised=law.promised if law else None,
    )  # fmt: skip
