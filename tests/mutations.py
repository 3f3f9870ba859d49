"""Copies of real runs, damaged in any way, and all that reads a run."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.cli.terminal import show_page
from harness.comparison import changes, digest
from harness.errors import BenchError
from harness.show import frames, plots
from harness.show.report import comparison, csv_table, html, json_data, markdown, several, terminal
from harness.show.report import view as views
from harness.store import listing, runs

ROOT = Path(__file__).parents[1]
SAMPLED = sorted(path.parent for path in (ROOT / "results").glob("sample-*/samples.parquet"))
SOURCES = [*SAMPLED, ROOT / "tests" / "data" / "run-v1"]
"""Runs with all that a run of a sweep has: neither claims nor lifecycles have samples."""
VALUES: list[Any] = [
    None, 0, 1, -1, 1e308, -1e308, 1e-308, 10**30, float("nan"), float("inf"), float("-inf"), 0.5,
    2**63, True, "", "x", "NaN", "../..", [], {}, [1], [[]], {"a": 1}, "\ud83d", "\x00", "0-1", "7",
]  # fmt: skip


def mutate(folder: Path, rng: random.Random) -> str:
    """Change one to three things in a copy of a run; what was changed."""
    said = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name = rng.choice(("run.json", "trials.jsonl"))
        path = folder / name
        text = path.read_text()
        if rng.random() < 0.05:
            at = rng.randrange(len(text))
            path.write_text(text[:at] + rng.choice(("", "\x00", text[at + 9 :])))
            said.append(f"{name} cut at {at}")
            continue
        lines = [text] if name == "run.json" else text.splitlines()
        if not lines:
            continue
        number = rng.randrange(len(lines))
        # The same in one trial or in all of them: one alone is often outvoted.
        numbers = range(len(lines)) if rng.random() < 0.4 else [number]
        seed = rng.random()
        for i in numbers:
            with contextlib.suppress(ValueError):
                document = json.loads(lines[i])
                what = _change(document, random.Random(seed))
                lines[i] = json.dumps(document)
                if i == number:
                    said.append(f"{name}:{i} {what}")
        path.write_text("\n".join(lines) + "\n")
    return "; ".join(said)


def _change(document: Any, rng: random.Random) -> str:
    where, key = rng.choice(list(_places(document)))
    old = where[key]
    kind = rng.random()
    if kind < 0.2:
        del where[key]
        return f"without {key} ({old!r:.60})"
    if kind < 0.4 and isinstance(old, list):
        where[key] = rng.choice(([], old[:1], old[:-1], old + old))
    elif kind < 0.5 and isinstance(old, int | float):
        where[key] = rng.choice((-old, old * 1e6, old + 1, float(old), str(old)))
    else:
        where[key] = rng.choice(VALUES)
    return f"{key}: {old!r:.60} -> {where[key]!r:.60}"


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a document, the deep ones as often as the shallow: a level at a time."""
    level, found = [document], []
    while level:
        here = [
            (one, key)
            for one in level
            for key in (range(len(one)) if isinstance(one, list) else one)
        ]
        found += here[:400]
        level = [one[key] for one, key in here if isinstance(one[key], list | dict)][:200]
    yield from found


def numbers(document: Any, kind: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every number of a document: what kind of one, and where it is."""
    inner = enumerate(document) if isinstance(document, list) else document.items()
    for key, one in inner:
        name = f"{kind}.{'#' if isinstance(document, list) else key}"
        if isinstance(one, list | dict):
            yield from numbers(one, name)
        elif isinstance(one, int | float) and not isinstance(one, bool):
            yield name, document, key


def read_everything(folder: Path, *, figures: bool) -> None:
    """All that shows, exports, judges or compares a run."""
    for run in (runs.load(folder), runs.find(folder.parent, None)):
        assert run.info.name == folder.name
    view = views.build(run)
    with contextlib.redirect_stdout(io.StringIO()):
        show_page(terminal.Page(view))
    markdown.render(view)
    csv_table.render([view])
    json.dumps(json_data.as_json(view))
    several.as_markdown(several.build([run, run]))
    for frame in (frames.points, frames.trials, frames.estimates, frames.verdicts, frames.errors,
                  frames.gaps, frames.growth, frames.samples):  # fmt: skip
        frame(run)
    for trial in run.trials[:2]:
        frames.timeline(run, trial.index)
        frames.throttled_spans(run, trial.index)
    digested = digest.digest(run.info, run.trials)
    compared = changes.compare(digested, digested)
    titles = comparison.Titles("a", "b")
    with contextlib.redirect_stdout(io.StringIO()):
        show_page(comparison.Page(compared, titles, every=True))
    comparison.as_markdown(compared, titles)
    listing.list_runs(folder.parent)
    if figures:
        for picture in plots.pictures(run):
            plots.svg(picture)
        html.render(view)


def outcome(number: int, root: Path) -> tuple[str, str]:
    """('result' | 'refused' | a traceback, what was changed) of one mutation."""
    rng = random.Random(number)
    folder = root / "mutated"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(rng.choice(SOURCES), folder)
    lines = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(rng.sample(lines, 12)))
    said = mutate(folder, rng)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read_everything(folder, figures=number % 20 == 0)
    except BenchError as error:
        return "refused" if len(str(error).splitlines()) == 1 else str(error), said
    except Exception:  # noqa: BLE001 - what is looked for
        return traceback.format_exc(), said
    return "result", said
