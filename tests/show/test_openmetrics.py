"""A check as metrics: valid by both formats, and nothing old in it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.comparison import changes
from harness.judge.metrics import METRICS
from harness.model import Change, Compared
from harness.show.report.openmetrics import Attempt, document, unit_name
from tests.digests import digest, law, point, spread
from tests.runs import HOSTILE

SAMPLE = re.compile(r"limitbench_check_(?P<name>[a-z_]+)\{(?P<labels>.*)\} (?P<value>[^ ]+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\\n]|\\[\\"n])*)"')
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def attempt(compared: Compared | None = None, code: int = 0) -> Attempt:
    return Attempt(
        code=code, sweep="cpu", baseline="default", ended_s=1795739889.5, duration_s=61.25,
        compared=compared,
    )  # fmt: skip


def parsed(text: str) -> Samples:
    """The samples by name and labels, as a parser of either format reads them.

    AssertionError where it is neither: a family is together, told what it is before its first
    sample, and no sample is there twice.
    """
    assert text.endswith("\n# EOF\n")
    found: Samples = {}
    described: list[str] = []
    for line in text.splitlines()[:-1]:
        if line.startswith("# HELP "):
            described.append(line.split()[2])
            assert '"' not in line
            assert "\\" not in line
        elif line.startswith("# TYPE "):
            assert line.split()[2:] == [described[-1], "gauge"]
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample is not None, line
            assert f"limitbench_check_{sample['name']}" == described[-1]
            labels = LABEL.findall(sample["labels"])
            assert ",".join(f'{name}="{value}"' for name, value in labels) == sample["labels"]
            assert len(dict(labels)) == len(labels)
            key = sample["name"], frozenset(labels)
            assert key not in found
            found[key] = float(sample["value"])
    assert len(set(described)) == len(described)
    return found


def only(found: Samples, name: str, **labels: str) -> float:
    """The one sample of that name whose labels have these among them."""
    (value,) = [
        value
        for (own, its), value in found.items()
        if own == name and labels.items() <= dict(its).items()
    ]
    return value


def names(found: Samples) -> set[str]:
    return {name for name, _ in found}


def compared(factor: float = 1.0) -> Compared:
    series = {"cpus": spread(0.5), "throttled_share": [0.5] * 10, "gap_s": spread(0.05)}
    now = {**series, "cpus": spread(0.5 * factor, seed=2), "throttled_share": [0.5 * factor] * 10}
    return changes.compare(digest(point(series)), digest(point(now)))


def test_a_verdict_with_its_changes_and_intervals() -> None:
    found = parsed(document(attempt(compared(1.2), code=1)))
    assert only(found, "exit_code", sweep="cpu", baseline="default") == 1
    assert only(found, "decided") == 1
    assert only(found, "end_timestamp_seconds") == 1795739889.5
    assert only(found, "duration_seconds") == 61.25
    assert only(found, "verdict", verdict="regressed") == 1
    assert only(found, "verdict", verdict="same") == 0
    assert sum(name == "verdict" for name, _ in found) == len(Change)
    cpus = {"point": "cpus=0.5", "metric": "cpus", "container": "0"}
    assert only(found, "metric_verdict", verdict="regressed", **cpus) == 1
    assert only(found, "change_ratio", **cpus) == pytest.approx(0.2, abs=0.01)
    low, high = (only(found, f"change_{end}_ratio", **cpus) for end in ("lower", "upper"))
    assert low < only(found, "change_ratio", **cpus) < high
    assert only(found, "change_matters_ratio", **cpus) == pytest.approx(0.01)
    assert only(found, "median_cpus", **cpus) == pytest.approx(0.6, rel=0.01)
    assert only(found, "difference_ratio", metric="throttled_share") == pytest.approx(0.1)
    assert only(found, "median_seconds", metric="gap_s") == pytest.approx(0.05, rel=0.01)
    assert only(found, "law_violated", law="cpu-bandwidth") == 0
    assert only(found, "law_verdict", verdict="conforms") == 1


@pytest.mark.parametrize("code", [2, 3, 4, 70, 130])
def test_what_came_to_no_verdict_has_none_and_no_numbers(code: int) -> None:
    found = parsed(document(attempt(code=code)))
    assert names(found) == {"exit_code", "decided", "end_timestamp_seconds", "duration_seconds"}
    assert only(found, "exit_code") == code
    assert only(found, "decided") == 0


def test_an_inconclusive_check_is_not_decided_and_has_its_numbers() -> None:
    found = parsed(document(attempt(compared(), code=3)))
    assert only(found, "decided") == 0
    assert only(found, "change_ratio", metric="cpus") == pytest.approx(0, abs=0.01)


def test_laws_alone_have_verdicts_and_no_changes() -> None:
    found = parsed(document(attempt(changes.laws_alone(digest(point({"cpus": spread(0.5)}))))))
    assert only(found, "law_verdict") == 1
    assert "metric_verdict" not in names(found)
    assert not [name for name in names(found) if name.startswith(("change", "difference"))]


def test_what_was_not_measured_is_left_out_and_never_0() -> None:
    few = digest(point({"cpus": spread(0.5, n=3)}))
    found = parsed(document(attempt(changes.compare(few, few), code=3)))
    assert only(found, "metric_verdict", verdict="inconclusive") == 1
    assert not [name for name in names(found) if name.startswith(("change", "median"))]


def test_numbers_that_are_none_are_left_out() -> None:
    good = compared()
    rows = tuple(replace(row, change=float("nan"), high=float("inf")) for row in good.rows)
    found = parsed(document(attempt(replace(good, rows=rows))))
    assert "change_ratio" not in names(found)
    assert "change_upper_ratio" not in names(found)
    assert "change_lower_ratio" in names(found)


def test_names_from_outside_stay_labels() -> None:
    name = f'{HOSTILE} \\ " \n # EOF \udc80'
    one = digest(point({"cpus": spread(0.5)}, point_id=name, laws=[law()]))
    text = document(replace(attempt(changes.compare(one, one)), sweep=name, baseline=name))
    (label,) = {dict(labels)["point"] for own, labels in parsed(text) if own == "median_cpus"}
    assert r"\\x1b]0;taken\\x07" in label
    assert r"\\ \" \n # EOF \\udc80" in label
    assert text.count("\n# EOF") == 1
    assert text.encode()


def test_every_unit_of_what_is_compared_has_a_name() -> None:
    units = {one.unit for one in METRICS.values() if one.compared}
    for unit in units:
        assert re.fullmatch("[a-z][a-z_]*[a-z]", unit_name(unit)), unit
    assert unit_name("units/s") == "units_per_second"
    assert unit_name("MiB / s") == "mib_per_second"
