"""The images of our own programs, made here from their source: no registry, no ``docker build``.

``probe_binary`` finds or compiles the static probe for the engine's architecture, ``hand_binary``
the hand that works in the containers of ``bench claims``; ``build_image`` wraps one in an archive
for ``docker load``. Same binary, same image id: both are part of what makes two runs comparable.
How they are compiled stands in ``workloads/probe/build.toml``.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import EngineError

_GOARCH = {"x86_64": "amd64", "aarch64": "arm64"}
"""``docker info``'s architecture → an image's, which is Go's name of it."""

OWN = ("probe", "hand")
"""The programs of ours, each a folder of C sources in ``workloads``."""

_NOBODY = 65534

_COMPILE_TIMEOUT_S = 300
"""The cross compiler first compiles its C library: 30 s on 2 CPUs."""
_FETCH_TIMEOUT_S = 1200


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeBinary:
    """A static program. ``architecture`` is ``x86_64`` or ``aarch64``, ``sha256`` hexadecimal."""

    program: str = "probe"
    """Its name, which is that of its folder in ``workloads``: ``probe`` or ``hand``."""

    path: Path
    sha256: str
    compiler: str
    """Name and version of what compiled it."""
    architecture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageArchive:
    """An image for ``docker load``: ``archive`` is the tar file."""

    id: str
    """``sha256:`` and the digest of the image's configuration, as the engine will call it."""
    tag: str
    archive: bytes


