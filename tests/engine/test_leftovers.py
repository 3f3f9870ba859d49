"""What is known as left by a bench that died, and what is not."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import psutil
import pytest

from harness.engine import leftovers
from harness.model import WriterProcess
from harness.store import writer

LIVING = writer.own()
DEAD = dataclasses.replace(LIVING, started_s=LIVING.started_s - 1000)
"""Its number is another's by now: ours."""
BEFORE_BOOT, NOW = int(psutil.boot_time()) - 60, int(psutil.boot_time()) + 60
CONTAINER = "0123456789abcdef" * 4


def text(process: WriterProcess, **wrong: object) -> str:
    return json.dumps({**dataclasses.asdict(process), **wrong})


@pytest.mark.parametrize(
    ("process", "state", "created", "found"),
    [
        (LIVING, "running", NOW, "lives"),
        (LIVING, "exited", BEFORE_BOOT, "lives"),
        (DEAD, "running", NOW, "died"),
        (dataclasses.replace(DEAD, pid_namespace="pid:[1]"), "running", NOW, "unknown"),
        (dataclasses.replace(DEAD, host="elsewhere"), "running", NOW, "unknown"),
        (dataclasses.replace(DEAD, boot_id="before"), "exited", BEFORE_BOOT, "died"),
        # Another host of this name, which uses the engine too.
        (dataclasses.replace(DEAD, boot_id="other"), "running", NOW, "unknown"),
        (dataclasses.replace(DEAD, boot_id="other"), "created", NOW, "unknown"),
    ],
)
def test_containers(process: WriterProcess, state: str, created: int, found: str) -> None:
    labels = {leftovers.PROCESS_LABEL: text(process)}
    listed = {"Labels": labels, "State": state, "Created": created}
    assert leftovers.bench_of(listed) == found


@pytest.mark.parametrize(
    "label",
    ["", "{}", "[]", "not JSON", '{"pid": 1}',
     *(text(DEAD, pid=pid) for pid in ("1", 1.5, -1, 1 << 80))],
)  # fmt: skip
def test_of_a_container_that_names_no_process_nothing_is_known(label: str) -> None:
    listed = {"Labels": {leftovers.PROCESS_LABEL: label}, "State": "exited", "Created": 0}
    assert leftovers.bench_of(listed) == "unknown"
    assert leftovers.bench_of({"Labels": None, "State": "exited", "Created": 0}) == "unknown"


def test_an_image_s_tag_names_its_bench() -> None:
    tag = f"limitbench-claims:20261126-claims-1-1-{leftovers.brief_mark()}"
    assert len(tag.partition(":")[2]) <= 128
    assert leftovers.bench_of_tag(tag) == "lives"
    dead = tag.replace(f"-p{os.getpid()}-", f"-p{1 << 22}-")
    assert leftovers.bench_of_tag(dead) == "died"
    assert leftovers.bench_of_tag(dead[:-8] + "00000000") == "unknown"  # another host, or boot
    for other in ("", "limitbench-claims:x-1", f"{tag}x", tag.replace("-p", "-p9999999999")):
        assert leftovers.bench_of_tag(other) == "unknown"


@pytest.mark.parametrize(
    ("process", "found"),
    [
        (LIVING, "lives"),
        (DEAD, "died"),
        (dataclasses.replace(DEAD, boot_id="before"), "unknown"),
        (dataclasses.replace(DEAD, host="elsewhere"), "unknown"),
    ],
)
def test_volumes(process: WriterProcess, found: str) -> None:
    listed = {"Name": "x", "Labels": {leftovers.PROCESS_LABEL: text(process)}}
    assert leftovers.bench_of_lasting(listed) == found
    assert leftovers.bench_of_lasting({"Name": "x", "Labels": None}) == "unknown"


def process(proc: Path, pid: int, mark: str | None, cgroup: str) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    variables = ["PATH=/bin", *([f"LIMITBENCH_PROCESS={mark}"] if mark is not None else [])]
    (folder / "environ").write_text("\0".join(variables) + "\0")
    (folder / "cgroup").write_text(f"4:memory:{cgroup}\n1:name=systemd:/\n")
    (folder / "cmdline").write_text("/limitbench/pro\x1bbe\0spin\0")


def test_a_process_is_ours_by_its_environment_and_its_cgroup_both(tmp_path: Path) -> None:
    inside = f"/docker/{CONTAINER}"
    process(tmp_path, 10, text(DEAD), inside)
    process(tmp_path, 11, text(LIVING), inside)  # of a run that goes on
    process(tmp_path, 12, text(DEAD), "/user.slice")  # whoever sets the variable himself
    process(tmp_path, 13, None, inside)  # a container of somebody else
    process(tmp_path, 14, "garbage", inside)
    (tmp_path / "15").mkdir()  # ended while we looked
    assert leftovers.strays(proc=tmp_path) == [leftovers.Stray(10, "pro?be", CONTAINER)]
    own = leftovers.mark()
    assert [one.pid for one in leftovers.strays(own, tmp_path)] == [11]


def test_a_process_that_is_no_longer_what_was_found_is_not_ended() -> None:
    here = leftovers.Stray(os.getpid(), "probe", CONTAINER)
    assert leftovers.end([here]) == []
