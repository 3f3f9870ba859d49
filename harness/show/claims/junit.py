"""A run of claims as JUnit XML."""

from __future__ import annotations

from harness.model import ClaimChange, ClaimsCompared, ClaimVerdict
from harness.show.claims.view import Row, View
from harness.show.report import junit


def render(view: View, compared: ClaimsCompared | None = None) -> str:
    """A test suite a topic, a test case a claim.

    A verdict other than the expected one is a failure, an open one an error, and what could not be
    exercised skipped: never a pass. What changed since a former run is a failure in a suite of its
    own.
    """
    suites = {
        topic: [(row.text.id, _kind(row), _reason(row)) for row in rows]
        for topic, rows in view.topics.items()
    }
    if compared is not None:
        suites["against the former result"] = [
            (one.id, "failure" if one.kind == "changed" else "", _change(one))
            for one in compared.changes
        ]
    return junit.document("bench claims", suites)


def _kind(row: Row) -> str:
    if row.result.surprises:
        return "failure"
    if row.verdict is ClaimVerdict.INCONCLUSIVE:
        return "error"
    return "skipped" if row.verdict is ClaimVerdict.NOT_EXERCISABLE else ""


def _reason(row: Row) -> str:
    found = [f"{row.sentence} {row.verdict.value}: {row.result.finding.said}", row.surprise]
    return "; ".join(filter(None, found))


def _change(one: ClaimChange) -> str:
    found = [result.finding for result in (one.before, one.after) if result]
    return "; now ".join(f"{finding.verdict.value}: {finding.said}" for finding in found)
