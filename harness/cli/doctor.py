"""``bench doctor``: how fit this host is for measuring.

What of the host and the engine can be measured, and what will disturb it.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from harness.cli.options import engine_host_option, json_option

if TYPE_CHECKING:
    from harness.doctor import Finding

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "bad": ("BAD", "red")}


@click.command()
@engine_host_option
@json_option
def doctor(engine_host: str | None, as_json: bool) -> int:
    """Tell what of this host and engine can be measured, what will disturb it, and the remedy.

    Changes nothing and starts nothing. Exits 4 where `bench sweep` cannot work here.
    """
    findings = examined(engine_host)
    if as_json:
        click.echo(json.dumps([finding.as_json() for finding in findings], indent=2))
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.grade]
            _print(click.style(f"{mark:<5}", fg=colour), f"{finding.subject}: {finding.text}")
            if finding.remedy:
                _print(" " * 5, f"→ {finding.remedy}")
    return 4 if any(finding.grade == "bad" for finding in findings) else 0


def examined(engine_host: str | None) -> Sequence[Finding]:
    """What is found of this host, and of the engine where one answers."""
    from harness import doctor as harness_doctor
    from harness.engine import leftovers
    from harness.engine.connect import find_engine, private_engine_obstacle
    from harness.engine.docker_engine import DockerEngine
    from harness.host import identity

    connection = find_engine(engine_host)
    docker = DockerEngine(connection) if connection else None
    return harness_doctor.examine(
        identity.facts(),
        docker.facts() if docker else None,
        identity.conditions(),
        obstacle="" if connection else private_engine_obstacle(),
        left=(
            *(f"container {one[:12]}" for one in (docker.left_behind() if docker else ())),
            *(str(one) for one in leftovers.strays()),
        ),
    )


def _print(margin: str, text: str) -> None:
    """The text beside its margin of five; on a terminal as wide as that, else in one line."""
    width = shutil.get_terminal_size().columns - 6 if sys.stdout.isatty() else len(text) + 1
    first, *rest = textwrap.wrap(text, max(width, 40), break_on_hyphens=False)
    click.echo("\n".join([margin + first, *(f"{'':5}{line}" for line in rest)]))
