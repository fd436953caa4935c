"""The list of accounts: its page, its file and its answers to programs."""

from __future__ import annotations

import csv
import io
import re
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from pipelines.dashboard.access.visitor import Visitor
from pipelines.dashboard.portfolio.list_address import address_of
from pipelines.dashboard.snapshot.calls import called
from pipelines.dashboard.snapshot.paging import page_of
from pipelines.dashboard.snapshot.query import AccountQuery
from tests.pipelines.dashboard.served import HOSTILE, HOSTILE_IDS
from tests.pipelines.reports.page import Page

ADMIN = Visitor("root", "admin")


@pytest.fixture(scope="module")
def browser(shared):
    return shared.browser("root")


@pytest.fixture(scope="module")
def snapshot(shared):
    return shared.snapshots.current("main")


def linked(page: str) -> list[str]:
    """Ids of the accounts that a page lists, in its order."""
    found = re.findall(r'<a class="account" href="([^"]+)"', page)
    from urllib.parse import unquote

    return [unquote(one.partition("?")[0].removeprefix("/accounts/")) for one in found]


def test_a_page_shows_the_accounts_in_order(browser, snapshot) -> None:
    page = browser.get("/accounts")
    query = AccountQuery()
    assert linked(page.text) == [row["account_id"] for row in page_of(snapshot, ADMIN, query).rows]
    assert "1 to 50 of 200 accounts: ARR " in page.text
    assert re.search(r'aria-sort="descending"><a [^>]+>Expected loss', page.text)


def test_every_page_is_reached_by_its_links_and_back(browser) -> None:
    met, address = [], "/accounts?sort=name&order=asc&band=healthy&band=watch"
    pages = []
    while address:
        text = browser.get(address).text
        met += linked(text)
        pages.append((address, linked(text)))
        found = re.search(r'<a href="([^"]+)" rel="next"', text)
        address = found and found[1].replace("&amp;", "&")
    total = browser.get("/api/v1/accounts?band=healthy&band=watch").json()["total"]
    assert len(met) == len(set(met)) == total
    text = browser.get(pages[-1][0]).text
    back = re.search(r'<a href="([^"]+)" rel="prev"', text)[1].replace("&amp;", "&")
    assert linked(browser.get(back).text) == pages[-2][1]
    last = re.search(r'<a href="([^"]+)" data-turn="last"', browser.get(pages[0][0]).text)[1]
    assert linked(browser.get(last.replace("&amp;", "&")).text) == met[-50:]


def test_after_the_last_account_there_is_none(browser, snapshot) -> None:
    rows = page_of(snapshot, ADMIN, AccountQuery(sort="name", descending=False, size=200)).rows
    for asked in ("", "&band=watch"):
        last = [row for row in rows if not asked or row["band"] == "watch"][-1]["account_id"]
        address = f"sort=name&order=asc&after={quote(last, safe='')}{asked}"
        page = browser.get(f"/accounts?{address}")
        assert "No account comes after that one." in page.text
        first = re.search(r'<a href="([^"]+)" data-turn="first"', page.text)[1]
        assert len(linked(browser.get(first.replace("&amp;", "&")).text)) > 30
        answer = browser.get(f"/api/v1/accounts?{address}").json()
        assert (answer["accounts"], answer["first"], answer["total"] > 30) == ([], 0, True)
        assert answer["after"] is answer["before"] is None


def test_hostile_names_are_words_and_nothing_else(browser) -> None:
    page = browser.get("/accounts?sort=account_id&order=asc").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Bob <b>" not in page
    assert "\u202e" not in page
    assert "{{ 7 * 7 }}" in page
    assert not re.search(r"\b49\b(?!\d)", re.sub(r"<[^>]*>|[\d,.]+", "", page))
    Page(page)
    for account in HOSTILE_IDS.values():
        page = browser.get("/accounts", params={"q": account}).text
        assert account in linked(page)
        link = f"/accounts/{quote(account, safe='')}"
        assert f'href="{link}"' in page
        assert browser.get(link).status_code == 200


