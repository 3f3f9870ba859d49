"""A run without what tells whose it is: names of hosts or users, addresses, paths.

For what is made public: ``bench report --anonymous``, ``bench fleet report --anonymous``,
``bench export --anonymous`` and ``bench bug-report``. What was measured stays: kernel, engine, CPU
model, counters, images' ids.
"""

from __future__ import annotations

import os
import platform
import pwd
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from harness.model import (
    Apart,
    ClaimsInfo,
    ContainerRecord,
    ContainerSpec,
    EffectiveLimits,
    EngineFacts,
    HostFacts,
    Hosts,
    Plan,
    Program,
    ProgramDescription,
    RunInfo,
    Server,
    TrialRecord,
)
from harness.store.runs import Run

HOST, USER, PATH = "HOST", "USER", "PATH"
_KERNELS = ("/sys", "/proc", "/dev", "/scratch")
"""Below these everything is the kernel's or ours."""
_PATH = re.compile(r"(?<![\w.*/])(?:~[\w.-]*)?(?:/[\w.+@:~-]+)+/?")
_ADDRESS = re.compile(r"\b(?:unix|tcp|ssh|https?)://[^\s'\"]+")
_NOBODYS = {"root", "localhost", "nobody", ""}


class Names:
    """What must not be told of a run, and of whoever tells it."""

    def __init__(self, info: RunInfo | ClaimsInfo) -> None:
        hosts = {info.host.hostname, info.writer.host if info.writer else "", platform.node()}
        short = {one.partition(".")[0] for one in hosts}
        self._words = {
            **dict.fromkeys(_users() - _NOBODYS, USER),
            **dict.fromkeys((hosts | short) - _NOBODYS, HOST),
        }

    def without(self, text: str) -> str:
        """The text without names, addresses and paths."""
        text = _placeless(text)
        for word in sorted(self._words, key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", self._words[word], text)
        return text


def hosts_without_names(hosts: Hosts) -> Hosts:
    """Hosts side by side, each by a number in place of its name, wherever it is named."""
    numbers = {row.name: f"host-{i}" for i, row in enumerate(hosts.rows, start=1)}
    words = {**dict.fromkeys(_users() - _NOBODYS, USER)}
    for name, number in [(platform.node(), HOST), *numbers.items()]:
        # Of two hosts that are alike up to the first point, that word tells neither.
        words[name.partition(".")[0]] = number if name in numbers else HOST
    words |= numbers
    known = [re.escape(one) for one in sorted(words.keys() - _NOBODYS, key=len, reverse=True)]
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(known)})(?!\w)")

    def without(text: str) -> str:
        return pattern.sub(lambda found: words[found[0]], _placeless(text))

    def apart(one: Apart) -> Apart:
        return replace(one, host=numbers[one.host])

    return replace(
        hosts,
        rows=tuple(
            replace(
                row, name=numbers[row.name], why=without(row.why),
                changed=without(row.changed),
                runs=tuple(map(without, row.runs)), apart=tuple(map(apart, row.apart)),
                facts={fact: without(value) for fact, value in row.facts.items()},
            )
            for row in hosts.rows
        ),
        series=tuple(
            replace(one, hosts=tuple(numbers[host] for host in one.hosts)) for one in hosts.series
        ),
        separations=tuple(
            replace(
                one, value=without(one.value),
                same=tuple((fact, without(value)) for fact, value in one.same),
            )
            for one in hosts.separations
        ),
        left_out=tuple((without(what), without(why)) for what, why in hosts.left_out),
        against=without(hosts.against),
    )  # fmt: skip


def anonymous(run: Run) -> Run:
    """The run with its facts, its trials' words and its damage so; its path is of no matter."""
    names = Names(run.info)
    info = _info(run.info, names)
    damage = tuple(names.without(text) for text in run.damage)
    return replace(run, info=info).holding((_trial(one, names) for one in run.trials), damage)


def as_stored(run: Run) -> tuple[bytes, bytes]:
    """A run's facts, and its trials a line each, in the form of its folder."""
    facts, trials = TypeAdapter(RunInfo), TypeAdapter(TrialRecord)
    lines = [trials.dump_json(one, exclude_none=True) + b"\n" for one in run.trials]
    return facts.dump_json(run.info, indent=2) + b"\n", b"".join(lines)


