"""``bench image`` where no engine is needed, and where none answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.engine import archive
from tests.archives import TWO
from tests.command import NO_ENGINE, bench, one_line


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "images.tar"
    archive.write(path, TWO)
    return path


@pytest.mark.slow
def test_a_dry_run_verifies_and_lists_without_an_engine(saved: Path, tmp_path: Path) -> None:
    done = bench("image", "load", "--dry-run", saved.name, cwd=tmp_path, DOCKER_HOST=NO_ENGINE)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        one.described.id for one in TWO
    ]
    told = json.loads(
        bench("image", "load", "--dry-run", "--json", saved.name, cwd=tmp_path).stdout
    )
    assert [one["names"] for one in told["images"]] == [list(one.described.names) for one in TWO]


@pytest.mark.slow
def test_a_damaged_or_foreign_file_is_one_line_before_any_engine_is_asked(
    saved: Path, tmp_path: Path
) -> None:
    def load(path: Path, *words: str) -> None:
        done = bench("image", "load", str(path), cwd=tmp_path, DOCKER_HOST=NO_ENGINE)
        one_line(done, 2, *words)

    whole = bytearray(saved.read_bytes())
    whole[-3000] ^= 1
    (tmp_path / "flipped.tar").write_bytes(whole)
    (tmp_path / "cut.tar").write_bytes(whole[:-2000])
    (tmp_path / "foreign.tar").write_bytes(b"\0" * 10_240)
    (tmp_path / "link.tar").symlink_to(saved)
    os.mkfifo(tmp_path / "fifo.tar")
    load(tmp_path / "flipped.tar", "is damaged", "save it again")
    load(tmp_path / "cut.tar", "it ends after")
    load(tmp_path / "foreign.tar", "not written by `bench image save`", "docker load")
    load(tmp_path / "link.tar", "it is a link")
    load(tmp_path / "fifo.tar", "it is a FIFO")
    load(tmp_path / "nothing.tar", "No such file")


def test_a_whole_archive_and_no_engine(saved: Path, tmp_path: Path) -> None:
    done = bench("image", "load", saved.name, cwd=tmp_path, DOCKER_HOST=NO_ENGINE)
    one_line(done, 4, "does not answer")


def test_a_file_that_is_there_is_refused_before_an_engine_is_asked(
    saved: Path, tmp_path: Path
) -> None:
    before = saved.read_bytes()
    done = bench("image", "save", saved.name, cwd=tmp_path, DOCKER_HOST=NO_ENGINE)
    one_line(done, 2, "is there already", "--force")
    assert saved.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("list",), 4, ("does not answer",)),
        (("inspect", "probe"), 4, ("does not answer",)),
        (("rm", "--all"), 4, ("does not answer",)),
        (("rm",), 2, ("--all",)),
        (("rm", "--all", "probe"), 2, ("--all",)),
        (("save", "x.tar", "nosuch"), 4, ("does not answer",)),
        (("pull", "nosuch"), 2, ("no workload 'nosuch'",)),
        (("pull", "spin"), 2, ("comes from no registry",)),
    ],
)
def test_what_cannot_be_done_is_one_line(
    args: tuple[str, ...], code: int, words: tuple[str, ...], tmp_path: Path
) -> None:
    one_line(bench("image", *args, cwd=tmp_path, DOCKER_HOST=NO_ENGINE), code, *words)
    assert list(tmp_path.iterdir()) == []
