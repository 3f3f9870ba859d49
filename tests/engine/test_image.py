"""The probe's binary and its image: found, compiled, cached, and the same every time."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.engine import image
from harness.engine.image import ProbeBinary, build_image, probe_binary, workloads_root
from harness.errors import EngineError

HERE = platform.machine()
OTHER = "aarch64" if HERE == "x86_64" else "x86_64"


def without_ziglang(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where it is not installed and pip reaches no index."""
    monkeypatch.setitem(sys.modules, "ziglang", None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.fixture
def workloads(tmp_path: Path) -> Path:
    """A copy of the folder workloads, in which a test may change things."""
    return Path(shutil.copytree(workloads_root(), tmp_path / "workloads"))


@pytest.fixture
def binary(tmp_path: Path) -> ProbeBinary:
    """Something that is no probe: an image does not care."""
    path = tmp_path / "probe"
    path.write_bytes(b"\x7fELF and so on")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ProbeBinary(path=path, sha256=digest, compiler="none 1", architecture="x86_64")


def members(tar: bytes) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        for member in opened:
            content = opened.extractfile(member)
            assert content is not None
            found[member.name] = member, content.read()
    return found


def configuration(archive: bytes) -> dict[str, Any]:
    inside = members(archive)
    (manifest,) = json.loads(inside["manifest.json"][1])
    config: dict[str, Any] = json.loads(inside[manifest["Config"]][1])
    return config


# --- the image ---------------------------------------------------------------------------


def test_same_binary_same_image_byte_for_byte(binary: ProbeBinary, tmp_path: Path) -> None:
    elsewhere = Path(shutil.copy(binary.path, tmp_path / "another-name"))
    elsewhere.chmod(0o600)
    os.utime(elsewhere, (1, 1))
    moved = dataclasses.replace(binary, path=elsewhere, compiler="another 2")
    assert build_image(binary) == build_image(moved)


def test_image_id_is_fixed(binary: ProbeBinary) -> None:
    # Changes only where the image's format is changed on purpose: old runs then compare no more.
    expected = "sha256:8f295eb7d6ac57aa39d6b3601e59459133294f4fd2d57f33ca7aed2530b3487b"
    assert build_image(binary).id == expected


def test_another_binary_is_another_image(binary: ProbeBinary) -> None:
    before = build_image(binary)
    binary.path.write_bytes(b"\x7fELF and so forth")
    assert build_image(binary).id != before.id


def test_id_is_the_digest_of_the_configuration(binary: ProbeBinary) -> None:
    built = build_image(binary)
    (manifest,) = json.loads(members(built.archive)["manifest.json"][1])
    config = members(built.archive)[manifest["Config"]][1]
    assert built.id == f"sha256:{hashlib.sha256(config).hexdigest()}"
    assert manifest["RepoTags"] == [built.tag] == [f"limitbench/probe:{binary.sha256[:12]}"]


def test_layer_holds_the_probe_alone_and_has_its_digest(binary: ProbeBinary) -> None:
    archive = build_image(binary).archive
    (manifest,) = json.loads(members(archive)["manifest.json"][1])
    (layer_name,) = manifest["Layers"]
    layer = members(archive)[layer_name][1]
    (diff_id,) = configuration(archive)["rootfs"]["diff_ids"]
    assert diff_id == f"sha256:{hashlib.sha256(layer).hexdigest()}"
    ((name, (member, content)),) = members(layer).items()
    assert (name, member.mode, content) == ("probe", 0o755, binary.path.read_bytes())


def test_nothing_of_this_machine_or_moment_is_in_it(binary: ProbeBinary) -> None:
    archive = build_image(binary).archive
    (manifest,) = json.loads(members(archive)["manifest.json"][1])
    layer = members(archive)[manifest["Layers"][0]][1]
    for tar in (archive, layer):
        for member, _ in members(tar).values():
            assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
            assert (member.uname, member.gname, member.pax_headers) == ("", "", {})
            assert member.isreg()
    config = configuration(archive)
    assert config["created"] == config["history"][0]["created"] == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(("architecture", "go"), [("x86_64", "amd64"), ("aarch64", "arm64")])
def test_configuration_says_what_runs_and_as_whom(
    binary: ProbeBinary, architecture: str, go: str
) -> None:
    config = configuration(
        build_image(dataclasses.replace(binary, architecture=architecture)).archive
    )
    assert (config["os"], config["architecture"]) == ("linux", go)
    assert config["config"] == {
        "Entrypoint": ["/probe"],
        "Labels": {"org.limitbench.probe.sha256": binary.sha256},
        "User": "65534:65534",
    }


def test_an_architecture_is_known_by_either_name() -> None:
    """Podman's is Go's; docker info has the kernel's."""
    one, two = (
        image.archive_of_files({"/x": b"x"}, name, tag="limitbench/x:1", settings={})
        for name in ("x86_64", "amd64")
    )
    assert one == two


# --- the binary --------------------------------------------------------------------------


def test_the_checkout_has_the_source() -> None:
    assert (workloads_root() / "probe" / "probe.c").is_file()


def test_probe_of_this_machine_runs() -> None:
    probe = probe_binary(HERE)
    assert probe.architecture == HERE
    assert probe.compiler
    assert probe.sha256 == hashlib.sha256(probe.path.read_bytes()).hexdigest()
    assert subprocess.check_output([probe.path, "--version"]) == b"probe 1\n"


@pytest.mark.slow
def test_second_call_takes_the_cached_binary(tmp_path: Path) -> None:
    said: list[str] = []
    first = probe_binary(HERE, cache=tmp_path, say=said.append)
    made = first.path.stat()
    assert said
    said.clear()
    assert probe_binary(HERE, cache=tmp_path, say=said.append) == first
    assert said == []
    assert first.path.stat().st_mtime_ns == made.st_mtime_ns
    # Only what is to be kept is left: no half-made binary, nothing for git to see.
    assert {path.name for path in tmp_path.iterdir()} >= {".gitignore", first.path.name}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("tmp")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("probe.h", "#define VERSION 1", "#define VERSION 2"), ("probe.c", '"probe %d', '"probe 2')],
)
def test_a_changed_source_or_header_is_compiled_anew(
    name: str, old: str, new: str, workloads: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    before = probe_binary(HERE, root=workloads, cache=cache)
    source = workloads / "probe" / name
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))
    after = probe_binary(HERE, root=workloads, cache=cache)
    assert after.path != before.path
    assert subprocess.check_output([after.path, "--version"]) == b"probe 2\n"


