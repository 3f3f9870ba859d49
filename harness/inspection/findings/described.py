"""The catalogue of findings in Markdown: what docs/findings.md is, made anew by ``make docs``."""

from __future__ import annotations

from collections.abc import Iterator

from harness.inspection.findings import CATALOGUE, Entry

_HEAD = """# Findings of `bench inspect`

Each has an id, which stands in brackets behind it and in `--json`; `bench inspect --explain ID`
tells what stands here. Grades: **bad** fails or is about to, a **note** is worth a look, **ok** was
looked at and is well. With `--strict` a finding that is bad makes the exit code 1. This page is
made of the entries in `harness/inspection/findings/` by `make docs`.
"""


def markdown() -> str:
    """The page."""
    rows = [f"| [`{one.id}`](#{one.id}) | {one.grade} | {one.subject} |" for one in _all()]
    parts = [_HEAD, "| id | grade | subject |\n| --- | --- | --- |", *rows]
    return "\n".join([*parts, *map(_section, _all())])


def _all() -> Iterator[Entry]:
    yield from CATALOGUE.values()


def _section(one: Entry) -> str:
    remedy = f"\n- **What to do**: {one.remedy}" if one.remedy else ""
    return (
        f"\n## {one.id}\n\n*{one.grade}*, {one.subject}. {one.condition}\n{remedy}\n"
        f"- **Source**: {one.source}"
    )
