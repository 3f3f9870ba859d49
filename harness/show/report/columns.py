"""The columns of the verdict table, once for all its forms.

These are the terminal, HTML, Markdown, CSV and JSON.

A column knows what it is of a line, its name in plain data, its title and written form for people,
and which forms have it. The forms lay out what they are given: a new column is an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Flag, auto
from typing import Any, Generic, NamedTuple, TypeVar

from harness import units
from harness.judge import verdicts
from harness.judge.metrics import METRICS, Beside, Metric
from harness.limits import ReadBack
from harness.model import Estimate, Expectation, Scale
from harness.plan import axes
from harness.show.report.view import Line, Row
from harness.show.report.words import (
    NONE,
    brief_name,
    error_interval,
    interval,
    metric_name,
    point_name,
    tolerance,
)
from harness.wording import counted

Entry = TypeVar("Entry")
"""What a line of a table tells of."""


class Form(Flag):
    """The forms of a table."""

    TERMINAL = auto()
    HTML = auto()
    MARKDOWN = auto()
    NOTEBOOK = auto()
    CSV = auto()
    JSON = auto()


PEOPLE = Form.TERMINAL | Form.HTML | Form.MARKDOWN
PAGES = Form.HTML | Form.MARKDOWN
DATA = Form.CSV | Form.JSON
ALL = PEOPLE | Form.NOTEBOOK | DATA


def _nothing(_: Any) -> tuple[str, ...]:
    return ()


def _always(_: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[Entry]):
    """One column of a table of such entries, in each form that has it."""

    name: str
    """In CSV and JSON."""
    forms: Form
    of: Callable[[Entry], Any]
    """Its value, not rounded; None where there is none."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """CSV's columns, where the value is several: name → attribute of the value."""
    title: str = ""
    """Its head for people, as within a sentence; empty = Docker's option that is varied."""
    short: str = ""
    """The same in a terminal; empty = the title."""
    text: Callable[[Entry], str] = lambda _: NONE
    """The value for people, with its unit."""
    below: Callable[[Entry], tuple[str, ...]] = _nothing
    """What belongs to it: smaller and below on a page, in brackets in Markdown."""
    bare: Callable[[Entry], str] | None = None
    """The text in a terminal, where the unit stands once; None = the text."""
    number: bool = False
    shared: bool = False
    """Whether it says the same in all lines of a point."""
    spare: int = 0
    """Left out where a terminal is too narrow, the largest first; 0 = never."""
    kind: str = ""
    """How a page lays it out, where that is a way of its own."""
    status: Callable[[Entry], Any] = lambda _: None
    """Of a verdict (a ``Status``, a ``Change``), which each form marks in its own way."""
    is_told: Callable[[Sequence[Entry]], bool] = _always
    """Whether a table of these entries needs it."""

    @property
    def head(self) -> str:
        """The title in a terminal."""
        return self.short or self.title

    def line(self, entry: Entry) -> str:
        """The text with what belongs to it, in one line."""
        text, below = self.text(entry), "; ".join(self.below(entry))
        return f"{text} ({below})" if below else text

    def narrow(self, entry: Entry) -> str:
        """The text in a terminal."""
        text = (self.bare or self.text)(entry)
        return text if text not in ("", NONE) else "-"


class Told(NamedTuple):
    """One line of the verdict table: a law of a point, or what one without a law measured."""

    row: Row
    line: Line


class Bounds(NamedTuple):
    """A tolerance."""

    low: float
    high: float


def told(rows: Sequence[Row]) -> list[Told]:
    """The lines of some points."""
    return [Told(row, line) for row in rows for line in row.lines]


def shown(form: Form, rows: Sequence[Row]) -> list[Column[Told]]:
    """The columns that a table of these points has in a form."""
    entries = told(rows)
    return [
        column
        for column in (*VERDICTS, *_beside(form, rows), *LAST)
        if form in column.forms and column.is_told(entries)
    ]


