"""Who may import whom, and who may speak: the tables are the rules.

The code below them reads every module of ``harness`` without importing it.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the lowest to the highest: a room imports only from layers below its own.
LAYERS = [
    {"errors", "interrupts", "model"},
    {"limits"},
    {"axes", "cgroup", "guard", "laws", "probe", "programs"},
    {"analysis", "plan", "sweepfile", "diagnosis", "engine", "host", "sampler", "store"},
    {"agenda", "check", "conversation", "significance"},
    {"judged"},
    {"digest", "frames", "inspection", "validity", "watch"},
    {"audit", "comparing", "sidecar"},
    {"baseline"},
    {"export", "notebook", "onlooker", "plots", "runner"},
    {"auditor", "report"},
    {"api"},
    {"cli"},
]

# What measures. Everything that judges or shows works on an old run, on any machine.
MEASURING = {
    "auditor",
    "cgroup",
    "conversation",
    "engine",
    "host",
    "onlooker",
    "runner",
    "sampler",
    "sidecar",
    "watch",
}
WITHOUT_ENGINE = {
    "agenda",
    "analysis",
    "api",
    "audit",
    "axes",
    "baseline",
    "check",
    "comparing",
    "digest",
    "export",
    "frames",
    "guard",
    "inspection",
    "interrupts",
    "judged",
    "laws",
    "limits",
    "model",
    "notebook",
    "plan",
    "plots",
    "probe",
    "programs",
    "report",
    "significance",
    "store",
    "sweepfile",
    "validity",
}

# Libraries, and the only rooms that may import them.
LIBRARIES = {
    "click": {"cli"},
    "docker": {"engine"},
    "jinja2": {"report"},
    "jupyter_client": {"notebook"},
    "markdown_it": {"report"},
    "markupsafe": {"report"},
    "matplotlib": {"api", "plots"},
    "nbclient": {"notebook"},
    "nbformat": {"notebook"},
    "pandas": {"api", "export", "frames", "plots"},
    "psutil": {"diagnosis", "host", "sampler"},
    "pyarrow": {"analysis", "export", "store"},
    "pydantic": {"baseline", "programs", "store", "sweepfile"},
    "rich": {"cli", "report"},
    "scipy": {"significance"},
}

# `import harness` and `bench --help` must not wait for these.
SLOW_TO_LOAD = {"docker", "matplotlib", "numpy", "pandas", "pyarrow", "pydantic", "rich", "scipy"}

# Only the command line prints, prompts and exits.
SPEECH = {"exit", "input", "print", "quit", "sys.exit", "sys.stderr", "sys.stdout", "os._exit"}

SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "harness").rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text()) for name, path in SOURCES.items()}
MODULES = pytest.mark.parametrize("module", [name for name in SOURCES if name != "harness"])


def room(module: str) -> str:
    return module.split(".")[1] if module.startswith("harness.") else ""


def imports(module: str, *, types_too: bool = True) -> Iterator[str]:
    """The modules that a module imports, wherever in its text."""
    nodes = list(ast.walk(TREES[module]))
    if not types_too:
        blocks = [n for n in nodes if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
        hidden = {id(inner) for block in blocks for inner in ast.walk(block)}
        nodes = [node for node in nodes if id(node) not in hidden]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from (whole & SOURCES.keys()) or {str(node.module)}


def test_every_room_has_its_layer() -> None:
    assert {room(name) for name in SOURCES} - {""} <= set.union(*LAYERS)


@MODULES
def test_imports_run_upward_only(module: str) -> None:
    ours = {room(name) for name in imports(module)} - {"", room(module)}
    height = next(i for i, layer in enumerate(LAYERS) if room(module) in layer)
    assert ours <= set().union(*LAYERS[:height])
    if room(module) in WITHOUT_ENGINE:
        assert not ours & MEASURING


@MODULES
def test_libraries_stay_in_their_rooms(module: str) -> None:
    for name in {name.split(".")[0] for name in imports(module)} & LIBRARIES.keys():
        assert room(module) in LIBRARIES[name], name


@MODULES
def test_only_the_command_line_speaks(module: str) -> None:
    if room(module) != "cli":
        names = (n for n in ast.walk(TREES[module]) if isinstance(n, ast.Name | ast.Attribute))
        assert not {ast.unparse(name) for name in names} & SPEECH


def test_no_cycles() -> None:
    graph = {
        name: {n for n in imports(name, types_too=False) if n != "harness"} for name in SOURCES
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", ["harness", "harness.cli"])
def test_quick_to_load(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps([*sys.modules]))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert not SLOW_TO_LOAD & set(json.loads(run.stdout))