def workloads_root() -> Path:
    """The folder ``workloads``: inside the package in a wheel, beside it in a checkout.

    EngineError where it is in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for root in (package / "workloads", package.parent / "workloads"):
        if (root / "probe" / "probe.c").is_file():
            return root
    raise EngineError(
        f"the probe's source is neither in {package} nor beside it.",
        "Install limitbench again, or run it from a whole checkout.",
    )


def probe_binary(
    architecture: str,
    *,
    root: Path | None = None,
    cache: Path | None = None,
    fetch: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> ProbeBinary:
    """The probe for an architecture, as ``docker info`` or Go name it.

    The first of these that there is: the binary that a wheel carries; one compiled before by the
    same compiler from the same source; one compiled now, by the host's ``cc`` where the
    architecture is the host's own, else by the package ``ziglang``, which pip fetches into the
    cache where it is not installed, unless ``fetch`` is false: then no network is asked. ``say``
    gets a line before anything that takes many seconds.

    ``root`` is the folder ``workloads``, ``cache`` where compiled probes and the compiler are kept
    (``.cache`` in a checkout, else ``$XDG_CACHE_HOME/limitbench``). Safe to call in several
    processes at once. EngineError where the architecture is unknown or nothing could compile it.
    """
    return own_binary("probe", architecture, root=root, cache=cache, fetch=fetch, say=say)


def hand_binary(architecture: str) -> ProbeBinary:
    """The hand for an architecture: found or compiled as the probe is."""
    return own_binary("hand", architecture)


def own_binary(  # noqa: PLR0913 - what finds one, and where; most calls name two
    program: str,
    architecture: str,
    *,
    root: Path | None = None,
    cache: Path | None = None,
    fetch: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> ProbeBinary:
    """That one of ``OWN`` for an architecture, as ``probe_binary`` describes it."""
    root = root or workloads_root()
    recipe = _Recipe.load(root, program)
    architecture = recipe.canonical(architecture)
    carried = root / program / "bin" / f"{program}-{architecture}"
    if carried.is_file():
        return _described(carried, f"ziglang {recipe.ziglang}", architecture, program)

    try:
        cache = cache or _cache_folder(root)
        cache.mkdir(parents=True, exist_ok=True)
        # A cache must not show up as a change of the checkout.
        (cache / ".gitignore").write_text("*\n")
        workshop = _Workshop(architecture, recipe, cache, say)
        tried: list[str] = []
        fetched = (workshop.fetched_ziglang,) if fetch else ()
        for find in (workshop.host_cc, workshop.installed_ziglang, *fetched):
            try:
                compiler = find()
                path = workshop.compile(compiler)
            except _NotUsableError as error:
                tried.append(str(error))
            else:
                return _described(path, compiler.name, architecture, program)
    except OSError as error:
        raise EngineError(
            f"the {program} could not be compiled: {error}.",
            "Make that folder writable, or set XDG_CACHE_HOME to one that is.",
        ) from error
    raise EngineError(
        f"the {program} could not be compiled for {architecture}: {'; '.join(tried)}.",
        "Install a C compiler with a static C library (Debian: apt-get install gcc libc6-dev), "
        f"or the Python package ziglang=={recipe.ziglang}; or `bench image load` what "
        "`bench image save` wrote on a host that has one.",
    )


def of_images(architecture: str) -> str:
    """An architecture of ``docker info`` as images name it."""
    return _GOARCH.get(architecture, architecture)


def source_digest(program: str, architecture: str, *, root: Path | None = None) -> str:
    """Of all that decides what a compiler makes of a program of ours, but the compiler."""
    recipe = _Recipe.load(root or workloads_root(), program)
    return recipe.digest([recipe.canonical(architecture)])


def build_image(binary: ProbeBinary) -> ImageArchive:
    """The image of a program: nothing but ``/probe`` or ``/hand``, run as nobody (65534).

    Wholly determined by the binary: every time is the epoch, every order and owner fixed.
    """
    return archive_of_files(
        {f"/{binary.program}": binary.path.read_bytes()},
        binary.architecture,
        tag=f"limitbench/{binary.program}:{binary.sha256[:12]}",
        settings={
            "Entrypoint": [f"/{binary.program}"],
            "Labels": {f"org.limitbench.{binary.program}.sha256": binary.sha256},
        },
    )


def archive_of_files(
    files: Mapping[str, bytes],
    architecture: str,
    *,
    tag: str,
    settings: Mapping[str, Any],
    folders: Sequence[str] = (),
) -> ImageArchive:
    """An image of one layer that holds these files (absolute path → content), all executable.

    ``folders`` are nobody's, and so is a new volume that is mounted there: engines give it the
    owner of the folder that it hides. Wholly determined by what is given; run as nobody (65534)
    unless the container says otherwise.
    """
    layer = _tar([(name.lstrip("/"), 0o755, files[name]) for name in sorted(files)], folders)
    layer_digest = hashlib.sha256(layer).hexdigest()
    epoch = "1970-01-01T00:00:00Z"
    config = _json(
        {
            "architecture": of_images(architecture),
            "config": dict(settings) | {"User": f"{_NOBODY}:{_NOBODY}"},
            "created": epoch,
            "history": [{"created": epoch, "created_by": "limitbench"}],
            "os": "linux",
            "rootfs": {"diff_ids": [f"sha256:{layer_digest}"], "type": "layers"},
        }
    )
    config_digest = hashlib.sha256(config).hexdigest()
    # The format is Docker's own, image/spec/v1.2 in its repository: read by every engine.
    config_name, layer_name = f"{config_digest}.json", f"{layer_digest}/layer.tar"
    manifest = _json([{"Config": config_name, "Layers": [layer_name], "RepoTags": [tag]}])
    archive = _tar(
        [
            (config_name, 0o644, config),
            (layer_name, 0o644, layer),
            ("manifest.json", 0o644, manifest),
        ]
    )
    return ImageArchive(id=f"sha256:{config_digest}", tag=tag, archive=archive)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _tar(members: Sequence[tuple[str, int, bytes]], folders: Sequence[str] = ()) -> bytes:
    """A tar file of (name, mode, content); a TarInfo's other fields are constants of ours."""
    out = io.BytesIO()
    # Plain USTAR: a pax header could bring in what the members do not say.
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, mode, content in members:
            member = tarfile.TarInfo(name)
            member.mode, member.size = mode, len(content)
            member.mtime = member.uid = member.gid = 0
            tar.addfile(member, io.BytesIO(content))
        for folder in folders:
            member = tarfile.TarInfo(folder.lstrip("/"))
            member.type, member.mode, member.mtime = tarfile.DIRTYPE, 0o755, 0
            member.uid = member.gid = _NOBODY
            tar.addfile(member)
    return out.getvalue()


# --- compiling ---------------------------------------------------------------------------


