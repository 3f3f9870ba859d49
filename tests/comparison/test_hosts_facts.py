"""The fact that the hosts of a finding share is named, where it is more than chance."""

from __future__ import annotations

import random

import pytest
from scipy import stats

from harness.comparison.hosts_facts import groups, separations

HOSTS = [f"h{i:03}" for i in range(60)]
BAD = set(HOSTS[:6])


def facts(bad: set[str] = BAD) -> dict[str, dict[str, str]]:
    return {
        host: {
            "runtime": "runc 1.2.4" if host in bad else "runc 1.1.5",
            "kernel": f"6.1.{i % 3}",
            "cgroup": "v2",
            "probe": f"{i}",
        }
        for i, host in enumerate(HOSTS)
    }


def test_the_fact_that_tells_them_is_named_with_its_p() -> None:
    of = groups(facts())
    assert "cgroup" not in of, "all have the same"
    (found,) = separations({"a law deviates": BAD}, of, HOSTS)
    assert (found.fact, found.value) == ("runtime", "runc 1.2.4")
    assert (found.among, found.having, found.among_others, found.others) == (6, 6, 0, 54)
    asked = 1 + 1 + 3  # values that at least two hosts have: of runtime two, of kernel three
    exact = stats.fisher_exact([[6, 0], [0, 54]], alternative="greater").pvalue
    assert found.adjusted_p == pytest.approx(exact * asked, rel=1e-6)


def test_facts_of_the_same_hosts_cannot_be_told_from_each_other() -> None:
    both = facts()
    for host, mine in both.items():
        mine["engine"] = "Docker 29" if host in BAD else "Docker 20"
    (found,) = separations({"x": BAD}, groups(both), HOSTS)
    assert {(found.fact, found.value), *found.same} == {
        ("runtime", "runc 1.2.4"), ("engine", "Docker 29"),
    }  # fmt: skip


def test_findings_of_the_same_hosts_are_told_once() -> None:
    (found,) = separations({"x": BAD, "y": set(BAD)}, groups(facts()), HOSTS)
    assert found.finding == "x, y"


def test_of_two_facts_the_one_that_misses_fewer_hosts_is_told() -> None:
    wide = facts()
    for host in HOSTS[:8]:
        wide[host]["kernel"] = "7.0"
    (found,) = separations({"x": BAD}, groups(wide), HOSTS)
    assert found.fact == "runtime"


@pytest.mark.parametrize("among", [set(HOSTS[10:11]), set(), set(HOSTS[::10])])
def test_what_may_be_chance_is_not_told(among: set[str]) -> None:
    assert separations({"x": among}, groups(facts()), HOSTS) == ()


def test_facts_that_hosts_have_at_random_are_told_of_once_in_a_hundred() -> None:
    rng = random.Random(1)
    told = 0
    for _ in range(300):
        dealt = {
            host: {name: rng.choice("abc") for name in ("kernel", "engine", "cpu")}
            for host in HOSTS
        }
        told += bool(separations({"x": rng.sample(HOSTS, 8)}, groups(dealt), HOSTS))
    assert told <= stats.binom.isf(0.001, 300, 0.01)
