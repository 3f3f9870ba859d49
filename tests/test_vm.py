"""The machine of the tests, as far as it takes no machine: it is ended, and its words come back."""

from __future__ import annotations

import os
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
    assert pytest_command([], everything=True)[-1] == "tests/docker"
    assert pytest_command([], everything=False)[-len(ESSENTIAL) :] == list(ESSENTIAL)
    assert pytest_command(["-k", "quota"], everything=True)[-2:] == ["-k", "quota"]


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
