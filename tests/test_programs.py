"""Workloads of the user's own: their files, their output, and what is wrong with either."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import conversation, programs
from harness.engine.image import workloads_root
from harness.errors import PlanError
from harness.model import ProgramImage, ProgramMetric

GOOD = """
command = ["busybox", "yes"]
ready = "^go"
[image]
reference = "busybox:latest"
[[metric]]
name = "rate"
unit = "ops/s"
pattern = "rate ([0-9.]+)"
[[metric]]
name = "loops"
key = "loops"
"""


def write(folder: Path, text: str) -> str:
    file = folder / "mine.toml"
    file.write_text(text)
    return str(file)


def test_a_file_says_what_runs(tmp_path: Path) -> None:
    found = programs.find(write(tmp_path, GOOD), tmp_path)
    assert found.command == ("busybox", "yes")
    assert found.image == ProgramImage(reference="busybox:latest")
    assert [metric.name for metric in found.metrics] == ["rate", "loops"]
    assert found.stop_signal == "SIGTERM"


def test_an_archive_lies_beside_its_file(tmp_path: Path) -> None:
    text = GOOD.replace('reference = "busybox:latest"', 'archive = "image.tar"')
    found = programs.find(write(tmp_path, text), tmp_path)
    assert found.image.archive == str(tmp_path / "image.tar")


def test_stress_ng_comes_with_the_product() -> None:
    found = programs.find("stress-ng", workloads_root())
    assert found.image.pack == "stress-ng"
    assert "{threads}" in found.command
    # As stress-ng 0.15 and 0.17 print it
    said = (
        "stress-ng: info:  [29806] dispatching hogs: 1 cpu\n"
        "stress-ng: metrc: [29806] stressor       bogo ops real time  usr time  sys time\n"
        "stress-ng: metrc: [29806]                           (secs)    (secs)    (secs)\n"
        "stress-ng: metrc: [29806] cpu                5329      2.00      1.94      0.01"
        "      2669.44        2742.84        97.32          2400\n"
    )
    values = {m.name: conversation.metric_value(m, said) for m in found.metrics}
    assert values == {"bogo_ops": 5329.0, "bogo_rate": 2742.84}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("command = [", "comand = ["), "command"),
        (('command = ["busybox", "yes"]', "command = []"), "command"),
        (('pattern = "rate ([0-9.]+)"', 'pattern = "rate (["'), "is no pattern"),
        (('pattern = "rate ([0-9.]+)"', 'pattern = "rate [0-9]"'), "needs a group"),
        (('key = "loops"', ""), "give a pattern or a key"),
        (('name = "loops"', 'name = "Loops per second"'), "metric.1.name"),
        (('reference = "busybox:latest"', ""), "give one of pack, reference and archive"),
        (("[image]", "stop-signal = 'SIGSTOP'\n[image]"), "stop-signal"),
        (("command", "command ="), "is no TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(PlanError) as refused:
        programs.find(write(tmp_path, GOOD.replace(*change)), tmp_path)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_workload_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="stress-ng"):
        programs.find("stress", workloads_root())
    with pytest.raises(PlanError, match="no workload"):
        programs.find(str(tmp_path / "nothing.toml"), tmp_path)


@pytest.mark.parametrize(
    ("metric", "said", "value"),
    [
        (ProgramMetric(name="x", pattern=r"x=(\d+)"), "x=1\nx=2", 2.0),
        (ProgramMetric(name="x", pattern=r"x=(\S+)"), "x=many", None),
        (ProgramMetric(name="x", pattern=r"x=(\d+)"), "", None),
        (ProgramMetric(name="x", key="x"), 'noise\n{"x": 1.5}\n["x"]\n{"y": 2}', 1.5),
        (ProgramMetric(name="x", key="x"), '{"x": "NaN"}', None),
        (ProgramMetric(name="x", key="x"), '{"x": {"y": 1}}', None),
    ],
)
def test_metrics_are_the_last_number_that_is_said(
    metric: ProgramMetric, said: str, value: float | None
) -> None:
    assert conversation.metric_value(metric, said) == value
