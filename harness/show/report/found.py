"""What a search for a limit came to: its answer, the settings tried, the lines to paste."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from harness import limits, units
from harness.judge.estimates import estimate
from harness.model import Estimate, ForFind
from harness.sizing import advice, response
from harness.sizing.finding import Edge, Setting, Study, between, first_failure, name_of
from harness.sizing.ladder import KINDS
from harness.sizing.search import Ending
from harness.store.runs import Run
from harness.wording import counted

_EXIT = {Ending.FOUND: 0, Ending.ALWAYS: 0, Ending.NEVER: 1}
_STYLE = {Ending.FOUND: "bold green", Ending.ALWAYS: "bold green", Ending.NEVER: "bold red"}
_WHY = {
    Ending.NOT_MONOTONE: "inconclusive: the response is not monotone here: a lower limit held, a "
    "higher one failed, each again and again",
    Ending.DRIFTED: "inconclusive: the host drifted: late trials near the edge went another way "
    "than early ones",
    Ending.TOO_NOISY: "inconclusive: trials scatter too much to be told apart; a longer window "
    "(--duration) makes each steadier",
    Ending.DISTURBED: "inconclusive: others disturbed the last trials, which do not count; "
    "`bench doctor` tells what they are",
    Ending.BUDGET: "inconclusive: the budget is spent; --budget gives more, --resolution asks for "
    "less",
}


@dataclass(frozen=True, slots=True)
class Tried:
    """One setting of a limit that was tried."""

    setting: Setting
    value: float
    trials: int
    held: int
    measured: Estimate | None
    """Of the goal's main metric."""
    values: tuple[float, ...]
    """The same, a trial each."""
    outcomes: tuple[bool, ...]
    """Whether each of those held."""


@dataclass(frozen=True)
class Found:
    """A run that looked for a limit, as every report shows it."""

    study: Study

    @property
    def ending(self) -> Ending | None:
        """None = it goes on, or was interrupted."""
        return self.study.ending

    @property
    def exit_code(self) -> int:
        """0 found, 1 no limit will do, 3 inconclusive."""
        return 3 if self.ending is None else _EXIT.get(self.ending, 3)

    @property
    def answer(self) -> str:
        """The answer in a sentence without a full stop, never without its bracket."""
        edge = self.study.edges[-1]
        match self.ending:
            case None:
                return f"not known yet: {between(edge)}"
            case Ending.FOUND | Ending.ALWAYS:
                return "; ".join(self._edge_found(one) for one in self.study.edges) + self._both()
            case Ending.NEVER:
                why = first_failure(self.study.trials_of(edge.setting(edge.values[-1])))
                most = edge.kind.words(edge.values[-1])
                said = self._told(edge, edge.values[-1])
                return f"no limit will do: the goal is not reached at {most} either{said}" + (
                    f"; there: {why}" if why else ""
                )
            case other:
                return f"{_WHY[other]}; {between(edge)}"

    def _edge_found(self, edge: Edge) -> str:
        words, bare = edge.kind.words, edge.kind.write
        if edge.ending is Ending.ALWAYS:
            least = edge.values[0]
            return f"{words(least)} or less: always holds{self._told(edge, least)}"
        assert edge.holds is not None
        assert edge.fails is not None
        return (
            f"{words(edge.holds)} ({bare(edge.fails)} fails{self._told(edge, edge.fails)}; "
            f"{bare(edge.holds)} holds{self._told(edge, edge.holds)})"
        )

    def _both(self) -> str:
        both = self.study.together
        if both is None or not both.trials:
            return ""
        (limit, value), *_ = self.study.chosen or both.setting
        said = f"together with {KINDS[limit].words(value)} of the first"
        held = f"{both.held} of {counted(both.trials, 'trial')} held at both edges"
        return f"; {held}" + ("" if both.confirmed else f", so take the second {said}")

    def _told(self, edge: Edge, value: float) -> str:
        """What the main metric came to at a value: ``: p99 71 ms``."""
        tried = next((one for one in self.tried(edge) if one.value == value), None)
        if tried is None:
            return ""
        held = f"{tried.held} of {counted(tried.trials, 'trial')} held"
        if tried.measured is None or self._about_kills:
            return f": {held}"
        metric = self.study.goal.main.metric
        told = units.of(metric.unit).text(tried.measured.median)
        return f": {metric.name} {told}, {held}"

    @property
    def _about_kills(self) -> bool:
        """Whether the goal asks of nothing else: then who held says it all."""
        return self.study.goal.main.metric.name == response.KILLED

    def tried(self, edge: Edge) -> tuple[Tried, ...]:
        """The settings of a limit that were tried, ascending."""
        main = self.study.goal.main.metric
        out = []
        for i, (n, held) in sorted(edge.search.threshold.counts.items()):
            setting = edge.setting(edge.values[i])
            trials = self.study.trials_of(setting)
            told = [
                (v, ok)
                for t in trials
                if (v := response.value(main, t)) is not None
                and (ok := response.holds(self.study.goal, t, self.study.unlimited)) is not None
            ]
            values, outcomes = tuple(v for v, _ in told), tuple(ok for _, ok in told)
            measured = estimate(main.name, main.unit, values)
            out.append(Tried(setting, edge.values[i], n, held, measured, values, outcomes))
        return tuple(out)

    @property
    def chosen(self) -> Setting | None:
        """The answer's limits."""
        return self.study.chosen

    @property
    def goal(self) -> str:
        """What was asked, and how surely."""
        purpose = self.study.purpose
        return (
            f"Goal: {self.study.goal.text}, of the median trial at {purpose.confidence:.0%} "
            "confidence"
        )

    @property
    def pastes(self) -> tuple[advice.Paste, ...]:
        """The lines to paste; none without an answer."""
        if self.chosen is None:
            return ()
        spec = self.study.info.plan.points[0].containers[0]
        return advice.pastes(self.chosen, spec.limits.cpu_period_us or limits.DEFAULT_PERIOD_US)

    @property
    def room(self) -> tuple[str, ...]:
        """What the answer leaves."""
        return () if self.chosen is None else tuple(advice.room(self.study, self.chosen))


