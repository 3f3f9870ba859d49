"""Installing an engine: whether it may be, what is said, and how the host is left. A fake apt."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engine import install
from harness.engine.connect import (
    private_engine_obstacle,
)
from harness.errors import EngineError

pytestmark = pytest.mark.usefixtures("private_folder")


APT = """\
#!/bin/sh
echo "$*" >>{log}
echo "$DEBIAN_FRONTEND" >>{log}.frontend
case $* in *" install "*) ;; *) exit 0 ;; esac
cp {root}/usr/sbin/policy-rc.d {log}.policy
{then}
"""


@pytest.fixture
def debian(
    folder: Path, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A root folder, and an apt-get that installs a dockerd."""
    root = folder / "debian"
    (root / "usr" / "sbin").mkdir(parents=True)
    (root / "lib" / "systemd" / "system").mkdir(parents=True)
    (root / "lib" / "systemd" / "system" / "containerd.service").touch()
    units = root / "lib" / "systemd" / "system"
    apt_installs(
        root, program, f"touch {units}/docker.service {units}/docker.socket\n"
        f"cp {root}/dockerd {folder}/programs/dockerd",
    )  # fmt: skip
    (root / "dockerd").write_text("#!/bin/sh\n")
    (root / "dockerd").chmod(0o755)
    program("systemctl", f'#!/bin/sh\necho "$*" >>{root}/systemctl.log\n')
    return root


def apt_installs(root: Path, program: Callable[[str, str], Path], then: str) -> None:
    program("apt-get", APT.format(root=root, log=root / "apt.log", then=then))


def test_without_a_terminal_it_is_installed_under_auto_and_said(
    debian: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", "auto")
    said: list[str] = []
    path = install.have_dockerd(said.append, None, root=debian)
    assert path == install.find_tool("dockerd")
    assert "installing the package docker.io" in said[0]
    update, installed = (debian / "apt.log").read_text().splitlines()
    assert update.endswith(" update")
    assert installed.endswith("install --yes --no-remove --no-install-recommends docker.io")
    assert (debian / "apt.log.frontend").read_text().split() == ["noninteractive"] * 2
    # services were kept off meanwhile, and only those that are new are off at the next boot
    assert "exit 101" in (debian / "apt.log.policy").read_text()
    assert not (debian / "usr" / "sbin" / "policy-rc.d").exists()
    assert (debian / "systemctl.log").read_text() == "disable docker.service docker.socket\n"
    assert install.have_dockerd(pytest.fail, pytest.fail, root=debian) == path


@pytest.mark.parametrize(
    ("policy", "answer", "reason"),
    [
        ("auto", False, "was not wanted"),
        ("ask", False, "was not wanted"),
        ("ask", None, "nobody is at a terminal"),
        ("", None, "nobody is at a terminal"),
        ("never", True, "BENCH_INSTALL_ENGINE=never"),
    ],
)
def test_nothing_is_installed_that_was_not_allowed(
    debian: Path, monkeypatch: pytest.MonkeyPatch, policy: str, answer: bool | None, reason: str
) -> None:
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", policy)
    ask = None if answer is None else lambda question: bool(answer)
    with pytest.raises(EngineError, match=f"{reason}.*apt-get install docker.io"):
        install.have_dockerd(pytest.fail, ask, root=debian)
    assert not (debian / "apt.log").exists()


@pytest.mark.parametrize("policy", ["auto", "ask"])
def test_a_person_who_says_yes(debian: Path, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", policy)
    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return True

    assert install.have_dockerd(lambda _: None, ask, root=debian)
    assert len(asked) == 1
    assert "docker.io" in asked[0]


def test_one_that_is_being_installed_is_waited_for(
    debian: Path, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", "auto")
    # dpkg has dockerd in its place long before what dockerd runs
    program("dockerd", "#!/bin/sh\n")
    lock = os.open(debian / "usr" / "sbin", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        os.close(lock)  # the other one is done

    assert install.have_dockerd(say, pytest.fail, root=debian) == install.find_tool("dockerd")
    assert said == ["Waiting for docker.io, which another process is installing."]
    assert not (debian / "apt.log").exists()


@pytest.mark.parametrize("then", ["echo 'E: Unable to locate it' >&2; echo done; exit 100",
                                  "kill -INT $PPID; exec sleep 60"])  # fmt: skip
@pytest.mark.parametrize("kind", ["file", "link", "none"])
def test_policy_rc_d_is_put_back_as_it_was(
    debian: Path, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch,
    then: str, kind: str,
) -> None:  # fmt: skip
    policy = debian / "usr" / "sbin" / "policy-rc.d"
    if kind == "file":
        policy.write_text("#!/bin/sh\nexit 0\n")
        policy.chmod(0o711)
    elif kind == "link":
        policy.symlink_to("nowhere")
    before = policy.lstat() if kind != "none" else None
    apt_installs(debian, program, then)
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", "auto")
    interrupted = "kill" in then
    with pytest.raises(KeyboardInterrupt if interrupted else EngineError) as told:
        install.have_dockerd(lambda _: None, None, root=debian)
    if not interrupted:
        assert "failed: Unable to locate it." in str(told.value)
    assert "exit 101" in (debian / "apt.log.policy").read_text()
    assert [path.name for path in policy.parent.iterdir()] == ["policy-rc.d"] * (kind != "none")
    if before is not None:
        after = policy.lstat()
        assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
        assert stat.S_ISLNK(after.st_mode) is (kind == "link")


def test_package_lists_that_cannot_be_updated_are_no_end(
    debian: Path, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (debian.parent / "programs" / "apt-get").read_text()
    program("apt-get", text.replace("exit 0 ;;", "echo E: a source is down; exit 100 ;;"))
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", "auto")
    said: list[str] = []
    assert install.have_dockerd(said.append, None, root=debian)
    assert "a source is down" in said[1]


def test_no_dockerd_and_no_way_to_one(
    program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", "auto")
    assert "apt-get" in install.obstacle()
    with pytest.raises(EngineError, match="no apt-get to install it"):
        install.have_dockerd(pytest.fail, None)
    assert (install.unfit() or install.obstacle()) in private_engine_obstacle()
    program("dockerd", "#!/bin/sh\n")
    assert install.obstacle() == ""


def test_sbin_beside_bin_counts_as_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin" / "dockerd").write_text("#!/bin/sh\n")
    (tmp_path / "sbin" / "dockerd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert install.find_tool("dockerd") == str(tmp_path / "sbin" / "dockerd")
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    assert install.find_tool("dockerd") is None
