"""The portfolio page and its answer: the sums are those of the accounts, for whoever looks."""

from __future__ import annotations

import re
from datetime import date

import pytest

from pipelines.dashboard.portfolio.trend_bars import MOST, trend_bars
from pipelines.portfolio.data import portfolio_report
from pipelines.project.project import load_project
from pipelines.store.opening import open_store
from tests.pipelines.conftest import copy_of
from tests.pipelines.dashboard.served import company, issue_scores, served, users_of
from tests.pipelines.reports.page import Page

OWNED = {"ann": ["Ann Lee"], "bob": ["Bob <b>Ray</b>", "Zoé"], "eve": None}


def rows_of(shared, name):
    snapshot = shared.snapshots.current("main")
    rows = snapshot.ask("select * from accounts")
    return [row for row in rows if OWNED[name] is None or row["owner"] in OWNED[name]]


@pytest.mark.parametrize("name", OWNED)
def test_sums_are_those_of_the_accounts_a_visitor_sees(shared, name) -> None:
    answer = shared.browser(name).get("/api/v1/portfolio").json()
    rows = rows_of(shared, name)
    assert answer["accounts"] == len(rows)
    assert answer["accounts_without_arr"] == sum(row["mrr"] is None for row in rows)
    arr = sum(12 * (row["mrr"] or 0) for row in rows)
    assert answer["arr"] == pytest.approx(arr)
    stake = sum(row["probability"] * 12 * (row["mrr"] or 0) for row in rows)
    expected = answer["expected_arr"]
    assert expected["expected"] == pytest.approx(stake)
    assert expected["low"] <= expected["expected"] <= expected["high"]
    assert answer["expected_accounts"]["expected"] == pytest.approx(
        sum(row["probability"] for row in rows)
    )
    assert [band["band"] for band in answer["bands"]] == ["at-risk", "watch", "healthy"]
    for band in answer["bands"]:
        held = [row for row in rows if row["band"] == band["band"]]
        assert band["accounts"] == len(held)
        assert band["expected_rate"] == pytest.approx(
            sum(row["probability"] for row in held) / len(held)
        )
    for split in answer["splits"]:
        column = {"plan": "attribute_plan"}.get(split["facet"], split["facet"])
        values = {row[column] for row in rows}
        assert {part["name"] for part in split["parts"]} == values
        stakes = [part["expected_arr"] for part in split["parts"]]
        assert stakes == sorted(stakes, reverse=True)
        for part in split["parts"]:
            held = [row for row in rows if row[column] == part["name"]]
            assert part["accounts"] == len(held)
            assert part["arr"] == pytest.approx(sum(12 * (row["mrr"] or 0) for row in held))
            assert sum(band["accounts"] for band in part["bands"]) == len(held)
    assert [split["facet"] for split in answer["splits"]] == [
        "segment",
        "owner",
        "lifecycle",
        "plan",
    ]
    priced = [row for row in rows if row["stake"] is not None]
    first = sorted(priced, key=lambda row: -row["stake"])[:10]
    stakes = [call["account"]["stake"] for call in answer["calls"]]
    assert stakes == pytest.approx([row["stake"] for row in first])
    named = {row["account_id"] for row in rows}
    with open_store(shared.panel.project, read_only=True) as store:
        issued = {
            run.key.as_of.isoformat(): store.scores(run).read_all().to_pylist()
            for run in store.runs()
            if run.key.outcome == "main"
        }
    told = {(one["as_of"], one["band"]): one for one in answer["trend"]}
    assert {day for day, _ in told} == set(issued)
    for (day, band), one in told.items():
        held = [row for row in issued[day] if row["account_id"] in named and row["band"] == band]
        assert one["accounts"] == len(held)
        assert one["mean_score"] == pytest.approx(sum(row["score"] for row in held) / len(held))
        assert one["mrr"] == pytest.approx(sum(row["mrr"] or 0 for row in held))


def test_the_trend_is_that_of_the_store(shared) -> None:
    trend = shared.browser("eve").get("/api/v1/portfolio").json()["trend"]
    with open_store(shared.panel.project, read_only=True) as store:
        held = store.portfolio_history("main").to_pylist()
    assert [(row["as_of"], row["band"], row["accounts"]) for row in trend] == [
        (row["as_of"].isoformat(), row["band"], row["accounts"]) for row in held
    ]
    page = shared.browser("eve").get("/").text
    assert "1 December 2024" in page
    limited = shared.browser("ann").get("/").text
    assert "Accounts count on every date for whoever looks after them today." in limited
    assert "Since 1 December 2024: expected loss " in limited


def test_every_part_leads_to_its_accounts(shared) -> None:
    browser = shared.browser("eve")
    page = browser.get("/").text
    links = {link.replace("&amp;", "&") for link in re.findall(r'href="(/accounts\?[^"]+)"', page)}
    answer = browser.get("/api/v1/portfolio").json()
    counts = {}
    for split in answer["splits"]:
        for part in split["parts"]:
            where = (split["facet"], part["name"])
            counts[where] = part["accounts"]
    from urllib.parse import parse_qs, urlsplit

    met = set()
    for link in links:
        asked = parse_qs(urlsplit(link).query)
        total = browser.get(f"/api/v1/accounts?{urlsplit(link).query}").json()["total"]
        ways = {key: values[0] for key, values in asked.items() if key not in ("sort", "order")}
        if len(ways) == 1 and not {"band", "moved", "renews"} & ways.keys():
            ((facet, value),) = ways.items()
            where = (value, None) if facet == "unknown" else (facet, value)
            assert total == counts[where], link
            met.add(where)
    assert met == counts.keys()


