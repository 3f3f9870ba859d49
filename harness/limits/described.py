"""The table of limits in Markdown: what docs/limits.md is, made anew by ``make docs``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.limits.row import File, Held, Limit, Written, held_of
from harness.limits.table import LIMITS, KernelLimits, files_of

_HEAD = """# Limits

Each limit that a sweep can fix or vary, as `harness/limits/` describes it; this page is made of its
rows by `make docs`. What a limit promises, and how that is measured: [sweeps.md](sweeps.md).
"""

_BY_FILE = """`bench inspect` tells these where somebody has set them, in the container's cgroup or
above it.
"""


def markdown() -> str:
    """The page."""
    parts = [_HEAD, "## What they do\n", _table(("option", "does", "source"), map(_does, LIMITS))]
    parts += ["\n## How they are written, and what is refused\n"]
    parts += [_table(("option", "in a sweep file", "form", "range"), map(_written, LIMITS))]
    parts += ["\n## Where they are held\n"]
    columns = ("option", "`HostConfig`", "`docker update`", "cgroup v1", "cgroup v2")
    parts += [_table(columns, map(_places, LIMITS))]
    parts += ["\n## What is made of them\n"]
    parts += [_table(("option", "by engine, runtime, driver and kernel"), map(_made, LIMITS))]
    parts += ["\n## What no option of a sweep sets\n", _BY_FILE]
    columns = ("file", "does", "cgroup v1", "cgroup v2", "source")
    by_file = [_by_file(held, held.written) for _, held in held_of(KernelLimits) if held.written]
    parts += [_table(columns, by_file)]
    return "\n".join(parts)


def _does(row: Limit) -> Sequence[str]:
    return f"`{row.option}`", row.rule, row.source


def _by_file(held: Held, row: Written) -> Sequence[str]:
    v1, v2 = (_names(one.files if one else ()) for one in (held.v1, held.v2))
    return f"`{row.name}`", row.rule, v1, v2, row.source


def _written(row: Limit) -> Sequence[str]:
    low, high = (None if one is None else row.form.write(one) for one in (row.least, row.most))
    span = f"{low} to {high}" if low and high else f"{low} or more" if low else ""
    more = ", ".join(f"{one}" for one in row.extra)
    return f"`{row.option}`", f"`{row.key}`", row.form.name, "; ".join(filter(None, (span, more)))


def _places(row: Limit) -> Sequence[str]:
    update = f"`{row.update}`" if row.update else "no"
    v1, v2 = (_names(files_of(row, version)) for version in (1, 2))
    return f"`{row.option}`", f"`{row.inspect}`", update, v1, v2


def _names(files: Iterable[File]) -> str:
    names = [f"/proc/PID/{name}" if place == "process" else name for place, name in files]
    return ", ".join(f"`{name}`" for name in names) or "–"


def _made(row: Limit) -> Sequence[str]:
    return f"`{row.option}`", row.made


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines: list[Sequence[str]] = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
