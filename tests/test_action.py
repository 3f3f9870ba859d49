"""action.yml: valid by GitHub's schema, and its steps really run as its runner runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from harness.plan.axes import Options
from tests.command import NO_ENGINE, bench
from tests.fakes import World
from tests.runs import measured

ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
SCHEMA = json.loads((ROOT / "tests" / "data" / "schemastore" / "github-action.json").read_text())
EXPRESSION = re.compile(r"\$\{\{ *(inputs|steps\.check\.outputs)\.([a-z-]+) *\}\}")


def test_it_is_valid_by_the_schema_of_github() -> None:
    validator = jsonschema.Draft7Validator(SCHEMA)
    validator.validate(ACTION)
    assert not validator.is_valid({**ACTION, "input": {}})
    shell_less = [{key: value for key, value in STEPS[0].items() if key != "shell"}]
    assert not validator.is_valid({**ACTION, "runs": {"using": "composite", "steps": shell_less}})


def test_every_input_is_used_and_no_script_has_one_as_its_text() -> None:
    used = {
        match[2]
        for step in STEPS
        for value in step.get("env", {}).values()
        for match in EXPRESSION.finditer(value)
    }
    assert used == set(ACTION["inputs"])
    for step in STEPS:
        assert "${{" not in step["run"]
        for name in step.get("env", {}):
            assert f"${name}" in step["run"] or name.startswith("BENCH_")


def used() -> list[dict[str, Any]]:
    """The steps of docs/ci.md that use this action, in whichever way."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "ci.md").read_text(), re.DOTALL)
    steps = [step for block in blocks for step in steps_of(yaml.safe_load(block))]
    return [step for step in steps if "limitbench" in step.get("uses", "")]


def test_the_docs_give_inputs_that_there_are() -> None:
    assert used()
    for step in used():
        assert set(step["with"]) <= set(ACTION["inputs"])


def steps_of(document: Any) -> list[dict[str, Any]]:
    """The steps of a workflow, or of a part of one."""
    if isinstance(document, list):
        return [one for one in document if isinstance(one, dict)]
    jobs = document.get("jobs", {}).values() if isinstance(document, dict) else ()
    return [step for job in jobs for step in job["steps"]]


@dataclass(frozen=True)
class Job:
    """What GitHub shows of a job whose only step is the action."""

    code: int
    log: str
    summary: str
    outputs: dict[str, str]

    @property
    def annotations(self) -> list[str]:
        return [line for line in self.log.splitlines() if line.startswith("::")]


