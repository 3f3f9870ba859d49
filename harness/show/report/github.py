"""A comparison as GitHub's runner shows it: annotations, which are lines of a job's log.

Their form is that of the runner's workflow commands: ``::error title=TITLE::MESSAGE``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.model import Change, Compared
from harness.show.report.comparison import Titles, cases
from harness.wording import visible

_LEVELS = {"failure": "error", "error": "warning"}
_OF_ALL = {Change.SAME: "notice", Change.IMPROVED: "notice", Change.REGRESSED: "error"}
_MOST = 9
"""Of each level beside the one of the whole: GitHub shows ten of a step."""
_ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_OF_PROPERTIES = {**_ESCAPES, ":": "%3A", ",": "%2C"}


def annotated(compared: Compared, titles: Titles) -> list[str]:
    """The whole check in a line, then a line each finding: red ones are errors, open ones warnings.

    What is only watched is none.
    """
    whole = "error" if compared.violations else _OF_ALL.get(compared.status, "warning")
    return [
        annotation(whole, f"bench check: {compared.status.value}", compared.headline),
        *_findings(cases(compared, titles)),
    ]


def _findings(points: Mapping[str, Sequence[tuple[str, str, str]]]) -> Iterable[str]:
    for kind, level in _LEVELS.items():
        found = [
            (f"{point}, {name}", reason)
            for point, ones in points.items()
            for name, own, reason in ones
            if own == kind
        ]
        shown = found if len(found) <= _MOST else found[: _MOST - 1]
        for title, reason in shown:
            yield annotation(level, title, reason)
        if more := len(found) - len(shown):
            yield annotation(level, "bench check", f"and {more} more: the summary has them")


def annotation(level: str, title: str, message: str) -> str:
    """One annotation: ``level`` is error, warning or notice."""
    return f"::{level} title={_escaped(title, _OF_PROPERTIES)}::{_escaped(message, _ESCAPES)}"


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(letter, letter) for letter in visible(text))
