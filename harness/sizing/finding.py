"""A run that looks for a limit: which trials come next, until what they come to is an answer.

Where a second limit is sought, it is found with the first eased a little (where nine trials of ten
hold), as a goal that just holds would fail by every second accident whatever the second limit is.
Then both are tried together at their own edges; where that does not hold, the eased one stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from harness.errors import MeasurementError
from harness.model import ForFind, Limits, Outcome, Point, RunInfo, SoughtLimit, TrialRecord
from harness.plan.budget import Budget
from harness.plan.build import estimated_s
from harness.sizing import goal as goals
from harness.sizing import ladder, response
from harness.sizing.goal import Goal
from harness.sizing.ladder import KINDS, Kind
from harness.sizing.response import Unlimited
from harness.sizing.search import LEAST_TRIALS, Ending, Search
from harness.wording import counted

UNLIMITED = "unlimited"
"""The point without the limits that are sought."""
UNLIMITED_TRIALS, TRIALS_TO_ONE = 5, 12
"""Of that point, at first; and so many others to each further one, so that it drifts with them."""
EASED = 0.9
DISTURBED = 20
"""So many trials in a row that do not count, and it is given up: what disturbs goes on."""
CONFIRMING, MOST_CONFIRMING = 8, 24
"""Trials of both limits together."""

Setting = tuple[tuple[str, float], ...]
"""(kind of limit, value) of those that a point has."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Trials that are added, in their order, and all points of the plan then."""

    point_ids: tuple[str, ...]
    why: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Edge:
    """One limit that is sought, as far as it is known."""

    sought: SoughtLimit
    fixed: Setting
    """The other limits meanwhile."""
    search: Search
    values: tuple[float, ...]
    """The settings."""

    @property
    def kind(self) -> Kind:
        """What limit it is."""
        return KINDS[self.sought.limit]

    @property
    def ending(self) -> Ending | None:
        """None = it goes on."""
        return self.search.ending

    @property
    def holds(self) -> float | None:
        """The least value that is known to hold: the answer, once it is found."""
        return self._value(self.search.tried_bracket.holds, self.search.bracket.holds)

    @property
    def fails(self) -> float | None:
        """The greatest that is known to fail."""
        return self._value(self.search.tried_bracket.fails, self.search.bracket.fails)

    @property
    def found(self) -> float | None:
        """The answer; None where there is none."""
        match self.ending:
            case Ending.FOUND:
                return self.holds
            case Ending.ALWAYS:
                return self.values[0]
            case _:
                return None

    @property
    def eased(self) -> float:
        """The least value at which nearly every trial holds."""
        known = self.search.threshold
        fine = (v for i, v in enumerate(self.values) if known.chance(i) >= EASED)
        return max(next(fine, self.values[-1]), self.found or 0)

    def setting(self, value: float) -> Setting:
        """All limits of a point."""
        return (*self.fixed, (self.sought.limit, value))

    def _value(self, tried: int | None, any_: int | None) -> float | None:
        at = any_ if tried is None or self.ending is None else tried
        return None if at is None else self.values[at]


@dataclass(frozen=True, slots=True)
class Together:
    """Both limits at once, each at its own edge."""

    setting: Setting
    eased: Setting
    trials: int
    held: int
    confirmed: bool | None
    """None = not known yet."""