# --- the law and what came of it ---------------------------------------------------------------


def _of_law(name: str) -> Callable[[Told], Any]:
    return lambda told: told.line.law and getattr(told.line.law, name)


def _has_several(entries: Sequence[Told]) -> bool:
    return any(
        len(told.row.lines) > 1 or len(told.row.summary.point.containers) > 1 for told in entries
    )


def _quantity(value: float | None, told: Told) -> str:
    return NONE if value is None else units.of(told.line.metric.unit).text(value)


def _number(value: float | None, told: Told) -> str:
    return NONE if value is None else units.of(told.line.metric.unit).number(value)


def _at_most(told: Told) -> str:
    return "≤" if told.line.law and told.line.law.is_ceiling else ""


def _promised(told: Told) -> str:
    return f"{_at_most(told)} {_quantity(told.line.promised, told)}".strip()


def _bare_law(told: Told) -> tuple[str, ...]:
    """What is promised on an idle host, where others used so much that it came to less."""
    law, promised = told.line.law, told.line.promised
    if law is None or promised is None:
        return ()
    texts = [_quantity(value, told) for value in (promised, law.value)]
    return () if texts[0] == texts[1] else (f"of {_at_most(told)} {texts[1]}".replace("  ", " "),)


def _achieved(told: Told) -> float | None:
    return None if told.line.achieved is None else told.line.achieved.median


def _interval(told: Told) -> tuple[str, ...]:
    said = interval(told.line.achieved)
    return (said,) if said else ()


def _narrow_interval(told: Told) -> str:
    """``0.4991-0.5004``: the width of a terminal has no room for units."""
    found = told.line.achieved
    if found is None or found.low is None or found.high is None:
        return NONE
    low, high = (_number(value, told) for value in (found.low, found.high))
    return units.from_to(low, high, "-")


def _missed(told: Told) -> tuple[float, Expectation] | None:
    """The error, and the law that it is one of. What a ceiling leaves unused is none."""
    line = told.line
    if line.deviation is None or line.law is None or line.law.is_ceiling:
        return None
    return line.deviation.median, line.law


def _error(told: Told) -> str:
    missed = _missed(told)
    return NONE if missed is None else verdicts.error_text(*missed)


def _error_interval(told: Told) -> tuple[str, ...]:
    said = error_interval(told.line) if _missed(told) else ""
    return (said,) if said else ()


def _narrow_error(told: Told) -> str:
    missed = _missed(told)
    if missed is None:
        return NONE
    error, law = missed
    if law.scale is Scale.ABSOLUTE:
        return units.of(told.line.metric.unit).offset(error)
    return verdicts.error_text(error, law)


def _tolerance(told: Told) -> Bounds | None:
    law = told.line.law
    return None if law is None else Bounds(law.low, law.high)


def _verdict(told: Told) -> str:
    return told.line.verdict.status.value if told.line.verdict else "no law"


# --- limits, as they were read back ------------------------------------------------------------

_HELD_AS = {"--cpu-period": "--cpu-quota"}
"""Quota and period are read back together."""


def _held_by(who: str) -> Callable[[Told], str]:
    """The limit as engine or kernel reads it back; of several containers, parted by ``:``."""

    def held(told: Told) -> str:
        option = axes.option(told.row.summary.point.axis)
        found = [r for r in told.row.readbacks if r.option == _HELD_AS.get(option, option)]
        return ":".join(getattr(one, who).removesuffix(" µs") for one in found) or NONE

    return held


