"""The benchmark that finds limits of real programs: what it asks, and what it writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import found
from benchmarks.found import WANTED, Row, a_step_below, chosen, section, with_section
from harness.engine.image import workloads_root
from harness.errors import UsageError
from harness.model import ContainerSpec, Limits, Point
from harness.plan import programs
from harness.sizing import goal as goals
from harness.sizing.finding import UNLIMITED
from harness.sizing.ladder import KINDS

MIB = 1 << 20
ROW = Row(
    name="xz memory", goal="no-kill", step="1m", load="", ending="found", holds=29.0 * MIB,
    fails=28.0 * MIB, trials=25, find_s=84.0, measured="2026-11-27", host="2 CPUs", at=(9, 9),
    below_value=28.0 * MIB, below=(0, 9),
)  # fmt: skip


@pytest.mark.parametrize("wanted", WANTED, ids=lambda one: one.name)
def test_each_asks_what_its_program_tells_with_a_load_that_its_file_takes(
    wanted: found.Wanted, tmp_path: Path
) -> None:
    workload = found.of_program(wanted, tmp_path)
    program = programs.find(str(workload), workloads_root())
    assert program.name == "workload"
    for old, new in wanted.load:
        assert old not in workload.read_text().splitlines()
        assert new in workload.read_text()
    spec = ContainerSpec(limits=Limits(), workload=program)
    point = Point(id=UNLIMITED, axis="file", value="", containers=(spec,))
    assert goals.parse(wanted.goal, point).clauses
    kind = KINDS[wanted.limit]
    assert kind.read(wanted.least) < a_step_below(kind.read(wanted.most), wanted)


def test_all_of_them_take_three_quarters_of_an_hour_at_the_most() -> None:
    assert sum(one.estimated_s for one in WANTED) <= 45 * 60
    assert all(one.budget_s <= 360 for one in WANTED)


def test_some_can_be_chosen_and_no_others() -> None:
    assert [one.name for one in chosen("xz, redis memory")] == [
        "redis memory", "xz cpus", "xz memory",
    ]  # fmt: skip
    assert chosen(None) == WANTED
    with pytest.raises(UsageError, match="--only mysql"):
        chosen("redis,mysql")


@pytest.mark.parametrize(
    ("changed", "confirmed"),
    [
        ({}, "yes"),
        ({"at": (1, 9)}, "**no**: fails at it"),
        ({"at": (4, 9)}, "open: about half hold"),
        ({"below": (8, 9)}, "**no**: holds a step below"),
        ({"below": (5, 9)}, "open: about half hold"),
        ({"at": None, "below": None}, "not measured"),
        ({"at": None, "below": None, "ending": "budget spent"}, "–"),
        ({"at": (0, 0)}, "**no**: fails at it"),
    ],
)
def test_what_confirms_a_limit(changed: dict[str, object], confirmed: str) -> None:
    row = replace(ROW, **changed)  # type: ignore[arg-type]
    assert row.told().endswith(f"| {confirmed} |")


def test_a_section_is_written_once_and_leaves_the_others() -> None:
    held = {ROW.name: {**ROW.__dict__, "at": [9, 9], "below": [0, 9]}}
    page = "# Title\n\n## Before\n\nfirst\n\n## After\n\nlast\n"
    once = with_section(page, section(held))
    assert "| xz memory | no-kill, 1m | found | 29m | 28m | 25 | 1.4 min | 9 of 9 |" in once
    assert once.startswith(page.rstrip())
    assert with_section(once, section(held)) == once
    between = with_section(page.replace("## After", f"{found.HEADING}\n\nold\n\n## After"), "new\n")
    assert between == "# Title\n\n## Before\n\nfirst\n\nnew\n\n## After\n\nlast\n"