@pytest.mark.slow
def test_same_source_same_binary_wherever_it_lies(workloads: Path, tmp_path: Path) -> None:
    here = probe_binary(HERE, cache=tmp_path / "one")
    there = probe_binary(HERE, root=workloads, cache=tmp_path / "two")
    assert there.path != here.path
    assert build_image(there) == build_image(here)


@pytest.mark.slow
def test_several_at_once_get_the_same_whole_binary(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: probe_binary(HERE, cache=tmp_path), range(4)))
    assert len(set(found)) == 1
    assert subprocess.check_output([found[0].path, "--version"]) == b"probe 1\n"


@pytest.mark.parametrize("architecture", ["x86_64", "amd64", "aarch64", "arm64"])
def test_a_wheel_carries_both_binaries_and_needs_no_compiler(
    architecture: str, workloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture)
    carried = workloads / "probe" / "bin" / f"probe-{ours}"
    carried.parent.mkdir()
    carried.write_bytes(ours.encode())
    monkeypatch.setenv("PATH", "")
    found = probe_binary(architecture, root=workloads)
    assert (found.path, found.architecture) == (carried, ours)
    assert found.compiler.startswith("ziglang ")


@pytest.mark.slow
def test_the_host_compiler_makes_no_probe_for_another_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ziglang(monkeypatch)
    with pytest.raises(EngineError, match=f"host's cc makes no programs for {OTHER}"):
        probe_binary(OTHER, cache=tmp_path)


def test_unknown_architecture_names_the_known_ones() -> None:
    with pytest.raises(EngineError, match=r"riscv64.*x86_64, aarch64"):
        probe_binary("riscv64")


def test_no_compiler_at_all_says_what_was_tried_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ziglang(monkeypatch)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError) as caught:
        probe_binary(HERE, cache=tmp_path)
    assert "no cc on PATH" in caught.value.message
    assert "ziglang is not installed" in caught.value.message
    assert "pip failed (" in caught.value.message
    assert "apt-get install gcc" in caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_compiler_that_fails_is_named_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ziglang(monkeypatch)
    compiler = tmp_path / "bin" / "cc"
    compiler.parent.mkdir()
    compiler.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "cc 9" && exit\n'
        'echo "cannot find -lc" >&2\nexit 1\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(compiler.parent))
    with pytest.raises(EngineError, match=r"cc failed \(cannot find -lc\)"):
        probe_binary(HERE, cache=tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    with pytest.raises(EngineError, match="could not be compiled") as caught:
        probe_binary(HERE, cache=in_the_way / "cache")
    assert "XDG_CACHE_HOME" in caught.value.remedy


def test_the_cache_lies_in_a_checkout_and_else_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert image._cache_folder(tmp_path / "workloads") == tmp_path / "xdg" / "limitbench"
    (tmp_path / "pyproject.toml").touch()
    assert image._cache_folder(tmp_path / "workloads") == tmp_path / ".cache"
