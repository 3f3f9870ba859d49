"""The engine is installed while .venv is made, where there is none, and ends with its `./bench`."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from harness.cli import COMMANDS

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "buildtools" / "engine_ahead.py"


@pytest.fixture
def ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, on a host of root's that has apt-get and no engine."""
    spec = importlib.util.spec_from_file_location("engine_ahead", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "bin").mkdir()
    for name in ("apt-get", "unshare"):
        program = tmp_path / "bin" / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(module.install.cgroup, "read_only_mount", lambda: "")
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", "auto")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(module.install.privileges, "has", lambda _: True)
    monkeypatch.setattr(module, "SOCKET", tmp_path / "docker.sock")
    return module


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "command",
    [[], ["--help"], ["show"], ["sweep", "--help"], ["sweep", "cpu", "--dry-run"],
     ["sweep", "cpu", "--engine-host=ssh://h"], ["ab", "--a", "--engine-host ssh://h"],
     ["sweep", "-h"], ["calibrate", "--from-history"]],
)  # fmt: skip
def test_a_command_that_starts_no_engine_installs_none(
    ahead: ModuleType, command: Sequence[str]
) -> None:
    assert ahead.main(["wanted", "sweep", "cpu"]) == 0
    assert ahead.main(["wanted", *command]) == 1


def test_each_command_that_it_is_for_obtains_an_engine(ahead: ModuleType) -> None:
    for name in ahead.MEASURE:
        source = ROOT / (COMMANDS[name][0].replace(".", "/") + ".py")
        assert "obtain_" in source.read_text(), name


def test_where_there_may_be_an_engine_the_command_itself_decides(
    ahead: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ahead.NAMED:
        with monkeypatch.context() as named:
            named.setenv(name, "tcp://h:1")
            assert not ahead.missing(["sweep"])
    with monkeypatch.context() as contexts:
        contexts.setenv("DOCKER_CONFIG", str(tmp_path))
        (tmp_path / "config.json").write_text("{}")
        assert not ahead.missing(["sweep"])
    with monkeypatch.context() as settings:
        settings.chdir(tmp_path)
        (tmp_path / "bench.toml").write_text('[sweep]\nengine-host = "ssh://h"\n')
        assert not ahead.missing(["sweep"])
        (tmp_path / "bench.toml").write_text("[sweep]\ndry-run = true\n")
        assert not ahead.missing(["sweep"])
    with monkeypatch.context() as variable:
        variable.setenv("BENCH_SWEEP_DRY_RUN", "1")
        assert not ahead.missing(["sweep"])
    with monkeypatch.context() as fixed:
        fixed.setattr(ahead.install.cgroup, "read_only_mount", lambda: "/sys/fs/cgroup")
        assert not ahead.missing(["sweep"])
    with monkeypatch.context() as rootless:
        rootless.setattr("os.geteuid", lambda: 1000)
        assert not ahead.missing(["sweep"])
    with monkeypatch.context() as never:
        never.setenv("BENCH_INSTALL_ENGINE", "never")
        assert not ahead.missing(["sweep"])
    assert ahead.missing(["sweep"])
    (tmp_path / "docker.sock").touch()
    assert not ahead.missing(["sweep"])


def test_where_dockerd_is_installed_there_is_nothing_to_do(
    ahead: ModuleType, tmp_path: Path
) -> None:
    dockerd = tmp_path / "bin" / "dockerd"
    dockerd.write_text("#!/bin/sh\n")
    dockerd.chmod(0o755)
    assert not ahead.missing(["sweep"])


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ("\n", 0, "[Y/n]"),
        ("what?\nYES\n", 0, "[Y/n]"),
        ("n\n", 4, "was not wanted"),
        ("", 130, "[Y/n]"),
    ],
)
def test_a_person_is_asked_before_anything_is_made(
    ahead: ModuleType, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, said: str
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stderr", terminal)
    assert ahead.main(["wanted", "sweep", "cpu"]) == code
    assert said in terminal.getvalue()


def test_nobody_to_ask_under_ask_is_refused_as_the_command_refuses_it(
    ahead: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCH_INSTALL_ENGINE", "ask")
    assert ahead.main(["wanted", "sweep", "cpu"]) == 4
    assert "nobody is at a terminal" in capsys.readouterr().err


def test_it_takes_no_package_and_an_old_python_is_no_trouble() -> None:
    for code in ("", "import sys; sys.version_info = (3, 9); "):
        run = f"{code}import runpy, sys; sys.argv = ['x', 'wanted', 'show']; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"  # noqa: E501
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", run], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


INSTALLS = """
import runpy, sys, time
sys.path.insert(0, {root!r})
from harness.engine import install

def have_dockerd(say, ask):
    try:
        say("installing")
        time.sleep(60)
    finally:
        say("at a safe point")

install.have_dockerd = have_dockerd
sys.argv = ["engine_ahead.py", "install", sys.argv[1]]
runpy.run_path({script!r}, run_name="__main__")
"""


def test_it_ends_with_what_becomes_of_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "installs.py"
    script.write_text(INSTALLS.format(root=str(ROOT), script=str(SCRIPT)))
    said = tmp_path / "said"
    # As ./bench does: begun by the shell, which becomes another program.
    parent = subprocess.Popen(
        ["sh", "-c", f'"{sys.executable}" "{script}" $$ 2>"{said}" & exec sleep 60']
    )
    wait_for(said, "installing")
    parent.kill()
    parent.wait()
    wait_for(said, "at a safe point")


def test_a_parent_that_is_gone_already_installs_nothing(tmp_path: Path) -> None:
    script = tmp_path / "installs.py"
    script.write_text(INSTALLS.format(root=str(ROOT), script=str(SCRIPT)))
    done = subprocess.run(
        [sys.executable, script, "1"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "")


def wait_for(file: Path, text: str) -> None:
    until = time.monotonic() + 30
    while not file.exists() or text not in file.read_text():
        assert time.monotonic() < until, file
        time.sleep(0.02)
