"""Pages for a meeting out of the panel: what they hold, and for whom."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from pipelines.dashboard.portfolio import pack_pages
from pipelines.dashboard.portfolio.pack_pages import BUSY, PackJobs
from tests.pipelines.dashboard.served import HOSTILE_IDS

ANNS, BOBS = "A-0000", "A-0001"


@pytest.fixture
def pages(monkeypatch):
    """The page that is set, in place of the file that it is set as."""
    monkeypatch.setattr(pack_pages, "pdf_of", lambda html: html.encode())


@pytest.fixture
def jobs(shared):
    """Files that nobody else asked for."""
    kept, shared.app.state.pack_jobs = shared.app.state.pack_jobs, PackJobs()
    yield shared.app.state.pack_jobs
    shared.app.state.pack_jobs.close()
    shared.app.state.pack_jobs = kept


def test_the_page_of_an_account_is_a_pdf(shared, jobs) -> None:
    response = shared.browser("ann").get(f"/accounts/{ANNS}/one-page.pdf")
    assert response.headers["content-type"] == "application/pdf"
    assert response.headers["content-disposition"] == 'inline; filename="account-2025-01-01.pdf"'
    assert response.content.startswith(b"%PDF-")


def test_pages_lead_to_their_files(shared, jobs, pages) -> None:
    browser = shared.browser("root")
    for account in (BOBS, HOSTILE_IDS[10]):
        path = f"/accounts/{quote(account, safe='')}"
        for file in ("one-page.pdf", "one-page.pdf?slides=1"):
            assert f'href="{path}/{file}"' in browser.get(path).text
            assert browser.get(f"{path}/{file}").status_code == 200
    first = browser.get("/").text
    assert 'href="/pack.pdf"' in first
    assert 'href="/pack.pdf?slides=1"' in first


def test_a_pack_holds_the_reader_s_accounts_alone(shared, jobs, pages) -> None:
    whole, own = (shared.browser(who).get("/pack.pdf").text for who in ("eve", "ann"))
    limited = shared.browser("ann").get("/api/v1/accounts?size=200").json()["accounts"]
    first = shared.browser("eve").get("/api/v1/accounts?size=10").json()["accounts"]
    mine = {one["account_id"] for one in limited}
    others = [one["account_id"] for one in first if one["account_id"] not in mine]
    assert others
    assert all(other in whole and other not in own for other in others)
    assert "Accounts of Ann Lee, 1 January 2025" in own


def test_the_number_of_files_at_once_is_bounded(shared, jobs, pages, monkeypatch) -> None:
    monkeypatch.setattr(jobs._files, "waiting", 0)
    response = shared.browser("root").get("/pack.pdf")
    assert response.status_code == 503
    assert BUSY in response.text
