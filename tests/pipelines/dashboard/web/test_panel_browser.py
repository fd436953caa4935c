"""The real server in a real browser: logging in, the portfolio, the list, and what is forbidden."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pytest

from tests.pipelines.dashboard.served import PASSWORD, company, issue_scores, users_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the system"),
]
SIZES = {"desktop": (1280, 900, "light"), "phone": (390, 844, "dark")}
STICKS_OUT = """() => [...document.querySelectorAll("body *:not(.skip):not(.hidden):not(svg *)")]
    .filter(one => !one.parentElement.closest(".panel-nav ul, .views"))
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
    .map(one => one.tagName + " " + one.textContent.trim().slice(0, 40))"""
ROWS = "table.accounts tbody tr"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory, spawn) -> Iterator[str]:
    """The address of a panel over a company whose names are an attack."""
    project = company(tmp_path_factory.mktemp("browsed") / "company")
    issue_scores(project, seed=5, day=date(2024, 12, 1))
    issue_scores(project)
    issue_scores(project, seed=2, outcome="growth")
    users_of(project)
    with spawn("serve", "-c", project.path, "--port", 0, "--json") as process:
        url = json.loads(process.stdout.readline())["url"]
        with httpx.Client(base_url=url) as client:
            form = {"csrf_token": client.get("/api/v1/session").json()["csrf_token"]}
            client.post("/login", data={"user": "root", "password": PASSWORD, **form})
            token = client.get("/api/v1/session").json()["csrf_token"]
            # Answered when the scores are there.
            again = client.post("/admin/refresh", headers={"x-csrf-token": token}, timeout=120)
            assert again.status_code == 303
        yield url
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1] == ""


class Visit:
    """A tab of somebody who is logged in, and all that it complained of or asked elsewhere."""

    def __init__(self, browser: Any, address: str, size: str, **options: Any) -> None:
        width, height, scheme = SIZES[size]
        viewport = {"width": width, "height": height}
        self.context = browser.new_context(viewport=viewport, color_scheme=scheme, **options)
        self.page = self.context.new_page()
        self.address = address
        self.said: list[str] = []
        self.page.on("console", self._told)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", self._asked)

    def _told(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.said.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(self.address):
            self.said.append(request.url)

    def go(self, path: str) -> Any:
        return self.page.goto(f"{self.address}{path}")

    def log_in(self, name: str) -> None:
        self.page.fill("#user", name)
        self.page.fill("#password", PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(lambda url: "/login" not in url)

    def follow(self, selector: str) -> None:
        """Click on what leads to another page, and wait for it."""
        with self.page.expect_navigation():
            self.page.locator(selector).first.click()

    def names(self) -> list[str]:
        return self.page.locator(f"{ROWS} a.account").all_inner_texts()

    def fits(self) -> None:
        """Whether nothing sticks out of the page, and nothing went wrong."""
        assert self.page.evaluate(STICKS_OUT) == []
        assert self.said == []

    def check(self) -> None:
        """Whether the page fits and can be read by everybody."""
        axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
        self.fits()
        found = axe_playwright.Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("size", SIZES)
def test_a_visit_from_login_to_logout(browser, address, size) -> None:
    visit = Visit(browser, address, size)
    page = visit.page
    visit.go("/accounts?band=at-risk")
    assert page.url == f"{address}/login?next=%2Faccounts%3Fband%3Dat-risk"
    visit.check()
    visit.log_in("eve")
    # Where they wanted to go.
    assert page.url == f"{address}/accounts?band=at-risk"
    assert set(page.locator(f"{ROWS} .band").all_inner_texts()) == {"at-risk"}

    visit.go("/")
    assert page.locator("h1").inner_text().startswith("About ")
    visit.check()
    visit.follow("main a:has(.band.watch)")
    assert page.url.startswith(f"{address}/accounts?band=watch")
    visit.check()

    # Search, sort, turn the page.
    visit.go("/accounts")
    if size == "phone":
        # What is looked for begins on the first screen, and what picks it unfolds.
        assert page.locator(ROWS).first.bounding_box()["y"] < page.viewport_size["height"]
        page.click("summary >> text=Search and filters")
    page.fill("#q", "<script>")
    page.keyboard.press("Enter")
    page.wait_for_url("**/accounts?*q=%3Cscript%3E*")
    assert visit.names() == ["<script>alert(1)</script>"]
    visit.fits()
    visit.follow("text=show all")
    if size == "desktop":
        visit.follow("thead >> text=Score")
        assert page.locator("[aria-sort=ascending]").inner_text() == "Score ▲"
        first = visit.names()
        visit.follow("text=Next")
        assert not set(first) & set(visit.names())
        visit.follow("text=Previous")
        assert visit.names() == first
    visit.follow("text=Log out")
    assert page.url == f"{address}/login"
    visit.go("/")
    assert page.url == f"{address}/login?next=%2F"
    assert visit.said == []
    visit.context.close()


def test_keys_search_move_open_and_turn(browser, address) -> None:
    visit = Visit(browser, address, "desktop")
    page = visit.page
    visit.go("/accounts?sort=account_id&order=asc&q=company")
    visit.log_in("eve")
    names = visit.names()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.textContent") == names[1]
    page.keyboard.press("n")
    page.wait_for_url("**after=*")
    page.keyboard.press("p")
    page.wait_for_url("**before=*")
    assert visit.names() == names
    page.keyboard.press("/")
    # A letter in a field is a letter.
    page.keyboard.type("jnpk/")
    assert page.input_value("#q") == "jnpk/"
    visit.go("/accounts?sort=account_id&order=asc&q=company")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/accounts/*")
    visit.context.close()


def test_without_script_all_of_it_works(browser, address) -> None:
    visit = Visit(browser, address, "desktop", java_script_enabled=False)
    page = visit.page
    visit.go("/")
    visit.log_in("eve")
    page.select_option("#outcome-switch", "growth")
    visit.follow("text=Show")
    assert page.url == f"{address}/?outcome=growth"
    assert page.get_by_role("heading", name="Where is most to be won?").is_visible()
    visit.follow("nav >> text=Accounts")
    page.select_option("#pick-band", "likely")
    visit.follow(".filters >> text=Show")
    assert set(page.locator(f"{ROWS} .band").all_inner_texts()) == {"likely"}
    assert "outcome=growth" in page.url
    assert visit.said == []
    visit.context.close()


def test_a_csm_is_kept_to_their_accounts(browser, address) -> None:
    visit = Visit(browser, address, "desktop")
    page = visit.page
    visit.go("/accounts")
    visit.log_in("bob")
    owners = set(page.locator(f"{ROWS} td[data-label=Owner]").all_inner_texts())
    assert owners == {"Bob <b>Ray</b>", "Zoé"}
    visit.fits()
    assert page.locator("nav[aria-label=Pages] a").all_inner_texts() == ["Portfolio", "Accounts"]
    for path, status in (("/accounts/A-0000", 404), ("/weights", 403), ("/users", 403)):
        assert visit.go(path).status == status
        assert page.locator("h1").inner_text() in ("Nothing is here", "This is not for you")
    # The browser says of each that it failed, and of nothing else.
    assert len(visit.said) == 3
    assert all(said.startswith("Failed to load resource") for said in visit.said)
    visit.said.clear()
    visit.check()
    visit.context.close()


def test_a_printed_page_holds_what_was_found_alone(browser, address) -> None:
    visit = Visit(browser, address, "desktop")
    visit.go("/accounts")
    visit.log_in("eve")
    visit.page.emulate_media(media="print")
    for hidden in (".filters", ".panel-header", ".turn"):
        assert not visit.page.locator(hidden).first.is_visible()
    assert visit.page.locator(ROWS).first.is_visible()
    visit.context.close()
