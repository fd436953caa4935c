"""The account, weights and model pages in a browser, asked of the real server."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import duckdb
import pytest

from pipelines.dashboard.app import create_app
from pipelines.project.project import load_project
from tests.pipelines.conftest import copy_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the system"),
]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
HOSTILE = "<img src=x onerror=alert(1)>/../%2F " + "W" * 120
WIDTHS = (320, 680, 768, 1200, 1920)
PAGES = (
    "/",
    "/accounts",
    "/accounts?state=open&show=state",
    "/weights",
    "/model",
    "/plays",
    "/forecast",
)
LONELY = """() => [...document.querySelectorAll(".key-figures")].filter(one => {
    const tops = [...one.children].map(tile => tile.offsetTop);
    const rows = tops.filter(top => top === Math.max(...tops)).length;
    return rows === 1 && new Set(tops).size < tops.length;
}).map(one => one.textContent.slice(0, 60))"""
STICKS_OUT = """() => [...document.querySelectorAll("body *:not(.skip):not(svg *):not(.hidden)")]
    .filter(one => !one.parentElement.closest(".panel-nav ul, .views"))
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
    .map(one => one.tagName + " " + one.textContent.trim().slice(0, 40))"""


ONE_OF_EACH = """() => {
    const seen = new Set();
    for (const row of document.querySelectorAll("tbody tr")) {
        const parts = [row.closest("table"), ...row.querySelectorAll("*")];
        const shape = parts.map(one => one.tagName + one.getAttribute("class")).join();
        if (seen.has(shape)) row.remove();
        seen.add(shape);
    }
}"""


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an application on a port that is free."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(scored, tmp_path_factory) -> Iterator[str]:
    """A company that weighs surveys most, one of whose accounts has the name of an attack."""
    folder = tmp_path_factory.mktemp("seen") / "project"
    copy_of(scored, folder)
    config = folder / scored.config.name
    told = config.read_text(encoding="utf-8")
    weights = "[scorecard]\nweights = { usage = 10, surveys = 60, support = 30 }\n"
    plays = f'[plays.groups]\nusage = "{HOSTILE}"\n'
    config.write_text(f"{told.replace('[scorecard]', weights, 1)}\n{plays}", encoding="utf-8")
    with duckdb.connect(str(folder / "scores.duckdb")) as store:
        store.execute(
            "update score_rows set account_id = ? where account_id ="
            " (select min(account_id) from latest_scores where account_id like 'A-0%')",
            [HOSTILE],
        ).fetchall()
    app = create_app(load_project(config))
    with serving(app) as found:
        # It is answered once the application has started.
        urlopen(f"{found}/health").close()
        app.state.panel.snapshots.refresh()
        yield found


@pytest.fixture(scope="module")
def account(address, scored) -> str:
    ((found,),) = scored.sql(
        "select account_id from latest_scores where account_id like 'A-0%'"
        " order by score, account_id desc limit 1"
    )
    return f"{address}/accounts/{found}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@contextmanager
def page_in(browser, size, scheme: str = "light", **options: Any) -> Iterator[Any]:
    """Open a page that says nothing on its console and asks nobody else."""
    context = browser.new_context(viewport=size, color_scheme=scheme, **options)
    page, said = context.new_page(), []
    page.set_default_timeout(60_000)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.extend(elsewhere(request.url)))
    yield page
    assert said == []
    context.close()


def elsewhere(url: str) -> list[str]:
    return [] if url.startswith("http://127.0.0.1:") else [url]


def refuse_barriers(page: Any) -> None:
    axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
    assert page.evaluate(STICKS_OUT) == []
    found = axe_playwright.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_an_account_fills_itself_in(browser, account) -> None:
    with page_in(browser, DESKTOP) as page:
        page.goto(account)
        assert page.locator("#points").is_visible()
        page.locator("svg.trend").first.wait_for()
        page.locator("#signals").wait_for()
        assert page.locator("[aria-busy]").count() == 0
        refuse_barriers(page)
        # Groups of signals fold by key, and lie open on paper.
        folded = page.locator("details.signals").nth(1)
        assert folded.get_attribute("open") is None
        folded.locator("summary").focus()
        page.keyboard.press("Enter")
        assert folded.get_attribute("open") is not None
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("main details:not([open])").count() == 0
        page.emulate_media(media="print")
        assert page.evaluate(STICKS_OUT) == []
    with page_in(browser, PHONE, "dark") as page:
        page.goto(account)
        page.locator("#signals").wait_for()
        refuse_barriers(page)


def test_every_page_fits_every_width_zoom_scheme_and_paper(browser, address, account) -> None:
    """Zooming to 200 % is half the width."""
    widths = {one // zoom for one in WIDTHS for zoom in (1, 2) if one // zoom >= min(WIDTHS)}
    for path in (*PAGES, f"{account.removeprefix(address)}?whole=1"):
        with page_in(browser, DESKTOP) as page:
            page.goto(f"{address}{path}")
            # What is still being prepared loads itself again.
            page.locator("[data-again]").wait_for(state="detached", timeout=120_000)
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            for width in sorted(widths, reverse=True):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate(STICKS_OUT) == [], (path, width)
                assert width < 600 or page.evaluate(LONELY) == [], (path, width)
            page.set_viewport_size({"width": 794, "height": 1123})
            page.emulate_media(media="print")
            assert page.evaluate(STICKS_OUT) == [], (path, "paper")
            page.set_viewport_size(DESKTOP)
            page.emulate_media(media="screen", color_scheme="dark")
            # What is looked for in a row is the same in every row of its shape, and takes long.
            page.evaluate(ONE_OF_EACH)
            refuse_barriers(page)


def test_a_hostile_account_is_shown_as_it_is_called(browser, address) -> None:
    with page_in(browser, PHONE) as page:
        page.goto(f"{address}/accounts/{quote(HOSTILE, safe='')}")
        assert HOSTILE[:28] in page.locator("h1").inner_text()
        page.locator("svg.trend").first.wait_for()
        # The tables know no such account, and that is a sentence.
        page.locator("text=This cannot be worked out now").wait_for()
        refuse_barriers(page)


def test_an_account_needs_no_script(browser, account) -> None:
    with page_in(browser, DESKTOP, java_script_enabled=False) as page:
        page.goto(account)
        page.get_by_role("link", name="Wait for all of it on one page").click()
        assert page.locator("#signals").is_visible()
        assert page.locator("svg.trend").first.is_visible()


def test_sliders_replay_while_they_are_moved(browser, address) -> None:
    with page_in(browser, DESKTOP) as page:
        page.goto(f"{address}/weights")
        page.locator("#what-if").wait_for()
        refuse_barriers(page)
        usage = page.get_by_label("usage, as a slider")
        usage.focus()
        page.keyboard.press("ArrowRight")
        assert page.get_by_label("usage", exact=True).input_value() == "11"
        assert page.locator("#sum").inner_text() == "101"
        assert "must sum to 100" in page.locator("#sum-told").inner_text()
        assert page.get_by_role("rowheader", name="Your weights").count() == 0
        page.get_by_role("button", name="Make it 100").click()
        page.get_by_role("rowheader", name="Your weights").wait_for()
        assert page.locator("#sum").inner_text() == "100"
        assert page.locator("#sum-told").inner_text() == ""
        page.get_by_label("usage", exact=True).fill("40")
        page.get_by_label("surveys", exact=True).fill("30")
        assert usage.input_value() == "40"
        page.wait_for_url("**weight.usage=40**")
        told = page.locator("#result .answer").inner_text()
        # What is on the screen can be sent to somebody.
        link = page.url
        page.goto(link)
        assert page.locator("#result .answer").inner_text() == told
        page.get_by_role("button", name="Today's").click()
        assert page.get_by_label("surveys", exact=True).input_value() == "60"
        page.wait_for_url("**weight.surveys=60**")
        refuse_barriers(page)
    with page_in(browser, PHONE, "dark") as page:
        page.goto(link)
        assert page.locator("#result .answer").inner_text() == told
        refuse_barriers(page)


def test_weights_need_no_script(browser, address) -> None:
    with page_in(browser, DESKTOP, java_script_enabled=False) as page:
        page.goto(f"{address}/weights")
        while not page.locator("#what-if").is_visible():
            page.get_by_role("link", name="Look again").click()
        assert not page.get_by_role("button", name="Make it 100").is_visible()
        page.get_by_label("usage", exact=True).fill("70")
        page.get_by_label("surveys", exact=True).fill("0")
        page.get_by_role("button", name="Try these weights").click()
        assert page.get_by_role("rowheader", name="Your weights").is_visible()
        assert page.get_by_label("usage", exact=True).input_value() == "70"


def test_the_model_page_can_be_read_by_everybody(browser, address) -> None:
    for size, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
        with page_in(browser, size, scheme) as page:
            page.goto(f"{address}/model")
            assert page.locator("figure svg").count() == 2
            refuse_barriers(page)


def test_the_forecast_can_be_read_by_everybody(browser, address) -> None:
    for size, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
        with page_in(browser, size, scheme) as page:
            page.goto(f"{address}/forecast")
            while page.locator("figure svg").count() == 0:
                page.reload()
            assert page.locator("figure svg").count() == 2
            refuse_barriers(page)
