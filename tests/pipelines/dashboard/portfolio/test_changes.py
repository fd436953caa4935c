"""What changed since the run before, against a plain reading of both runs."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest

from pipelines.dashboard.access.visitor import Visitor
from pipelines.dashboard.snapshot.changes import compared
from pipelines.dashboard.snapshot.paging import page_of
from pipelines.dashboard.snapshot.query import AccountQuery
from pipelines.store.runs import RunKey
from tests.pipelines.dashboard.served import DAY, company, issue_scores, served, users_of
from tests.pipelines.issued import read

BEFORE = date(2024, 12, 1)
ADMIN = Visitor("root", "admin")
ANN = Visitor("ann", "viewer", frozenset({"Ann Lee"}))


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    """Two dates, between which twenty accounts went and none came."""
    project = company(tmp_path_factory.mktemp("changes") / "company")
    issue_scores(project, 200, seed=5, day=BEFORE)
    issue_scores(project, 180)
    users_of(project)
    with served(project) as running:
        yield running


@pytest.fixture(scope="module")
def snapshot(panel):
    return panel.snapshots.current("main")


def both(panel, snapshot, visitor):
    """Each account of either run: its row before and now, of those the visitor sees."""
    project = panel.panel.project
    runs = [read(project, RunKey("main", day, "1")).to_pylist() for day in (BEFORE, DAY)]
    before, now = ({row["account_id"]: row for row in rows} for rows in runs)
    owner = {
        row["account_id"]: row["owner"]
        for table in ("accounts", "gone")
        for row in snapshot.ask(f"select account_id, owner from {table}")
    }
    return [
        (before.get(account), now.get(account))
        for account in sorted(before.keys() | now.keys())
        if visitor.owners is None or owner[account] in visitor.owners
    ]


def stake(row) -> float:
    return 12 * (row["mrr"] or 0) * row["probability"]


@pytest.mark.parametrize("visitor", [ADMIN, ANN], ids=["all", "limited"])
def test_sums_are_those_of_a_plain_reading(panel, snapshot, visitor) -> None:
    pairs, changes = both(panel, snapshot, visitor), compared(snapshot, visitor)
    assert changes is not None
    assert (changes.as_of, changes.band, changes.is_new_model) == (BEFORE, "at-risk", False)
    then, now = [a for a, _ in pairs if a], [b for _, b in pairs if b]
    assert changes.whole_before.accounts == len(then) > len(now) == changes.whole.accounts
    assert changes.whole_before.stake == pytest.approx(sum(map(stake, then)))
    assert changes.whole.stake == pytest.approx(sum(map(stake, now)))
    assert changes.whole_before.probability == pytest.approx(sum(a["probability"] for a in then))
    kept = [(a, b) for a, b in pairs if a and b]
    entered = [b for a, b in kept if b["band"] == "at-risk" != a["band"]]
    left = [b for a, b in kept if a["band"] == "at-risk" != b["band"]]
    gone = [a for a, b in pairs if not b]
    for found, rows in ((changes.entered, entered), (changes.left, left), (changes.gone, gone)):
        assert found.accounts == len(rows) > 0
        assert found.arr == pytest.approx(sum(12 * (row["mrr"] or 0) for row in rows))
    assert changes.new.accounts == 0
    # Whoever is in the first band now was in it, entered it, or is new.
    stayed = (
        changes.first_before.accounts
        - changes.left.accounts
        - sum(a["band"] == "at-risk" for a in gone)
    )
    assert changes.first.accounts == stayed + changes.entered.accounts
    expected = sorted(entered, key=lambda row: (-(row["mrr"] or -1), row["account_id"]))
    assert [one.row["account_id"] for one in changes.movers_in] == [
        row["account_id"] for row in expected[:5]
    ]


def test_what_moved_a_score_is_the_largest_part_in_its_way(panel, snapshot) -> None:
    pairs = {b["account_id"]: (a, b) for a, b in both(panel, snapshot, ADMIN) if a and b}
    rows = page_of(snapshot, ADMIN, AccountQuery(size=200)).rows
    assert len(rows) == len(pairs) == 180
    for row in rows:
        before, now = pairs[row["account_id"]]
        assert row["change"] == pytest.approx(now["score"] - before["score"])
        parts = {
            name.removeprefix("points_"): now[name] - before[name]
            for name in now
            if name.startswith("points_")
        } | {"baseline": now["baseline_score"] - before["baseline_score"]}
        if row["change"] == 0:
            assert row["moved_group"] is row["moved_points"] is None
            continue
        choose = min if row["change"] < 0 else max
        assert row["moved_group"] == choose(parts, key=lambda name: parts[name])
        assert row["moved_points"] == pytest.approx(parts[row["moved_group"]])
        assert row["past"] == [pytest.approx(before["score"], rel=1e-6)]


@pytest.mark.parametrize(
    ("moved", "holds"),
    [
        (("down",), lambda a, b: b["score"] - a["score"] <= -5),
        (("up",), lambda a, b: b["score"] - a["score"] >= 5),
        (("entered",), lambda a, b: b["band"] == "at-risk" != a["band"]),
        (("left",), lambda a, b: a["band"] == "at-risk" != b["band"]),
        (
            ("worse",),
            lambda a, b: b["score"] - a["score"] <= -5 and not b["band"] == "at-risk" != a["band"],
        ),
        (
            ("up", "entered"),
            lambda a, b: b["score"] - a["score"] >= 5 or b["band"] == "at-risk" != a["band"],
        ),
        (("new",), lambda a, b: False),
    ],
)
def test_accounts_are_picked_by_how_they_moved(panel, snapshot, moved, holds) -> None:
    pairs = [(a, b) for a, b in both(panel, snapshot, ADMIN) if a and b]
    page = page_of(snapshot, ADMIN, AccountQuery(moved=moved, size=200))
    wanted = {b["account_id"] for a, b in pairs if holds(a, b)}
    assert {row["account_id"] for row in page.rows} == wanted
    assert page.total == len(wanted)
    sums = sum(12 * (b["mrr"] or 0) for a, b in pairs if b["account_id"] in wanted)
    assert (page.arr or 0) == pytest.approx(sums)


def test_the_first_screen_says_what_changed(panel, snapshot) -> None:
    changes = compared(snapshot, ADMIN)
    page = panel.browser("root").get("/").text
    told = re.sub(r"<[^>]+>", "", page)
    assert (
        f"{changes.entered.accounts} accounts entered at-risk, {changes.left.accounts} left it,"
        " 20 no longer scored." in told
    )
    assert told.count("since 1 December 2024") == 3
    answer = panel.browser("root").get("/api/v1/portfolio").json()["changes"]
    assert answer["entered"] == changes.entered.accounts
    assert answer["sentence"] == changes.sentence("Expected loss")
    same = replace(changes, whole_before=changes.whole)
    assert re.search(r"expected loss [^→]+, as before, \d", same.sentence("Expected loss"))
    for view in ("moved=entered", "moved=left", "moved=down"):
        assert f"/accounts?{view}" in page


def test_the_first_run_has_nothing_before_it(bare) -> None:
    with served(bare) as running:
        browser = running.browser()
        assert browser.get("/api/v1/portfolio").json()["changes"] is None
        page = browser.get("/")
        assert page.status_code == 200
        assert "What changed?" not in page.text
        assert browser.get("/accounts?moved=down").status_code == 200
        assert browser.get("/api/v1/accounts?moved=new").json()["total"] == 200


def test_what_renews_soon_is_a_view(panel, snapshot) -> None:
    page = page_of(snapshot, ADMIN, AccountQuery(renews_days=31, size=200))
    held = snapshot.ask("select account_id from accounts where renewal <= date '2025-02-01'")
    assert {row["account_id"] for row in page.rows} == {row["account_id"] for row in held}
    assert page.total > 0
    text = panel.browser("root").get("/accounts?renews=31").text
    assert "within 31 days" in text
    assert "1 Feb 2025" in text


def test_columns_are_chosen_by_the_address(panel) -> None:
    browser = panel.browser("root")
    text = browser.get("/accounts?show=plan&show=renewal").text
    heads = re.findall(r'<th scope="col"[^>]*>(?:<a[^>]*>)?([^<]+)', text)
    assert heads == ["Account", "Renews", "Plan"]
    # Every link of the page keeps them.
    links = re.findall(r'href="(/accounts\?[^"]+)"[^>]*>Account', text)
    assert all("show=plan" in link for link in links)
    assert browser.get("/accounts?show=nothing").status_code == 200


def test_old_scores_are_said_to_be_old(panel, monkeypatch) -> None:
    monkeypatch.setattr("pipelines.reports.freshness.today", lambda: date(2025, 11, 28))
    browser = panel.browser("root")
    for path in ("/", "/accounts", "/users"):
        text = browser.get(path).text
        assert "These scores are 331 days old: nothing after 31 December 2024 is in them" in text
    home = browser.get("/").text
    assert "ARR was expected to be lost by 30 January 2025" in home
    monkeypatch.setattr("pipelines.reports.freshness.today", lambda: date(2025, 1, 5))
    home = browser.get("/").text
    assert "days old" not in home
    assert "ARR is expected to be lost by 30 January 2025" in home


def test_an_earlier_date_that_is_issued_later_is_told_of(bare) -> None:
    with served(bare) as running:
        assert running.snapshots.current("main").contents.since is None
        issue_scores(bare, seed=5, day=BEFORE)
        running.snapshots.refresh()
        fresh = running.snapshots.current("main")
        assert fresh.contents.since.key.as_of == BEFORE
        # What is as it was is not read again.
        running.snapshots.refresh()
        assert running.snapshots.current("main") is fresh
        issue_scores(bare, seed=6, day=BEFORE, force=True)
        running.snapshots.refresh()
        assert running.snapshots.current("main").contents.since.revision == 2


def test_a_login_that_fails_keeps_the_name(panel) -> None:
    page = panel.browser().log_in('eve"><b>', "wrong").text
    assert 'value="eve&#34;&gt;&lt;b&gt;"' in page


def test_what_is_not_there_leads_to_the_list(panel) -> None:
    page = panel.browser("root").get("/accounts/nobody")
    assert page.status_code == 404
    assert '<a href="/accounts">To the list of accounts</a>' in page.text
