"""The HTML report in a real Chromium: it sorts, links, fetches nothing, complains of nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.show.report import html, several
from harness.show.report import notebook as notebook_pages
from harness.show.report import view as views
from harness.store import runs as store_runs
from harness.store.runs import Run
from tests import chromium
from tests.runs import measured, scattered

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    run = scattered(measured(root), {"cpus=0.5": 1.05})
    path = root / "report.html"
    path.write_text(html.render(views.build(run)))
    return path


SAMPLES = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real runs of one sweep, side by side."""
    runs = [store_runs.load(SAMPLES / name) for name in ("sample-cpu", "sample-cpu-busy")]
    path = tmp_path_factory.mktemp("beside") / "report.html"
    path.write_text(several.render(several.build(runs)))
    return path


def first_column(browser: chromium.Chromium) -> list[str]:
    found: list[str] = browser.run(
        "Array.from(document.querySelector('table').tBodies[0].rows).map(r => r.cells[0].innerText)"
    )
    return found


def sorted_by(browser: chromium.Chromium) -> dict[str, str]:
    found: dict[str, str] = browser.run(
        "Object.fromEntries(Array.from(document.querySelectorAll('[aria-sort]'))"
        ".map(h => [h.innerText.trim(), h.getAttribute('aria-sort')]))"
    )
    return found


def test_the_page_fetches_nothing_and_complains_of_nothing(
    browser: chromium.Chromium, page: Path
) -> None:
    browser.open(page)
    assert browser.complaints() == []
    assert browser.fetched() == [page.as_uri()]


def test_a_click_sorts_a_table(browser: chromium.Chromium, page: Path) -> None:
    browser.open(page)
    assert first_column(browser) == ["0.25", "0.5", "1", "1.5", "2"]
    browser.click("table thead th:first-child button")
    assert first_column(browser) == ["0.25", "0.5", "1", "1.5", "2"]
    assert sorted_by(browser) == {"--cpus": "ascending"}
    browser.click("table thead th:first-child button")
    assert first_column(browser) == ["2", "1.5", "1", "0.5", "0.25"]
    assert sorted_by(browser) == {"--cpus": "descending"}
    browser.click("table thead th:nth-child(2) button")
    assert first_column(browser)[-1] == "0.5"  # the one that deviates
    assert sorted_by(browser) == {"Verdict": "ascending"}


def test_the_keyboard_sorts_too_and_its_focus_is_seen(
    browser: chromium.Chromium, page: Path
) -> None:
    browser.open(page)
    browser.run("document.querySelector('.scroll').focus()")
    browser.press("Tab")
    assert browser.run("document.activeElement.innerText.trim()") == "--cpus"
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for _ in range(2):
        browser.press("Enter", "\r")
    assert first_column(browser)[0] == "2"
    assert browser.run("document.activeElement.innerText.trim()") == "--cpus"


def test_what_was_not_measured_comes_last_whichever_way(
    browser: chromium.Chromium, page: Path
) -> None:
    browser.open(page)
    browser.run("document.querySelector('tbody tr:nth-child(3) td:nth-child(4)').dataset.sort = ''")
    for _ in range(2):
        browser.click("table thead th:nth-child(4) button")
        assert first_column(browser)[-1] == "1"


def test_every_anchor_leads_somewhere(browser: chromium.Chromium, page: Path) -> None:
    browser.open(page)
    anchors = browser.run("Array.from(document.links).map(a => a.getAttribute('href'))")
    assert len(anchors) >= 8
    for anchor in anchors:
        browser.run(f"document.querySelector('a[href=\"{anchor}\"]').click()")
        assert browser.run("location.hash") == anchor
        assert browser.run(f"document.querySelector('{anchor}').getBoundingClientRect().height") > 0
    assert browser.fetched() == [page.as_uri()]


@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_itself_never_scrolls_sideways(
    browser: chromium.Chromium, page: Path, tmp_path: Path, width: int
) -> None:
    browser.open(page, width=width)
    assert browser.run("document.documentElement.scrollWidth") == width
    wider = browser.run(
        "Array.from(document.querySelectorAll('main > section > *')).filter("
        "e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === 'visible'"
        ").map(e => e.outerHTML.slice(0, 80))"
    )
    assert wider == []
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("dark", [False, True])
def test_figures_take_the_page_s_colours(
    browser: chromium.Chromium, page: Path, *, dark: bool
) -> None:
    browser.open(page, dark=dark)
    text, paper = browser.run(
        "[getComputedStyle(document.querySelector('.figure text')).fill,"
        " getComputedStyle(document.body).backgroundColor]"
    )

    def brightness(colour: str) -> int:
        return sum(int(part) for part in colour.strip("rgb()").split(","))

    assert (brightness(text) > brightness(paper)) == dark
    assert abs(brightness(text) - brightness(paper)) > 450


