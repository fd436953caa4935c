"""The drift report in a browser: it fits, asks for nothing, and bars nobody."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from features.outcomes.settings import WORDS
from pipelines.monitor.report import drift_html
from tests.pipelines.checked_by_hand import broken, checked, retrained

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the system"),
]
SIZES = {"desktop": (1280, 900, "light"), "phone": (390, 844, "dark")}
PAGES = {"moved": checked, "broken": broken, "promoted": lambda: retrained(promoted=True)}
STICKS_OUT = """() => [...document.querySelectorAll("body *:not(.skip):not(svg *)")]
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
    .map(one => one.tagName + " " + one.textContent.trim().slice(0, 40))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_report_fits_and_can_be_read_by_everybody(browser, tmp_path, name) -> None:
    axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
    file = tmp_path / "drift.html"
    file.write_text(drift_html(PAGES[name](), WORDS["churn"]), encoding="utf-8")
    for width, height, scheme in SIZES.values():
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, color_scheme=scheme)
        page, said = context.new_page(), []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("request", lambda request, said=said: said.append(request.url))
        page.goto(file.as_uri())
        assert said == [file.as_uri()]
        assert page.evaluate(STICKS_OUT) == []
        found = axe_playwright.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        context.close()
