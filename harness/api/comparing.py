"""What changed from one run to another, as a frame."""

from __future__ import annotations

import html
from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from harness.api.results import Runs, run_of
from harness.show.report import comparison


@dataclass(frozen=True)
class ComparedRuns:
    """What changed from one run to another, as ``bench compare`` tells it."""

    verdict: str
    """``same``, ``improved``, ``regressed``, ``inconclusive`` or ``incomparable``."""
    headline: str
    differences: tuple[str, ...]
    """Facts of host, engine and workload that differ, in words."""
    remarks: tuple[str, ...]
    table: pd.DataFrame
    """A row a metric of a container of a point: ``point``, ``metric``, ``unit`` (str),
    ``container`` (int64), ``before`` and ``after`` (medians, float64, in the unit), ``scale`` (of
    what follows: ``relative`` or ``absolute``), ``change``, ``low``, ``high`` (its interval),
    ``matters`` (the smallest change that counts; all float64), ``p`` and ``adjusted_p``
    (float64), ``verdict``, ``reason`` (str)."""

    def _repr_html_(self) -> str:
        shown = self.table[["point", "metric", "before", "after", "change", "low", "high",
                            "adjusted_p", "verdict"]]  # fmt: skip
        return f"<p>{html.escape(f'{self.verdict}: {self.headline}')}</p>{shown.to_html()}"


def compare(before: Runs, after: Runs, *, allow: Collection[str] = ()) -> ComparedRuns:
    """Whether anything changed from one run to another: interval, adjusted p and verdict.

    Runs whose host, kernel, engine, runtime or workload differ are ``incomparable`` unless the
    facts that differ are named in ``allow``, because they are what is put to the test. ResultsError
    where a run cannot be read.

    >>> import harness
    >>> compared = harness.compare("sample-cpu", "sample-cpu")
    >>> sorted(set(compared.table["change"].dropna()))
    [0.0]
    """
    from harness.comparison import changes  # noqa: PLC0415 - loads scipy, which nothing else here does
    from harness.comparison.digest import digest  # noqa: PLC0415 - of the comparison alone

    one, other = (digest(run.info, run.trials) for run in map(run_of, (before, after)))
    found = changes.compare(one, other, allow=allow)
    rows = [comparison.fields(row) for row in found.rows]
    numbers = ("before", "after", "change", "low", "high", "matters", "p", "adjusted_p")
    columns = {
        "point": "str", "metric": "str", "unit": "str", "container": "int64", "before": "",
        "after": "", "scale": "str", "change": "", "low": "", "high": "", "matters": "", "p": "",
        "adjusted_p": "", "verdict": "str", "reason": "str", **dict.fromkeys(numbers, "float64"),
    }  # fmt: skip
    return ComparedRuns(
        verdict=found.status.value,
        headline=found.headline,
        differences=tuple(f"{one.fact}: {one.before} → {one.after}" for one in found.differences),
        remarks=found.remarks,
        table=pd.DataFrame.from_records(rows, columns=list(columns)).astype(columns),
    )
