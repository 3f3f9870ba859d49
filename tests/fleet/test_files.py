"""The files that bring workers to hosts: what they call exists, and who reads them takes them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from harness.cli.fleet import fleet

DOCS = Path(__file__).parents[2] / "docs" / "fleet"
UNITS = sorted(DOCS.glob("*.service"))
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DOCS / "daemonset.yaml").read_text()))


def takes(words: list[str]) -> None:
    """A command line that exists, with options that it has."""
    assert Path(words[0]).name == "bench"
    assert words[1] == "fleet"
    found = fleet.commands[words[2]]
    known = {option for param in found.params for option in param.opts}
    given = {word for word in words[3:] if word.startswith("--")}
    assert given <= known, words


def variables() -> set[str]:
    return {
        str(option.envvar)
        for command in fleet.commands.values()
        for option in command.params
        if isinstance(option, click.Option) and option.envvar
    }


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_is_taken_by_systemd_and_calls_what_there_is(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text()
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    takes(shlex.split(line))
    assert set(re.findall(r"^Environment=(\w+)=", text, re.MULTILINE)) <= variables()
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    # The program is not where the unit has it; all else is as it stands there.
    copy = tmp_path / unit.name
    copy.write_text(text.replace(shlex.split(line)[0], "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr
    copy.write_text(copy.read_text().replace("[Service]", "[Service]\nKilMode=mixed"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert "KilMode" in done.stderr


def test_a_batch_file_is_a_shell_s_and_calls_what_there_is() -> None:
    script = DOCS / "worker.sbatch"
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text()
    (line,) = re.findall(r"exec srun (.*?)\n\n?$", text, re.DOTALL)
    words = shlex.split(line.replace("\\\n", " "))
    takes(words[words.index("bench") :])
    head = text.splitlines()[: text.splitlines().index("set -euo pipefail")]
    options = [one.removeprefix("#SBATCH ") for one in head if one.startswith("#SBATCH ")]
    assert all(re.fullmatch(r"--[a-z-]+(=\S+)?", option) for option in options)
    assert {"--ntasks-per-node=1", "--exclusive"} <= set(options)
    assert set(re.findall(r"\b(BENCH_\w+)", text)) <= variables()


def test_a_daemonset_has_what_a_worker_needs_of_its_node() -> None:
    kinds = {one["kind"]: one for one in MANIFESTS}
    assert kinds["DaemonSet"]["metadata"]["namespace"] == kinds["Namespace"]["metadata"]["name"]
    spec = kinds["DaemonSet"]["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    pod = spec["template"]["spec"]
    assert pod["hostPID"]
    (container,) = pod["containers"]
    takes([*container["command"], *container["args"]])
    given = {one["name"] for one in container["env"]}
    assert given - {"NODE"} <= variables()
    assert {"BENCH_FLEET_TLS_CA", "BENCH_FLEET_TLS_CERT", "BENCH_FLEET_TLS_KEY"} <= given
    volumes = {one["name"]: one for one in pod["volumes"]}
    mounts = {one["name"]: one for one in container["volumeMounts"]}
    assert volumes.keys() == mounts.keys()
    assert mounts["cgroup"]["mountPath"] == "/host/cgroup"
    assert mounts["cgroup"]["readOnly"]
    assert volumes["lock"]["hostPath"]["path"] == mounts["lock"]["mountPath"] == "/run/lock"
