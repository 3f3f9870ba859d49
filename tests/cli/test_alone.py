"""A command that has a host to itself: another one, as this one may be measured on just now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from harness.cli.alone import have_alone, no_wait_option
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.host import lock


class Elsewhere:
    """The API of an engine on a host of the test's own."""

    def __init__(self, id_: str) -> None:
        self._id = id_

    def info(self) -> dict[str, Any]:
        return {"ID": self._id, "KernelVersion": "0.1", "Name": "elsewhere"}

    def version(self) -> dict[str, Any]:
        return {"Version": "20.10"}

    def containers(self, **asked: Any) -> list[dict[str, Any]]:
        return []

    def images(self, **asked: Any) -> list[dict[str, Any]]:
        return []

    def volumes(self, **asked: Any) -> dict[str, Any]:
        return {"Volumes": []}


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    return Connection("tcp://elsewhere:2376", Elsewhere(str(tmp_path)), private=False)


@pytest.fixture
def name(connection: Connection) -> Iterator[str]:
    """Of its lock, whose file is removed again."""
    name = DockerEngine(connection).elsewhere()
    assert name is not None
    yield name
    (lock.shared_folder() / f"limitbench-{name}.lock").unlink()


@pytest.fixture
def measure(connection: Connection) -> click.Command:
    @click.command()
    @no_wait_option
    def measure() -> None:
        have_alone(connection)
        have_alone(connection)  # of a command that calls another
        click.echo("measured")

    return measure


def test_it_does_not_wait_for_itself_and_lets_go_at_its_end(
    measure: click.Command, name: str
) -> None:
    for _ in range(2):
        result = CliRunner().invoke(measure, ["--no-wait"], catch_exceptions=False)
        assert (result.exit_code, result.output) == (0, "measured\n")


def test_under_no_wait_it_is_refused(measure: click.Command, name: str) -> None:
    with lock.held(name, lambda holder: None, lock.shared_folder()):
        result = CliRunner().invoke(measure, ["--no-wait"])
    assert "another measurement runs on this host" in str(result.exception)