_known: WeakKeyDictionary[Run, Found] = WeakKeyDictionary()


def build(run: Run) -> Found | None:
    """What a run that looks for a limit came to, worked out once; None of any other."""
    if not isinstance(run.info.purpose, ForFind):
        return None
    found = _known.get(run)
    if found is None:
        found = _known[run] = Found(Study(run.info, tuple(run.trials)))
    return found


def as_json(found: Found) -> dict[str, Any]:
    """As plain data with stable names; numbers are not rounded, in the units of Docker's fields."""
    study = found.study
    return {
        "ending": None if found.ending is None else found.ending.value,
        "answer": found.answer,
        "goal": study.goal.text,
        "confidence": study.purpose.confidence,
        "chosen": None if found.chosen is None else dict(found.chosen),
        "point": None if found.chosen is None else name_of(found.chosen),
        "limits": [
            {
                "limit": edge.sought.limit,
                "ending": None if edge.ending is None else edge.ending.value,
                "fixed": dict(edge.fixed),
                "fails": edge.fails,
                "holds": edge.holds,
                "from": edge.values[0],
                "to": edge.values[-1],
                "tried": [
                    {
                        "value": one.value, "trials": one.trials, "held": one.held,
                        "metric": study.goal.main.metric.name, "values": list(one.values),
                    }
                        for one in found.tried(edge)
                ],
            }
            for edge in study.edges
        ],
        "cost": {
            name: one.median for name, one in advice.cost(study.trials_of(found.chosen)).items()
        } if found.chosen else {},
        "room": list(found.room),
        "paste": {paste.tool.lower(): list(paste.lines) for paste in found.pastes},
        "again": study.info.plan.command,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """The answer, the settings around it and what to do with it, for a console of rich."""

    found: Found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Each part in its order."""
        found, study = self.found, self.found.study
        ending = found.ending
        style = "bold yellow" if ending is None else _STYLE.get(ending, "bold yellow")
        yield Text(f"{found.answer[0].upper()}{found.answer[1:]}.", style=style)
        yield Text(f"{found.goal}; {counted(len(study.trials), 'trial')}.", style="dim")
        for edge in study.edges:
            yield from self._table(edge)
        for said in found.room:
            yield Text(said)
        for paste in found.pastes:
            yield Text(f"\n{paste.tool}:", style="bold")
            for line in paste.lines:
                yield Text(f"  {line}", no_wrap=True, overflow="ignore")

    def _table(self, edge: Edge) -> Iterator[Table | Text]:
        main = self.found.study.goal.main.metric
        form = units.of(main.unit)
        fixed = ", ".join(KINDS[limit].words(value) for limit, value in edge.fixed)
        if fixed:
            yield Text(f"\nWith {fixed}:")
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        table.add_column(edge.kind.option, justify="right", no_wrap=True)
        table.add_column("held", justify="right", no_wrap=True)
        table.add_column(main.name, justify="right", no_wrap=True)
        table.add_column("interval", no_wrap=True)
        table.add_column("", no_wrap=True)
        ended = edge.ending in (Ending.FOUND, Ending.ALWAYS)
        for one in self.found.tried(edge):
            mark = "holds" if one.value == edge.holds else "fails" * (one.value == edge.fails)
            measured = one.measured
            span = (
                form.span(measured.low, measured.high)
                if measured and measured.low is not None and measured.high is not None else ""
            )  # fmt: skip
            table.add_row(
                edge.kind.write(one.value), f"{one.held}/{one.trials}",
                form.text(measured.median) if measured else "–", span,
                Text(f"← {mark}" if mark and ended else "", style="bold"),
            )  # fmt: skip
        yield table