def _limits(told: Told) -> list[str]:
    """The limits that were asked for, and where engine or kernel hold something else."""
    by_option: dict[str, list[ReadBack]] = {}
    for one in told.row.readbacks:
        by_option.setdefault(one.option, []).append(one)
    agreed, others = [], []
    for option, found in by_option.items():
        name = f"{option} " if len(by_option) > 1 else ""
        if all(one.requested == one.engine == one.kernel for one in found):
            values = [one.requested for one in found]
            alike = len(set(values)) == 1
            agreed.append(f"{name}{values[0] if alike else ', '.join(values)}")
            continue
        for one in found:
            where = f" (container {one.container + 1})" if len(found) > 1 else ""
            # What agrees in other words (a weight), or was not read, is no mismatch.
            sign = "≠ " if one.agrees is False else ""
            held = f"{sign}engine {one.engine}, kernel {one.kernel}"
            others += [f"{name}{one.requested}{where}", held]
    return [*agreed, *(["= engine = kernel"] if agreed else []), *others] or [NONE]


# --- what stands beside ------------------------------------------------------------------------


_LEAST = {Form.TERMINAL: Beside.WIDE_TERMINAL, Form.HTML: Beside.PAGE}
"""The forms that have room for more than laws, and what of it they show."""


def _beside(form: Form, rows: Sequence[Row]) -> list[Column[Told]]:
    """A column a metric that stands beside those of laws, the main ones first, where any has it.

    Those that the programs of a point tell of themselves come last.
    """
    if form not in _LEAST:
        return []
    known = [metric for metric in METRICS.values() if metric.beside >= _LEAST[form]]
    known.sort(key=lambda metric: -metric.beside)
    own = dict.fromkeys(
        name for row in rows for name, _ in row.summary.estimates if name not in METRICS
    )
    found = [_of_metric(metric, form) for metric in known if _is_shown(metric.name, form, rows)]
    found += [_of_program(name, form) for name in own]
    return [replace(column, spare=place) for place, column in enumerate(found, 2)]


def _is_shown(metric: str, form: Form, rows: Sequence[Row]) -> bool:
    about_cpus = any(row.lines[0].metric.name == "cpus" for row in rows)
    if metric == "stats_cpus" and form is Form.HTML and about_cpus:
        # Docker stats gives no frame in a short window: a page tells that too.
        metric = "cpus"
    return any(row.summary.estimate(metric) for row in rows)


def _of_metric(metric: Metric, form: Form) -> Column[Told]:
    unit = units.of(metric.unit)

    def written(write: Callable[[float], str]) -> Callable[[Told], str]:
        def text(told: Told) -> str:
            estimate = told.row.summary.estimate(metric.name)
            return NONE if estimate is None else write(estimate.median)

        return text

    return Column(
        name=metric.name, forms=form, of=lambda told: told.row.summary.estimate(metric.name),
        title=metric.title, short=metric.brief, text=written(unit.text), bare=written(unit.short),
        below=_frames if metric.name == "stats_cpus" else _nothing, number=True, shared=True,
    )  # fmt: skip


def _frames(told: Told) -> tuple[str, ...]:
    count = told.row.summary.stats_frames
    return (counted(count, "frame"),)


def _of_program(name: str, form: Form) -> Column[Told]:
    def text(told: Told) -> str:
        estimate = told.row.summary.estimate(name)
        return NONE if estimate is None else units.of(estimate.unit).text(estimate.median)

    return Column(
        name=name, forms=form, of=lambda told: told.row.summary.estimate(name), title=name,
        text=text, number=True, shared=True,
    )  # fmt: skip


# --- the table ---------------------------------------------------------------------------------

