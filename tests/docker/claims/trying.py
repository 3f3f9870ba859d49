"""How the claims of a topic are tried: as they are, and with an engine that was made wrong.

A file a topic lists in ``BROKEN`` for each of its claims how a laboratory is broken so that its
verdict must turn: a claim whose experiment cannot fail is no claim.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from harness import cgroup
from harness.claims.claim import Claim, NotExercisableError
from harness.claims.kernel import paths_of
from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.engine.laboratory import Box, Laboratory
from harness.model import ClaimVerdict, ContainerSpec, Finding, Limits
from tests.worlds import WORKER

RUN = f"tried{WORKER}"
"""Cgroups are the host's, whatever the engine."""
OPEN_AGAIN, OPEN_WAIT_S = 2, 15.0
Break = Callable[[Laboratory], None]
"""Changes a laboratory in place: by ``asked``, ``told`` or by replacing a method of it."""


@contextmanager
def laboratory(connection: Connection) -> Iterator[Laboratory]:
    """One for a test. Afterwards nothing of it is left on the engine."""
    with DockerEngine(connection).laboratory(run=RUN) as lab:
        yield lab
    left = connection.api.containers(all=True, filters={"label": f"org.limitbench.run={RUN}"})
    assert left == []
    assert connection.api.images(filters={"reference": f"limitbench-claims:{RUN}-*"}) == []
    assert cgroup.everywhere(f"/limitbench_claims_{RUN}") == []

    volumes = connection.api.volumes(filters={"label": f"org.limitbench.run={RUN}"})
    assert not volumes["Volumes"]

    ours = {"label": f"org.limitbench.run={RUN}"}
    assert connection.api.images(all=True, filters=ours) == []


def found(claim: Claim, lab: Laboratory) -> Finding:
    """What its experiment says; what cannot be exercised as a finding.

    What stays open, since steal or others took the CPU, is tried again a few times.
    """
    finding = _once(claim, lab)
    for _ in range(OPEN_AGAIN):
        if finding.verdict is not ClaimVerdict.INCONCLUSIVE:
            break
        time.sleep(OPEN_WAIT_S)
        finding = _once(claim, lab)
    return finding


def _once(claim: Claim, lab: Laboratory) -> Finding:
    try:
        return claim.experiment(lab)
    except NotExercisableError as why:
        return Finding(ClaimVerdict.NOT_EXERCISABLE, str(why))


def as_expected(claim: Claim, lab: Laboratory) -> None:
    """The experiment on the engine as it is comes to the verdict that is to be expected."""
    finding, expected = found(claim, lab), claim.expectation(lab.facts)
    assert expected is not None
    if finding.verdict is not ClaimVerdict.NOT_EXERCISABLE:
        assert finding.verdict is expected.verdict, finding.said


def turned(claim: Claim, lab: Laboratory, breaking: Mapping[str, Break]) -> None:
    """With a broken engine the verdict is another one, and a decided one."""
    expected = claim.expectation(lab.facts)
    assert expected is not None
    breaking[claim.id](lab)
    finding = found(claim, lab)
    if finding.verdict is ClaimVerdict.NOT_EXERCISABLE:
        return  # here it is tried by nobody
    assert finding.verdict is not expected.verdict, finding.said
    assert finding.verdict in (ClaimVerdict.HOLDS, ClaimVerdict.REFUTED), finding.said


def asked(**changed: Any) -> Break:
    """An engine that is asked for something else: keywords of ``create``, None = left out."""
    return asked_by(lambda options: options | changed)


def asked_by(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Break:
    """An engine that is asked for what ``change`` makes of the keywords of ``create``."""

    def broken(lab: Laboratory) -> None:
        real = lab.create

        def create(*words: str, **options: Any) -> Box:
            return real(*words, **change(options))

        lab.create = create  # type: ignore[method-assign]

    return broken


def bound(change: Callable[[str], str]) -> Break:
    """An engine that makes something else of each ``-v``."""
    return asked_by(
        lambda options: options | {"binds": [change(one) for one in options.get("binds") or []]}
    )


def boxes(**methods: Any) -> Break:
    """Containers of which some verbs do something else: name → function of the box and the rest."""

    def broken(lab: Laboratory) -> None:
        real = lab.create
        kind = type("Broken", (Box,), methods)

        def create(*words: str, **options: Any) -> Box:
            box = real(*words, **options)
            box.__class__ = kind
            return box

        lab.create = create  # type: ignore[method-assign]

    return broken


def measured_with(changed: Callable[[Limits, int], Limits]) -> Break:
    """An engine that gives what is measured other limits: those asked for, and the how manieth."""

    def broken(lab: Laboratory) -> None:
        real, numbers = lab.engine.create, itertools.count()

        def create(*, spec: ContainerSpec, **rest: Any) -> Container:
            limits = changed(spec.limits, next(numbers))
            return real(spec=replace(spec, limits=limits), **rest)

        lab.engine.create = create  # type: ignore[method-assign]

    return broken


def kernel_file(box: Box, version: int, **values: str) -> None:
    """Write to files of a container's memory cgroup: ``max`` for memory.max (v2)."""
    paths = paths_of(box)
    for folder in (paths.folder("memory"), paths.scope if version == 2 else None):
        for name, value in values.items():
            if folder is not None:
                (folder / f"memory.{name.replace('__', '.')}").write_text(value)


def typing_otherwise(changed: Callable[[list[str]], list[str]]) -> Break:
    """A reader who types other words after ``docker`` than those of the experiment."""

    def broken(lab: Laboratory) -> None:
        real = lab.command_line
        lab.command_line = lambda *words: real(*changed(list(words)))  # type: ignore[method-assign]

    return broken