@pytest.mark.parametrize(
    "sought", [*filter(None, HOSTILE.values()), *HOSTILE_IDS.values(), "%", "_"]
)
def test_a_search_is_taken_by_its_letters(browser, snapshot, sought) -> None:
    sought = sought[:200].partition("\n")[0]
    page = browser.get("/accounts", params={"q": sought})
    assert page.status_code == 200
    wanted = page_of(snapshot, ADMIN, AccountQuery(search=sought))
    assert len(linked(page.text)) == wanted.total > 0
    assert Page(page.text)
    assert "<script>alert" not in page.text


def test_what_was_picked_is_shown_and_can_be_taken_away(browser) -> None:
    address = (
        "/accounts?q=company&band=watch&band=healthy&plan=pro&unknown=owner&score_to=60&sort=score"
    )
    text = browser.get(address).text
    chips = re.findall(r'<li><a href="([^"]+)"><span class="muted">([^<]+)</span>', text)
    assert [label for _, label in chips] == [
        "search",
        "band",
        "band",
        "owner",
        "plan",
        "score up to",
    ]
    for link, label in chips:
        left = parse_qs(urlsplit(link.replace("&amp;", "&")).query)
        key = {"search": "q", "owner": "unknown", "score up to": "score_to"}.get(label, label)
        assert len(left.get(key, [])) == (1 if label == "band" else 0)
        assert left["sort"] == ["score"]
        kept = {"q", "band", "plan", "unknown", "score_to"} - {key}
        assert kept <= left.keys()
    assert 'value="pro" selected' in text


def test_a_form_that_was_not_filled_in_asks_for_everything(browser) -> None:
    empty = (
        "q=&band=&segment=&owner=&lifecycle=&plan=&score_from=&score_to=&sort=&order=&after=&end="
    )
    assert "of 200 accounts" in browser.get(f"/accounts?{empty}").text


def test_an_address_says_the_view_it_was_written_for() -> None:
    query = AccountQuery("a b", {"band": ("watch",), "owner": ("", "Zoé")}, 20, None, "name", False)
    assert address_of(query, "growth", {"end": 1}) == (
        "/accounts?outcome=growth&q=a+b&band=watch&owner=Zo%C3%A9&unknown=owner&score_from=20"
        "&sort=name&order=asc&end=1"
    )


def test_a_csm_sees_their_accounts_alone(shared, snapshot) -> None:
    browser = shared.browser("ann")
    page = browser.get("/accounts?sort=account_id&order=asc").text
    assert "1 to 50 of 50 accounts: ARR " in page
    assert "You see the accounts of" in page
    others = [
        row["account_id"]
        for row in snapshot.ask(
            "select account_id from accounts where owner is distinct from 'Ann Lee'"
        )
    ]
    assert not set(linked(page)) & set(others)
    for asked in ("owner=Zo%C3%A9", "unknown=owner", "q=A-0001"):
        assert "No account matches." in browser.get(f"/accounts?{asked}").text
        assert browser.get(f"/api/v1/accounts?{asked}").json()["total"] == 0
    # As if it did not exist.
    for address in ("/accounts/A-0001", "/api/v1/accounts/A-0001"):
        own, none = browser.get(address), browser.get(address.replace("0001", "9999"))
        assert own.status_code == none.status_code == 404
        assert own.text.replace("A-0001", "").count("A-9999") == 0
    assert "Zoé" not in browser.get("/accounts").text
    assert "Zoé" not in browser.get("/").text


# The file.


def test_the_file_holds_the_whole_view_and_no_formula(browser, snapshot, shared) -> None:
    response = browser.get("/accounts.csv?sort=account_id&order=asc")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == (
        'attachment; filename="accounts-2025-01-01.csv"'
    )
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    held = page_of(snapshot, ADMIN, AccountQuery(sort="account_id", descending=False, size=200))
    assert len(rows) == 200
    for written, row in zip(rows, held.rows, strict=True):
        assert float(written["score"]) == row["score"]
        assert written["plan"] == (row["attributes"]["plan"] or "")
        assert written["mrr"] == ("" if row["mrr"] is None else written["mrr"])
    # A file to work from: what the page says of each account.
    for call in called(snapshot, shared.panel.project, held.rows):
        (line,) = [row for row in rows if row["account_id"].lstrip("'") == call.row["account_id"]]
        said = [line[f"reason_{rank}"] for rank in (1, 2, 3)]
        assert [one.lstrip("'") for one in said if one] == call.call.sentences[:3]
        assert line["play"] == (call.call.play or "")
    assert any(row["reason_1"] for row in rows)
    by_id = {row["account_id"]: row for row in rows}
    assert by_id["A-0004"]["name"] == "'" + HOSTILE[4]
    assert "'=1+1" in by_id
    assert by_id["A-0009"]["name"].startswith('quo"te, comma')
    for row in rows:
        for name in ("account_id", "name", "owner", "segment"):
            assert not row[name].startswith(("=", "+", "-", "@", "\t"))


