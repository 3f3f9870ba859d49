"""A comparison for who reads nothing else: what changed, since what, what to do.

Sentences of plain words, before the headline with its counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness import units
from harness.comparison.words import brief, change_text
from harness.judge.metrics import METRICS
from harness.model import Change, Compared, Comparison, LawChange, Status
from harness.wording import counted

_FIRM = ("kernel", "engine", "runtime")
"""The facts that are named where none differs."""


def answered(compared: Compared) -> Compared:
    """The comparison, with its answer."""
    parts = (_what(compared), _since(compared), _to_do(compared))
    return replace(compared, answer=" ".join(part for part in parts if part))


def _what(compared: Compared) -> str:
    """What changed, and by how much."""
    changed = _rows(compared, Change.REGRESSED)
    if changed:
        return f"Limits do not behave as they did: {_led(changed)}."
    if compared.violations:
        return f"Limits do not hold what they promise: {_broken(compared.violations)}."
    match compared.status:
        case Change.INCONCLUSIVE:
            how = "did" if compared.before is not None else "should"
            said = f"It is not known yet whether limits behave as they {how}: {_open(compared)}."
        case Change.INCOMPARABLE:
            said = "It cannot be said whether limits behave as they did."
        case Change.IMPROVED:
            said = f"Limits behave better than they did: {_led(_rows(compared, Change.IMPROVED))}."
        case _:
            said = _well(compared)
    return said


def _well(compared: Compared) -> str:
    """That nothing changed, of what it is known."""
    if compared.before is None:
        return "Limits behave as they should."
    if not compared.laws:
        return "Limits behave as they did; no law says how they should."
    return "Limits behave as they did and as they should."


def _rows(compared: Compared, status: Change) -> list[Comparison]:
    """Those of a status, what decides first, then by how far they moved beside what matters."""
    found = [row for row in compared.rows if row.status is status]
    return sorted(found, key=lambda row: (not row.decides, -_times(row)))


def _times(row: Comparison) -> float:
    return abs(row.change or 0.0) / row.effect if row.effect else 0.0


def _led(rows: Sequence[Comparison]) -> str:
    """The first of the rows, and how many more there are."""
    if not rows:
        return "a law that did not hold does now"
    row, unit = rows[0], units.of(METRICS[rows[0].metric].unit)
    assert row.before is not None
    assert row.after is not None
    assert row.change is not None
    by, way = change_text(row.change, row).lstrip("+-−"), "rose" if row.change > 0 else "fell"
    said = f"at {row.point_id}, {METRICS[row.metric].title} {way} by {by}, "
    said += f"from {unit.text(row.before)} to {unit.text(row.after)}"
    if more := len(rows) - 1:
        points = len({one.point_id for one in rows})
        said += f", and {counted(more, 'more change')} at {counted(points, 'point')} in all"
    return said


def _broken(laws: Sequence[LawChange]) -> str:
    law = laws[0]
    of = METRICS[law.metric].title
    said = f"at {law.point_id} the law of {of} ({law.law}) is violated"
    return said + (f", and {counted(len(laws) - 1, 'more law')}" if len(laws) > 1 else "")


def _open(compared: Compared) -> str:
    """What is open, of that which decides."""
    found = [
        (row.point_id, METRICS[row.metric].title)
        for row in compared.rows
        if row.status is Change.INCONCLUSIVE and row.decides
    ]
    found += [
        (law.point_id, METRICS[law.metric].title)
        for law in compared.laws
        if law.after is Status.INCONCLUSIVE
    ]
    found = list(dict.fromkeys(found))
    if not found:
        return "too little of it"
    point_id, title = found[0]
    more = len(found) - 1
    return f"{title} at {point_id}" + (f", and {counted(more, 'more number')}" if more else "")


def _since(compared: Compared) -> str:
    """Which fact differs: the cause that is to be looked at first, or that there is none."""
    if compared.before is None:
        return ""
    if compared.differences:
        found = [
            f"the {one.fact} changed from {brief(one.before)} to {brief(one.after)}"
            for one in compared.differences
        ]
        return f"Since then {_all(found)}."
    if compared.status in (Change.REGRESSED, Change.IMPROVED):
        then, now = compared.before.conditions, compared.after.conditions
        moved = [name for name in then if now.get(name, then[name]) != then[name]]
        if moved:
            found = [f"{name} changed from {then[name]} to {now[name]}" for name in moved]
            return f"Since then {_all(found)}; {_all(_FIRM)} are the same."
        return f"No fact that is known of the host differs: {_all(_FIRM)} are the same."
    return ""


def _all(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _to_do(compared: Compared) -> str:
    if any(row.status is Change.REGRESSED for row in compared.rows) or compared.violations:
        return _to_mend(compared)
    match compared.status:
        case Change.INCONCLUSIVE:
            return _to_decide(compared)
        case Change.IMPROVED:
            return "To do: nothing; `bench baseline set` makes it the new reference."
        case Change.INCOMPARABLE:
            return "To do: what the next line says."
    return "Nothing is to be done."


def _to_mend(compared: Compared) -> str:
    if compared.before is None:
        return "To do: see below what the kernel holds; `bench doctor` tells what disturbs a host."
    accept = "accept it with `bench baseline set`"
    if compared.violations:  # which a new baseline alone makes no better
        accept += " and `--allow laws`"
    if compared.differences:
        names = " and ".join(one.fact for one in compared.differences)
        return f"To do: go back to the former {names}, or {accept}."
    return f"To do: find what changed on this host, and check again; or {accept}."


def _to_decide(compared: Compared) -> str:
    """What would decide: fewer disturbances, a better baseline, or more time."""
    after, before = compared.after, compared.before
    lost = sum(one.trials - one.valid for one in after.points)
    if lost > sum(one.trials for one in after.points) / 5:
        return "To do: check again on a calmer host; `bench doctor` tells what disturbs this one."
    if before is not None and after.look > 1:
        n = max((one.valid for one in before.points), default=0)
        return (
            f"To do: the baseline has {counted(n, 'trial')} a point, which is too few here: sweep "
            f"with --repeats {2 * n} and `bench baseline set`."
        )
    return "To do: check again with more --repeats, or a larger --budget."