@dataclass(frozen=True)
class Study:
    """What the trials of a run come to."""

    info: RunInfo
    trials: tuple[TrialRecord, ...]

    @cached_property
    def purpose(self) -> ForFind:
        """What is looked for."""
        assert isinstance(self.info.purpose, ForFind)
        return self.info.purpose

    @cached_property
    def goal(self) -> Goal:
        """What must hold."""
        return goals.parse(self.purpose.goal, self.info.plan.points[0])

    @cached_property
    def unlimited(self) -> Unlimited:
        """What is reached without the limits."""
        mine = (one for one in self.trials if one.point_id == UNLIMITED)
        return Unlimited(tuple(one for one in mine if response.says_something(one)))

    @cached_property
    def held(self) -> dict[str, list[bool]]:
        """Whether the goal held, of each point's trials that say so."""
        found: dict[str, list[bool]] = {}
        for trial in self.trials:
            held = response.holds(self.goal, trial, self.unlimited)
            if held is not None:
                found.setdefault(trial.point_id, []).append(held)
        return found

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """The limits, as far as their turn has come."""
        found: list[Edge] = []
        fixed: Setting = ()
        for sought in self.purpose.limits:
            edge = self._edge(sought, fixed)
            found.append(edge)
            if edge.found is None:
                break
            fixed = edge.setting(edge.eased)
        return tuple(found)

    def _edge(self, sought: SoughtLimit, fixed: Setting) -> Edge:
        values = ladder.settings(sought)
        purpose = self.purpose
        # The interval's upper end is what must hold: of 95 %, 2.5 % lie beyond either end.
        search = Search(
            len(values), width=ladder.width(sought), confidence=(1 + purpose.confidence) / 2,
            seed=self.info.plan.seed,
        )  # fmt: skip
        at = {name_of((*fixed, (sought.limit, value))): i for i, value in enumerate(values)}
        for trial in self.trials:
            held = response.holds(self.goal, trial, self.unlimited)
            if held is not None and trial.point_id in at:
                search.add(at[trial.point_id], holds=held)
        return Edge(sought, fixed, search, values)

    @cached_property
    def together(self) -> Together | None:
        """Of two limits; None before both are found, or of one."""
        edges = self.edges
        if len(self.purpose.limits) < 2 or len(edges) < 2 or edges[1].found is None:
            return None
        first, second = edges
        assert first.found is not None
        eased = second.setting(second.found or 0)
        both: Setting = ((first.sought.limit, first.found), *eased[1:])
        if both == eased:
            return Together(both, eased, 0, 0, confirmed=True)
        held = self.held.get(name_of(both), [])
        search = self._edge(first.sought, ()).search
        at = first.values.index(first.found)
        for one in held:
            search.add(at, holds=one)
        sure = search.threshold.holds_from(search.confidence)
        confirmed: bool | None = sure is not None and sure <= at
        if len(held) < CONFIRMING or (not confirmed and len(held) < MOST_CONFIRMING):
            confirmed = None
        return Together(both, eased, len(held), sum(held), confirmed)

    @cached_property
    def ending(self) -> Ending | None:
        """How it ended; None where it goes on."""
        over = None
        if self.info.status == "finished":
            over = Ending.DISTURBED if self.is_disturbed else Ending.BUDGET
        for edge in self.edges:
            if edge.ending not in (Ending.FOUND, Ending.ALWAYS):
                return edge.ending or over
        if len(self.edges) < len(self.purpose.limits):
            return over
        if self.together is not None and self.together.confirmed is None:
            return over
        endings = {edge.ending for edge in self.edges}
        return Ending.ALWAYS if endings == {Ending.ALWAYS} else Ending.FOUND

    @property
    def chosen(self) -> Setting | None:
        """The answer: a value of each limit; None where there is none."""
        if self.ending not in (Ending.FOUND, Ending.ALWAYS):
            return None
        if self.together is not None:
            return self.together.setting if self.together.confirmed else self.together.eased
        (edge,) = self.edges
        assert edge.found is not None
        return edge.setting(edge.found)

    @property
    def is_disturbed(self) -> bool:
        """Whether nothing has counted for long."""
        last = self.trials[-DISTURBED:]
        return len(last) == DISTURBED and not any(map(response.says_something, last))

    def trials_of(self, setting: Setting) -> list[TrialRecord]:
        """Those that nobody disturbed, at a setting."""
        name = name_of(setting)
        return [t for t in self.trials if t.point_id == name and response.says_something(t)]


class Finding:
    """Says what a run that looks for a limit measures next (``measure.queue``)."""

    def __init__(self, info: RunInfo) -> None:
        assert isinstance(info.purpose, ForFind)
        self._info = replace(info, status="running")
        self.budget = Budget(info.plan, info.purpose.budget_s / estimated_s(info.plan))
        self._points = {point.id: point for point in info.plan.points}

    def __call__(self, records: Sequence[TrialRecord]) -> Stage | None:
        """The next stage; None where the answer is known, or there is no time for more."""
        study = Study(self._info, tuple(records))
        lacking = response.unmeasured(study.goal, records)
        if lacking is not None:
            raise MeasurementError(
                f"no trial has the metric {lacking.name}, which the goal asks for.",
                "Ask for another: `bench show --json` lists those of the trials so far.",
            )
        if why := _never_ran(study):
            raise MeasurementError(
                f"the workload does not run to its end even at the most that is tried: {why}.",
                "Give more with --to, or `bench sweep` it without a limit to see what it lacks.",
            )
        settings = self._next(study)
        if not settings or study.is_disturbed or self.budget.spare_s(records, len(settings)) < 0:
            return None
        wanted = [name_of(one) for one in settings]
        for name, setting in zip(wanted, settings, strict=True):
            if name not in self._points:
                self._points[name] = point_at(self._info.plan.points[0], setting)
        return Stage(tuple(wanted), _why(study), ordered(self._points.values()))

    def _next(self, study: Study) -> list[Setting]:
        settings = _wanted(study)
        if study.goal.relative and settings:
            # Beside the limited ones, not before them: what drifts, meets both.
            have = sum(1 for one in study.trials if one.point_id == UNLIMITED)
            lacking = UNLIMITED_TRIALS + len(study.trials) // TRIALS_TO_ONE - have
            settings += [()] * max(0, lacking)
        return settings