def test_the_file_is_that_of_the_view_and_the_visitor(shared) -> None:
    for name, total in (("ann", 50), ("root", 200)):
        browser = shared.browser(name)
        rows = list(csv.reader(io.StringIO(browser.get("/accounts.csv").text, newline="")))
        assert len(rows) == total + 1
        some = browser.get("/accounts.csv?band=at-risk&lifecycle=renewal").text
        asked = browser.get("/api/v1/accounts?band=at-risk&lifecycle=renewal").json()["total"]
        assert len(list(csv.reader(io.StringIO(some, newline="")))) == asked + 1
    none = browser.get("/accounts.csv?q=nobody-at-all").text
    assert none.startswith('"account_id","name"')
    assert none.count("\n") == 1


# The answers.


def test_answers_hold_what_the_page_shows_and_turn_alike(browser, snapshot) -> None:
    met, after = [], None
    while True:
        given = {"size": 70, "sort": "arr", **({} if after is None else {"after": after})}
        answer = browser.get("/api/v1/accounts", params=given).json()
        assert answer["first"] == len(met) + 1
        met += answer["accounts"]
        after = answer["after"]
        if after is None:
            break
    rows = page_of(snapshot, ADMIN, AccountQuery(sort="arr", size=200)).rows
    assert met == [
        {name: one[name] for name in met[0]} | {"renewal": one["renewal"].isoformat()}
        for one in rows
    ]
    assert answer["total"] == 200
    assert answer["arr"] == pytest.approx(sum(one["arr"] or 0 for one in rows))
    assert answer["stake"] == pytest.approx(sum(one["stake"] or 0 for one in rows))
    assert (answer["as_of"], answer["model_version"], answer["revision"]) == ("2025-01-01", "1", 1)
    other = browser.get("/api/v1/accounts?outcome=growth").json()
    assert {row["band"] for row in other["accounts"]} <= {"likely", "possible", "unlikely"}


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ("size=0", 422, "size: Input should be greater than or equal to 1"),
        ("size=100000000000000000000", 422, "size: Input should be less than or equal to 200"),
        ("score_from=101", 422, "score_from: Input should be less than or equal to 100"),
        ("score_from=nan", 422, "score_from: Input should be"),
        ("score_to=-1", 422, "score_to: Input should be greater than or equal to 0"),
        ("order=up", 422, "order: Input should be 'asc', 'desc' or ''"),
        ("sort=stakes", 422, "Accounts are not sorted by 'stakes'; did you mean 'stake'?"),
        ("moved=away", 422, "Accounts are not picked by 'away'"),
        ("renews=-1", 422, "renews: Input should be greater than or equal to 0"),
        ("unknown=gender", 422, "Accounts are not picked by 'gender'"),
        ("outcome=other", 404, "There is no outcome 'other'"),
        (f"q={'x' * 201}", 422, "q: String should have at most 200 characters"),
        ("&".join(["band=x"] * 51), 422, "band: List should have at most 50 items"),
        ("q=%00", 200, ""),
        ("after=%00%ff%fe", 200, ""),
        ("q=%ED%A0%80", 200, ""),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(browser, asked, status, says) -> None:
    for path in ("/accounts", "/accounts.csv", "/api/v1/accounts"):
        if "size" in asked and path != "/api/v1/accounts":
            continue
        response = browser.get(f"{path}?{asked}")
        assert response.status_code == status, response.text
        if status != 200 and path.startswith("/api"):
            assert response.json()["detail"].startswith(says)