def test_no_text_of_a_figure_is_cut_off(browser: chromium.Chromium, page: Path) -> None:
    browser.open(page)
    outside = browser.run(
        "Array.from(document.querySelectorAll('.figure svg')).flatMap(svg => {"
        " const box = svg.getBoundingClientRect();"
        " return Array.from(svg.querySelectorAll('text')).filter(t => {"
        "  const b = t.getBoundingClientRect();"
        "  return b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 1"
        "   || b.bottom > box.bottom + 1; }).map(t => t.textContent); })"
    )
    assert outside == []


def test_an_attack_from_outside_is_shown_and_not_run(
    browser: chromium.Chromium, hostile: Run, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(html.render(views.build(hostile)))
    browser.open(path)
    assert browser.run("document.scripts.length") == 1
    assert browser.complaints() == []
    assert browser.fetched() == [path.as_uri()]
    assert "<script>alert(1)</script>" in browser.run("document.body.innerText")


def test_a_script_from_elsewhere_would_not_run(browser: chromium.Chromium, page: Path) -> None:
    """The page's policy holds by itself: shown by breaking the escaping on purpose."""
    broken = page.with_name("broken.html")
    attack = "<script>document.title = 'taken'</script><img src='https://example.invalid/x.png'>"
    broken.write_text(page.read_text().replace("<main>", f"<main>{attack}"))
    browser.open(broken)
    assert browser.run("document.title") != "taken"
    assert browser.complaints() != []
    assert not [e for e in browser.events if e.get("method") == "Network.responseReceived"
                and "example.invalid" in str(e)]  # fmt: skip


def test_it_prints(browser: chromium.Chromium, page: Path, tmp_path: Path) -> None:
    browser.open(page)
    browser.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


# --- other pages -------------------------------------------------------------------------------


def test_several_runs_are_a_page_of_the_same_kind(
    browser: chromium.Chromium, beside: Path, tmp_path: Path
) -> None:
    browser.open(beside)
    assert browser.complaints() == []
    assert browser.fetched() == [beside.as_uri()]
    assert browser.run("document.querySelectorAll('.figure svg').length") > 8
    for anchor in browser.run(
        "Array.from(document.querySelectorAll('nav a')).map(a => a.getAttribute('href'))"
    ):
        browser.run(f"location.hash = {anchor!r}")
        top = browser.run(f"document.querySelector({anchor!r}).getBoundingClientRect().top")
        assert abs(top) < 900
    before = first_column(browser)
    browser.click("table thead th:nth-child(2) button")
    assert sorted_by(browser) == {"Run": "ascending"}
    assert sorted(first_column(browser)) == sorted(before)
    second = browser.run(
        "Array.from(document.querySelector('table').tBodies[0].rows).map(r => r.cells[1].innerText)"
    )
    assert second == sorted(second)
    browser.screenshot(tmp_path / "page.png")


@pytest.mark.parametrize("width", [1200, 400])
def test_no_page_of_several_runs_is_wider_than_its_window(
    browser: chromium.Chromium, beside: Path, width: int
) -> None:
    browser.open(beside, width=width)
    assert browser.run("document.documentElement.scrollWidth") == width


def test_a_notebook_s_page_fetches_and_runs_nothing(
    browser: chromium.Chromium, tmp_path: Path
) -> None:
    attack = "<script>document.title = 'taken'</script><img src=x onerror='document.title = 1'>"
    outputs = [
        {"output_type": "display_data", "data": {"text/html": f"<table><tr><td>{attack}</table>"}},
        {"output_type": "stream", "text": attack},
    ]
    document = {
        "cells": [
            {"cell_type": "markdown", "source": f"# {attack} ![x](https://example.invalid/x.png)"},
            {"cell_type": "code", "source": attack, "outputs": outputs},
        ]
    }
    path = tmp_path / "notebook.html"
    path.write_text(notebook_pages.render(document, "notebook"))
    browser.open(path)
    assert browser.run("document.title") == "notebook – limitbench"
    assert browser.run("document.scripts.length") == 0
    assert not [e for e in browser.events if e.get("method") == "Network.responseReceived"
                and "example.invalid" in str(e)]  # fmt: skip
