"""``bench inspect``: how a container, or any cgroup, fares that already runs.

Its limits, its use and its troubles.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from harness.cli import findings, inspected, together
from harness.cli.options import engine_host_option, json_option
from harness.errors import EngineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.cgroup import NamedCgroup
    from harness.engine.docker_engine import DockerEngine
    from harness.inspection.inspection import Inspection
    from harness.inspection.observe import Onlooker
    from harness.model import EngineFacts, HostFacts

_SHORT_S = 2.0
_LEAST_S, _MOST_S = 1.0, 3600.0


@click.command()
@click.argument("container", required=False)
@click.option("--pid", type=int, metavar="PID", help="In place of a container: the cgroup that a "
              "process is in. No engine is asked.")  # fmt: skip
@click.option("--cgroup", "path", metavar="PATH", help="Likewise a cgroup, by its folder below "
              "/sys/fs/cgroup or as /proc/PID/cgroup tells it.")  # fmt: skip
@click.option("--unit", metavar="NAME", help="Likewise a systemd unit, e.g. nginx.service.")
@click.option("--all", "every", is_flag=True, help="All running containers in one window, a line "
              "each, the worst first.")  # fmt: skip
@click.option(
    "--sort",
    "by",
    type=click.Choice(["throttled", "cpu", "memory", "pressure"]),
    help="With --all: by a share of periods, limit or time.  [default: by the findings]",
)
@click.option("--duration", "duration_s", type=float, metavar="SECONDS",
              help="How long to measure, rounded up to whole quota periods.  [default: 10; 2 with "
              "--watch or --all]")  # fmt: skip
@click.option("--watch", is_flag=True, help="Go on, a line a window, until Ctrl-C or its end.")
@click.option("--strict", is_flag=True, help="Exit 1 where a finding is BAD, in any window.")
@findings.explain_option
@engine_host_option
@json_option
def inspect(
    container: str | None,
    pid: int | None,
    path: str | None,
    unit: str | None,
    every: bool,
    by: str | None,
    duration_s: float | None,
    watch: bool,
    strict: bool,
    engine_host: str | None,
    as_json: bool,
) -> int:
    """Tell what a running container may use, uses, and lacks.

    Its limits as they were requested, as the engine and the kernel hold them, and what is in force;
    what it uses of them, and what that means. CONTAINER is a name or an id, or the beginning of
    one; --pid, --cgroup or --unit name any cgroup instead, with no engine at all; --all looks at
    every container, without docker stats. Nothing is changed or started: the cgroup's files and
    docker stats are read. With --json and --watch, each line is an object of its own. Each finding
    has an id, which --explain and docs/findings.md explain.
    """
    from harness.host import identity
    from harness.inspection import inspection

    _exactly_one({
        "CONTAINER": container, "--pid": pid, "--cgroup": path, "--unit": unit,
        "--all": every or None,
    })  # fmt: skip
    if by is not None and not every:
        raise UsageError("--sort sorts several containers.", "Give it with --all.")
    seconds = duration_s if duration_s is not None else _SHORT_S if watch or every else 10.0
    if not _LEAST_S <= seconds <= _MOST_S:
        raise UsageError(f"--duration {seconds:g} is out of range.", "Give 1 to 3600 seconds.")
    host = identity.facts()
    if every:
        tell_all = together.watch if watch else together.show
        bad = _all(_engine(engine_host), host, seconds, partial(tell_all, by=by, as_json=as_json))
        return int(strict and bad)
    if container is not None:
        onlooker, facts = _at_container(_engine(engine_host), container, host)
    else:
        onlooker, facts = _at_cgroup(_named(pid, path, unit), host)
    bad = False

    def look() -> Inspection:
        nonlocal bad
        told = inspection.inspect(onlooker.look(seconds), facts, host)
        bad = bad or told.bad
        return told

    with onlooker:
        (inspected.watch if watch else inspected.show)(look, as_json)
    return int(strict and bad)


def _all(
    engine: DockerEngine, host: HostFacts, seconds: float, tell: Callable[[together.Look], None]
) -> bool:
    """All containers in one window or more; whether any has a finding that is bad."""
    from harness.inspection import inspection
    from harness.inspection.together import Together

    facts, bad = engine.facts(), False
    with Together(engine, obstacle=facts.no_cgroups) as members:

        def look() -> list[Inspection]:
            nonlocal bad
            told = [inspection.inspect(seen, facts, host) for seen in members.look(seconds)]
            bad = bad or any(one.bad for one in told)
            return told

        tell(look)
    return bad


def _exactly_one(given: dict[str, object]) -> None:
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        said = f"{' and '.join(named)} exclude each other." if named else "nothing is named."
        raise UsageError(said, f"Give exactly one of {', '.join(given)}.")


def _engine(host: str | None) -> DockerEngine:
    from harness.engine.connect import find_engine, silence
    from harness.engine.docker_engine import DockerEngine

    connection = find_engine(host)
    if connection is None:
        raise EngineError(
            f"no engine answers ({silence()}).",
            "Name one with --engine-host or DOCKER_HOST; --pid, --cgroup and --unit need none.",
        )
    return DockerEngine(connection)


def _at_container(
    engine: DockerEngine, container: str, host: HostFacts
) -> tuple[Onlooker, EngineFacts]:
    from harness.inspection.observe import Onlooker

    found, facts = engine.find(container), engine.facts()
    return Onlooker(engine, found, host, obstacle=facts.no_cgroups), facts


def _at_cgroup(named: NamedCgroup, host: HostFacts) -> tuple[Onlooker, EngineFacts]:
    from harness.inspection import unasked
    from harness.inspection.observe import Onlooker

    return (
        Onlooker(unasked.NoEngine(), unasked.described(named), host, named=named),
        unasked.engine_facts(named, host),
    )


def _named(pid: int | None, path: str | None, unit: str | None) -> NamedCgroup:
    from harness import cgroup

    if pid is not None:
        return cgroup.of_process(pid)
    return cgroup.of_path(path) if path is not None else cgroup.of_unit(str(unit))
