"""The page of claims in a real Chromium: found by words, whole without a script, whole on paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.show.claims import html
from harness.show.claims import view as views
from tests import chromium
from tests.claimed import TEXTS, loaded

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHOWN = (
    "Array.from(document.querySelectorAll('.claim'))"
    ".filter(c => c.checkVisibility()).map(c => c.id)"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    path = root / "claims.html"
    path.write_text(html.render(views.build(loaded(root))))
    return path


def search(browser: chromium.Chromium, words: str) -> list[str]:
    browser.run(
        "(() => { const box = document.querySelector('#search input');"
        f" box.value = {words!r}; box.dispatchEvent(new Event('input')); }})()"
    )
    found: list[str] = browser.run(SHOWN)
    return found


def test_claims_are_found_by_words_in_either_language(
    browser: chromium.Chromium, page: Path
) -> None:
    browser.open(page)
    assert browser.run(SHOWN) == [one.id for one in TEXTS]
    assert search(browser, "not exercisable") == ["ports-open"]
    assert search(browser, "MEMORY-BINDS의") == ["memory-binds"]
    assert search(browser, "refuted docker") == [
        one.id for one in TEXTS  # each says what would refute it
    ]  # fmt: skip
    assert search(browser, "nowhere") == []
    assert browser.run("document.querySelector('#search output').textContent") == "0 of 5"
    assert browser.run(
        "Array.from(document.querySelectorAll('.filtered')).every(s => !s.checkVisibility())"
    )
    assert search(browser, "") == [one.id for one in TEXTS]
    assert browser.fetched() == [page.as_uri()]
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [1200, 360])
def test_no_window_is_too_narrow(browser: chromium.Chromium, page: Path, width: int) -> None:
    browser.open(page, width=width)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")


def test_without_a_script_all_is_there_and_no_search_that_does_nothing(
    browser: chromium.Chromium, page: Path
) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        assert browser.run(SHOWN) == [one.id for one in TEXTS]
        assert browser.run("document.querySelector('#search').childElementCount") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_on_paper_what_is_folded_is_open(
    browser: chromium.Chromium, page: Path, tmp_path: Path
) -> None:
    browser.open(page)
    browser.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000
    assert browser.run("Array.from(document.querySelectorAll('.claim details')).every(d => d.open)")
