"""A run of claims in every form: all that was found, what surprises first, and no attack."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as Xml

import click
import pytest
from click.testing import CliRunner
from rich.console import RenderableType

from harness.cli.terminal import show_page
from harness.comparison.claims import compare
from harness.model import ClaimVerdict, Finding
from harness.show.claims import compared as diffs
from harness.show.claims import html, junit, markdown, table, terminal
from harness.show.claims import view as views
from harness.show.claims.view import View
from harness.store import claims
from tests.claimed import HOLDS, RESULTS, TEXTS, loaded, result, stored
from tests.runs import HOSTILE


@pytest.fixture
def view(tmp_path: Path) -> View:
    return views.build(loaded(tmp_path))


@pytest.fixture
def hostile(tmp_path: Path) -> View:
    """Whatever an engine or a program may have said is an attack."""
    run = loaded(tmp_path)
    found = Finding(ClaimVerdict.REFUTED, HOSTILE, ((HOSTILE, HOSTILE),))
    results = tuple(replace(one, finding=found, because=HOSTILE) for one in run.results)
    info = replace(
        run.info, reason=HOSTILE, command=HOSTILE, status="failed",
        host=replace(run.info.host, hostname=HOSTILE),
        engine=replace(run.info.engine, name=HOSTILE, kernel=HOSTILE),
    )  # fmt: skip
    return views.build(replace(run, info=info, results=results, damage=(HOSTILE,)))


def printed(page: RenderableType, width: int) -> str:
    """As `bench` prints it, on a terminal of that width."""
    command = click.Command("speak", callback=lambda: show_page(page))
    runner = CliRunner(env={"COLUMNS": f"{width}"})
    return runner.invoke(command, catch_exceptions=False).stdout


def test_the_verdict_on_all_and_the_exit_code(tmp_path: Path) -> None:
    def code(*results: str) -> int:
        chosen = [one for one in RESULTS if one.id in results]
        return views.exit_code(views.build(loaded(tmp_path, chosen)))

    assert code("cpus-bind", "shares-cap", "ports-open") == 0
    assert code("cpus-bind", "swap-doubles") == 3
    assert code("cpus-bind", "swap-doubles", "memory-binds") == 1
    assert code() == 3  # nothing found is not all well
    unknown = claims.load(stored(tmp_path, [result("cpus-bind", HOLDS, expected=None)]))
    assert views.exit_code(views.build(unknown)) == 0


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_has_room_for_it(view: View, width: int) -> None:
    text = printed(terminal.Page(view), width)
    assert max(map(len, text.splitlines())) <= width
    for one in RESULTS:
        assert one.id in text
        assert one.finding.verdict.value in text
    assert "NOT EXPECTED" in text
    assert "expected was: holds" in " ".join(text.split())
    assert " ".join(text.split()).endswith(
        "1 is not exercisable."
    )  # the sum is what is seen at the end
    assert "Not as expected: memory-binds" in text
    assert "Open: swap-doubles" in text


def test_korean_is_beside_and_instead(tmp_path: Path) -> None:
    view = views.build(loaded(tmp_path), korean=True)
    assert "cpus-bind의 문장이다." in printed(terminal.Page(view), 100)
    assert "cpus-bind의 문장이다." in markdown.render(view)
    assert "The sentence of cpus-bind." not in markdown.render(view)


def test_an_interrupted_run_tells_what_is_missing(tmp_path: Path) -> None:
    run = claims.load(stored(tmp_path, RESULTS[:2], status="interrupted"))
    text = printed(terminal.Page(views.build(run)), 120)
    assert "This run is interrupted: 3 claims were not put to the test." in text


def test_markdown(view: View) -> None:
    text = markdown.render(view)
    assert text.startswith("### Claims: 1 of 5 claims is not as expected: 1 holds, 2 are refuted")
    assert "**✗ refuted**" in text  # the one that surprises alone
    assert text.count("**✗ refuted**") == 2
    assert "| ✓ holds | as expected | 0.500 CPUs where 0.5 is claimed |" in text


def test_junit(view: View, tmp_path: Path) -> None:
    root = Xml.fromstring(junit.render(view))
    kinds = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert kinds == {
        "cpus-bind": [], "shares-cap": [], "memory-binds": ["failure"],
        "swap-doubles": ["error"], "ports-open": ["skipped"],
    }  # fmt: skip
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "1", "1")
    later = claims.load(stored(tmp_path, [replace(RESULTS[0], finding=RESULTS[2].finding)]))
    root = Xml.fromstring(junit.render(views.build(later), compare(view.run, later)))
    (suite,) = root.findall("testsuite[@name='against the former result']")
    assert suite.get("failures") == "1"


def test_json_is_read_again_and_csv_has_a_row_a_claim(view: View, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(views.as_json(view)))
    assert claims.read_document(file).results == view.run.results
    assert views.as_json(view)["verdict"] == "not as expected"
    rows = list(csv.DictReader(io.StringIO(table.as_csv(view))))
    assert [row["id"] for row in rows] == [one.id for one in TEXTS]


def test_a_diff_tells_each_change_with_its_evidence(view: View, tmp_path: Path) -> None:
    later = claims.load(stored(tmp_path, [replace(RESULTS[0], finding=RESULTS[2].finding)]))
    found = compare(view.run, replace(later, info=replace(later.info, status="finished")))
    for text in (printed(diffs.Page(found), 100), diffs.as_markdown(found)):
        assert "1 claim changed, 0 are as before, 4 gone." in text
        assert "it used 80 MiB of 64 MiB" in text
    told = diffs.as_json(found)["claims"]
    assert told[0]["before"]["verdict"] == "holds"
    assert told[0]["change"] == "changed"


def test_nothing_from_outside_becomes_markup_or_commands_a_terminal(hostile: View) -> None:
    page = html.render(hostile)
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    text = markdown.render(hostile)
    assert "<script>" not in text
    assert "@team" not in text
    for width in (80, 120):
        said = printed(terminal.Page(hostile), width)
        assert "\x1b]0" not in said
        assert "\u202e" not in said
    Xml.fromstring(junit.render(hostile))


def test_the_page_holds_all_of_it(view: View) -> None:
    page = html.render(view)
    for one in TEXTS:
        assert f'id="{one.id}"' in page
        assert one.korean in page
    assert "docker run IMAGE\ndocker stats" in page
    assert "cgroup-v2.rst" in page
