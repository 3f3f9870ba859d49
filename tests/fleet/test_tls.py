"""TLS as docs/fleet.md has it: who has no certificate of the fleet's is not heard."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command import bench
from tests.fleet.places import Place, place

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs" / "fleet.md"
SWEEP = ("cpu", "--values", "0.5", "--repeats", "1", "--duration", "0.5", "--wait", "3")


def certificates(folder: Path) -> tuple[str, str, str]:
    """Made by the commands that the page tells, word by word."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder.mkdir()
    (script,) = re.findall(r"```sh\n(openssl .*?)```", DOCS.read_text(), re.DOTALL)
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True, capture_output=True)
    return str(folder / "ca.crt"), str(folder / "fleet.crt"), str(folder / "fleet.key")


def sweep(here: Place, address: str, *tls: str) -> tuple[int, str]:
    done = bench("fleet", "sweep", *SWEEP, "--scheduler", address, *tls, cwd=here.folder)
    return done.returncode, done.stderr


def test_a_fleet_with_certificates_hears_its_own_and_nobody_else(tmp_path: Path) -> None:
    ours, others = certificates(tmp_path / "ours"), certificates(tmp_path / "others")
    with place(tmp_path, ours) as here:
        here.worker("one")
        code, said = sweep(here, here.address, *here.options)
        assert code == 0, said
        theirs = Place(tmp_path, here.address, others).options
        for address, tls in ((here.address, theirs), (here.address.replace("tls", "tcp"), [])):
            code, said = sweep(here, address, *tls)
            assert code == 4
            assert said.startswith("bench: no scheduler answers at"), said
            assert len(said.splitlines()) == 1, said
