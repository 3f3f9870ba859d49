"""What a wheel and an sdist hold, built for real as a user's pip would."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from build import ProjectBuilder
from build.env import DefaultIsolatedEnv

CHECKOUT = Path(__file__).resolve().parents[1]
SOURCES = {f"workloads/probe/{path.name}" for path in CHECKOUT.glob("workloads/probe/*.[ch]")}
INPUTS = ("CHANGELOG.md", "LICENSE", "README.md", "buildtools", "harness", "pyproject.toml")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with things beside it that must not be packaged."""
    copy = tmp_path_factory.mktemp("project")
    for name in (*INPUTS, "tests", "workloads"):
        source = CHECKOUT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, copy / name, ignore=ignored)
        else:
            shutil.copy(source, copy / name)
    for unwanted in ("results/run/trials.jsonl", "notebooks/tour.ipynb", ".cache/probe"):
        (copy / unwanted).parent.mkdir(parents=True)
        (copy / unwanted).touch()
    return copy


def build(kind: str, project: Path, out: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "build", f"--{kind}", "--outdir", out, project],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (built,) = out.iterdir()
    return built


@pytest.mark.slow
def test_an_sdist_makes_a_wheel_with_both_probes(project: Path, tmp_path: Path) -> None:
    sdist = build("sdist", project, tmp_path / "sdist")
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
        tar.extractall(tmp_path / "unpacked", filter="data")
    assert {
        *SOURCES,
        "workloads/probe/build.toml",
        *("buildtools/limitbench_backend.py", "pyproject.toml", "LICENSE"),
    } <= names
    assert not [name for name in names if name.startswith(("results", "notebooks", ".cache"))]

    (unpacked,) = (tmp_path / "unpacked").iterdir()
    wheel = build("wheel", unpacked, tmp_path / "wheel")
    assert wheel.name == f"{unpacked.name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as opened:
        held = set(opened.namelist())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*pip, tmp_path / "installed", wheel], check=True)
    architectures = ("x86_64", "aarch64")
    probes = {f"harness/workloads/probe/bin/probe-{name}" for name in architectures}
    hands = {f"harness/workloads/hand/bin/hand-{name}" for name in architectures}
    assert probes | hands < held
    assert {"harness/py.typed", *(f"harness/{name}" for name in SOURCES)} < held
    templates = {path.name for path in (CHECKOUT / "harness" / "report").glob("*.j2")}
    assert {f"harness/report/{name}" for name in templates} <= held
    assert {name.partition("/")[0] for name in held if ".dist-info/" not in name} == {"harness"}
    carried = {name for name in held if name.startswith("harness/workloads/") and "/bin/" in name}
    assert carried == probes | hands

    # As installed: what it carries is what is found, and runs.
    code = (
        "from harness.engine.image import probe_binary\n"
        "for name in ('x86_64', 'aarch64'):\n"
        "    found = probe_binary(name)\n"
        "    print(found.path, found.compiler, sep='\\t')\n"
    )
    said = subprocess.check_output(
        [sys.executable, "-c", code], cwd=tmp_path / "installed", text=True
    )
    for line in said.splitlines():
        path, compiler = line.split("\t")
        assert Path(path).relative_to(tmp_path / "installed").as_posix() in probes
        assert compiler.startswith("ziglang ")
        if path.endswith(platform.machine()):  # the sampler is this file, run where it lies
            assert subprocess.check_output([path, "--version"]) == b"probe 1\n"


@pytest.mark.slow
def test_an_editable_install_needs_no_compiler(project: Path, tmp_path: Path) -> None:
    with DefaultIsolatedEnv() as env:
        builder = ProjectBuilder.from_isolated_env(env, project)
        env.install(builder.build_system_requires)
        needed = builder.get_requires_for_build("editable")
        assert not [name for name in needed if name.startswith("ziglang")]
        assert [name for name in builder.get_requires_for_build("wheel") if "ziglang==" in name]
        env.install(needed)
        wheel = builder.build("editable", tmp_path)
    with zipfile.ZipFile(wheel) as opened:
        assert not [name for name in opened.namelist() if name.startswith("harness/")]
