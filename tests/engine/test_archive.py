"""The file of ``bench image save``: the same images come back, and nothing else is believed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.engine import archive
from harness.engine.archive import Content, Described
from harness.engine.image import archive_of_files
from harness.engine.saved import unpack
from harness.errors import ResultsError, UsageError
from tests.archives import TWO, content


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "images.tar"
    archive.write(path, TWO)
    return path


def verified(path: Path) -> tuple[Described, ...]:
    with archive.opened(path) as found:
        found.verify()
        return found.images


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        verified(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- writing ---------------------------------------------------------------------------------


def test_what_was_written_comes_back(saved: Path) -> None:
    assert verified(saved) == tuple(one.described for one in TWO)
    assert saved.stat().st_size == archive.total_bytes([one.described for one in TWO])


def test_the_same_images_are_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    archive.write(tmp_path / "again.tar", TWO)
    assert (tmp_path / "again.tar").read_bytes() == saved.read_bytes()


def test_it_is_what_docker_load_reads(saved: Path) -> None:
    with tarfile.open(saved) as tar:
        manifest = json.load(tar.extractfile("manifest.json") or io.BytesIO())
        assert [one["RepoTags"] for one in manifest] == [["limitbench/one:1"], ["limitbench/two:2"]]
        for one, told in zip(TWO, manifest, strict=True):
            config = tar.extractfile(told["Config"])
            assert config is not None
            assert config.read() == one.config
            diff_ids = json.loads(one.config)["rootfs"]["diff_ids"]
            layers = [tar.extractfile(name) for name in told["Layers"]]
            found = [hashlib.sha256(layer.read()).hexdigest() for layer in layers if layer]
            assert [f"sha256:{digest}" for digest in found] == diff_ids


def test_one_image_of_it_is_what_an_engine_gives(saved: Path) -> None:
    with archive.opened(saved) as found:
        found.verify()
        for one, written in zip(found.images, TWO, strict=True):
            given = unpack(io.BytesIO(b"".join(found.stream(one))))
            assert given.config == written.config == found.config(one)
            assert (given.digests, given.lengths) == (one.layers, one.layer_bytes)


def test_a_layer_that_two_images_have_is_there_once(tmp_path: Path) -> None:
    same = content("limitbench/other:1", b"x" * 10_000)
    other = Content(
        described=Described(
            id=f"sha256:{hashlib.sha256(same.config + b' ').hexdigest()}",
            names=("limitbench/alike:1",), architecture=same.described.architecture,
            layers=same.described.layers, layer_bytes=same.described.layer_bytes,
            config_bytes=len(same.config) + 1,
        ),
        config=same.config + b" ", layers=same.layers,
    )  # fmt: skip
    archive.write(tmp_path / "shared.tar", [same, other])
    assert verified(tmp_path / "shared.tar") == (same.described, other.described)
    assert (tmp_path / "shared.tar").stat().st_size < 2 * same.described.size_bytes


def test_a_file_that_is_there_is_replaced_by_force_only(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(UsageError, match="--force"):
        archive.write(saved, TWO[:1])
    assert saved.read_bytes() == before
    archive.write(saved, TWO[:1], force=True)
    assert verified(saved) == (TWO[0].described,)


def test_what_is_no_file_is_not_replaced_even_by_force(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo"):
        with pytest.raises(UsageError, match="is no file"):
            archive.write(path, TWO, force=True)


def test_a_failure_leaves_nothing_half_written(tmp_path: Path) -> None:
    def changed() -> list[bytes]:
        return [b"another layer than before"]

    broken = Content(described=TWO[0].described, config=TWO[0].config,
                     layers=(lambda: iter(changed()),))  # fmt: skip
    with pytest.raises(ResultsError, match="a layer changed"):
        archive.write(tmp_path / "images.tar", [broken])
    with pytest.raises(ResultsError, match="cannot write"):
        archive.write(tmp_path / "nowhere" / "images.tar", TWO)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"its disk has .* free"):
        archive.refuse_room(tmp_path / "images.tar", 1 << 60)
    huge = Described(id=TWO[0].described.id, names=("limitbench/huge:1",), architecture="amd64",
                     layers=tuple(f"{n:064x}" for n in range(5_000)),
                     layer_bytes=(8 << 30,) * 5_000, config_bytes=1)  # fmt: skip
    with pytest.raises(ResultsError, match=r"its disk has .* free"):
        archive.write(tmp_path / "images.tar", [Content(described=huge, config=b"{", layers=())])
    assert list(tmp_path.iterdir()) == []


# --- what is refused ---------------------------------------------------------------------------


def test_every_flipped_bit_is_noticed(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    path = tmp_path / "flipped.tar"
    for place in range(0, len(whole), 211):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        path.write_bytes(broken)
        refused(path)


def test_every_cut_is_noticed(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    path = tmp_path / "cut.tar"
    for length in (0, 1, 511, 512, 600, len(whole) // 2, len(whole) - 1024, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path)
    path.write_bytes(whole + b"\0")
    assert "follows its end" in refused(path)


def forged(
    path: Path,
    change: Callable[[dict[str, object]], object],
    separators: tuple[str, str] = (",", ":"),
) -> Path:
    """An archive whose index says something else, with a digest that agrees."""
    index = {"limitbench-images": 1, "images": [json.loads(json.dumps(asdict(TWO[0].described)))]}
    change(index)
    content = json.dumps(index, sort_keys=True, separators=separators).encode()
    name = f"limitbench-{hashlib.sha256(content).hexdigest()}.json"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "sha256:../../etc/passwd"), ("id", "../x"), ("id", 7), ("names", []),
        ("names", ["../../x:1"]), ("names", ["x"]), ("names", "limitbench/one:1"),
        ("names", ["a\u001b[31m:1"]), ("layers", ["../../../etc/cron.d/x"]), ("layers", []),
        ("layers", ["0" * 64, "1" * 64]), ("layer_bytes", [-1]), ("layer_bytes", [1 << 60]),
        ("layer_bytes", [True]), ("layer_bytes", 5), ("layer_bytes", [1.5]),
        ("config_bytes", 1 << 30), ("config_bytes", "1"), ("architecture", None),
        ("workloads", "spin"), ("workloads", [1]), ("more", 1), ("compiler", ["x"]),
    ],
)  # fmt: skip
def test_an_index_that_says_odd_things_is_refused(
    field: str, value: object, tmp_path: Path
) -> None:
    def change(index: dict[str, object]) -> None:
        index["images"][0][field] = value  # type: ignore[index]

    refused(forged(tmp_path / "forged.tar", change))


def test_an_index_of_another_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "forged.tar"
    refused(forged(path, lambda index: index.update({"limitbench-images": 2})))
    refused(forged(path, lambda index: index.update({"images": []})))
    refused(forged(path, lambda index: index.update({"images": index["images"] * 2})))  # type: ignore[operator]
    refused(forged(path, lambda index: index.update({"images": 3})))
    refused(forged(path, lambda index: index.pop("limitbench-images")))
    assert "its form is another" in refused(forged(path, lambda _: None, (", ", ": ")))
    assert "ends after" in refused(forged(path, lambda _: None))


def test_what_others_wrote_is_refused_with_what_takes_it(tmp_path: Path) -> None:
    foreign = archive_of_files({"/x": b"x"}, "x86_64", tag="x:1", settings={})
    path = tmp_path / "docker.tar"
    path.write_bytes(foreign.archive)
    assert "docker load" in refused(path)
    for other in (b"", b"\0" * 10_240, b"GIF89a" + b"x" * 5000, b"limitbench-" * 900):
        path.write_bytes(other)
        refused(path)


@pytest.mark.parametrize("name", ["../../x", "/etc/cron.d/x", "limitbench-x.json"])
def test_a_member_of_a_name_of_its_own_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    refused(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_bomb_costs_neither_time_nor_memory(saved: Path, tmp_path: Path) -> None:
    """A pax header of terabytes, an index of terabytes, a sparse tail."""
    sparse = tmp_path / "sparse.tar"
    for head in (saved.read_bytes(), tarfile.TarInfo("limitbench-" + "0" * 64 + ".json").tobuf()):
        sparse.write_bytes(head)
        with sparse.open("r+b") as out:
            out.truncate(1 << 39)
        began = time.process_time()
        refused(sparse)
        assert time.process_time() - began < 1
    member = tarfile.TarInfo(f"limitbench-{'0' * 64}.json")
    member.size = (8 << 30) - 1
    sparse.write_bytes(member.tobuf(tarfile.USTAR_FORMAT))
    with sparse.open("r+b") as out:
        out.truncate(9 << 30)
    refused(sparse)


def test_links_pipes_sockets_and_folders_are_not_read(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(saved)
    assert "it is a link" in refused(tmp_path / "link")
    os.mkfifo(tmp_path / "fifo")
    assert "it is a FIFO" in refused(tmp_path / "fifo")
    assert "it is a folder" in refused(tmp_path)
    assert "No such file" in refused(tmp_path / "nothing")
    assert "it is a device" in refused(Path("/dev/zero"))
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(tmp_path / "s"))
        assert "it is a socket" in refused(tmp_path / "s")


def test_it_may_be_unpacked_by_tar_and_holds_plain_files_alone(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", saved, "-C", tmp_path / "out"], check=True)
    with tarfile.open(saved) as tar:
        assert all(member.isreg() for member in tar)
        assert all(".." not in member.name and member.name[0] != "/" for member in tar)


# --- what an engine gives ----------------------------------------------------------------------


def test_a_layer_that_is_a_link_to_another_is_found(tmp_path: Path) -> None:
    """As Docker 20.10 writes two equal layers."""
    made = archive_of_files({"/x": b"x"}, "x86_64", tag="x:1", settings={})
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(made.archive)) as tar,
        tarfile.open(fileobj=out, mode="w") as again,
    ):
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            data = content.read()
            if member.name == "manifest.json":
                (told,) = json.loads(data)
                told["Layers"].append("second/layer.tar")
                data = json.dumps([told]).encode()
                member.size = len(data)
                link = tarfile.TarInfo("second/layer.tar")
                link.type, link.linkname = tarfile.SYMTYPE, f"../{told['Layers'][0]}"
                again.addfile(link)
            again.addfile(member, io.BytesIO(data))
    found = unpack(out)
    assert found.digests[0] == found.digests[1]


@pytest.mark.parametrize("given", [b"", b"no tar", b"\0" * 1024])
def test_an_engine_that_gives_no_image_is_told(given: bytes) -> None:
    with pytest.raises(ValueError, match="no image"):
        unpack(io.BytesIO(given))