VERDICTS: tuple[Column[Told], ...] = (
    Column(
        name="point", of=lambda told: told.row.summary.point.id, forms=DATA | Form.NOTEBOOK,
        title="point", text=lambda told: point_name(told.row.summary.point), shared=True,
    ),
    Column(name="axis", of=lambda told: told.row.summary.point.axis, forms=DATA, shared=True),
    Column(
        name="value", of=lambda told: told.row.summary.point.value, forms=PEOPLE | DATA,
        text=lambda told: told.row.summary.point.value, shared=True,
    ),
    *(
        Column(
            name=who, of=_held_by(who), title=who, forms=Form.TERMINAL, text=_held_by(who),
            shared=True, spare=spare,
        )
        for who, spare in (("engine", 1001), ("kernel", 1000))
    ),
    Column(name="container", of=lambda told: told.line.container, forms=DATA),
    Column(
        name="metric", of=lambda told: told.line.metric.name, forms=ALL, title="measured",
        text=lambda told: metric_name(told.row, told.line),
        bare=lambda told: brief_name(told.row, told.line), kind="measured", is_told=_has_several,
    ),
    Column(name="unit", of=lambda told: told.line.metric.unit, forms=DATA),
    Column(name="law", of=_of_law("law"), forms=DATA),
    Column(name="text", of=_of_law("text"), forms=Form.JSON),
    Column(name="source", of=_of_law("source"), forms=Form.JSON),
    Column(name="bound_by", of=_of_law("bound"), forms=DATA),
    Column(name="promised", of=_of_law("value"), forms=DATA),
    Column(
        name="expected", of=lambda told: told.line.promised, forms=ALL, title="promised",
        text=_promised, below=_bare_law,
        bare=lambda told: f"{_at_most(told)}{_number(told.line.promised, told)}", number=True,
    ),
    Column(name="trials", of=lambda told: told.row.summary.trials, forms=DATA, shared=True),
    Column(name="valid", of=lambda told: told.row.summary.valid, forms=DATA, shared=True),
    Column(
        name="achieved", of=lambda told: told.line.achieved, forms=ALL, title="achieved",
        parts={"achieved": "median", "achieved_low": "low", "achieved_high": "high",
               "confidence": "confidence"},
        text=lambda told: _quantity(_achieved(told), told), below=_interval,
        bare=lambda told: _number(_achieved(told), told), number=True,
    ),
    Column(
        name="interval", of=lambda told: told.line.achieved, forms=Form.TERMINAL | Form.NOTEBOOK,
        title="interval", text=lambda told: interval(told.line.achieved), bare=_narrow_interval,
        number=True, spare=1,
    ),
    Column(
        name="scale", of=lambda told: told.line.law and told.line.law.scale.value, forms=DATA
    ),
    Column(
        name="error", of=lambda told: told.line.deviation, forms=PEOPLE | DATA, title="error",
        parts={"error": "median", "error_low": "low", "error_high": "high"},
        text=_error, below=_error_interval, bare=_narrow_error, number=True,
    ),
    Column(
        name="tolerance", of=_tolerance, forms=PAGES | DATA, title="tolerance",
        parts={"tolerance_low": "low", "tolerance_high": "high"},
        text=lambda told: tolerance(told.line.law) if told.line.law else NONE, number=True,
    ),
    Column(
        name="limits", of=_limits, forms=Form.HTML, title="requested, engine, kernel",
        text=lambda told: _limits(told)[0], below=lambda told: tuple(_limits(told)[1:]),
        shared=True, kind="limits",
    ),
)  # fmt: skip
"""In the order of CSV. What stands beside the law follows, then ``LAST``."""
LAST: tuple[Column[Told], ...] = (
    Column(
        name="counted", of=lambda told: told.row.summary.valid, forms=PAGES, title="trials",
        text=lambda told: f"{told.row.summary.valid} of {told.row.summary.trials}",
        shared=True, number=True,
    ),
    Column(
        name="verdict", of=_verdict, forms=ALL, title="verdict", text=_verdict,
        status=lambda told: told.line.verdict and told.line.verdict.status,
    ),
    Column(name="reason", of=lambda told: told.line.verdict and told.line.verdict.reason,
           forms=DATA),
)  # fmt: skip


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Bounds):
        return list(value)
    if not isinstance(value, Estimate):
        return value
    return {
        "unit": value.unit, "median": value.median, "low": value.low, "high": value.high,
        "n": value.n, "confidence": value.confidence, "method": value.method,
    }  # fmt: skip
