"""Numbers and the words beside them agree."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.terminal import show_page
from harness.judge import run as judging
from harness.plan.axes import Options
from harness.show.report import html, markdown
from harness.show.report import view as views
from harness.wording import agreeing, counted
from tests.command import spoken
from tests.runs import measured, rejected, scattered

NOUNS = "points|trials|periods|runs|containers|samples|frames|threads|laws|lines|times|CPUs"
DISAGREES = re.compile(rf"(?<![\d.,:–-])1 ({NOUNS})\b|\b1 of \d+ \w+ (deviate|conform|are)\b")

TAGS = re.compile(r"<(style|script|svg).*?</\1>|<[^>]+>", re.DOTALL)


def test_numbers_and_words() -> None:
    assert [counted(n, "point") for n in (0, 1, 2)] == ["0 points", "1 point", "2 points"]
    assert [agreeing(n, "is", "are") for n in (0, 1, 2)] == ["are", "is", "are"]


@pytest.mark.slow
def test_a_run_of_one_point_and_one_trial(tmp_path: Path) -> None:
    from harness.show.report import terminal  # noqa: PLC0415

    run = measured(tmp_path, options=Options(values="0.5", repeats=1))
    run = run.telling(replace(run.info, status="interrupted"))
    for one in (run, scattered(run, {"cpus=0.5": 1.2}), rejected(run, "too late")):
        view = views.build(one)
        said = [spoken(lambda: show_page(terminal.Page(view))), markdown.render(view)]  # noqa: B023
        said.append(TAGS.sub(" ", html.render(view)))
        for text in said:
            assert not DISAGREES.search(text), DISAGREES.search(text)
    assert views.build(scattered(run, {"cpus=0.5": 1.2})).headline.startswith("The point ")
    assert judging.points(run)


def test_a_run_of_two_points(tmp_path: Path) -> None:
    run = measured(tmp_path, options=Options(values="0.5,1", repeats=5))
    headline = views.build(scattered(run, {"cpus=0.5": 1.2})).headline
    assert headline == "1 of 2 points deviates; 1 of 2 points conforms."


@pytest.mark.parametrize(
    "path",
    sorted((Path(__file__).parents[2] / "harness").rglob("*.py")),
    ids=lambda path: path.stem,
)
def test_plurals_are_made_in_one_place(path: Path) -> None:
    """No ``'s' * (n > 1)``, and no ``{len(found)} points`` in a text."""
    if path.name == "wording.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            sides = [ast.unparse(side) for side in (node.left, node.right)]
            assert "'s'" not in sides, (path, node.lineno)
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                if "len(" in ast.unparse(value) and isinstance(after, ast.Constant):
                    assert not re.match(rf" ({NOUNS})\b", str(after.value)), (path, node.lineno)
