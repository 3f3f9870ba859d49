"""The catalogue of claims in Markdown: what docs/claims.md is, made anew by ``make docs``.

Runs that were recorded (``bench report RUN --format json --anonymous``, a file an engine below
docs/claims/) give the columns of verdicts side by side.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.claims.catalogue import CLAIMS
from harness.claims.claim import Claim, Expected, Topic
from harness.model import DECIDED, ClaimResult, EngineFacts
from harness.store.claims import ClaimsRun, read_document

_EXPLAINED = "unexpected.toml"
"""A table a recorded run, by its name, in which each id has why its verdict is another one."""
_HEAD = """# Claims

Sentences about containers as notes and tutorials have them, each with the experiment by which
`bench claims` decides it on the engine at hand. What is to be expected depends on cgroup version,
engine and version: of several lines the first that fits counts. `bench claims ID --explain` tells
what stands here. This page is made of the entries in `harness/claims/` by `make docs`.

These are textbook sentences, so many of them are wrong: **refuted** says that the sentence is, not
that the engine is broken. `IMAGE` in a command is any small image, `c` a name of your choice.
"""
_SIDE_BY_SIDE = """## Measured, side by side

What `bench claims` found on real engines; the files are in [docs/claims](claims). **Bold** is a
verdict other than the one to be expected on that engine, with its explanation below the table.
"""
_SPECIAL = re.compile(r"([\\`*_\[\]|<>])")


def page(recorded: Path) -> str:
    """The page, with the runs that are recorded in that folder."""
    found = {path.stem: read_document(path) for path in sorted(recorded.glob("*.json"))}
    explained = recorded / _EXPLAINED
    why = tomllib.loads(explained.read_text()) if explained.exists() else {}
    return markdown(found, why)


def markdown(recorded: Mapping[str, ClaimsRun], explained: Mapping[str, Mapping[str, str]]) -> str:
    """The page; ``explained`` has for a recorded run by name, and an id, why it surprises."""
    parts = [_HEAD, "\n".join(_contents())]
    if recorded:
        parts += [_SIDE_BY_SIDE, *_columns(recorded), *_explanations(recorded, explained)]
    for topic in Topic:
        if mine := [one for one in CLAIMS if one.topic is topic]:
            parts += [f"## {topic.value}", *map(_section, mine)]
    return "\n\n".join(part.strip("\n") for part in parts)


def surprises(recorded: Mapping[str, ClaimsRun]) -> list[tuple[str, ClaimResult]]:
    """(run's name, result) of what is not as the catalogue has it now, whatever it had then."""
    return [
        (name, result)
        for name, run in recorded.items()
        for result in run.results
        if _surprises(result, run.info.engine)
    ]


def _surprises(result: ClaimResult, facts: EngineFacts) -> bool:
    claim = next((one for one in CLAIMS if one.id == result.id), None)
    expected = claim and claim.expectation(facts)
    return bool(
        expected
        and {expected.verdict, result.finding.verdict} <= DECIDED
        and expected.verdict is not result.finding.verdict
    )


# --- what was measured -------------------------------------------------------------------------


def _columns(recorded: Mapping[str, ClaimsRun]) -> Iterator[str]:
    facts = []
    for name, run in recorded.items():
        engine = run.info.engine
        facts.append((
            name, f"{engine.name} {engine.version}", f"{engine.runtime} {engine.runtime_version}",
            f"v{engine.cgroup_version}, {engine.cgroup_driver}", engine.kernel,
            f"{run.info.host.cpus}", run.info.created[:10],
        ))  # fmt: skip
    yield _table(("run", "engine", "runtime", "cgroup", "kernel", "CPUs", "day"), facts)
    rows = [
        (f"[{_text(one.sentence)}](#{one.id})", *(_verdict(one, run) for run in recorded.values()))
        for one in CLAIMS
    ]
    yield _table(("claim", *recorded), rows)


def _verdict(claim: Claim, run: ClaimsRun) -> str:
    result = run.result(claim.id)
    if result is None:
        return "–"
    said = result.finding.verdict.value
    return f"**{said}**" if _surprises(result, run.info.engine) else said


def _explanations(
    recorded: Mapping[str, ClaimsRun], explained: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    lines = [
        f"- `{result.id}` in `{name}`: {_text(result.finding.said)}. "
        f"{explained.get(name, {}).get(result.id, 'Not explained yet.')}"
        for name, result in surprises(recorded)
    ]
    if lines:
        yield "\n".join(lines)


# --- the catalogue -----------------------------------------------------------------------------


def _contents() -> Iterator[str]:
    for topic in Topic:
        if mine := [f"[{one.id}](#{one.id})" for one in CLAIMS if one.topic is topic]:
            yield f"- **{topic.value}**: {', '.join(mine)}"


def _section(one: Claim) -> str:
    hand = "\n".join(one.by_hand)
    return "\n\n".join(
        (
            f"### {one.id}",
            f"**{_text(one.sentence)}**  \n{_text(one.korean)}",
            _text(one.story),
            _table(("expected", "where", "why", "source"), map(_expected, one.expected)),
            f"Refuted by: {_text(one.refuted_by)}",
            f"```sh\n{hand}\n```",
        )
    )


def _expected(one: Expected) -> Sequence[str]:
    return one.verdict.value, one.when.words or "everywhere", _text(one.because), _text(one.source)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines: list[Sequence[str]] = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(raw: str) -> str:
    """In one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(raw.split()))
