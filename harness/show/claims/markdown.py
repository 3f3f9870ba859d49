"""A run of claims in Markdown."""

from __future__ import annotations

from harness.show.claims.view import SYMBOLS, Row, View, title
from harness.show.report.markdown import laid_out, text

_HEADS = ["claim", "verdict", "expected", "evidence"]


def render(view: View) -> str:
    """A table a topic; what surprises stands first."""
    info = view.run.info
    facts = f"{view.where}; run {info.name} ({info.status}), limitbench {info.harness_version}"
    parts = [f"### Claims: {text(view.headline)}", text(facts)]
    if view.surprises or view.open:
        lines = [f"- {_verdict(row)} {text(row.sentence)} {_why(row)}" for row in view.surprises]
        lines += [f"- {_verdict(row)} {text(row.sentence)} {_why(row)}" for row in view.open]
        parts.append("\n".join(["**Not as expected, or open**", "", *lines]))
    if view.remarks:
        parts.append(
            "\n".join(["**To be known**", "", *(f"- {text(one)}" for one in view.remarks)])
        )
    for topic, rows in view.topics.items():
        parts.append(f"#### {title(topic)}")
        parts.append(laid_out(_HEADS, ["---"] * len(_HEADS), map(_cells, rows)))
    return "\n\n".join(parts) + "\n"


def _cells(row: Row) -> list[str]:
    said = f"{text(row.sentence)} `{row.text.id}`"
    return [said, _verdict(row), text(row.expectation) or "–", text(row.result.finding.said)]


def _verdict(row: Row) -> str:
    said = f"{SYMBOLS[row.verdict]} {row.verdict.value}"
    return f"**{said}**" if row.result.surprises else said


def _why(row: Row) -> str:
    said = "; ".join(filter(None, (row.result.finding.said, row.surprise)))
    return f"({text(said)})"
