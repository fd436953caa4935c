from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.weights.report.report import weights_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the system"),
]
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(large_html, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "weights.html"
    path.write_text(large_html, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def usual(recommended, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("usual") / "weights.html"
    path.write_text(weights_html(recommended), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, file):
    """Open the page at some size, and see afterwards that it asked for nothing and said nothing."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def go(size: tuple[int, int], scheme: str = "light", file: Path = file) -> Any:
        width, height = size
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url))
        page.goto(file.as_uri())
        asked.append(file.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert said == asked


def _overflow(page: Any) -> list[str]:
    """Name what sticks out of the page to the right."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("body *:not(.skip):not(svg *)")]
            .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
            .map(one => one.tagName + " " + one.textContent.trim().slice(0, 40))"""
    )
    return found


@pytest.mark.parametrize("size", SIZES)
def test_a_page_fits_its_window(opened, size):
    page = opened(SIZES[size])
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
    assert _overflow(page) == []


def test_a_page_fits_on_paper(opened):
    # A4 less its margins, at 96 dots per inch.
    page = opened((680, 1000))
    page.emulate_media(media="print")
    assert _overflow(page) == []
    assert not page.locator(".skip").is_visible()


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_nobody_is_barred_from_reading(opened, usual, size, scheme):
    axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(SIZES[size], scheme, usual)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    found = axe_playwright.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_links_lead_to_headings_in_sight(opened):
    page = opened(SIZES["desktop"])
    links = page.locator("nav a")
    assert links.count() > 20
    for place in (0, 5, links.count() - 1):
        target = links.nth(place).get_attribute("href")
        links.nth(place).click()
        assert page.evaluate("location.hash") == target
        assert page.locator(target).is_visible()
        top = page.locator(target).bounding_box()["y"]
        assert -1 <= top < SIZES["desktop"][1]


def test_the_keyboard_reaches_the_report_first(opened):
    page = opened(SIZES["desktop"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
