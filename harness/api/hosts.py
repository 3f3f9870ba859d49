"""Hosts side by side as frames: those of a results folder, or simulated ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from harness.api.results import results_folder, run_of
from harness.errors import ResultsError
from harness.judge.metrics import METRICS
from harness.model import Hosts
from harness.show.report import hosts as words


class FleetHosts:
    """The hosts of a results folder side by side, and their frames. Made by ``load_fleet``."""

    def __init__(self, hosts: Hosts) -> None:
        self.records = hosts
        """The records behind the frames."""

    def __repr__(self) -> str:
        return f"<{self.headline}>"

    @property
    def headline(self) -> str:
        """How many hosts stand how, and what those that differ share, in a sentence or two."""
        return words.headline(self.records)

    @property
    def remarks(self) -> list[str]:
        """What a reader must know of it: the error rate, what is left out."""
        return words.remarks(self.records)

    @cached_property
    def hosts(self) -> pd.DataFrame:
        """A row a host, by name: how it stands, and every fact of it.

        ``host``, ``standing`` (``conforms``, ``apart``, ``deviates``, …), ``why``, ``run`` (its
        newest; all str), ``created`` (datetime64[s, UTC], NaT without a run), ``apart`` (int64: in
        so many metrics of points), then a column a fact (str, ``""`` where it is not known):
        ``kernel``, ``runtime``, ``engine``, ``cgroup`` and so on.
        """
        rows = self.records.rows
        facts = list(dict.fromkeys(fact for row in rows for fact in row.facts))
        frame = pd.DataFrame.from_records(
            [
                (row.name, row.standing.value, words.about(row), row.runs[0] if row.runs else "",
                 row.created or None, len(row.apart), *(row.facts.get(one, "") for one in facts))
                for row in rows
            ],
            columns=["host", "standing", "why", "run", "created", "apart", *facts],
        )  # fmt: skip
        texts = dict.fromkeys(["host", "standing", "why", "run", *facts], "str")
        created = pd.to_datetime(frame["created"], utc=True, format="ISO8601")
        return frame.astype({**texts, "apart": "int64"}).assign(
            created=created.astype("datetime64[s, UTC]")
        )

    @cached_property
    def levels(self) -> pd.DataFrame:
        """A row a host of each metric of a point: its median beside that of all hosts.

        ``host``, ``point``, ``axis``, ``value``, ``metric``, ``unit`` (str), ``container``,
        ``trials`` (int64), ``median``, ``low``, ``high``, ``fleet`` (the hosts' median, in the
        unit), ``scatter`` (robust, on ``scale``), ``distance`` (how far out it surely lies, in
        units of the scatter allowed), ``adjusted_p`` (float64), ``scale`` (``relative`` or
        ``absolute``), ``apart`` (bool).
        """
        alpha = self.records.alpha
        rows = [
            (host, label, one.point.axis, one.point.value, one.metric, METRICS[one.metric].unit,
             one.container, level.n, level.median, level.low, level.high, one.median, one.scatter,
             distance, p, one.scale.value, p <= alpha)
            for label, one in zip(words.labels(self.records), self.records.series, strict=True)
            for host, level, distance, p in zip(
                one.hosts, one.levels, one.distances, one.adjusted_ps, strict=True)
        ]  # fmt: skip
        numbers = ("median", "low", "high", "fleet", "scatter", "distance", "adjusted_p")
        columns = {
            **dict.fromkeys(("host", "point", "axis", "value", "metric", "unit"), "str"),
            "container": "int64", "trials": "int64", **dict.fromkeys(numbers, "float64"),
            "scale": "str", "apart": "bool",
        }  # fmt: skip
        return pd.DataFrame.from_records(rows, columns=list(columns)).astype(columns)

    @cached_property
    def shared(self) -> pd.DataFrame:
        """A row a finding: the fact that its hosts share most surely.

        ``finding``, ``fact``, ``value``, ``same`` (other facts that exactly these hosts have; all
        str), ``among`` of ``having`` (hosts with the value), ``among_others`` of ``others`` (those
        without; int64), ``adjusted_p`` (float64).
        """
        rows = [
            (one.finding, one.fact, one.value, ", ".join(f"{fact} {value}" for fact, value in
             one.same), one.among, one.having, one.among_others, one.others, one.adjusted_p)
            for one in self.records.separations
        ]  # fmt: skip
        columns = {
            **dict.fromkeys(("finding", "fact", "value", "same"), "str"),
            **dict.fromkeys(("among", "having", "among_others", "others"), "int64"),
            "adjusted_p": "float64",
        }
        return pd.DataFrame.from_records(rows, columns=list(columns)).astype(columns)

    def by(self, fact: str) -> pd.DataFrame:
        """How many hosts with each value of a fact stand how: a row a value, a column a standing.

        KeyError for a fact that no host has.
        """
        known = self.hosts[self.hosts[fact] != ""]
        return pd.crosstab(known[fact], known["standing"])


def load_fleet(
    results: str | Path | None = None,
    *,
    fleet: str | None = None,
    sweep: str | None = None,
    metric: str | Sequence[str] = (),
) -> FleetHosts:
    """The newest run of each host of a results folder, side by side (`bench fleet report`).

    ``fleet`` takes the runs of that fleet alone, ``sweep`` those of a sweep, ``metric`` one metric
    or several. Without ``results``, the folder is $BENCH_RESULTS, or the next ``results`` upwards.
    ResultsError where there is no such folder or no run in it, UsageError for a fleet that is not
    there. Samples are no hosts of one's own.

    >>> import harness
    >>> harness.load_fleet()  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ...
    harness.errors.ResultsError: no run of any host in results. `bench sweep cpu` makes one.
    """
    from harness.comparison import hosts, hosts_found  # noqa: PLC0415 - loads scipy

    folder = results_folder(results)
    found = hosts_found.found(folder, fleet=fleet, sweep=sweep)
    if not found.members:
        raise ResultsError(f"no run of any host in {folder}.", "`bench sweep cpu` makes one.")
    names = (metric,) if isinstance(metric, str) else tuple(metric)
    return FleetHosts(hosts.beside(found, names))


def simulated_fleet(hosts: int = 200, run: str = "sample-cpu", *, seed: int = 1) -> FleetHosts:
    """Hosts that nobody measured, made of one run: to see what ``load_fleet`` tells of many.

    One in twenty gets 5 % more CPU than its limits allow, and those share a runtime; one never
    came. Everything else scatters by 0.2 %. ResultsError where there is no such run.

    >>> import harness
    >>> fleet = harness.simulated_fleet(40)
    >>> fleet.hosts["standing"].value_counts().to_dict()
    {'conforms': 38, 'deviates': 2, 'unreachable': 1}
    """
    from harness.comparison import hosts as side_by_side  # noqa: PLC0415 - loads scipy
    from harness.comparison.hosts_simulated import simulated  # noqa: PLC0415 - loads scipy
    from harness.comparison.levels import levels  # noqa: PLC0415 - loads scipy

    found = run_of(run)
    made = levels(found.info, found.trials)
    return FleetHosts(side_by_side.beside(simulated(made, hosts, seed)))
