"""The machine of the tests, as far as it takes no machine: it is ended, and its words come back."""

from __future__ import annotations

import os
import shlex
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from tests.vm import image, machine
from tests.vm.__main__ import ESSENTIAL, pytest_command


@pytest.mark.slow
def test_a_machine_that_does_not_power_off_is_ended(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    # Deaf to SIGTERM, so that only SIGKILL is left; `exec` keeps its pid.
    script = f"trap '' TERM; echo $$ >{told}; echo on; exec sleep 60"
    heard: list[str] = []
    began = time.monotonic()
    with pytest.raises(image.VmError, match="did not power off within 1 s"):
        machine._boot(["sh", "-c", script], 1, heard.append)
    assert time.monotonic() - began < 20
    assert heard == ["on"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def test_qemu_s_own_trouble_is_told() -> None:
    with pytest.raises(image.VmError, match="qemu failed: no such machine"):
        machine._boot(["sh", "-c", "echo no such machine >&2; exit 1"], 10, lambda _: None)


def test_results_come_back_from_a_disk_and_an_empty_one_gives_none(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (tmp_path / "exit-code").write_text("3\n")
    with tarfile.open(disk, "w") as tar:
        tar.add(tmp_path / "exit-code", "./exit-code")
    os.truncate(disk, 1 << 20)
    machine._unpack(disk, tmp_path / "back")
    assert (tmp_path / "back" / "exit-code").read_text() == "3\n"
    os.truncate(disk, 0)
    os.truncate(disk, 1 << 20)
    machine._unpack(disk, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_image_s_name_follows_from_what_it_is_made_of() -> None:
    assert image._recipe("bookworm") == image._recipe("bookworm")
    assert image._recipe("bookworm") != image._recipe("forky")


def test_the_selection_for_ci_names_tests_that_exist() -> None:
    for one in ESSENTIAL:
        file, _, name = one.partition("::")
        assert f"def {name or 'test_'}" in (image.ROOT / file).read_text()

    def first(arguments: list[str], *, everything: bool) -> list[str]:
        return shlex.split(pytest_command(arguments, everything=everything).splitlines()[0])

    assert first([], everything=True)[-1] == "tests/docker"
    assert first([], everything=False)[-len(ESSENTIAL) :] == list(ESSENTIAL)
    assert first(["-k", "quota or cpus"], everything=True)[-2:] == ["-k", "quota or cpus"]


@pytest.mark.parametrize(("ends", "code", "runs"), [
    ([0], 0, 1), ([1, 0], 0, 2), ([1, 1], 1, 2), ([2], 2, 1), ([5], 5, 1),
])  # fmt: skip
def test_what_failed_there_is_run_once_more(
    tmp_path: Path, ends: list[int], code: int, runs: int
) -> None:
    (tmp_path / "ends").write_text("".join(f"{end}\n" for end in ends))
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\necho "$*" >> ran\nexit $(sed -n "$(wc -l < ran)p" ends)\n'
    )  # fmt: skip
    python.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    script = pytest_command([], everything=False)
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, check=False, capture_output=True,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == code
    ran = (tmp_path / "ran").read_text().splitlines()
    assert ["--last-failed" in one for one in ran] == [False, True][:runs]


def test_the_machine_gets_what_its_own_python_wants() -> None:
    lock = (
        "# made by a tool\n"
        "one==1 ; python_full_version < '3.12' \\\n    --hash=sha256:a\n    # via x\n"
        "one==2 ; python_full_version >= '3.12' \\\n    --hash=sha256:b\n"
        "two==1 ; sys_platform == 'win32' \\\n    --hash=sha256:c\n"
        "three==1 \\\n    --hash=sha256:d\n"
    )
    found = image.wanted_by(lock, "3.14")
    assert [line for line in found.splitlines() if "==" in line] == ["one==2 \\", "three==1 \\"]
    assert "sha256:b" in found
    assert "sha256:a" not in found
    assert "one==1" in image.wanted_by(lock, "3.11")
