"""How large a file or a function may be, and that a file is about one thing.

Each exception bears its reason: on the ``def`` line or in the comment above it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 60
MOST_PARAMETERS = 6

REASON = re.compile(r"#.*\bPLR091[3-57]\b.* - \w")
"""A lint exception with words after it: ``# noqa: PLR0913 - each is one fact, by name``."""

SOURCES = {
    str(path.relative_to(ROOT / "harness")): path.read_text()
    for path in sorted((ROOT / "harness").rglob("*.py"))
}
FILES = pytest.mark.parametrize("name", SOURCES)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(source: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            yield node


def lines_of(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def parameters(function: Function) -> list[str]:
    """All of a function's parameters but what stands for the object itself."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    every += [one for one in (given.vararg, given.kwarg) if one is not None]
    names = [one.arg for one in every]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def reasoned(function: Function, source: str) -> bool:
    """Whether its reason stands on its ``def`` line or the line above."""
    near = source.splitlines()[max(0, function.lineno - 2) : function.lineno]
    return any(map(REASON.search, near))


def is_command(function: Function) -> bool:
    """Whether click calls it: then its parameters are its options, handed over by name."""
    return any("click.command" in ast.unparse(one) for one in function.decorator_list)


def too_long(source: str) -> list[str]:
    return [
        f"{one.name}: {lines_of(one)} lines"
        for one in functions(source)
        if lines_of(one) > MOST_LINES_OF_A_FUNCTION and not reasoned(one, source)
    ]


def too_many(source: str) -> list[str]:
    return [
        f"{one.name}: {len(parameters(one))} parameters"
        for one in functions(source)
        if len(parameters(one)) > MOST_PARAMETERS and not (reasoned(one, source) or is_command(one))
    ]


def about_two_things(source: str) -> bool:
    told = ast.get_docstring(ast.parse(source)) or ""
    return " and " in told.partition("\n")[0]


@FILES
def test_a_file_has_a_size_that_is_read(name: str) -> None:
    assert len(SOURCES[name].splitlines()) <= MOST_LINES_OF_A_FILE


@FILES
def test_a_function_has_a_size_that_is_read(name: str) -> None:
    assert too_long(SOURCES[name]) == []
    assert too_many(SOURCES[name]) == []


@FILES
def test_a_files_first_line_needs_no_and(name: str) -> None:
    assert not about_two_things(SOURCES[name])


def test_a_breach_is_found() -> None:
    assert too_long("def long():" + "\n    pass" * 60) == ["long: 61 lines"]
    many = "def many(a, b, /, c, d, *e, f, **g): ..."
    assert too_many(many) == ["many: 7 parameters"]
    assert too_many("class A:\n    def few(self, a, b, c, d, e, f): ...") == []
    assert too_many(f"{many}  # noqa: PLR0913") == ["many: 7 parameters"]
    assert too_many(f"{many}  # noqa: PLR0913 - each is a fact of its own") == []
    assert too_many(f"# PLR0913 - each is a fact of its own\n{many}") == []
    assert too_many(f"@click.command()\n{many}") == []
    assert about_two_things('"""Bread and butter."""')
    assert not about_two_things('"""Bread.\n\nButter and jam."""')
