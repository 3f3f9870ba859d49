"""Names, and what programs and engines say, command no terminal and turn no line about."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from rich.table import Table
from rich.text import Text

from harness.cli import terminal
from harness.cli.output import Escaping
from harness.store import checks
from harness.wording import UNSEEN, visible
from tests.command import bench
from tests.runs import stored

ATTACK = "\x1b]0;taken\x07\x1b[2J\r\x9b1A\u202e\u200b gone"
HARMLESS = r"\x1b]0;taken\x07\x1b[2J\r\x9b1A\u202e\u200b gone"


def shown(speak: Callable[[], object]) -> str:
    """What reaches standard output, as ``bench`` has it."""
    out = io.BytesIO()
    with contextlib.redirect_stdout(Escaping(out, encoding="utf-8")) as stream:
        speak()
        stream.flush()
        return out.getvalue().decode()


def test_what_is_said_shows_its_control_characters() -> None:
    assert visible(ATTACK) == HARMLESS
    assert visible("größe 3 µs\n\tµ ☃ 漢") == "größe 3 µs\n\tµ ☃ 漢"


def test_what_is_printed() -> None:
    said = f"a {ATTACK}\n\x1b[1mours\x1b[0m"
    told = shown(lambda: click.echo(said, nl=False, color=True))
    assert told == f"a {HARMLESS}\n\x1b[1mours\x1b[0m"


def test_what_rich_lays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    table = Table(title=ATTACK)
    table.add_column(ATTACK)
    table.add_row(Text(ATTACK, style="red"))
    told = shown(lambda: terminal.show_page(table))
    assert "\x1b[31m" in told  # our own colours
    assert not set("\x07\r\x9b\u202e\u200b") & set(told)
    assert "\x1b]" not in told
    assert "\x1b[2J" not in told
    assert told.count(r"\x1b]0;taken") == 3  # rich takes the bell out itself


@pytest.mark.slow
def test_every_command_that_shows_a_run(tmp_path: Path) -> None:
    run = stored(tmp_path / "results")
    info = json.loads((run / "run.json").read_text())
    info["host"]["hostname"] = info["engine"]["version"] = info["plan"]["command"] = ATTACK
    info["status"], info["reason"] = "failed", ATTACK
    info.pop("crc32", None)
    (run / "run.json").write_bytes(checks.stamped(json.dumps(info).encode()))
    for args in (
        ("show", run.name), ("runs",), ("report", run.name, "--format", "md", "--output", "-"),
        ("compare", run.name, run.name), ("baseline", "set", run.name), ("baseline", "list"),
        ("show", ATTACK), (ATTACK,), ("sweep", f"{ATTACK}.toml"),
        ("clean", "--engine-host", ATTACK),
    ):  # fmt: skip
        done = bench(*args, cwd=tmp_path, BENCH_ENGINE_HOST="unix:///nowhere")
        assert done.returncode in (0, 2, 3), done
        assert not UNSEEN.search(done.stdout + done.stderr), args
        assert done.stdout + done.stderr
