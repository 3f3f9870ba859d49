"""The parts of POWER.md, each kept in the bank's folder until it is measured again."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.commands import CHECK_CODES
from benchmarks.power.bank import Bank
from benchmarks.power.collect import NEIGHBOUR
from benchmarks.power.faults import FAULTS, REPEATS, WINDOW_S
from benchmarks.power.resample import Power, false_alarms, power, upper

PARTS = ("about", "alarms", "power", "live")
"""Of POWER.md, in its order; each is kept in the bank's folder until it is measured again."""


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def about(bank: Bank) -> str:
    """What the study rests on."""
    host, engine = bank.info.host, bank.info.engine
    counted = ", ".join(f"{point} {len(mine)}" for point, mine in bank.pooled.items())
    runs = " + ".join(f"{len(start)}" for start in bank.starts)
    return (
        "# False alarms and power of `bench check`\n\n"
        "`python -m benchmarks.power collect DIR` measured the trials, and `power`, `alarms` and "
        "`live` with the same folder made the tables from them, through the code that "
        f"`bench check` runs. Measured {datetime.now(UTC):%Y-%m-%d} on {host.cpus} CPUs "
        f"({host.virtualisation or 'bare metal'}), kernel {host.kernel}, cgroup "
        f"v{engine.cgroup_version}, Docker {engine.version}. Windows of {WINDOW_S:g} s, a third of "
        f"the default, where no other length is named. Undisturbed runs: {runs}, of "
        f"{len(bank.starts)} starts of the engine; their trials that count: {counted}."
    )


def alarms_part(bank: Bank, checks: int) -> str:
    """The A/A checks."""
    found = list(false_alarms(bank, checks))
    rows = [
        (
            a.name, a.total, a.green, a.open, a.red, f"{a.bound:.1%}", a.planned,
            f"{statistics.median(a.took):g}", f"{statistics.mean(a.took):.1f}", max(a.took),
        )
        for a in found
    ]  # fmt: skip
    reds = "\n".join(f"- red, {one.name}: {why}" for one in found for why in one.reasons[:10])
    opened = "\n".join(
        f"- open, {one.name}: {what} in {count}"
        for one in found
        for what, count in Counter(one.left).most_common()
    )
    heads = (
        "checks", "total", "green", "open", "red", "red at most (95 %)", "planned trials",
        "median", "mean", "most",
    )  # fmt: skip
    return (
        "## A/A checks: nothing differs\n\n"
        f"Each check compares {REPEATS} trials a point with {REPEATS}, all metrics and laws, and "
        "goes on by itself where something that decides is open. *red* is exit code 1, *open* exit "
        "code 3. Two runs each: the baseline is one run, the check is another, perhaps of another "
        "start of the engine; more trials than that has come from other runs of its start. "
        "Checks share runs, so they are not independent of each other."
        f"\n\n{table(heads, rows)}\n\n{opened}\n{reds}".rstrip()
    )


def power_part(folder: Path, bank: Bank, only: Sequence[str], draws: int) -> str:
    """The faults: those that are named, or all; what others came to is kept in the folder."""
    kept = folder / "power.json"
    known: dict[str, list[list[str]]] = json.loads(kept.read_text()) if kept.exists() else {}
    for fault in FAULTS:
        if fault.name in bank.faults and (not only or fault.name in only):
            known[fault.name] = [_row(one) for one in power(bank, fault, draws)]
    kept.write_text(json.dumps(known, indent=1))
    heads = (
        "fault", "point", "metric", "moved by", "trials", "found", "90 % interval", "red",
        "asked for",
    )  # fmt: skip
    rows = [row for fault in FAULTS for row in known.get(fault.name, [])]
    return (
        "## Faults that were really injected\n\n"
        "Trials with the fault against undisturbed ones, in whole checks whose other points are "
        "A/A. *found*: that very metric has changed (regressed, or with shorter gaps improved), "
        "adjusted for all others. *red*: the check. *moved by*: the median of all trials. "
        "*trials*: of the whole check, which goes on by itself. "
        f"Each check draws its trials anew from those that were measured ({_counts(bank)}), so the "
        "checks are not independent, and the interval is of the draws alone. What a larger CFS "
        "slice moves is below what matters here; that it differs is told by every check."
        f"\n\n{table(heads, rows)}"
    )


def _counts(bank: Bank) -> str:
    """How many trials the checks draw from."""
    faulty = [len(mine) for _, trials in bank.faults.values() for mine in trials.values()]
    default = [*bank.default[1].values()] if bank.default else []
    sound = [len(mine) for mine in (*bank.pooled.values(), *default)]
    return (
        f"of each point {min(n for n in faulty if n >= REPEATS)} to {max(faulty)} with a fault, "
        f"{min(sound)} to {max(sound)} without"
    )


def _row(one: Power) -> list[str]:
    low, high = one.interval
    return [
        one.fault.text, one.point, one.metric, f"{one.change:+.1%}", one.trials,
        f"{one.found} of {one.draws}", f"{low:.0%} … {high:.0%}", f"{one.red / one.draws:.0%}",
        one.fault.goal if one.fault.goal and one.metric == one.fault.metric else "(stated)",
    ]  # fmt: skip


def live_part(folder: Path, points: int) -> str:
    """`bench check` itself, again and again, of a host on which nothing changes."""
    paths = sorted(folder.glob("start-*.jsonl"))
    rows = [_live("idle", [one for path in paths for one in _told(path)])]
    beside = folder / f"{NEIGHBOUR}.jsonl"
    if beside.exists():
        rows.append(_live("beside a neighbour that takes 20 % of a CPU half of the time",
                          _told(beside)))  # fmt: skip
    heads = (
        "host", "checks", "green", "open", "red", "refused", "red at most (95 %)",
        "median", "longest",
    )  # fmt: skip
    return (
        "## Live checks\n\n"
        f"`bench check` of {points} points at {REPEATS} trials a side, against the "
        "baselines that each start of the engine began with, in turn. Nothing differs. *refused*: "
        "exit code 4, as most trials were disturbed. The last two columns are how long a check "
        f"took.\n\n{table(heads, rows)}"
    )


def _told(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _live(name: str, checks: Sequence[Mapping[str, Any]]) -> Sequence[object]:
    ended = Counter(CHECK_CODES[one["code"]] for one in checks)
    took = [one["took_s"] for one in checks]
    return (
        name, len(checks), *(ended[word] for word in ("green", "open", "red", "refused")),
        f"{upper(ended['red'], len(checks)):.1%}",
        f"{statistics.median(took):.0f} s", f"{max(took):.0f} s",
    )  # fmt: skip
