"""Which image a workload runs: chosen, made here, or told. The engines answer as real ones do."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import platform
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import docker
import docker.errors
import pytest
import requests

from harness.engine import archive, carry, image, naming
from harness.engine.carry import Tell
from harness.engine.images import EngineImages, Held, choose
from harness.engine.packing import pack
from harness.engine.saved import unpack
from harness.errors import EngineError, EngineRefusedError, UsageError
from harness.model import ProgramImage

HERE = platform.machine()
GO = image.of_images(HERE)
SILENT = Tell(say=lambda _: None, progress=lambda _done, _all: None)


def missing() -> docker.errors.ImageNotFound:
    response = requests.Response()
    response.status_code = 404
    return docker.errors.ImageNotFound("404", response=response, explanation="No such image")


class Api:
    """The SDK's client of an engine that keeps images, as far as they are asked for."""

    timeout = 60.0

    def __init__(self, *, prefix: str = "", by_manifest: bool = False) -> None:
        self.images_: dict[str, dict[str, Any]] = {}
        self.given: dict[str, bytes] = {}
        self.containers_: list[dict[str, Any]] = []
        self.fails = ""
        self.prefix, self.by_manifest = prefix, by_manifest

    def info(self) -> Any:
        return {"Architecture": HERE}

    def inspect_image(self, name: str) -> Any:
        for id_, one in self.images_.items():
            if name == id_ or name in one["RepoTags"] or f"{self.prefix}{name}" in one["RepoTags"]:
                return copy.deepcopy(one)
        raise missing()

    def images(self) -> Any:
        return [{**one, "Labels": one["Config"].get("Labels")} for one in self.images_.values()]

    def containers(self, **_: bool) -> Any:
        return self.containers_

    def load_image(self, data: bytes | Iterator[bytes]) -> Any:
        whole = data if isinstance(data, bytes) else b"".join(data)
        if self.fails:
            return iter([{"error": self.fails}])
        found = unpack(io.BytesIO(whole))
        config = json.loads(found.config)
        digest = hashlib.sha256(found.config + b"manifest" * self.by_manifest).hexdigest()
        self.images_[f"sha256:{digest}"] = {
            "Id": f"sha256:{digest}", "RepoTags": [], "Architecture": config["architecture"],
            "Config": config["config"], "Size": sum(found.lengths),
            "RootFS": {"Layers": config["rootfs"]["diff_ids"]},
        }  # fmt: skip
        self.given[f"sha256:{digest}"] = whole
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            content = tar.extractfile("manifest.json")
            assert content is not None
            for name in json.load(content)[0]["RepoTags"]:
                self.tag(f"sha256:{digest}", *name.rsplit(":", 1))
        return iter([{"stream": f"Loaded image: {name}\n"}])

    def get_image(self, id_: str) -> Any:
        return iter([self.given[id_]])

    def tag(self, id_: str, repository: str, tag: str) -> None:
        name = f"{self.prefix}{repository}:{tag}"
        for one in self.images_.values():
            one["RepoTags"] = [other for other in one["RepoTags"] if other != name]
        self.images_[id_]["RepoTags"].append(name)

    def remove_image(self, name: str) -> None:
        for id_, one in list(self.images_.items()):
            if name == id_ or f"{self.prefix}{name}" in one["RepoTags"]:
                one["RepoTags"] = [n for n in one["RepoTags"] if n != f"{self.prefix}{name}"]
                if not one["RepoTags"]:
                    del self.images_[id_]


PROBE_SETTINGS = {"Labels": {"org.limitbench.probe.sha256": "0" * 64}}


def images_of(api: Api) -> EngineImages:
    return EngineImages(cast(docker.APIClient, api))