def _info(info: RunInfo, names: Names) -> RunInfo:
    return replace(
        info,
        name=names.without(info.name),
        reason=names.without(info.reason),
        plan=_plan(info.plan, names),
        host=without_host_names(info.host),
        engine=without_engine_names(info.engine, names),
        sides=tuple(
            replace(
                side,
                engine=without_engine_names(side.engine, names),
                options=names.without(side.options),
            )
            for side in info.sides
        ),
        writer=None,
        gaps=tuple(
            replace(
                gap,
                why=names.without(gap.why),
                aside=tuple(map(names.without, gap.aside)),
                differences=tuple(map(names.without, gap.differences)),
            )
            for gap in info.gaps
        ),
    )


def without_host_names(host: HostFacts) -> HostFacts:
    """The host without its name."""
    return replace(host, hostname=HOST)


def without_engine_names(engine: EngineFacts, names: Names) -> EngineFacts:
    """The engine without its address and the paths in its warnings."""
    warnings = tuple(names.without(text) for text in engine.warnings)
    return replace(engine, host="", warnings=warnings)


def _plan(plan: Plan, names: Names) -> Plan:
    points = tuple(
        replace(point, containers=tuple(_spec(one, names) for one in point.containers))
        for point in plan.points
    )
    return replace(plan, points=points, command=names.without(plan.command))


def _spec(spec: ContainerSpec, names: Names) -> ContainerSpec:
    if not isinstance(spec.workload, Program):
        return spec
    workload = replace(spec.workload, description=_described(spec.workload.description, names))
    if isinstance(workload, Server) and (asker := workload.serving.asker) is not None:
        asker = replace(asker, description=_described(asker.description, names))
        workload = replace(workload, serving=replace(workload.serving, asker=asker))
    return replace(spec, workload=workload)


def _described(told: ProgramDescription, names: Names) -> ProgramDescription:
    image = replace(
        told.image,
        pack=told.image.pack and names.without(told.image.pack),
        also=tuple(names.without(one) for one in told.image.also),
        files=tuple((at, names.without(text)) for at, text in told.image.files),
        reference=told.image.reference and names.without(told.image.reference),
        archive=told.image.archive and Path(told.image.archive).name,
    )
    command = tuple(names.without(word) for word in told.command)
    return replace(told, image=image, command=command)


def _trial(trial: TrialRecord, names: Names) -> TrialRecord:
    return replace(
        trial,
        failure=trial.failure and names.without(trial.failure),
        invalid=trial.invalid and names.without(trial.invalid),
        warnings=tuple(
            replace(one, text=names.without(one.text), remedy=names.without(one.remedy))
            for one in trial.warnings
        ),
        neighbours=tuple(replace(one, name=names.without(one.name)) for one in trial.neighbours),
        containers=tuple(_container(one, names) for one in trial.containers),
    )


def _container(container: ContainerRecord, names: Names) -> ContainerRecord:
    return replace(
        container,
        absent={name: names.without(why) for name, why in container.absent.items()},
        effective=container.effective and _force(container.effective),
        # Several stay several: which is which is told by their limits.
        above=container.above
        and tuple(
            replace(one, at=f"{_some(one.at)}-{number}")
            for number, one in enumerate(container.above, start=1)
        ),
    )


def _force(force: EffectiveLimits) -> EffectiveLimits:
    """The cgroups above bear units and users (``user-1000.slice``): each ``*_at`` names one."""
    at: dict[str, Any] = {
        field.name: _some(getattr(force, field.name))
        for field in fields(force)
        if field.name.endswith("_at")
    }
    return replace(force, **at)


def _some(cgroup: str) -> str:
    return cgroup and f"/{PATH}"


def _shown(path: str) -> str:
    return path if path.startswith(_KERNELS) else PATH


def _placeless(text: str) -> str:
    """The text without addresses and paths."""
    text = _ADDRESS.sub("ADDRESS", text)
    return _PATH.sub(lambda found: _shown(found[0]), text)


def _users() -> set[str]:
    users = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER")}
    return users | {Path.home().name, _own_name()}


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""
