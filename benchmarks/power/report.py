"""The parts of POWER.md, each kept in the bank's folder until it is measured again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.power.bank import Bank
from benchmarks.power.collect import plan_of
from benchmarks.power.faults import FAULTS, REPEATS, WINDOW_S
from benchmarks.power.resample import Power, false_alarms, power, tally
from harness.cli.dialogue import say
from harness.cli.measuring import measure
from harness.comparison import changes
from harness.comparison.digest import digest
from harness.engine.connect import obtain_engine
from harness.engine.docker_engine import DockerEngine
from harness.model import Digest
from harness.store import listing
from harness.store import runs as store_runs

LIVE_POINTS = {"cpu": "0.5", "shares": "1024:512"}
LIVE_REPEATS = 8
"""The least at which one change among so few metrics can be significant."""
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
    return (
        "# False alarms and power of `bench check`\n\n"
        "`python -m benchmarks.power collect DIR` measured the trials, and `power`, `alarms` and "
        "`live` with the same folder made the tables from them, through the code that "
        f"`bench check` runs. Measured {datetime.now(UTC):%Y-%m-%d} on {host.cpus} CPUs "
        f"({host.virtualisation or 'bare metal'}), kernel {host.kernel}, cgroup "
        f"v{engine.cgroup_version}, Docker {engine.version}. Windows of {WINDOW_S:g} s, a third of "
        f"the default. Undisturbed trials that count, from {len(bank.runs)} runs: {counted}."
    )


def alarms_part(bank: Bank, checks: int) -> str:
    """The A/A checks."""
    found = list(false_alarms(bank, checks))
    rows = [(a.name, a.total, a.green, a.open, a.red, f"{a.bound:.1%}") for a in found]
    reds = "\n".join(f"- red: {reason}" for one in found for reason in one.reasons[:10])
    heads = ("checks", "total", "green", "open", "red", "red at most (95 %)")
    return (
        "## A/A checks: nothing differs\n\n"
        f"Each check compares {len(bank.info.plan.points)} points at {REPEATS} trials a side (or "
        "what there is), all metrics and laws. *red* is exit code 1, *open* exit code 3. The "
        "resampled checks share trials, so they are not independent of each other; the runs "
        f"are.\n\n{table(heads, rows)}\n\n{reds}".rstrip()
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
        "fault", "point", "metric", "moved by", "trials a side", "found", "90 % interval", "red",
        "asked for",
    )  # fmt: skip
    rows = [row for fault in FAULTS for row in known.get(fault.name, [])]
    return (
        "## Faults that were really injected\n\n"
        "Trials with the fault against undisturbed ones, in whole checks whose other points are "
        "A/A. *found*: that very metric has changed (regressed, or with shorter gaps improved), "
        "adjusted for all others. *red*: the check. *moved by*: the median of all trials. "
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


def live_part(folder: Path, checks: int) -> str:
    """Short checks of a host on which nothing changes, each against the run before it.

    Runs that are there already count; as many as are missing are measured.
    """
    missing = checks + 1 - len(_live(folder)[0])
    if missing > 0:
        engine = DockerEngine(obtain_engine(None, say))
        for seed in range(checks + 1 - missing, checks + 1):
            plan = plan_of("live", LIVE_POINTS, LIVE_REPEATS, seed, engine.facts().cpus_to_give)
            measure(plan, engine, folder)
    digests, refused = _live(folder)
    pairs = itertools.pairwise(digests)
    found = tally("live", (changes.compare(a, b) for a, b in pairs))
    reds = "".join(f"\n- red: {reason}" for reason in found.reasons)
    return (
        "## Live checks\n\n"
        f"{found.total} checks of {len(LIVE_POINTS)} points at {LIVE_REPEATS} trials a side, each "
        f"against the run before it: {found.green} green, {found.open} open, {found.red} red (at "
        f"most {found.bound:.1%}). {refused} more runs were so disturbed that most of their trials "
        f"were rejected: `bench check` refuses such, with exit code 4.{reds}"
    )


def _live(folder: Path) -> tuple[list[Digest], int]:
    """The live runs that say something of the host, in their order, and how many do not."""
    listed = [one for one in listing.list_runs(folder).runs if one.sweep == "live"]
    runs = [store_runs.load(one.path) for one in reversed(listed) if one.status == "finished"]
    digests = [digest(run.info, run.trials) for run in runs]
    telling = [
        one for one in digests
        if 2 * sum(point.valid for point in one.points) >= sum(p.trials for p in one.points)
    ]  # fmt: skip
    return telling, len(digests) - len(telling)
