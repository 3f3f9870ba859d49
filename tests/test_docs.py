"""Docs cannot drift: what they name exists, and what exists is named."""

from __future__ import annotations

import importlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harness.cli import COMMANDS
from harness.plan import axes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {path: path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}


def command(name: str) -> click.Command:
    found = getattr(importlib.import_module(COMMANDS[name][0]), name.replace("-", "_"))
    assert isinstance(found, click.Command)
    return found


def leaves(name: str) -> Iterator[tuple[str, click.Command]]:
    """A command, or the commands of a group, with how each is called."""
    found = command(name)
    if not isinstance(found, click.Group):
        yield f"bench {name}", found
        return
    for part in found.commands:
        yield f"bench {name} {part}", found.commands[part]


CALLS = [call for name in COMMANDS for call in leaves(name)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_readme(name: str) -> None:
    assert f"`bench {name}" in README


@pytest.mark.parametrize(("call", "found"), CALLS, ids=[call for call, _ in CALLS])
def test_every_option_is_documented_and_has_a_help_text(call: str, found: click.Command) -> None:
    everything = "\n".join(PAGES.values())
    for option in found.params:
        if isinstance(option, click.Option):
            assert option.help, f"{call} {option.opts}"
            assert any(f"{name}" in everything for name in option.opts), f"{call} {option.opts}"


@pytest.mark.parametrize("axis", axes.AXES)
def test_every_axis_is_described(axis: str) -> None:
    assert f"`bench sweep {axis}`" in PAGES[ROOT / "docs" / "sweeps.md"]


def mentioned() -> Iterator[tuple[str, list[str]]]:
    """Each command line of the docs: ``bench …`` in code, with the page that it stands in."""
    for path, text in PAGES.items():
        for match in re.finditer(r"(?:^|`)(?:\./)?bench ([a-z][^`\n#|]*)", text, re.MULTILINE):
            yield path.name, match[1].split()


def test_every_command_and_option_that_the_docs_name_exists() -> None:
    for page, words in mentioned():
        name = words[0]
        assert name in COMMANDS, f"{page}: bench {' '.join(words)}"
        known = {
            opt for _, found in leaves(name) for param in found.params for opt in param.opts
        } | {"--help"}
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= known, f"{page}: bench {' '.join(words)}"


def test_every_link_leads_somewhere() -> None:
    for path, text in PAGES.items():
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_readme_opens_with_the_two_commands_and_a_real_picture() -> None:
    opening = README.partition("## Commands")[0]
    assert "```console\n./bench sweep cpu\n```" in opening
    assert "```console\nmake test\n```" in opening
    picture = re.search(r"!\[.+\]\((docs/pictures/.+\.png)\)", opening)
    assert picture is not None
    assert (ROOT / picture[1]).read_bytes().startswith(b"\x89PNG")
    assert "conforms" in opening  # the table of a real run


def test_the_targets_of_make_are_those_of_the_contributors_page() -> None:
    listed = subprocess.check_output(["make", "--silent"], cwd=ROOT, text=True)
    named = set(re.findall(r"`make ([a-z0-9-]+)`", (ROOT / "CONTRIBUTING.md").read_text()))
    assert named
    for target in named:
        assert f"make {target} " in listed
