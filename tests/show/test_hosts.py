"""Hosts side by side in every form: what it says first, how wide and how large it is."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from harness.comparison.hosts import beside
from harness.comparison.hosts_found import Found
from harness.model import Hosts, Status
from harness.show.report import hosts as words
from harness.show.report import hosts_html, hosts_markdown
from harness.show.report.hosts_page import Page
from harness.store.anonymous import hosts_without_names
from tests import fleets
from tests.runs import HOSTILE


def fleet(number: int = 40) -> Hosts:
    """Two that are off, one that failed, one that never came."""
    found = [
        fleets.member(f"host-{i:04}", 1.05 if i in (3, 9) else 1.0,
                      runtime="runc 1.2.4" if i in (3, 9) else "runc 1.1.5")
        for i in range(number)
    ]  # fmt: skip
    found.append(fleets.without("web-1", "unreachable", "it did not join within 60 s"))
    found.append(fleets.without("web-2", "failed", "the engine is gone"))
    return beside(Found(tuple(found)))


def printed(hosts: Hosts, width: int, *, every: bool = False) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(Page(hosts, every=every))
    return console.export_text()


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_says_who_differs_and_what_they_share(width: int) -> None:
    text = printed(fleet(), width)
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    assert flat.startswith("42 hosts: 2 deviate, 1 failed, 1 unreachable, 38 conform.")
    assert "both with runtime runc 1.2.4, none of 38 others" in flat
    assert "it did not join within 60 s" in flat
    assert "Not shown: 38 that conform (--all shows them)." in flat
    assert "at most 1% is so by chance" in flat
    assert "host-0000" not in flat
    assert "host-0000" in printed(fleet(), width, every=True)


def test_of_few_hosts_all_are_shown_and_none_lies_apart() -> None:
    text = " ".join(printed(fleets.hosts(3), 80).split())
    assert "host-0002 ✓ conforms" in text
    assert "with fewer, none can be said to lie apart" in text
    assert "by chance" not in text


def test_the_sentence_is_the_same_in_every_form() -> None:
    hosts = fleet()
    said = "Both with runtime runc 1.2.4, none of 38 others: a law deviates, lies apart in"
    assert said in words.headline(hosts)
    assert said in hosts_html.render(hosts)
    told = json.loads(json.dumps(words.as_json(hosts)))
    assert said in told["headline"]
    assert told["verdict"] == "deviates"
    assert "| host-0003 | ✗ deviates |" in hosts_markdown.render(hosts)
    assert len(told["hosts"]) == 42
    (cpus, *_) = told["series"]
    assert [one["host"] for one in cpus["hosts"] if one["apart"]] == ["host-0003", "host-0009"]


def test_what_is_open_or_missing_is_never_shown_as_success() -> None:
    fine = fleets.hosts(6)
    assert words.status(fine) is Status.CONFORMS
    lost = fleets.without("web-1", "unreachable", "it did not join")
    some = beside(Found((*[fleets.member(f"h{i}") for i in range(6)], lost)))
    assert words.status(some) is Status.INCONCLUSIVE
    assert words.status(beside(Found((lost,)))) is Status.INCONCLUSIVE
    assert words.status(beside(Found(()))) is Status.INCONCLUSIVE


@pytest.mark.slow
def test_a_thousand_hosts_are_a_page_of_a_megabyte_at_most() -> None:
    off = dict.fromkeys(range(7, 1000, 20), 1.05)
    small, large = (
        len(hosts_html.render(fleets.hosts(n, {i: f for i, f in off.items() if i < n})))
        for n in (100, 1000)
    )
    assert large < 1 << 20
    assert large < 10.5 * small, "no more than in proportion"


@pytest.mark.slow
def test_no_drawing_has_a_part_a_host() -> None:
    few, many = (hosts_html.render(fleets.hosts(n)).count("<rect") for n in (50, 400))
    assert many < 2 * few


def hostile() -> Hosts:
    found = [
        *[fleets.member(f"h{i}") for i in range(6)],
        fleets.member(HOSTILE, 1.05, runtime=HOSTILE, kernel=HOSTILE),
        fleets.member(f"{HOSTILE} 2", 1.05, runtime=HOSTILE),
        fleets.without(f"{HOSTILE} 3", "failed", HOSTILE),
    ]
    return beside(Found(tuple(found), ((HOSTILE, HOSTILE),)))


def test_names_of_hosts_become_no_markup() -> None:
    page = hosts_html.render(hostile())
    assert "<script>alert" not in page
    assert "onerror" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    text = hosts_markdown.render(hostile())
    assert "<script>" not in text
    assert "@team" not in text
    assert "\x1b" not in text
    assert all(line.startswith("|") for line in text.splitlines() if "✗ deviates |" in line)


def test_anonymous_hosts_have_numbers_wherever_they_are_named() -> None:
    names = ("box-17.example.com", "box-18.example.com")
    said = "cannot reach box-17 at tcp://10.1.2.3:2376 from box-18.example.com: /home/alice"
    found = [
        *[fleets.member(name, 1.05, runtime="runc 1.2.4") for name in names],
        *[fleets.member(f"h{i}") for i in range(20)],
        fleets.without("box-19", "failed", said),
    ]
    hosts = hosts_without_names(beside(Found(tuple(found), (("box-17.run", said),))))
    for text in (
        json.dumps(words.as_json(hosts)), hosts_html.render(hosts), hosts_markdown.render(hosts),
        printed(hosts, 120, every=True),
    ):  # fmt: skip
        for secret in ("box-1", "example.com", "10.1.2.3", "/home", "alice"):
            assert secret not in text
    assert hosts.rows[0].name == "host-1"
    assert "cannot reach host-1 at ADDRESS" in hosts.rows[-1].why
    assert [row.standing for row in hosts.rows] == [
        row.standing for row in beside(Found(tuple(found))).rows
    ]


def test_a_fact_of_which_every_host_has_its_own_is_summed_up() -> None:
    hosts = beside(Found(tuple(fleets.member(f"h{i}", kernel=f"6.1.{i}") for i in range(40))))
    shown = [one for one in words.groups(hosts) if one.fact == "kernel"]
    assert len(shown) == 12
    assert shown[-1].value == "29 others"
    assert sum(one.hosts for one in shown) == 40


def test_points_of_one_name_that_were_planned_otherwise_are_told_apart() -> None:
    one = fleets.member("longer")
    points = tuple(
        replace(p, point=replace(p.point, duration_s=60.0)) for p in one.levels[0].points
    )
    one = replace(one, levels=(replace(one.levels[0], points=points),))
    hosts = beside(Found((fleets.member("h"), one)))
    assert {"cpus=0.5 (plan 1 of 2)", "cpus=0.5 (plan 2 of 2)"} <= set(words.labels(hosts))