def test_the_page_says_what_is_missing_and_escapes_all(shared) -> None:
    for name in ("root", "eve", "bob"):
        page = shared.browser(name).get("/")
        text = page.text
        Page(text)
        assert "<script>alert" not in text
        assert "Bob <b>" not in text
        assert "What became of such accounts before is not shown" in text
        assert ("No champion of" in text) is (name == "root")
        if name != "bob":
            missing = len(range(0, 200, 11))
            assert f"The MRR of {missing} of 200 accounts is not known" in text


def test_a_good_outcome_is_spoken_of_as_one(shared) -> None:
    page = shared.browser("eve").get("/?outcome=growth").text
    assert "Where is most to be won?" in page
    assert "ARR expected to expand" in page
    assert 'href="/accounts?outcome=growth&amp;band=likely"' in page
    assert shared.browser("eve").get("/?outcome=nothing").status_code == 404
    assert 'value="growth" selected' in page


def test_before_there_are_scores_the_page_says_so(tmp_path) -> None:
    project = company(tmp_path / "company", 5)
    with served(project) as running:
        page = running.browser().get("/")
        assert page.status_code == 503
        assert "issue scores with &#39;healthscore score&#39;" in page.text
        issue_scores(project, 5)
        browser = running.browser()
        assert browser.post("/admin/refresh").status_code == 303
        assert browser.get("/").status_code == 200


def test_who_may_see_nobody_is_told_so(bare) -> None:
    from pipelines.dashboard.access.users import User

    users_of(bare, new=User("new", "viewer", "", frozenset({"Nobody"})))
    with served(bare) as running:
        browser = running.browser("new")
        page = browser.get("/")
        assert page.status_code == 200
        assert "None of the accounts you may see was scored" in page.text
        assert browser.get("/api/v1/portfolio").json()["accounts"] == 0
        assert "No account matches." in browser.get("/accounts").text


def test_a_real_company_is_summed_up_as_the_report_does(scored, tmp_path) -> None:
    folder = tmp_path / "project"
    copy_of(scored, folder)
    config = folder / scored.config.name
    plays = '\n[plays.groups]\nusage = "Call the <b>sponsor</b>"\nprofile = "Renew early"\n'
    config.write_text(config.read_text(encoding="utf-8") + plays, encoding="utf-8")
    project = load_project(config)
    report = portfolio_report(project, calls=10).to_dict()
    with served(project) as running:
        browser = running.browser()
        answer, page = browser.get("/api/v1/portfolio").json(), browser.get("/").text
    assert answer["notes"] == []
    assert answer["arr"] == pytest.approx(report["arr"])
    for key in ("accounts", "model_version", "accounts_without_arr", "as_of"):
        assert answer[key] == report[key]
    assert answer["expected_arr"] == pytest.approx(report["expected_arr"], rel=1e-9)
    assert answer["expected_accounts"] == pytest.approx(report["expected_accounts"], rel=1e-9)
    assert answer["enough_evidence"] is report["enough_evidence"]
    for found, wanted in zip(answer["bands"], report["bands"], strict=True):
        assert (found["band"], found["accounts"]) == (wanted["band"], wanted["accounts"])
        assert found["observed_rate"] == wanted["observed"]["observed_rate"]
        assert found["observed_low"] == wanted["observed"]["low"]
    for found, wanted in zip(answer["calls"], report["calls"], strict=True):
        assert found["account"]["account_id"] == wanted["account_id"]
        assert found["account"]["name"] == wanted["name"]
        assert found["reasons"] == wanted["sentences"]
        assert found["play"] == wanted["play"]
    assert "<b>sponsor" not in page
    Page(page)


def test_bars_of_a_trend_take_the_last_run_of_a_date() -> None:
    def row(day, version, issued, band, accounts):
        return {
            "as_of": date(2025, 1, day),
            "model_version": version,
            "issued_at": issued,
            "band": band,
            "accounts": accounts,
        }

    history = [
        row(1, "1", 1, "watch", 3),
        row(1, "1", 1, "healthy", 1),
        row(2, "1", 2, "watch", 9),
        row(2, "2", 3, "healthy", 4),
    ]
    bars = trend_bars(history, ["at-risk", "watch", "healthy"])
    assert [(bar.accounts, bar.is_new_model) for bar in bars] == [(4, False), (4, True)]
    assert bars[0].pieces == [("at-risk", 0, 0, 0), ("watch", 0, 75, 3), ("healthy", 75, 25, 1)]
    assert bars[1].pieces[2] == ("healthy", 0, 100, 4)
    many = [row(1 + day, "1", day, "watch", 1) for day in range(30)]
    assert len(trend_bars(many, ["watch"])) == MOST
    assert trend_bars([], ["watch"]) == []
