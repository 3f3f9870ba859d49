"""Who may import whom, and who may speak: the tables are the rules.

The code below them reads every module without importing it. Tables are compared for equality: one
that allows what nobody does is as wrong as one that forbids what somebody does.
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
    {"errors", "interrupts", "mountinfo", "privileges", "units", "wording"},
    {"files", "limits"},
    {"model"},
    {"cgroup", "doctor", "plan", "store"},
    {"engine", "host", "judge"},
    {"comparison", "measure", "sizing"},
    {"inspection"},
    {"audit", "claims", "fleet"},
    {"show"},
    {"api"},
    {"cli"},
    {"__main__"},
]
WITHOUT_ENGINE = {
    "api",
    "comparison",
    "doctor",
    "judge",
    "limits",
    "model",
    "plan",
    "show",
    "sizing",
    "store",
}
"""Whatever judges or shows works on an old run, on any machine."""
MEASURING = {"cgroup", "engine", "host", "measure"}

# Libraries, those that come with others too, and the rooms that import them.
LIBRARIES = {
    "asyncssh": {"fleet"},
    "click": {"cli"},
    "dask": {"fleet"},
    "distributed": {"fleet"},
    "docker": {"engine"},
    "jinja2": {"show"},
    "jupyter_client": {"show"},
    "markdown_it": {"show"},
    "markupsafe": {"show"},
    "matplotlib": {"api", "show"},
    "nbclient": {"show"},
    "nbformat": {"show"},
    "numpy": {"comparison"},
    "pandas": {"api", "show"},
    "psutil": {"engine", "host", "store"},
    "pyarrow": {"show", "store"},
    "pydantic": {"plan", "store"},
    "pydantic_core": {"model"},  # how `Pairs` is written, for those who write it
    "requests": {"engine"},
    "rich": {"cli", "show"},
    "ruptures": {"comparison"},
    "scipy": {"comparison"},
    "urllib3": {"engine"},
}

# `import harness` and `bench --help` must not wait for these.
SLOW_TO_LOAD = {
    "asyncssh",
    "dask",
    "distributed",
    "docker",
    "matplotlib",
    "numpy",
    "pandas",
    "psutil",
    "pyarrow",
    "pydantic",
    "rich",
    "scipy",
}

# What prints, prompts and exits; rich prints by a method of its console, whatever that is called.
SPEECH = {
    *("exit", "input", "print", "quit", "sys.exit", "sys.stderr", "sys.stdout", "os._exit"),
    *(".Console", ".print", ".print_json"),
}
# Folders of tests/ that are no room's: with real containers, malformed inputs by the thousand, in
# machines of our own, of the probe.
OTHER_TESTS = {"docker", "fuzz", "vm", "workloads"}

SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "harness").rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text()) for name, path in SOURCES.items()}
MODULES = pytest.mark.parametrize("module", [name for name in SOURCES if name != "harness"])
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def room(module: str) -> str:
    return module.split(".")[1] if module.startswith("harness.") else ""


ROOMS = {room(name) for name in SOURCES} - {""}


def imports(module: str) -> Iterator[str]:
    """The modules that a module imports, wherever in its text: for its types alone too."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from (whole & SOURCES.keys()) or {str(node.module)}


def test_every_room_has_one_layer() -> None:
    assert sorted(name for layer in LAYERS for name in layer) == sorted(ROOMS)
    assert WITHOUT_ENGINE | MEASURING <= ROOMS


@MODULES
def test_imports_run_upward_only(module: str) -> None:
    ours = {room(name) for name in imports(module)} - {"", room(module)}
    height = next(i for i, layer in enumerate(LAYERS) if room(module) in layer)
    assert ours <= set().union(*LAYERS[:height])
    if room(module) in WITHOUT_ENGINE:
        assert not ours & MEASURING


def test_libraries_stay_in_their_rooms() -> None:
    found: dict[str, set[str]] = {}
    for module in SOURCES:
        for library in {name.split(".")[0] for name in imports(module)}:
            if library not in {"harness", "_typeshed", *sys.stdlib_module_names}:
                found.setdefault(library, set()).add(room(module))
    assert found == LIBRARIES


def speaks(module: str) -> bool:
    nodes = [n for n in ast.walk(TREES[module]) if isinstance(n, ast.Name | ast.Attribute)]
    methods = {f".{node.attr}" for node in nodes if isinstance(node, ast.Attribute)}
    # A console may be named as a type: what a page of rich is given to be laid out by.
    made = {n.func for n in ast.walk(TREES[module]) if isinstance(n, ast.Call)}
    consoles = {n.id for n in made if isinstance(n, ast.Name)} & {"Console"}
    return bool(consoles or ({ast.unparse(node) for node in nodes} | methods) & SPEECH)


def test_only_the_command_line_speaks() -> None:
    assert {room(module) for module in SOURCES if speaks(module)} == {"cli"}


def test_no_cycles() -> None:
    graph = {name: {n for n in imports(name) if n != "harness"} for name in SOURCES}
    TopologicalSorter(graph).prepare()


def loaded(*modules: str) -> set[str]:
    """All that is loaded once these modules are imported, in a process of its own."""
    code = f"import json, sys, {', '.join(modules)}; print(json.dumps([*sys.modules]))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    return set(json.loads(run.stdout))


@pytest.mark.parametrize("module", ["harness", "harness.cli", "harness.__main__"])
def test_quick_to_load(module: str) -> None:
    assert not SLOW_TO_LOAD & loaded(module)


@pytest.mark.slow
def test_what_judges_shows_or_runs_loads_no_engine_s_client() -> None:
    old_runs = [module for module in SOURCES if room(module) in WITHOUT_ENGINE]
    assert "docker" not in loaded(*old_runs, "harness.measure.runner", "tests.fakes")


def test_tests_mirror_the_rooms() -> None:
    folders = {
        path.relative_to(ROOT / "tests").parts[0] for path in TESTS if path.parent.name != "tests"
    }
    assert folders <= ROOMS | OTHER_TESTS


def test_what_may_run_beside_others_stands_where_make_test_looks_for_it() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "-m beside tests/docker " in makefile
    marked = {path for path in TESTS if "mark.beside" in path.read_text()} - {Path(__file__)}
    assert marked
    assert all(path.is_relative_to(ROOT / "tests" / "docker") for path in marked)


def test_no_test_module_imports_another() -> None:
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module), *(alias.name for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            assert not any(name.split(".")[-1].startswith("test_") for name in names), path
