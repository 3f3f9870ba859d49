"""The build backend: hatchling, and the binaries of the probe and of the hand in every wheel.

A wheel must work on a machine with neither a compiler nor a network, so it carries both for
each architecture, cross-compiled by the pinned ``ziglang``. An editable install needs none of it:
there they are compiled at their first use, from the checkout.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from hatchling.build import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
)
from hatchling.build import get_requires_for_build_wheel as _hatchling_requires
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]


PROGRAMS = ("probe", "hand")
"""Folders of ``workloads`` with C sources; all are compiled as the probe is."""


def _recipe(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "workloads" / "probe" / "build.toml").read_text())


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Hatchling's own requirements and the cross compiler (PEP 517; runs in the project's root)."""
    return [*_hatchling_requires(config_settings), f"ziglang=={_recipe(Path.cwd())['ziglang']}"]


class ProbeHook(BuildHookInterface[Any]):
    """Adds ``workloads/`` and the compiled probes to a wheel, as ``harness/workloads``."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; RuntimeError where the pinned compiler is absent or fails."""
        if version != "standard":  # "editable"
            return
        root = Path(self.root)
        self._made = tempfile.TemporaryDirectory()
        include: dict[str, str] = build_data["force_include"]
        include[str(root / "workloads")] = "harness/workloads"
        for architecture in _recipe(root)["targets"]:
            for program in PROGRAMS:
                made = _compile(root, program, architecture, Path(self._made.name))
                include[str(made)] = f"harness/workloads/{program}/bin/{made.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The binaries are in the wheel now; keep no copy that could go stale."""
        if version == "standard":
            self._made.cleanup()


def _compile(root: Path, program: str, architecture: str, folder: Path) -> Path:
    recipe, pinned = _recipe(root), _recipe(root)["ziglang"]
    try:
        installed = importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError:
        installed = "none"
    if installed != pinned:  # only without build isolation
        raise RuntimeError(f"a wheel needs ziglang=={pinned}; installed: {installed}")
    made = folder / f"{program}-{architecture}"
    # In the order of harness/engine/image.py: the same source must give the same binary.
    sources = sorted(path.name for path in (root / "workloads" / program).glob("*.c"))
    caches = dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), str(folder / "zig"))
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", recipe["targets"][architecture]]
    done = subprocess.run(
        [*compiler, *recipe["flags"], *sources, "-o", str(made)],
        cwd=root / "workloads" / program,
        env={**os.environ, **caches},
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"ziglang could not compile the {program} for {architecture}")
    return made
