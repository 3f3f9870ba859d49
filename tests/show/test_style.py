"""Figures are the same bytes whatever the user's matplotlibrc says, and are drawn once."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.lines import Line2D

from harness.show.plots import style

ROOT = Path(__file__).parents[2]

HOSTILE = """\
text.usetex: True
backend: TkAgg
font.family: cursive
font.size: 22
axes.grid: False
axes.formatter.use_locale: True
axes.prop_cycle: cycler('color', ['pink'])
lines.dashed_pattern: 1, 9
lines.scale_dashes: False
figure.autolayout: True
figure.constrained_layout.use: True
figure.dpi: 33
savefig.bbox: tight
savefig.dpi: 44
savefig.transparent: True
savefig.facecolor: black
svg.fonttype: path
svg.image_inline: False
path.simplify_threshold: 0.9
path.sketch: 5, 20, 2
xtick.direction: in
xtick.minor.visible: True
legend.loc: center
"""
"""What people have in theirs, and what would hurt most."""

DRAW = """\
import hashlib, pathlib, sys
from harness.show import plots
from harness.store import runs
for name in sys.argv[1:]:
    for picture in plots.pictures(runs.load(pathlib.Path(name))):
        for data in (plots.png(picture), plots.svg(picture).encode()):
            print(picture.name, hashlib.sha256(data).hexdigest())
"""


def drawn(**env: str) -> str:
    run = str(ROOT / "results" / "sample-shares")
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DRAW, run],
        capture_output=True,
        check=True,
        cwd=ROOT,
        text=True,
        env={**os.environ, **env},
    ).stdout


@pytest.mark.slow
def test_a_matplotlibrc_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text(HOSTILE)
    plain = drawn()
    assert len(plain.splitlines()) > 4
    assert drawn(MATPLOTLIBRC=str(tmp_path / "matplotlibrc")) == plain


class _Counted(Line2D):
    """A line that counts how often it is drawn."""

    times = 0

    def draw(self, renderer: Any) -> None:
        self.times += 1
        super().draw(renderer)


@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_figure_is_drawn_once_for_a_file(form: str) -> None:
    sheet = style.Sheet(3.0, (1.0,), ["one"])
    line = _Counted([0, 1], [0, 1])
    sheet.columns[0][0].add_line(line)
    sheet.finish("title", "facts")
    style.save(sheet, io.BytesIO(), format=form)
    assert line.times == 1
    left = sheet.columns[0][0].get_position().x0
    assert left != pytest.approx(0.125), "it is laid out all the same"


@pytest.mark.parametrize(("points", "pixels"), [(20, False), (1_000, True)])
def test_marks_that_nobody_can_tell_apart_are_pixels(points: int, pixels: bool) -> None:
    sheet = style.Sheet(3.0, (1.0,), ["one"])
    (ax,) = sheet.columns[0]
    at = pd.Series(range(points), dtype="float64")
    style.singles(ax, at, at)
    style.errorbar(ax, at, [at, at - 1, at + 1], style.TYPICAL)
    style.areas(ax, [(x, x + 1, x - 2, x + 2) for x in at], style.BAND)
    sheet.finish("title", "facts")
    text = io.StringIO()
    style.save(sheet, text, format="svg")
    assert ("<image" in text.getvalue()) is pixels
    elements = len(re.findall("<(use|path)", text.getvalue()))
    assert elements < 150 if pixels else elements > 4 * points
