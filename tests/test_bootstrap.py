"""``./bench`` makes its .venv, whatever happens on the way, and costs nothing afterwards.

The fast tests give it a Python that only writes down what it was asked to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Stands for python3 and, copied, for .venv/bin/python. $DIE_AT kills its caller, as a lost
# connection or a power cut would; $FAIL_AT fails; both when a call matches.
PYTHON = """#!/bin/sh
case $* in
    -c*version_info*) exit "${OLD:-0}" ;;
    -c*ensurepip*) exit "${NO_VENV:-0}" ;;
    */engine_ahead.py?wanted*) exit "${ENGINE_WANTED:-1}" ;;
    */engine_ahead.py?install*) echo "$*" "$PPID" >"$LOG.engine"; exit 0 ;;
esac
echo "$*" >>"$LOG"
sleep "${SLOW:-0}"
case $* in
    *${DIE_AT:-nothing}*) kill -9 $PPID ;;
    *${FAIL_AT:-nothing}*) echo "no route to host" >&2; exit 1 ;;
esac
case $* in
    "-m venv"*)
        mkdir "$3/bin"
        cp "$0" "$3/bin/python" ;;
    *--editable*)
        printf '#!/bin/sh\\nprintf "<%%s>" "$@"\\n' >"${0%/*}/bench"
        chmod +x "${0%/*}/bench" ;;
esac
"""

VENV = "-m venv "
LOCK = "-r "
PACKAGE = "--editable"


@dataclass
class Checkout:
    """A copy of the bootstrap with a lock file of its own, and the log of its Python."""

    path: Path
    log: Path
    environment: dict[str, str] = field(default_factory=dict)

    def bench(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.call([str(self.path / "bench"), *args], **environment)

    def call(
        self, command: Sequence[str | Path], cwd: str | Path = "/", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=cwd,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def steps(self) -> list[str]:
        """The kinds of work that Python was asked to do since the last look, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [next(k for k in (VENV, LOCK, PACKAGE) if k in line) for line in lines]

    def works(self) -> None:
        result = self.bench("works")
        assert (result.returncode, result.stdout) == (0, "<works>"), result.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    path = tmp_path / "a checkout's folder"
    (path / "buildtools").mkdir(parents=True)
    for name in ("bench", "buildtools/setup-venv"):
        shutil.copy(ROOT / name, path / name)
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (path / name).write_text("first")
    python = tmp_path / "python stub"
    python.write_text(PYTHON)
    python.chmod(0o755)
    log = tmp_path / "log"
    environment = {"PATH": os.environ["PATH"], "PYTHON": str(python), "LOG": str(log)}
    return Checkout(path, log, environment)


def test_the_first_call_sets_up_and_later_calls_only_run(checkout: Checkout) -> None:
    first = checkout.bench("sweep", "two words", "")
    assert (first.returncode, first.stdout) == (0, "<sweep><two words><>"), first.stderr
    assert checkout.steps() == [VENV, LOCK, PACKAGE]
    assert len(first.stderr.splitlines()) == 2
    later = checkout.bench("sweep")
    assert (later.returncode, later.stdout, later.stderr) == (0, "<sweep>", "")
    assert checkout.steps() == []


def test_an_engine_that_is_wanted_is_installed_meanwhile(checkout: Checkout) -> None:
    begun = checkout.bench("x", ENGINE_WANTED="0")
    assert begun.stdout == "<x>", begun.stderr
    # what runs beside it is told whose end is its own: that of ./bench and of what it becomes
    *told, parent = Path(f"{checkout.log}.engine").read_text().split()
    assert told[-2:] == ["install", parent]
    assert checkout.steps() == [VENV, LOCK, PACKAGE]
    checkout.bench("x", ENGINE_WANTED="4")  # only once
    assert checkout.steps() == []


@pytest.mark.parametrize("code", ["4", "130"])
def test_an_engine_that_was_not_wanted_ends_it_before_anything_is_made(
    checkout: Checkout, code: str
) -> None:
    refused = checkout.bench("sweep", ENGINE_WANTED=code)
    assert refused.returncode == int(code)
    assert not (checkout.path / ".venv").exists()


def test_called_through_symlinks_from_elsewhere(checkout: Checkout, tmp_path: Path) -> None:
    checkout.works()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "absolute").symlink_to(checkout.path / "bench")
    (tmp_path / "bin" / "bench").symlink_to("absolute")
    assert checkout.call([tmp_path / "bin" / "bench", "x"]).stdout == "<x>"
    assert checkout.call(["./bench", "x"], tmp_path / "bin").stdout == "<x>"
    assert checkout.call(["sh", "bench", "x"], checkout.path).stdout == "<x>"
    assert len(checkout.steps()) == 3