def _wanted(study: Study) -> list[Setting]:
    edge = study.edges[-1]
    if edge.ending is None:
        return [edge.setting(edge.values[i]) for i in edge.search.next()]
    both = study.together
    if both is not None and both.confirmed is None:
        # In turns with the eased one, which is known to hold: a host that drifts fails both.
        return [both.setting, both.setting, both.eased, both.setting]
    return []


def _never_ran(study: Study) -> str:
    """Why, where no trial at the top of a range came to an end that the goal could speak of."""
    edge = study.edges[-1]
    top = study.trials_of(edge.setting(edge.values[-1]))
    ended = any(one.outcome in (Outcome.COMPLETED, Outcome.OOM_KILLED) for one in top)
    return "" if len(top) < LEAST_TRIALS or ended else first_failure(top)


def name_of(setting: Setting) -> str:
    """The id of its point: ``cpus=0.62``, ``cpus=0.8, memory=64m``."""
    named = [f"{limit}={KINDS[limit].write(value)}" for limit, value in setting]
    return ", ".join(named) or UNLIMITED


def point_at(template: Point, setting: Setting) -> Point:
    """A point like another one, with these of the limits that can be sought, and no others.

    The first container's limits but those sought are kept.
    """
    spec = template.containers[0]
    own = _without(spec.limits, template)
    for limit, value in setting:
        own = replace(own, **KINDS[limit].limits(own, value))  # type: ignore[arg-type]
    axis, value_text = "file", UNLIMITED
    if setting:
        kind = KINDS[setting[-1][0]]
        axis, value_text = kind.axis, kind.write(setting[-1][1])
    if len(setting) > 1:  # its figures would mix what differs in the first limit
        axis, value_text = "file", name_of(setting)
    return replace(
        template, id=name_of(setting), axis=axis, value=value_text,
        containers=(replace(spec, limits=own),),
    )  # fmt: skip


def _without(limits: Limits, template: Point) -> Limits:
    """A template's limits without those that its id names, as they are what varies."""
    for part in template.id.split(", "):
        kind = KINDS.get(part.partition("=")[0])
        if kind is not None:
            bare = replace(limits, memory_swap_bytes=None) if _swapless(kind, limits) else limits
            limits = replace(limits, **kind.limits(bare, None))  # type: ignore[arg-type]
    return limits


def _swapless(kind: Kind, limits: Limits) -> bool:
    """Whether swap was forbidden together with memory, and not by the user."""
    return kind.name == "memory" and limits.memory_swap_bytes == limits.memory_bytes


def ordered(points: Iterable[Point]) -> tuple[Point, ...]:
    """By the limits that they have, then by value: a curve from left to right."""

    def place(point: Point) -> tuple[bool, int, list[float]]:
        limits = point.containers[0].limits
        parts = [] if point.id == UNLIMITED else point.id.split(", ")
        fields = [KINDS[part.partition("=")[0]].field for part in parts]
        return (not parts, len(parts), [float(getattr(limits, field)) for field in fields])

    return tuple(sorted(points, key=place))


def _why(study: Study) -> str:
    """How far it has come, in words."""
    edge = study.edges[-1]
    done = counted(len(study.trials), "trial")
    if edge.ending is not None:
        return f"both limits together ({done})"
    return f"{between(edge)} ({done})"


def between(edge: Edge) -> str:
    """Where the edge lies, in words."""
    now, words = edge.search.bracket, edge.kind.words
    fails = None if now.fails is None else words(edge.values[now.fails])
    holds = None if now.holds is None else words(edge.values[now.holds])
    if fails is None and holds is None:
        return f"{edge.kind.name}: anywhere so far"
    if fails is None:
        return f"{holds} will do"
    return f"{fails} will not do" if holds is None else f"{fails} will not do, {holds} will"


def first_failure(trials: Sequence[TrialRecord]) -> str:
    """Why a workload did not come to its end, of the first that did not; empty where all did."""
    ended = (one for one in trials if one.outcome is not Outcome.COMPLETED)
    return next((one.failure or one.outcome.value for one in ended), "")