class _NotUsableError(Exception):
    """Why a compiler cannot be used; the next one is tried."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    """``workloads/probe/build.toml``, and the source of the program that is to be compiled.

    The order of the sources is that of their names, here and in the build backend: the linker puts
    them into the binary in the order in which it gets them.
    """

    program: str
    sources: tuple[Path, ...]
    headers: tuple[Path, ...]
    ziglang: str
    flags: tuple[str, ...]
    targets: Mapping[str, str]

    @classmethod
    def load(cls, root: Path, program: str) -> _Recipe:
        table = tomllib.loads((root / "probe" / "build.toml").read_text())
        folder = root / program
        return cls(
            program=program,
            sources=tuple(sorted(folder.glob("*.c"))),
            headers=tuple(sorted(folder.glob("*.h"))),
            ziglang=table["ziglang"],
            flags=tuple(table["flags"]),
            targets=table["targets"],
        )

    def digest(self, what: Sequence[str]) -> str:
        """Of the source, the flags and whatever else the binary depends on."""
        files = {path.name: path.read_text() for path in (*self.sources, *self.headers)}
        return hashlib.sha256(_json([what, self.flags, files])).hexdigest()

    def canonical(self, architecture: str) -> str:
        """The name that ``docker info`` has for it; EngineError where there is no probe for it."""
        for ours, go in _GOARCH.items():
            if architecture in (ours, go) and ours in self.targets:
                return ours
        raise EngineError(
            f"there is no {self.program} for the engine's architecture, {architecture}.",
            f"Use an engine on one of: {', '.join(self.targets)}.",
        )


@dataclass(frozen=True, slots=True)
class _Compiler:
    name: str
    """Name and version: part of the cache's key, and recorded with every run."""
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to ours."""


@dataclass(frozen=True, slots=True)
class _Workshop:
    """Where a program for one architecture is compiled, with what there is."""

    architecture: str
    recipe: _Recipe
    cache: Path
    say: Callable[[str], None]

    def host_cc(self) -> _Compiler:
        """The quick way, under a second."""
        if (platform.system(), platform.machine()) != ("Linux", self.architecture):
            raise _NotUsableError(f"the host's cc makes no programs for {self.architecture}")
        path = shutil.which("cc")
        if path is None:
            raise _NotUsableError("there is no cc on PATH")
        version = _run([path, "--version"], timeout_s=10).partition("\n")[0]
        return _Compiler(version or "cc", (path,))

    def installed_ziglang(self) -> _Compiler:
        """Whatever version of it this Python has."""
        if importlib.util.find_spec("ziglang") is None:
            raise _NotUsableError("the package ziglang is not installed")
        return self._ziglang(importlib.metadata.version("ziglang"), {})

    def fetched_ziglang(self) -> _Compiler:
        """The pinned version, in a folder of the cache and nowhere else."""
        version = self.recipe.ziglang
        folder = self.cache / f"ziglang-{version}"
        if not folder.is_dir():
            self.say(f"Fetching a C compiler for the probe (ziglang {version}, 100 MB, once).")
            with tempfile.TemporaryDirectory(dir=self.cache) as temporary:
                fetched = Path(temporary) / "site"
                pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
                where = ["--no-deps", "--only-binary", ":all:", "--target", str(fetched)]
                _run([*pip, *where, f"ziglang=={version}"], timeout_s=_FETCH_TIMEOUT_S)
                try:
                    fetched.rename(folder)
                except OSError:
                    if not folder.is_dir():  # else another process was quicker: just as good
                        raise
        return self._ziglang(version, {"PYTHONPATH": str(folder)})

    def _ziglang(self, version: str, environment: Mapping[str, str]) -> _Compiler:
        command = (sys.executable, "-m", "ziglang", "cc", "-target")
        # Its caches would else lie in the home directory, which need not be writable.
        zig = str(self.cache / "zig")
        caches = {"ZIG_GLOBAL_CACHE_DIR": zig, "ZIG_LOCAL_CACHE_DIR": zig}
        return _Compiler(
            f"ziglang {version}",
            (*command, self.recipe.targets[self.architecture]),
            {**caches, **environment},
        )

    def compile(self, compiler: _Compiler) -> Path:
        """The program as this compiler makes it, from the cache where it is there."""
        key = self.recipe.digest([compiler.name, self.architecture])[:16]
        program = self.recipe.program
        path = self.cache / f"{program}-{self.architecture}-{key}"
        if path.is_file():
            return path
        self.say(f"Compiling the {program} for {self.architecture} with {compiler.name}.")
        sources = [str(path) for path in self.recipe.sources]
        with tempfile.TemporaryDirectory(dir=self.cache) as temporary:
            made = Path(temporary) / program
            _run(
                [*compiler.command, *self.recipe.flags, *sources, "-o", str(made)],
                timeout_s=_COMPILE_TIMEOUT_S,
                environment=compiler.environment,
            )
            made.replace(path)  # whole or not there, whoever else does the same
        return path


def _run(
    command: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
) -> str:
    """A command's standard output; _NotUsableError with the last line it said where it failed."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _NotUsableError(f"{_name(command)} took more than {timeout_s:g} s") from None
    except OSError as error:
        raise _NotUsableError(f"{_name(command)} could not be run ({error})") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise _NotUsableError(f"{_name(command)} failed ({said[-1].strip()})")
    return done.stdout


def _name(command: Sequence[str]) -> str:
    """What of a command a person knows it by: ``cc``, or a module that Python runs."""
    return command[2] if command[1] == "-m" else Path(command[0]).name


def _described(path: Path, compiler: str, architecture: str, program: str) -> ProbeBinary:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ProbeBinary(
        program=program, path=path, sha256=digest, compiler=compiler, architecture=architecture
    )


def _cache_folder(root: Path) -> Path:
    checkout = root.parent
    if (checkout / "pyproject.toml").is_file() and os.access(checkout, os.W_OK):
        return checkout / ".cache"
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "limitbench"
    except RuntimeError as error:
        raise EngineError(
            "the built probe has no place: this user has no home folder.",
            "Set HOME or XDG_CACHE_HOME to a folder that may be written.",
        ) from error
