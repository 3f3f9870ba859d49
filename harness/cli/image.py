"""``bench image``: the images that workloads run, for hosts without a registry."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.dialogue import asker, say
from harness.cli.options import engine_host_option, json_option
from harness.errors import BenchError, EngineError, UsageError
from harness.model import PROBE, Program, ProgramImage, Workload
from harness.units import MIB, size
from harness.wording import counted

if TYPE_CHECKING:
    from harness.engine.archive import Described
    from harness.engine.carry import Loaded, Tell
    from harness.engine.images import EngineImages, Held, Ready

_EACH_S = 2.0
_RUN_BY = {"probe": tuple(PROBE), "hand": ("bench claims",)}
"""Our own programs, and what runs them."""
_LONG_BYTES = 256 * MIB
"""What takes a second or so to read."""
_workloads_argument = click.argument("workloads", nargs=-1, metavar="[WORKLOAD]...")


@click.group(
    epilog="""\b
Examples:
  bench image save images.tar         on a host that has what it takes
  bench image load images.tar         on another: `bench sweep` uses them then
  bench image list                    what the engine holds, and what runs it
"""
)
def image() -> None:
    """Build, save, load and list the images that workloads run.

    For hosts with no compiler, registry or network. WORKLOAD is a program's name or FILE.toml; the
    images of our own programs are always taken along. `bench sweep` makes what it needs by itself
    where it can.
    """


@image.command("list")
@engine_host_option
@json_option
def list_(engine_host: str | None, as_json: bool) -> None:
    """List images: those that limitbench made, and that workloads run.

    A chosen one was loaded or built by `bench image`, and is run whatever is installed by now.
    """
    images = _engine(engine_host)
    users = _users(images)
    held = images.held(also=[one for one in users if one])
    if as_json:
        click.echo(json.dumps([_told(one, users) for one in held], indent=2))
        return
    rows = [
        (one.names[0] if one.names else "(no name)", one.id.removeprefix("sha256:")[:12],
         one.architecture, size(one.size_bytes), "chosen" if one.chosen else "",
         ", ".join(users.get(one.id, ())) or "-")
        for one in held
    ]  # fmt: skip
    for line in _aligned([("name", "id", "arch", "size", "", "run by"), *rows] if rows else []):
        click.echo(line)
    there = {one.id for one in held}
    missing = [name for id_, names in users.items() if id_ not in there for name in names]
    if missing:
        say(f"No image there yet: {', '.join(sorted(missing))}. `bench image build` makes what it "
            "can; a sweep makes its own.")  # fmt: skip


@image.command()
@click.argument("name", metavar="IMAGE")
@engine_host_option
@json_option
def inspect(name: str, engine_host: str | None, as_json: bool) -> None:
    """Tell what an image is, what made it, and what runs it.

    IMAGE is a name, an id, or what one of them begins with.
    """
    from harness.engine.images import choose

    images = _engine(engine_host)
    users = _users(images)
    told = _told(choose(name, images.held(also=[one for one in users if one])), users)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for key, value in told.items():
        values = value if isinstance(value, list) else [value]
        shown = [_words(key, one) for one in values] or ["-"]
        click.echo(f"{key.removesuffix('_bytes').replace('_', ' ') + ':':<15}{shown[0] or '-'}")
        for one in shown[1:]:
            click.echo(f"{'':<15}{one}")


@image.command()
@_workloads_argument
@engine_host_option
@json_option
def build(workloads: tuple[str, ...], engine_host: str | None, as_json: bool) -> None:
    """Make images here, and have sweeps use them.

    From our own source, and from programs that are installed here.

    Without WORKLOAD, those of all workloads. Sweeps use what was built, whatever is installed
    later, until it is built or loaded again or removed.
    """
    images = _obtained(engine_host)
    made = dict(_each(images, workloads, anew=True))
    if as_json:
        click.echo(json.dumps(_made(made), indent=2))
        return
    for ids, names in _by_image(made).items():
        click.echo(f"{ids}  {', '.join(names)}")


@image.command()
@click.argument("file", type=click.Path(path_type=Path))
@_workloads_argument
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@engine_host_option
@json_option
def save(
    file: Path, workloads: tuple[str, ...], force: bool, engine_host: str | None, as_json: bool
) -> None:
    """Write images to FILE.

    Without WORKLOAD, those of all workloads that can be had here. They are what a sweep would run
    on this engine, made first where they are not there. `docker load` reads the file too.
    """
    from harness.engine import archive, carry

    archive.refuse_target(file, force=force)
    images = _obtained(engine_host)
    wanted = dict(_each(images, workloads))
    written, described = carry.save(images, wanted, file, _telling(), force=force)
    if as_json:
        told = {"path": str(file), "bytes": written, "images": [asdict(one) for one in described]}
        click.echo(json.dumps(told, indent=2))
        return
    _show(described)
    click.echo(f"{file}: {size(written)}")


@image.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Verify and list what is in it; load nothing.")
@click.option("--force", is_flag=True, help="Take names from other images that have them.")
@engine_host_option
@json_option
def load(file: Path, dry_run: bool, force: bool, engine_host: str | None, as_json: bool) -> None:
    """Load the images of FILE, and have sweeps use them.

    FILE is what `bench image save` wrote. Every byte is verified before anything is loaded, and
    every id after it. Needs no compiler, no registry and no network.
    """
    from harness.engine import archive, carry

    tell = _telling()
    with archive.opened(file) as found:
        if found.size_bytes > _LONG_BYTES:
            tell.say(f"Verifying {file}, {size(found.size_bytes)}.")
        found.verify(tell.progress)
        if dry_run:
            _tell_loaded(file, [(one, None) for one in found.images], as_json)
            return
        loaded = carry.load(_obtained(engine_host), found, tell, force=force)
    _tell_loaded(file, [(one.image, one) for one in loaded], as_json)


@image.command()
@click.argument("workload")
@engine_host_option
@json_option
def pull(workload: str, engine_host: str | None, as_json: bool) -> None:
    """Pull the image of WORKLOAD from its registry.

    Nothing is done where the engine has it. For workloads whose file has an `image.reference`. No
    other command pulls.
    """
    found = _find(workload)
    reference = found.description.image.reference if isinstance(found, Program) else None
    if reference is None:
        raise UsageError(f"the image of {workload} comes from no registry.",
                         f"`bench image build {workload}` makes it.")  # fmt: skip
    images = _obtained(engine_host)
    there = images.inspect(reference)
    if there is None:
        say(f"Pulling {reference}.")
        id_ = images.pull(reference, _pulling())
    else:
        id_ = str(there["Id"])
    if as_json:
        told = {"reference": reference, "id": id_, "pulled": there is None}
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"{id_}  {reference}{'' if there is None else ', which was there'}")


@image.command()
@click.argument("names", nargs=-1, metavar="[IMAGE]...")
@click.option("--all", "every", is_flag=True, help="Remove all that limitbench made.")
@engine_host_option
@json_option
def rm(names: tuple[str, ...], every: bool, engine_host: str | None, as_json: bool) -> None:
    """Remove images that limitbench made.

    By name or id; those of others, and names that others gave, are left as they are. None is
    removed where a container, running or not, is made of one of them.
    """
    from harness.engine.images import choose

    if every == bool(names):
        raise UsageError("name the images to remove, or give --all.", "See `bench image list`.")
    images = _engine(engine_host)
    # One that has other names alone was named by somebody, who may want it.
    held = [one for one in images.held() if one.our_names or not one.names]
    chosen = {one.id: one for one in (held if every else [choose(name, held) for name in names])}
    for one in chosen.values():
        if users := images.users(one.id):
            raise UsageError(
                f"{_name(one)} is in use by {counted(len(users), 'container')}: "
                f"{', '.join(users[:3])}.", "Remove those first; `bench clean` removes what was "
                "left behind.",
            )  # fmt: skip
    for one in chosen.values():
        images.remove(one)
    if as_json:
        click.echo(json.dumps({"removed": [_told(one, {}) for one in chosen.values()]}, indent=2))
        return
    for one in chosen.values():
        others = [name for name in one.names if name not in one.our_names]
        kept = f"; it goes on as {', '.join(others)}" if others and one.our_names else ""
        click.echo(f"Removed {_name(one)} ({one.id.removeprefix('sha256:')[:12]}){kept}.")
    if not chosen:
        say("There is no image of limitbench.")


# --- engines and workloads ---------------------------------------------------------------------


def _engine(engine_host: str | None) -> EngineImages:
    """The images of the engine that answers: to look at them starts none."""
    from harness.engine.connect import find_engine
    from harness.engine.images import EngineImages

    connection = find_engine(engine_host)
    if connection is None:
        raise EngineError("no engine answers.", "`bench engine start` starts a private one.")
    return EngineImages(connection.api)


def _obtained(engine_host: str | None) -> EngineImages:
    from harness.engine.connect import obtain_engine
    from harness.engine.images import EngineImages

    return EngineImages(obtain_engine(engine_host, say, asker()).api)


def _find(name: str) -> Workload:
    from harness.engine.image import workloads_root
    from harness.plan import workloads

    return workloads.find(name, workloads_root())


def _programs() -> list[str]:
    from harness.engine.image import workloads_root
    from harness.plan import programs

    return programs.names(workloads_root())


def _each(
    images: EngineImages, names: Sequence[str], *, anew: bool = False
) -> Iterator[tuple[str, Ready]]:
    """Who runs an image, and the image: our own first, which are always wanted.

    Where all are wanted, those that cannot be had are told and left out.
    """
    found = {name: _find(name) for name in dict.fromkeys(names or _programs())}
    for program, users in _RUN_BY.items():
        ready = images.own(program, anew=anew)
        yield from ((user, ready) for user in users)
    for name, workload in found.items():
        for source in _sources(workload):
            try:
                yield name, images.program(source, anew=anew)
            except BenchError as error:
                if names:
                    raise
                say(f"{name} is left out: {error}")


def _users(images: EngineImages) -> dict[str | None, list[str]]:
    """Image → who would run it here; None where there is none for them yet."""
    found: dict[str | None, list[str]] = {}
    for program, users in _RUN_BY.items():
        found.setdefault(images.expected_own(program), []).extend(users)
    for name in _programs():
        for source in _sources(_find(name)):
            found.setdefault(images.expected(source), []).append(name)
    return found


def _sources(workload: Workload) -> list[ProgramImage]:
    """The images of a program, and of what loads it where that has another one."""
    programs = [one for one in (workload, workload.load) if isinstance(one, Program)]
    return list(dict.fromkeys(one.description.image for one in programs))


# --- what is said ------------------------------------------------------------------------------


def _telling() -> Tell:
    """Lines on standard error: what is done, and of what takes long how far it is."""
    from harness.engine.carry import Tell

    return Tell(say=say, progress=_now_and_then(lambda done, total: f"{done / total:.0%} of "
                                                f"{size(total)}"))  # fmt: skip


def _pulling() -> Callable[[Mapping[str, Any]], object]:
    """What an engine tells of a pull, in a line now and then."""
    tell = _now_and_then(lambda status, progress: f"{status} {progress}".rstrip())
    return lambda line: tell(line.get("status", ""), line.get("progress", ""))


def _now_and_then(words: Callable[[Any, Any], str]) -> Callable[[Any, Any], None]:
    """Say what is told, at most each two seconds, and nothing of what takes less."""
    last_s = time.monotonic()

    def tell(first: Any, second: Any) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= _EACH_S:
            last_s = time.monotonic()
            say(f"  {words(first, second)}")

    return tell


def _told(one: Held, users: Mapping[str | None, Sequence[str]]) -> dict[str, Any]:
    return {
        "id": one.id,
        "names": list(one.names),
        "digests": list(one.digests),
        "architecture": one.architecture,
        "size_bytes": one.size_bytes,
        "compiler": one.compiler,
        "binary_sha256": one.binary_sha256,
        "chosen": one.chosen,
        "workloads": list(users.get(one.id, ())),
    }


def _words(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return size(value) if key == "size_bytes" and isinstance(value, int) else str(value)


def _made(made: Mapping[str, Ready]) -> list[dict[str, Any]]:
    return [
        {"id": id_, "names": list(next(r for r in made.values() if r.id == id_).names),
         "workloads": names}
        for id_, names in _by_image(made).items()
    ]  # fmt: skip


def _by_image(made: Mapping[str, Ready]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, ready in made.items():
        found.setdefault(ready.id, []).append(name)
    return found


def _show(images: Sequence[Described]) -> None:
    for one in images:
        click.echo(f"{one.id}  {one.names[0]}  {size(one.size_bytes)}  {', '.join(one.workloads)}")


def _tell_loaded(
    file: Path, found: Sequence[tuple[Described, Loaded | None]], as_json: bool
) -> None:
    for described, loaded in found:
        if loaded is not None and loaded.engine_id != described.id:
            say(f"The engine calls {described.names[0]} {loaded.engine_id}, and the archive "
                f"{described.id}: the same layers, but runs by that id are not comparable with "
                "those of an engine that keeps it.")  # fmt: skip
    if not as_json:
        _show([described for described, _ in found])
        return
    told = [
        {**asdict(described),
         "engine_id": loaded and loaded.engine_id, "was_there": loaded and loaded.was_there}
        for described, loaded in found
    ]  # fmt: skip
    click.echo(json.dumps({"path": str(file), "images": told}, indent=2))


def _name(one: Held) -> str:
    return next(iter((*one.our_names, *one.names)), one.id.removeprefix("sha256:")[:12])


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(
            f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)
        ).rstrip()