def ran(workspace: Path, action: Path = ROOT, **inputs: str) -> Job:
    """The steps one after the other, as the runner runs a composite action; the first failure ends.

    The runner reads commands from standard error as well as from standard output, and runs bash
    with ``--noprofile --norc -e -o pipefail``: src/Runner.Worker/Handlers of actions/runner.
    """
    given = {name: one["default"] for name, one in ACTION["inputs"].items()}
    assert inputs.keys() <= given.keys()
    values = {**given, **inputs}
    files = {name: workspace / f"{name}.txt" for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    log, code = "", 0
    for i, step in enumerate(STEPS):
        for file in files.values():
            file.write_text("")
        script = workspace / f"step{i}.sh"
        script.write_text(step["run"])
        own = {
            name: EXPRESSION.sub(lambda match: values[match[2]], value)
            for name, value in step.get("env", {}).items()
        }
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "GITHUB_"))}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
            env={**clean, "GITHUB_ACTIONS": "true", "GITHUB_ACTION_PATH": str(action),
                 "HOME": str(workspace), "DOCKER_HOST": NO_ENGINE, **own,
                 **{name: str(file) for name, file in files.items()}},
            check=False,
        )  # fmt: skip
        log, code = log + done.stdout, done.returncode
        if code:
            break
    lines = files["GITHUB_OUTPUT"].read_text().splitlines()
    outputs = dict(line.split("=", 1) for line in lines)
    return Job(code, log, files["GITHUB_STEP_SUMMARY"].read_text(), outputs)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a baseline and runs: as it was, with 5 % more, and of too few trials."""
    root = tmp_path_factory.mktemp("workspace")
    for name, factor, repeats in (("good", 1.0, 10), ("bad", 1.05, 10), ("few", 1.0, 3)):
        options = Options(values="0.25,0.5", repeats=repeats)
        run = measured(root / name, options=options, world=World(quota_factor=factor))
        run.path.rename(root / f"{name}-run")
    done = bench("baseline", "set", "./good-run", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


pytestmark = pytest.mark.slow


def test_all_is_well(workspace: Path) -> None:
    job = ran(workspace, arguments="./good-run\n  --junit check.xml")
    assert job.code == 0, job.log
    assert "bench, version" in job.log
    (line,) = job.annotations
    assert line.startswith("::notice title=bench check%3A same::No change that matters: 16 same")
    assert job.summary.startswith("### ✓ No change that matters: ")
    assert job.outputs == {"verdict": "same", "exit-code": "0"}
    assert (workspace / "check.xml").exists()


def test_the_docs_name_it_as_one_with_a_copy_has_it(workspace: Path) -> None:
    (step,) = used()
    # A path is one of the workspace's: actions/runner, ActionManager, "./".
    assert step["uses"].startswith("./")
    copy = workspace / step["uses"]
    copy.symlink_to(ROOT)
    assert yaml.safe_load((copy / "action.yml").read_text()) == ACTION
    job = ran(workspace, copy, arguments="./good-run")
    assert job.code == 0, job.log


def test_what_the_docs_pack_of_a_checkout_is_the_action(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "ci.md").read_text()
    (command,) = re.findall(r"`(git -C PATH/TO/limitbench archive [^`]+)`", text)
    command = command.replace("PATH/TO/limitbench", str(ROOT))
    subprocess.run(["bash", "-e", "-o", "pipefail", "-c", command], cwd=tmp_path, check=True)
    (step,) = used()
    assert (tmp_path / step["uses"] / "action.yml").exists()
    assert (tmp_path / step["uses"] / "bench").stat().st_mode & 0o100


def test_a_regression_is_red_and_says_where(workspace: Path) -> None:
    job = ran(workspace, arguments="./bad-run", undecided="warn")
    assert job.code == 1
    whole, *findings = job.annotations
    assert whole.startswith("::error title=bench check%3A regressed::Regressed: 2 regressed")
    assert len(findings) == 4
    assert findings[0].startswith("::error title=cpus=0.25%2C CPUs achieved::+5.00%25 ")
    assert any("law cpu-bandwidth" in one for one in findings)
    assert "**✗ regressed**" in job.summary
    assert job.outputs == {"verdict": "regressed", "exit-code": "1"}


@pytest.mark.parametrize(("undecided", "code"), [("fail", 3), ("warn", 0)])
def test_what_is_undecided_is_a_warning(workspace: Path, undecided: str, code: int) -> None:
    job = ran(workspace, arguments="./few-run", undecided=undecided)
    assert job.code == code
    assert all(line.startswith("::warning title=") for line in job.annotations)
    assert len(job.annotations) == 3
    assert job.outputs == {"verdict": "inconclusive", "exit-code": "3"}


def test_what_cannot_be_checked_is_an_error_without_a_verdict(workspace: Path) -> None:
    job = ran(workspace, baseline="v1", undecided="warn")  # no such baseline: exit 3
    assert job.code == 0
    (line,) = job.annotations
    assert line.startswith(
        "::error title=bench check%3A exit code 3::no baseline 'v1' in baselines"
    )
    assert job.summary.startswith("### ✗ bench check came to no verdict\n")
    assert job.outputs == {"verdict": "none", "exit-code": "3"}
    job = ran(workspace, sweep="cpo", undecided="warn")
    assert job.code == 2
    assert "Did you mean 'cpu'?" in job.annotations[0]
    assert ran(workspace, undecided="pass").code == 2


def test_no_input_becomes_code(tmp_path: Path) -> None:
    """With a bench that only says what it was called with."""
    stub = tmp_path / "bench"
    stub.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    stub.chmod(0o755)
    evil = "$(touch taken) `touch taken`; touch taken # *"
    for name in ACTION["inputs"]:
        job = ran(tmp_path, tmp_path, **{name: evil})
        assert not (tmp_path / "taken").exists()
        if name in ("undecided", "install-engine"):
            continue
        _, *given = job.log.splitlines()
        expected = evil.split() if name == "arguments" else [evil]
        assert [one for one in given if one in expected] == expected
