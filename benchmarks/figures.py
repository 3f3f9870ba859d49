"""The figures that limitbench is held to, kept between runs of the parts that measure them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "figures.json"
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
PICTURE = ROOT / "docs" / "pictures" / "benchmarks.png"


@dataclass(frozen=True)
class Figure:
    """One figure: what was measured, what is to be reached, and whether it was."""

    name: str
    against: str
    value: float
    goal: float
    unit: str
    detail: str
    """How it came about, and the absolute numbers behind a ratio."""
    at_least: bool = False
    """True where more is better."""
    explanation: str = ""
    """Of a figure that is not reached: the profile that shows why."""

    @property
    def reached(self) -> bool:
        """Whether the value is on the right side of its goal."""
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    @property
    def margin(self) -> float:
        """How far on the right side, as a ratio: 1 is just reached, 2 twice as good."""
        value = max(self.value, 1e-12)
        return value / self.goal if self.at_least else self.goal / value


def keep(part: str, figures: Sequence[Figure]) -> None:
    """Replace a part's figures; those of the other parts stay."""
    document = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    document[part] = {
        "measured": f"{datetime.now(UTC):%Y-%m-%d}",
        "figures": [asdict(figure) for figure in figures],
    }
    KEPT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def kept() -> list[tuple[str, str, Figure]]:
    """(part, day, figure) of all that were measured."""
    document = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return [
        (part, held["measured"], Figure(**figure))
        for part, held in document.items()
        for figure in held["figures"]
    ]


def write() -> str:
    """The table as Markdown, written to RESULTS.md with a picture; the table."""
    found = kept()
    rows = [
        "| figure | against | measured | to reach | reached | how |",
        "|---|---|---|---|---|---|",
        *(_row(figure) for _, _, figure in found),
    ]
    text = "\n".join(rows)
    host = os.uname()
    missed = [figure for _, _, figure in found if not figure.reached]
    said = [f"**{figure.name}**: {figure.explanation or 'not explained yet.'}" for figure in missed]
    days = sorted({day for _, day, _ in found})
    RESULTS.write_text(
        "# Results\n\n"
        f"`make benchmark`, {' to '.join(dict.fromkeys((days[0], days[-1])))}: {os.cpu_count()} "
        f"CPUs, kernel {host.release}, {host.machine}. Ratios come from interleaved measurements; "
        "absolute times hold for that host only. `python -m benchmarks PART` measures one part "
        "again, and its `--help` lists them.\n\n"
        f"![How far each ratio is from its goal](../{PICTURE.relative_to(ROOT)})\n\n"
        f"{text}\n" + ("\n## Not reached, and why\n\n" + "\n\n".join(said) + "\n" if said else "")
    )
    # Ratios alone: absolute times and sizes hold for one host, and stand in the table.
    _draw([figure for _, _, figure in found if figure.unit.startswith("×")])
    return text


def _row(figure: Figure) -> str:
    sign = "≥" if figure.at_least else "≤"
    return (
        f"| {figure.name} | {figure.against} | {_number(figure.value)} {figure.unit} | {sign} "
        f"{figure.goal:.3g} {figure.unit} | {'yes' if figure.reached else '**no**'} | "
        f"{figure.detail} |"
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _draw(figures: Sequence[Figure]) -> None:
    """One bar a figure: how many times better, or worse, than its goal."""
    import matplotlib as mpl  # noqa: PLC0415 - only a whole run draws

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    shown = list(reversed(figures))
    fig, ax = plt.subplots(figsize=(9, 0.42 * len(shown) + 1.2), layout="constrained")
    colours = ["#0072b2" if figure.reached else "#d55e00" for figure in shown]
    ax.barh([f"{f.name}\nagainst {f.against}" for f in shown],
            [f.margin - 1 for f in shown], left=1, color=colours)  # fmt: skip
    ax.set_xscale("log")
    ax.axvline(1, color="black", linewidth=1)
    ax.set_xlabel("times better than its goal (left of 1: not reached)")
    margins = [figure.margin for figure in shown]
    ax.set_xlim(min(margins) / 1.5, max(margins) * 6)
    ax.margins(y=0.02)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.tick_params(axis="y", labelsize=7)
    for i, figure in enumerate(shown):
        ax.annotate(f" {_number(figure.value)} {figure.unit}", (max(figure.margin, 1), i),
                    va="center", fontsize=7)  # fmt: skip
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(PICTURE, dpi=150)
    plt.close(fig)
