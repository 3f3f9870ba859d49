"""A run of claims as one HTML page: by topic, searchable, to be printed, with nothing to fetch."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model import ClaimsCompared
from harness.show.claims import compared as diffs
from harness.show.claims.view import SYMBOLS, Row, View, counts, title
from harness.show.report import page


def render(view: View, compared: ClaimsCompared | None = None) -> str:
    """The page, with what changed since a former run where there is one to compare with."""
    topics = [(topic, title(topic), counts(rows), rows) for topic, rows in view.topics.items()]
    return page.render(
        "claims.html",
        view=view,
        info=view.run.info,
        topics=topics,
        symbols=SYMBOLS,
        numbers=_numbers,
        changes=[] if compared is None else compared.of("changed"),
        change_headline="" if compared is None else diffs.headline(compared),
        sides=[] if compared is None else diffs.sides(compared),
    )


def _numbers(row: Row) -> Sequence[tuple[str, str]]:
    """The evidence for machines, as it is told to people who look closely."""
    return [(name, f"{value}") for name, value in row.result.finding.numbers if value is not None]
