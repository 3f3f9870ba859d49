"""Notebooks: they define nothing, carry no outputs, and run from top to bottom."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.plan.axes import Options
from harness.show import notebook as notebooks
from harness.show.report import notebook as pages
from tests.command import bench, one_line
from tests.runs import measured

ROOT = Path(__file__).parents[2]
FOUND = sorted(notebooks.FOLDER.glob("*.ipynb"))
EACH = pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    document = json.loads(path.read_text())
    return [cell for cell in document["cells"] if cell["cell_type"] == kind]


def code(path: Path) -> ast.Module:
    return ast.parse("\n".join("".join(cell["source"]) for cell in cells(path, "code")))


def test_there_are_eight() -> None:
    assert [path.stem[:2] for path in FOUND] == [f"0{n}" for n in range(1, 9)]


@EACH
def test_they_define_nothing_and_need_harness_and_pandas_alone(path: Path) -> None:
    tree = code(path)
    assert not [node for node in ast.walk(tree) if isinstance(node, DEFINES)]
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
                for alias in node.names}  # fmt: skip
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"harness", "pandas", "IPython.display"}


@EACH
def test_they_are_kept_without_outputs(path: Path) -> None:
    for cell in cells(path, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
    assert json.loads(path.read_text())["metadata"]["language_info"] == {"name": "python"}


@EACH
def test_they_say_what_they_show(path: Path) -> None:
    words = ["".join(cell["source"]) for cell in cells(path, "markdown")]
    assert words[0].startswith("# ")
    assert sum(map(len, words)) > 300
    for name in re.findall(r"\]\(([^)]+)\)", "\n".join(words)):
        assert (path.parent / name).exists()


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """A results folder with the samples alone, so that what a page writes stays in it."""
    folder = tmp_path / "results"
    shutil.copytree(ROOT / "results", folder,
                    ignore=lambda _, names: [n for n in names if not n.startswith("sample")
                                             and "20" in n])  # fmt: skip
    return folder


@pytest.mark.slow
@EACH
def test_they_run_from_top_to_bottom(path: Path, samples: Path) -> None:
    done = bench("notebook", "--notebook", path.stem, "--execute", cwd=samples.parent)
    assert done.returncode == 0, done.stderr
    page = (samples / f"{path.stem}.html").read_text()
    assert page.count('<img src="data:image/png;base64,') >= 1
    assert "Traceback" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert not re.search(r' alt=""', page)
    assert "<table>" in page


@pytest.mark.slow
def test_one_runs_for_a_run_of_the_user_s(tmp_path: Path) -> None:
    options = Options(values="0.5,1", repeats=2, duration_s=1)
    path = measured(tmp_path / "results", options=options).path
    done = bench("notebook", path.name, "--execute", "--format", "ipynb", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["runs"] == [path.name]
    document = json.loads((tmp_path / told["path"]).read_text())
    text = json.dumps(document)
    assert path.name in text
    assert "image/png" in text
    assert all(cell["execution_count"] for cell in document["cells"] if cell["cell_type"] == "code")


def of_one_cell(folder: Path, source: str) -> Path:
    cell: dict[str, Any] = {
        "cell_type": "code", "id": "a", "metadata": {}, "source": source, "outputs": [],
        "execution_count": None,
    }  # fmt: skip
    path = folder / "one.ipynb"
    path.write_text(
        json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    return path


@pytest.mark.slow
def test_a_cell_that_fails_is_told_in_one_line(tmp_path: Path) -> None:
    measured(tmp_path / "results", options=Options(values="0.5", repeats=1, duration_s=1))
    result = bench("notebook", "--notebook", "03", "cpu", "--execute", cwd=tmp_path)
    one_line(result, 2, "03-shares-and-cpusets.ipynb", "did not vary shares or cpuset")
    # What the kernel's own libraries say as it goes is not for this terminal.
    broken = of_one_cell(tmp_path, 'import os; os.write(2, b"Assertion failed\\n"); 1 / 0')
    result = bench("notebook", "--notebook", str(broken), "--execute", cwd=tmp_path)
    one_line(result, 70, "one.ipynb", "division by zero", "ZeroDivisionError")


@pytest.mark.slow
def test_a_kernel_that_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    dying = of_one_cell(tmp_path, 'import os; os.write(2, b"out of luck\\n"); os._exit(3)')
    result = bench("notebook", "--notebook", str(dying), "--execute", cwd=tmp_path)
    one_line(result, 70, "one.ipynb", "Kernel died", "out of luck")


@pytest.mark.slow
def test_a_notebook_that_is_not_there(tmp_path: Path) -> None:
    measured(tmp_path / "results", options=Options(values="0.5", repeats=1, duration_s=1))
    one_line(bench("notebook", "--notebook", "99", cwd=tmp_path), 2, "no notebook '99'", "01-")
    one_line(bench("notebook", "nothing", cwd=tmp_path), 2, "no run 'nothing'")
    one_line(bench("notebook", "--json", cwd=tmp_path), 2, "--execute")


@pytest.mark.slow
def test_opening_needs_jupyter_and_says_what_to_install(tmp_path: Path) -> None:
    path = measured(tmp_path / "results", options=Options(values="0.5", repeats=1)).path
    if not (Path(sys.executable).parent / "jupyter-lab").exists():
        result = bench("notebook", cwd=tmp_path, PATH=str(tmp_path))
        one_line(result, 2, "Jupyter is not installed", "pip install jupyterlab", "--execute")
    program = tmp_path / "jupyter-lab"
    program.write_text('#!/bin/sh\nprintf "%s|%s" "$BENCH_RUN" "$1"\nexit 5\n')
    program.chmod(0o755)
    opened = bench("notebook", path.name, cwd=tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert opened.returncode == 5
    run, copy = opened.stdout.split("|")
    assert run == str(path)
    assert (tmp_path / copy).read_text() == FOUND[0].read_text()


def test_several_runs_take_the_notebook_that_compares() -> None:
    assert notebooks.find(None, 1).stem.startswith("01")
    assert notebooks.find(None, 2).stem.startswith("05")
    assert notebooks.find("memory", 1).stem.startswith("04")
    with pytest.raises(UsageError, match="no notebook"):
        notebooks.find("0", 1)


def test_what_a_cell_puts_out_never_becomes_markup() -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    table = f'<div><style>td {{}}</style><table border="1" onclick="x()"><tr><td>{attack}</td></tr>'
    document = {
        "cells": [
            {"cell_type": "markdown",
             "source": [f"# Words {attack}\n", "[a](javascript:alert(1))"]},
            {
                "cell_type": "code",
                "source": f"print('{attack}')",
                "outputs": [
                    {"output_type": "stream", "text": [attack, "\x1b[31mred\x1b[0m"]},
                    {"output_type": "display_data", "data": {"text/html": table}},
                    {"output_type": "display_data", "data": {"image/png": ["aGk="]},
                     "metadata": {"image/png": {"alt": attack, "width": 10}}},
                    {"output_type": "execute_result", "data": {"text/plain": attack}},
                    {"output_type": "error", "traceback": [attack]},
                ],
            },
        ]
    }  # fmt: skip
    page = pages.render(document, attack)
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "onclick" not in page
    assert "javascript:" not in page.replace("(javascript:alert(1))", "")
    assert "\x1b" not in page
    assert "<table><tr><td>&lt;script&gt;" in page
