"""How a check ended, as metrics: a file for node_exporter's textfile collector.

It is valid by OpenMetrics 1.0 and by Prometheus' text format 0.0.4 alike, which is what the
collector reads: gauges alone, no time stamps (it refuses a file that has one), and an ``# EOF``
that is a comment to the older format. What came to no verdict has none here, and no number of an
earlier check either: a value that is not said again goes stale, one that is looks new.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from harness import __version__
from harness.judge.metrics import METRICS
from harness.model import Change, Compared, Comparison, Scale
from harness.wording import visible

_PREFIX = "limitbench_check"
_DECIDED = (0, 1)
_UNITS = {
    "s": "seconds", "CPUs": "cpus", "bytes": "bytes", "share": "ratio", "1": "ratio",
    "s/s": "ratio",
}  # fmt: skip
"""A metric's unit as the end of a name; any other by ``unit_name``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call of ``bench check``, whatever came of it."""

    code: int
    """With which it exits."""
    sweep: str
    """Empty where it ended before that was known."""
    baseline: str
    ended_s: float
    """Unix time."""
    duration_s: float
    compared: Compared | None = None
    """None where it came to no verdict."""


@dataclass(frozen=True, slots=True)
class _Sample:
    name: str
    """Without the prefix."""
    value: float
    labels: tuple[tuple[str, str], ...] = ()
    help: str = ""
    """What its family says of itself where that is not in ``_HELP``."""


_HELP = {
    "exit_code": "With what the last bench check exited: 0 all well, 1 regressed or a law is "
    "violated, 2 usage, 3 undecided, 4 unfit, 70 a defect, from 128 on ended by a signal.",
    "decided": "Whether the last bench check could tell: it exited with 0 or 1.",
    "end_timestamp_seconds": "When the last bench check ended, whatever came of it.",
    "duration_seconds": "What the last bench check took.",
    "info": "What was checked, and on what; always 1.",
    "run_timestamp_seconds": "When the run began that was judged.",
    "verdict": "The verdict of the whole check: 1 for the one that it is.",
    "metric_verdict": "The verdict of a metric at a point, in its label; always 1.",
    "law_verdict": "The verdict of a law at a point, in its label; always 1.",
    "law_violated": "Whether a law is violated now, and that was not allowed.",
}
_PARTS = {
    "": "Change of a metric since the baseline",
    "_lower": "Lower end of the interval of such a change",
    "_upper": "Upper end of the interval of such a change",
    "_matters": "Least change that counts at this point",
}


def document(attempt: Attempt) -> str:
    """The whole file. Families stay together and come in a stable order, as both formats want."""
    families: dict[str, list[_Sample]] = {}
    for sample in _samples(attempt):
        if math.isfinite(sample.value):
            families.setdefault(sample.name, []).append(sample)
    check = (("sweep", attempt.sweep), ("baseline", attempt.baseline))
    lines = []
    for name, samples in families.items():
        lines += [
            f"# HELP {_PREFIX}_{name} {samples[0].help or _HELP[name]}",
            f"# TYPE {_PREFIX}_{name} gauge",
            *(
                f"{_PREFIX}_{name}{{{_labelled(check + one.labels)}}} {_number(one.value)}"
                for one in samples
            ),
        ]
    return "\n".join([*lines, "# EOF", ""])


def _samples(attempt: Attempt) -> Iterator[_Sample]:
    yield _Sample("exit_code", attempt.code)
    yield _Sample("decided", attempt.compared is not None and attempt.code in _DECIDED)
    yield _Sample("end_timestamp_seconds", attempt.ended_s)
    yield _Sample("duration_seconds", attempt.duration_s)
    if attempt.compared is not None:
        yield from _of_verdict(attempt.compared)


def _of_verdict(compared: Compared) -> Iterator[_Sample]:
    now = compared.after
    facts = now.fingerprint
    yield _Sample(
        "info", 1,
        (
            ("run", now.run), ("version", __version__), ("kernel", facts.kernel),
            ("engine", facts.engine), ("runtime", facts.runtime), ("cgroup", facts.cgroup),
        ),
    )  # fmt: skip
    yield _Sample("run_timestamp_seconds", datetime.fromisoformat(now.created).timestamp())
    for verdict in Change:
        yield _Sample("verdict", verdict is compared.status, (("verdict", verdict.value),))
    for row in compared.rows:
        yield from _of_row(row)
    for law in dict.fromkeys((*compared.laws, *compared.violations)):
        where = (*_where(law.point_id, law.metric, law.container), ("law", law.law))
        yield _Sample("law_violated", law in compared.violations, where)
        yield _Sample("law_verdict", 1, (*where, ("verdict", law.after.value)))


def _of_row(row: Comparison) -> Iterator[_Sample]:
    where = _where(row.point_id, row.metric, row.container)
    yield _Sample("metric_verdict", 1, (*where, ("verdict", row.status.value)))
    own = unit_name(METRICS[row.metric].unit)
    if row.after is not None:
        said = "Median of a metric over the trials of the run that was judged."
        yield _Sample(f"median_{own}", row.after, where, said)
    kind, unit, of = (
        ("change", "ratio", "as a share of what it was")
        if row.scale is Scale.RELATIVE
        else ("difference", own, "in the metric's own unit")
    )
    numbers = (row.change, row.low, row.high, None if row.change is None else row.effect)
    for (part, said), value in zip(_PARTS.items(), numbers, strict=True):
        if value is not None:
            yield _Sample(f"{kind}{part}_{unit}", value, where, f"{said}, {of}.")


def _where(point: str, metric: str, container: int) -> tuple[tuple[str, str], ...]:
    return ("point", point), ("metric", metric), ("container", str(container))


def unit_name(unit: str) -> str:
    """A metric's unit as the end of a name: ``seconds``, ``units_per_second``."""
    known = _UNITS.get(unit)
    if known:
        return known
    said = re.sub(r"/\s*s$", " per second", unit)
    return re.sub("[^a-z0-9]+", "_", said.lower().removeprefix("1 ")).strip("_")


def _labelled(labels: tuple[tuple[str, str], ...]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(value: str) -> str:
    r"""A label's value: ``\``, ``"`` and line feeds as both formats have them, all of it UTF-8."""
    clean = visible(value.encode("utf-8", "backslashreplace").decode())
    return clean.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return f"{int(value)}" if value == int(value) and abs(value) < 1e15 else repr(float(value))
