"""How a notebook of the checkout is run.

Notebooks are found here, and run from their first cell to their last. They define nothing: what
they do is ``harness.api``'s, and docs/notebooks.md describes it. A notebook is run in a kernel of
its own, which learns from the environment what runs it is about.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import BenchError, UsageError

FOLDER = Path(__file__).parents[2] / "notebooks"
FIRST, OF_SEVERAL = "01", "05"
"""The notebook that is taken for one run, and for several."""
CELL_TIMEOUT_S = 600
_ANSI = re.compile("\x1b\\[[0-9;]*m")
RUN_VARIABLE, RESULTS_VARIABLE = "BENCH_RUN", "BENCH_RESULTS"


class NotebookError(BenchError):
    """A cell of a notebook failed."""


def find(name: str | None, runs: int) -> Path:
    """The notebook of that name or number, or the one for so many runs; UsageError if none."""
    if name is not None and Path(name).suffix == ".ipynb" and Path(name).is_file():
        return Path(name)
    known = sorted(FOLDER.glob("*.ipynb"))
    if not known:
        raise UsageError(f"no notebooks in {FOLDER}.", "They come with the checkout: git clone it.")
    wanted = name or (OF_SEVERAL if runs > 1 else FIRST)
    near = [path for path in known if wanted in path.stem]
    if len(near) != 1:
        names = ", ".join(path.stem for path in known)
        raise UsageError(f"no notebook '{wanted}'.", f"There are: {names}.")
    return near[0]


def environment(runs: Sequence[Path], results: Path) -> dict[str, str]:
    """What tells a notebook which runs it is about."""
    own = {RESULTS_VARIABLE: str(results.resolve())}
    if runs:
        own[RUN_VARIABLE] = os.pathsep.join(str(path.resolve()) for path in runs)
    return {**os.environ, **own}


def execute(path: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """The notebook with its outputs, as the document that an .ipynb file holds.

    UsageError where what runs notebooks is not installed; NotebookError where a cell fails, with
    the error in one line.
    """
    _need("nbclient", "ipykernel", "nbformat")
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    document = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # half typed
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as aside:
        # Over sockets in a folder of its own: over TCP, every user of the host could listen.
        kernel = AsyncKernelManager(
            kernel_name="python3", transport="ipc", connection_file=f"{folder}/kernel.json"
        )
        client = NotebookClient(
            document, km=kernel, timeout=CELL_TIMEOUT_S,
            resources={"metadata": {"path": str(path.resolve().parent)}},
        )  # fmt: skip
        try:
            # As where nbclient makes the kernel itself: it also ends it, come what may. What its
            # libraries say there (ZeroMQ, when it is ended amid a message) is not the cells'.
            client.execute(env=dict(environ), stderr=aside, cleanup_kc=True)
        except CellExecutionError as error:
            said = f"{path.name}: {_ANSI.sub('', error.evalue)}"
            if error.ename in ("UsageError", "ResultsError"):  # the run is another than it needs
                raise UsageError(said, "") from None
            raise NotebookError(f"{said} ({error.ename})", "`bench notebook` opens it.") from None
        except (DeadKernelError, TimeoutError) as error:
            aside.seek(0)
            lines = aside.read().decode(errors="replace").splitlines()
            said = f"Its kernel said: {lines[-1]}" if lines else "Its kernel said nothing."
            raise NotebookError(f"{path.name}: {error}", said) from None
    del document.metadata["language_info"]  # of this Python: the same notebook stays the same
    for cell in document.cells:
        cell.metadata.pop("execution", None)  # the time of day of each cell
    found: dict[str, Any] = document
    return found


def as_file(document: Mapping[str, Any]) -> bytes:
    """The document as an .ipynb file holds it."""
    import nbformat

    node = nbformat.from_dict(document)  # type: ignore[no-untyped-call]  # half typed
    return f"{nbformat.writes(node)}\n".encode()  # type: ignore[no-untyped-call]  # half typed


def jupyter() -> list[str]:
    """The command that opens a notebook; UsageError where there is none, with what to install."""
    beside = Path(sys.executable).parent
    for program in ("jupyter-lab", "jupyter-notebook"):
        found = shutil.which(program, path=str(beside)) or shutil.which(program)
        if found:
            return [found]
    raise UsageError(
        "Jupyter is not installed.",
        f"{sys.executable} -m pip install jupyterlab ipykernel; or --execute writes a page.",
    )


def _need(*names: str) -> None:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"running a notebook needs {', '.join(missing)}.",
            f"{sys.executable} -m pip install {' '.join(missing)}",
        )
