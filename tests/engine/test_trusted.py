"""What another user may have made is neither followed, nor used, nor deleted."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engine import daemon
from harness.engine.connect import find_engine, start_private
from harness.engine.trusted import distrust, make_private
from harness.errors import UsageError
from tests.engine.fake_engines import FAKE_DOCKERD, engine_at, needs_root

NOBODY = 65534

pytestmark = needs_root


@pytest.fixture
def shared(folder: Path) -> Path:
    """A folder where everybody may make what he likes, as /tmp is."""
    shared = folder / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    return shared


def of_another(path: Path) -> Path:
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return path


def test_what_is_ours_is_trusted(shared: Path) -> None:
    made = shared / "ours"
    make_private(made / "deeper")
    assert stat.S_IMODE((made / "deeper").stat().st_mode) == 0o700
    assert stat.S_IMODE(made.stat().st_mode) == 0o755
    (shared / "link").symlink_to(made)
    for path in (made, shared / "link" / "deeper", made / "nothing" / "here"):
        assert distrust(path) == ""


def test_a_folder_that_was_open_is_closed(shared: Path) -> None:
    made = shared / "ours"
    made.mkdir(mode=0o755)
    make_private(made)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def _folder(shared: Path) -> Path:
    made = shared / "e"
    made.mkdir(mode=0o700)
    return of_another(made)


def _below(shared: Path) -> Path:
    (_folder(shared) / "deeper").mkdir()
    return shared / "e" / "deeper"


def _link(shared: Path) -> Path:
    made = shared / "e"
    made.symlink_to(shared.parent)
    return of_another(made)


def _link_to_a_link(shared: Path) -> Path:
    (shared / "ours").symlink_to(_link(shared))
    return shared / "ours"


def _endless(shared: Path) -> Path:
    (shared / "a").symlink_to(shared / "b")
    (shared / "b").symlink_to(shared / "a")
    return shared / "a"


def _open(shared: Path) -> Path:
    (shared / "e").mkdir()
    (shared / "e").chmod(0o777)
    return shared / "e"


def _open_to_a_group(shared: Path) -> Path:
    (shared / "e").mkdir()
    (shared / "e").chmod(0o770)
    os.chown(shared / "e", 0, NOBODY)
    return shared / "e"


def _in_an_open_one(shared: Path) -> Path:
    shared.chmod(0o777)
    return shared / "e"


@pytest.mark.parametrize(
    "made",
    [_folder, _below, _link, _link_to_a_link, _endless, _open, _open_to_a_group, _in_an_open_one],
)
def test_what_others_can_change_is_refused_and_left_alone(
    shared: Path,
    made: Callable[[Path], Path],
    program: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program("dockerd", FAKE_DOCKERD)
    path = made(shared)
    monkeypatch.setenv("BENCH_ENGINE_DIR", str(path))
    before = sorted(shared.parent.rglob("*"))
    assert distrust(path)
    with pytest.raises(UsageError, match="not safe for the private engine"):
        start_private(lambda _: None)
    with pytest.raises(UsageError, match="not safe for the private engine"):
        daemon.stop(purge=True)
    assert not daemon.status().answers
    assert sorted(shared.parent.rglob("*")) == before


@pytest.fixture
def no_other_engine(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(folder / "none"))


@pytest.mark.usefixtures("no_other_engine")
def test_a_socket_of_another_user_is_not_spoken_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_ENGINE_DIR", str(folder / "e"))
    make_private(folder / "e")
    path = folder / "e" / "docker.sock"
    with engine_at(path) as host:
        assert daemon.status().answers
        of_another(path)
        assert not daemon.status().answers
        with pytest.raises(UsageError, match=r"docker\.sock belongs to user"):
            find_engine(host)


def test_what_it_makes_is_for_root_alone(
    private_folder: Path, program: Callable[[str, str], Path]
) -> None:
    program("dockerd", FAKE_DOCKERD)
    private_folder.mkdir(mode=0o755)
    assert start_private(lambda _: None).answers
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in private_folder.iterdir()}
    assert stat.S_IMODE(private_folder.stat().st_mode) == 0o700
    assert (modes["docker.sock"], modes["dockerd.log"]) == (0o600, 0o600)
    assert stat.S_ISSOCK((private_folder / "docker.sock").stat().st_mode)
