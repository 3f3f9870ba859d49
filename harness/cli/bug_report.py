"""``bench bug-report``: one file with what a report of trouble needs, anonymous."""

from __future__ import annotations

import importlib.metadata
import io
import json
import platform
import tarfile
from pathlib import Path

import click

from harness import __version__
from harness.cli import output as files
from harness.cli.doctor import examined
from harness.cli.logs import LOG
from harness.cli.options import engine_host_option, json_option, results_option, run_argument
from harness.errors import BenchError
from harness.store import runs as store_runs
from harness.store.anonymous import Names, anonymous, as_stored

_MOST_LOG_BYTES = 10 << 20


@click.command("bug-report")
@run_argument
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              default=Path("bench-bug-report.tar.gz"), show_default=True,
              help="Where to.")  # fmt: skip
@engine_host_option
@results_option
@json_option
def bug_report(
    run: str | None, output: Path, engine_host: str | None, results: Path, as_json: bool
) -> None:
    """Pack a run's facts, trials and log, doctor's findings and versions into one file.

    RUN is a name, a part of one, or a path; without it, the newest. Names of hosts and users,
    addresses and paths are left out; look into the file all the same before you send it. Samples
    are not in it.
    """
    found = store_runs.find(results, run)
    names = Names(found.info)
    info, trials = as_stored(anonymous(found))
    parts = {
        "run.json": info,
        "trials.jsonl": trials,
        LOG: names.without(_log(found.path / LOG)).encode(),
        "doctor.json": names.without(_doctor(engine_host)).encode(),
        "versions.json": json.dumps(_versions(), indent=2).encode(),
    }
    files.write(output, _archive(parts))
    if as_json:
        click.echo(json.dumps({"path": str(output), "files": list(parts)}))
    else:
        click.echo(f"Packed {', '.join(parts)}: {output}")


def _log(path: Path) -> str:
    """The end of a run's log; empty where it has none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _MOST_LOG_BYTES))
            return log.read(_MOST_LOG_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _doctor(engine_host: str | None) -> str:
    """What doctor finds here; why it finds nothing where it cannot, which is worth a report too."""
    try:
        found = [finding.as_json() for finding in examined(engine_host)]
    except BenchError as error:
        return json.dumps({"error": str(error)}, ensure_ascii=False)
    return json.dumps(found, indent=2, ensure_ascii=False)


def _versions() -> dict[str, object]:
    needed = importlib.metadata.requires("limitbench") or []
    packages = {}
    for line in needed:
        name = "".join(c if c.isalnum() or c in "-_." else " " for c in line).split()[0]
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "limitbench": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "packages": packages,
    }


def _archive(parts: dict[str, bytes]) -> bytes:
    """A tar of nobody's, at no time: it tells what is in it and no more."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in parts.items():
            member = tarfile.TarInfo(f"bench-bug-report/{name}")
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()