def packed(path: str) -> ProgramImage:
    return ProgramImage(pack=path)


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A program of this host, of which ldd has nothing to tell."""
    path = tmp_path / "my-load"
    path.write_bytes(b"\x7fELF one")
    path.chmod(0o755)
    return path


def held_names(api: Api) -> set[str]:
    return {name for one in api.images_.values() for name in one["RepoTags"]}


# --- which one runs ----------------------------------------------------------------------------


def test_what_a_sweep_makes_has_the_name_and_id_that_it_always_had() -> None:
    api = Api()
    ready = images_of(api).own("probe")
    binary = image.probe_binary(HERE)
    assert ready.id == image.build_image(binary).id
    assert held_names(api) == {f"limitbench/probe:{binary.sha256[:12]}"}
    assert (ready.compiler, ready.binary_sha256) == (binary.compiler, binary.sha256)


def without_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where nothing is in the cache and no compiler on PATH; the network is not reached."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(image, "_cache_folder", lambda _root: tmp_path / "no-cache")


@pytest.mark.slow
def test_a_chosen_probe_needs_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    built = images_of(api).own("probe", anew=True)
    without_compiler(monkeypatch, tmp_path)
    found = images_of(api).own("probe")
    assert (found.id, found.binary_sha256) == (built.id, built.binary_sha256)
    assert found.compiler.startswith("cc-")
    assert images_of(api).expected_own("probe") == built.id
    api.images_.clear()
    with pytest.raises(EngineError, match="bench image load"):
        images_of(api).own("probe")
    assert images_of(api).expected_own("probe") is None


def test_an_image_of_another_source_is_not_this_one_s(tmp_path: Path) -> None:
    root = Path(shutil.copytree(image.workloads_root(), tmp_path / "workloads"))
    assert naming.chosen_for_source("probe", HERE, root=root) == naming.chosen_for_source(
        "probe", HERE
    )
    (root / "probe" / "spin.c").write_text("/* another */\n")
    assert naming.chosen_for_source("probe", HERE, root=root) != naming.chosen_for_source(
        "probe", HERE
    )
    other = "aarch64" if HERE == "x86_64" else "x86_64"
    assert naming.chosen_for_source("probe", other) != naming.chosen_for_source("probe", HERE)


@pytest.mark.parametrize("wrong", [
    {"Architecture": "riscv64"}, {"Config": {"Labels": None}}, {"Config": {}},
])  # fmt: skip
def test_an_image_that_bears_the_name_and_is_no_probe_for_here_is_passed_over(
    wrong: dict[str, Any],
) -> None:
    api = Api()
    other = image.archive_of_files(
        {"/x": b"x"}, HERE, tag=naming.chosen_for_source("probe", HERE), settings=PROBE_SETTINGS
    )
    other_id = images_of(api).put(other)
    assert images_of(api).own("probe").id == other_id
    api.images_[other_id] |= wrong
    assert images_of(api).own("probe").id != other_id


def test_a_chosen_program_is_run_whatever_is_installed_by_now(static: Path) -> None:
    api, mine = Api(), packed(str(static))
    first = images_of(api).program(mine, anew=True)
    static.write_bytes(b"\x7fELF two")
    assert images_of(api).program(mine).id == images_of(api).expected(mine) == first.id
    static.unlink()
    assert images_of(api).program(mine).id == first.id
    images_of(api).remove(choose(first.id, images_of(api).held()))
    with pytest.raises(UsageError, match="not installed"):
        images_of(api).program(mine)
    assert images_of(api).expected(mine) is None


def test_a_sweep_s_own_programs_stay_those_that_are_installed(static: Path) -> None:
    api, mine = Api(), packed(str(static))
    first = images_of(api).program(mine).id
    assert first == pack(ProgramImage(pack=str(static)), HERE).id
    static.write_bytes(b"\x7fELF two")
    assert images_of(api).program(mine).id == images_of(api).expected(mine) != first


def test_two_programs_of_one_name_are_not_mixed_up(static: Path, tmp_path: Path) -> None:
    other = tmp_path / "else" / static.name
    other.parent.mkdir()
    other.write_bytes(b"\x7fELF other")
    other.chmod(0o755)
    api = Api()
    one, two = (images_of(api).program(packed(str(path)), anew=True).id for path in (static, other))
    assert one != two
    assert images_of(api).program(packed(str(static))).id == one
    assert images_of(api).program(packed(str(other))).id == two


def test_an_image_that_is_not_there_is_told_with_what_to_do() -> None:
    source = ProgramImage(reference="alpine:3.20")
    with pytest.raises(UsageError, match=r"no image alpine:3\.20.*bench image pull") as caught:
        images_of(Api()).program(source)
    assert "\n" not in str(caught.value)


# --- what the engine holds ---------------------------------------------------------------------


def test_podman_s_names_are_docker_s() -> None:
    for prefix in ("docker.io/", "localhost/"):
        api = Api(prefix=prefix)
        ready = images_of(api).own("probe", anew=True)
        (held,) = images_of(api).held()
        assert set(held.names) == set(ready.names)
        assert images_of(api).own("probe").id == ready.id
        images_of(api).remove(held)
        assert api.images_ == {}


def test_those_of_others_are_neither_listed_nor_removed(static: Path) -> None:
    api = Api()
    theirs = image.archive_of_files({"/x": b"x"}, "x86_64", tag="theirs:1", settings={})
    theirs_id = images_of(api).put(theirs)
    ours = images_of(api).program(packed(str(static))).id
    assert [one.id for one in images_of(api).held()] == [ours]
    assert {one.id for one in images_of(api).held(also=[theirs_id])} == {ours, theirs_id}
    # A name that they gave to an image of ours stays, and the image with it.
    api.tag(ours, "theirs", "2")
    images_of(api).remove(images_of(api).held()[0])
    assert held_names(api) == {"theirs:1", "theirs:2"}


def test_who_uses_an_image() -> None:
    api = Api()
    api.containers_ = [{"Id": "1" * 64, "Names": ["/web"], "ImageID": "sha256:a"},
                       {"Id": "2" * 64, "Names": None, "ImageID": "a"},
                       {"Id": "3" * 64, "Names": ["/db"], "ImageID": "sha256:b"}]  # fmt: skip
    assert images_of(api).users("sha256:a") == ["222222222222", "web"]


def test_an_image_is_found_by_what_its_name_or_id_begins_with() -> None:
    def held(id_: str, *names: str) -> Held:
        return Held(id=f"sha256:{id_}", names=names, digests=(), architecture=GO, size_bytes=0,
                    compiler="", binary_sha256="")  # fmt: skip

    one, two = (
        held("ab12", "limitbench/probe:1", "limitbench/probe:12"),
        held("ac", "limitbench/x:1"),
    )
    for name in ("ab", "sha256:ab12", "ab12", "limitbench/probe:1", "probe"):
        assert choose(name, [one, two]) is one
    for name, words in (("a", "may be any of"), ("zz", "no image"), ("", "no image"), ("a1", "no")):
        with pytest.raises(UsageError, match=words):
            choose(name, [one, two])


def test_an_engine_that_fails_after_its_200_is_believed() -> None:
    api = Api()
    api.fails = "write /layer.tar: no space left on device"
    with pytest.raises(EngineRefusedError, match="no space left on device"):
        images_of(api).own("probe")


# --- from one engine to another ----------------------------------------------------------------


@pytest.fixture
def saved(static: Path, tmp_path: Path) -> Path:
    """Probe and program of one engine, which has chosen neither."""
    images, path = images_of(Api()), tmp_path / "images.tar"
    wanted = {
        "spin": images.own("probe"),
        "burst": images.own("probe"),
        "mine": images.program(packed(str(static))),
    }
    written, described = carry.save(images, wanted, path, SILENT)
    assert written == path.stat().st_size
    assert [one.workloads for one in described] == [("spin", "burst"), ("mine",)]
    assert list(tmp_path.glob(".images*")) == []
    return path


@pytest.mark.parametrize("api", [Api(), Api(prefix="docker.io/")], ids=["Docker", "Podman"])
def test_what_was_loaded_is_run_with_nothing_installed(
    api: Api, saved: Path, static: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe, mine = images_of(Api()).own("probe"), images_of(Api()).program(packed(str(static)))
    without_compiler(monkeypatch, tmp_path)
    static.unlink()
    for again in (False, True):
        with archive.opened(saved) as found:
            found.verify()
            loaded = carry.load(images_of(api), found, SILENT)
        assert [(one.was_there, one.engine_id) for one in loaded] == [
            (again, probe.id), (again, mine.id),
        ]  # fmt: skip
    assert images_of(api).own("probe").id == probe.id
    assert images_of(api).program(packed(str(static))).id == mine.id


def test_an_engine_that_numbers_images_otherwise_is_told(saved: Path) -> None:
    api = Api(by_manifest=True)
    with archive.opened(saved) as found:
        loaded = carry.load(images_of(api), found, SILENT)
    assert all(one.engine_id != one.image.id for one in loaded)
    assert images_of(api).own("probe").id == loaded[0].engine_id
    assert images_of(Api(by_manifest=True)).own("probe").id == loaded[0].engine_id


def test_an_engine_that_holds_something_else_afterwards_is_an_error(saved: Path) -> None:
    class Lying(Api):
        def load_image(self, data: bytes | Iterator[bytes]) -> Any:
            said = list(super().load_image(data))
            for id_ in list(self.images_):
                one = self.images_.pop(id_)
                one["RootFS"]["Layers"] = ["sha256:0"]
                self.images_["sha256:0"] = {**one, "Id": "sha256:0"}
            return iter(said)

    with archive.opened(saved) as found, pytest.raises(EngineError, match="holds sha256:0 as"):
        carry.load(images_of(Lying()), found, SILENT)


def test_another_architecture_is_refused_before_anything_is_loaded(saved: Path) -> None:
    class Other(Api):
        def info(self) -> Any:
            return {"Architecture": "aarch64" if HERE == "x86_64" else "x86_64"}

    api = Other()
    with archive.opened(saved) as found, pytest.raises(UsageError, match=f"are for {GO}, and"):
        carry.load(images_of(api), found, SILENT)
    assert api.images_ == {}


def test_a_name_of_another_image_is_taken_by_force_only(tmp_path: Path) -> None:
    def with_theirs(content: bytes) -> Api:
        api = Api()
        made = image.archive_of_files({"/x": content}, HERE, tag="theirs:1", settings={})
        images_of(api).put(made)
        return api

    one, two = with_theirs(b"one"), with_theirs(b"two")
    source = images_of(one).program(ProgramImage(reference="theirs:1"))
    carry.save(images_of(one), {"mine": source}, tmp_path / "images.tar", SILENT)
    with archive.opened(tmp_path / "images.tar") as found:
        with pytest.raises(UsageError, match="theirs:1 is another image"):
            carry.load(images_of(two), found, SILENT)
        assert images_of(two).program(ProgramImage(reference="theirs:1")).id != source.id
        carry.load(images_of(two), found, SILENT, force=True)
    assert images_of(two).program(ProgramImage(reference="theirs:1")).id == source.id


@pytest.mark.parametrize(
    "reference", ["theirs", "localhost:5000/theirs", f"theirs@sha256:{'0' * 64}"]
)
def test_a_reference_without_a_tag_or_by_digest_is_found_where_it_was_carried_to(
    reference: str, tmp_path: Path
) -> None:
    there, here = Api(), Api()
    made = image.archive_of_files({"/x": b"x"}, HERE, tag="theirs:1", settings={})
    images_of(there).put(made)
    there.images_[made.id]["RepoTags"] = [reference]
    source = ProgramImage(reference=reference)
    ready = images_of(there).program(source)
    carry.save(images_of(there), {"mine": ready}, tmp_path / "images.tar", SILENT)
    with archive.opened(tmp_path / "images.tar") as found:
        carry.load(images_of(here), found, SILENT)
    assert images_of(here).program(source).id == images_of(here).expected(source) == made.id


def test_an_image_s_file_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "image.tar")
    with pytest.raises(UsageError, match="it is a FIFO"):
        images_of(Api()).program(ProgramImage(archive=str(tmp_path / "image.tar")))
