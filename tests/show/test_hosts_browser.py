"""The page of a thousand hosts in a browser: it is searched and sorted, and fetches nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.show.report import hosts_html
from tests import chromium, fleets

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SHOWN = "Array.from(document.querySelectorAll('tr.searched:not([hidden])'))"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hosts") / "fleet.html"
    path.write_text(hosts_html.render(fleets.hosts(1000, dict.fromkeys(range(7, 1000, 20), 1.05))))
    return path


def test_it_is_searched_by_words_and_by_standing(browser: chromium.Chromium, page: Path) -> None:
    browser.open(page)
    assert browser.run(f"{SHOWN}.length") == 1000
    browser.click("button[data-find='deviates']")
    assert browser.run(f"{SHOWN}.length") == 50
    assert browser.run("document.querySelector('#search output').textContent") == "50 of 1000"
    browser.run(
        "(() => { const i = document.querySelector('#search input'); i.value = 'runc 0047';"
        " i.dispatchEvent(new Event('input')); })()"
    )
    assert browser.run(f"{SHOWN}.map(r => r.cells[0].innerText)") == ["host-0047"]
    browser.click("button[data-find='']")
    assert browser.run(f"{SHOWN}.length") == 1000


def test_it_is_sorted_and_fetches_and_complains_of_nothing(
    browser: chromium.Chromium, page: Path
) -> None:
    browser.open(page)
    first = f"{SHOWN}[0].cells[0].innerText"
    assert browser.run(f"{SHOWN}[0].cells[1].innerText").endswith("deviates")
    browser.click("table:has(tr.searched) thead th:first-child button")
    assert browser.run(first) == "host-0000"
    browser.click("table:has(tr.searched) thead th:first-child button")
    assert browser.run(first) == "host-0999"
    assert browser.complaints() == []
    assert browser.fetched() == [page.as_uri()]


@pytest.mark.parametrize("width", [390, 1200])
def test_it_is_as_wide_as_the_window(browser: chromium.Chromium, page: Path, width: int) -> None:
    browser.open(page, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width