@pytest.mark.parametrize("step", [VENV, LOCK, PACKAGE])
def test_an_interrupted_set_up_is_begun_again(checkout: Checkout, step: str) -> None:
    assert checkout.bench(DIE_AT=step).returncode != 0
    checkout.steps()
    checkout.works()
    assert checkout.steps() == [VENV, LOCK, PACKAGE]
    assert not list(checkout.path.glob(".venv.*"))


def test_an_update_that_was_interrupted_is_begun_again(checkout: Checkout) -> None:
    checkout.works()
    (checkout.path / "pyproject.toml").write_text("second")
    assert checkout.bench(DIE_AT=PACKAGE).returncode != 0
    checkout.steps()
    checkout.works()
    assert checkout.steps() == [VENV, LOCK, PACKAGE]


@pytest.mark.parametrize("step", [VENV, LOCK, PACKAGE])
def test_a_failure_is_told_with_a_code_of_its_own(checkout: Checkout, step: str) -> None:
    failed = checkout.bench(FAIL_AT=step)
    assert failed.returncode == 4
    assert "no route to host" in failed.stderr
    checkout.works()


def test_no_failure_looks_like_a_regression(checkout: Checkout) -> None:
    (checkout.path / "requirements.lock").unlink()
    assert checkout.bench().returncode == 4  # the tool that failed had said 1


def test_what_changed_is_done_again_and_no_more(checkout: Checkout) -> None:
    checkout.works()
    checkout.steps()
    (checkout.path / "requirements.lock").touch()
    (checkout.path / "pyproject.toml").touch()
    checkout.works()
    assert checkout.steps() == []
    (checkout.path / "pyproject.toml").write_text("second")
    checkout.works()
    assert checkout.steps() == [PACKAGE]
    (checkout.path / "requirements.lock").write_text("second")
    checkout.works()
    assert checkout.steps() == [VENV, LOCK, PACKAGE]


def test_the_developers_tools_are_added_and_kept(checkout: Checkout) -> None:
    set_up = checkout.path / "buildtools" / "setup-venv"
    checkout.works()
    checkout.steps()
    assert checkout.call([set_up, "--dev"]).returncode == 0
    assert checkout.steps() == [LOCK]
    checkout.call([set_up, "--dev"])
    assert checkout.steps() == []
    (checkout.path / "requirements.lock").write_text("second")
    checkout.works()
    assert checkout.steps() == [VENV, LOCK, LOCK, PACKAGE]


def test_a_copied_checkout_gets_a_venv_of_its_own(checkout: Checkout, tmp_path: Path) -> None:
    checkout.works()
    checkout.steps()
    copy = Checkout(tmp_path / "copy", checkout.log, checkout.environment)
    shutil.copytree(checkout.path, copy.path, copy_function=shutil.copy2)
    copy.works()
    assert copy.steps() == [VENV, LOCK, PACKAGE]


@pytest.mark.slow
def test_two_first_calls_at_once_make_one_venv(checkout: Checkout) -> None:
    calls = [
        subprocess.Popen(
            [checkout.path / "bench", "x"],
            env=checkout.environment | {"SLOW": "0.2"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    results = [call.communicate(timeout=30) for call in calls]
    assert [said for said, _ in results] == ["<x>"] * 3
    assert checkout.steps() == [VENV, LOCK, PACKAGE]


def test_a_venv_of_somebody_else_is_left_alone(checkout: Checkout) -> None:
    theirs = checkout.path / ".venv" / "pyvenv.cfg"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    refused = checkout.bench()
    assert refused.returncode == 4
    assert "was not made by ./bench" in refused.stderr
    assert theirs.read_text() == "theirs"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"NO_VENV": "1"}, "apt-get install python3-venv"),
        ({"OLD": "1"}, "is not a Python 3.11 or later"),
        ({"PYTHON": "/nonexistent/python"}, "is not a Python 3.11 or later"),
        ({"PYTHON": ""}, "no Python 3.11 or later was found"),
    ],
)
def test_without_a_python_that_will_do(
    checkout: Checkout, tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    tools = tmp_path / "tools"  # a PATH without any python
    tools.mkdir()
    for name in ("sh", "dirname", "cmp", "flock"):
        (tools / name).symlink_to(shutil.which(name) or name)
    refused = checkout.bench(PATH=str(tools), **environment)
    assert refused.returncode == 4
    assert words in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (checkout.path / ".venv").exists()


@pytest.mark.slow
def test_the_real_lock_gives_a_bench_that_works(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "PYTHONPATH")}

    def version() -> subprocess.CompletedProcess[str]:
        command = [str(tmp_path / "bench"), "--version"]
        return subprocess.run(command, env=clean, capture_output=True, text=True, check=False)

    first, later = version(), version()
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("bench, version ")
    assert (later.returncode, later.stdout, later.stderr) == (0, first.stdout, "")
