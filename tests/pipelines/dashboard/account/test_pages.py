from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from urllib.parse import quote

import duckdb
import pytest

from features.catalog import GROUPS
from pipelines.dashboard.access.notes import WITHHELD
from pipelines.dashboard.access.visitor import Visitor
from pipelines.dashboard.account import jobs
from pipelines.dashboard.account import pages as account_pages
from pipelines.dashboard.account.view import account_view
from pipelines.reports.wording import score as written
from pipelines.scoring.explain import InactiveAccount
from pipelines.scoring.moves.move import ExplainedMove, explain_move
from pipelines.store.schema import SHOWN
from tests.pipelines.dashboard.opened_panel import ADMIN, EVERYBODY, LIMITED, MINE, opened_panel
from tests.pipelines.reports.page import Page

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("panel")]
VISITOR = Visitor("lee", "viewer")
PARTS = ("", "/trend", "/details")
API_PARTS = ("", "/history", "/explanation")
HOSTILE = (
    "<script>alert(2)</script>",
    "x/details",
    "a/../b?c#d",
    "new\nline\ttab\n",
    "\u202eRTL עברית",
    "L" * 300,
    "O'Brien; drop table scores --",
    '=HYPERLINK("http://a")',
    "A{{ 7 * 7 }}%s",
)


@pytest.fixture(scope="module")
def panel(scored):
    with opened_panel(scored.config) as opened:
        yield opened


@pytest.fixture(scope="module")
def played(scored, tmp_path_factory):
    """A panel whose source is gone and some of whose accounts have other names."""
    folder = tmp_path_factory.mktemp("played") / "project"
    shutil.copytree(scored.folder, folder, ignore=shutil.ignore_patterns("data"))
    with duckdb.connect(str(folder / "scores.duckdb")) as store:
        rows = store.execute(
            "select account_id from latest_scores where account_id like 'A-0%' order by all"
        ).fetchmany(len(HOSTILE))
        for (account_id,), hostile in zip(rows, HOSTILE, strict=True):
            store.execute(
                "update score_rows set account_id = ? where account_id = ?"
                " and run_id = (select run_id from runs order by as_of desc limit 1)",
                [hostile, account_id],
            ).fetchall()
    with opened_panel(folder / scored.config.name) as opened:
        yield opened


@pytest.fixture(scope="module")
def account_id(panel) -> str:
    """An account at risk, scored on both dates, that was there a quarter before."""
    found = panel.project.folder / "scores.duckdb"
    with duckdb.connect(str(found), read_only=True) as store:
        (chosen,) = store.execute(
            "select account_id from scores where account_id like 'A-0%' group by account_id"
            " having count(*) = 2 and max(score) < 90 order by min(score) limit 1"
        ).fetchone()
    return chosen


@pytest.fixture(scope="module")
def details(panel, account_id) -> dict:
    answer = panel.ready(f"/api/v1/accounts/{account_id}/explanation").json()
    assert (answer["state"], answer["sentence"]) == ("ready", None)
    return answer["explanation"]


def page_of(panel, account_id: str, below: str = "") -> Page:
    response = panel.get(f"/accounts/{quote(account_id, safe='')}{below}")
    assert response.status_code == 200, response.text
    return Page(response.text)


def test_an_account_is_what_the_store_holds(panel, scored, account_id) -> None:
    (row,) = scored.sql(
        f"select {', '.join(SHOWN)} from latest_scores where account_id = ?",
        account_id,
    )
    stored = dict(zip(SHOWN, row, strict=True))
    told = panel.account(account_id).json()
    for name in ("segment", "score", "band", "probability", "coverage", "baseline_score"):
        assert told[name] == stored[name]
    assert told["groups"] == {group: stored[f"points_{group}"] for group in GROUPS}
    assert sum(told["groups"].values()) == pytest.approx(stored["score"] - stored["baseline_score"])
    assert told["arr"] == pytest.approx(12 * stored["mrr"])
    assert told["stake"] == pytest.approx(12 * stored["mrr"] * stored["probability"])
    reasons = told["reasons"]
    assert [one["signal"] for one in reasons] == stored["reason_signals"]
    assert [one["points"] for one in reasons] == stored["reason_points"]
    assert [one["value"] for one in reasons] == stored["reason_values"]
    accounts = scored.data / "accounts.parquet"
    ((name, plan),) = duckdb.execute(
        f"select name, plan from '{accounts}' where account_id = ?", [account_id]
    ).fetchall()
    assert (told["name"], told["attributes"]["plan"]) == (name, plan)


@pytest.fixture(scope="module")
def oracle(panel, account_id) -> ExplainedMove:
    """The same account through the command's own function, which reads tables and store anew."""
    return explain_move(panel.project, account_id, date(2025, 3, 15), None)


def test_signals_are_those_of_explain(panel, account_id, details, oracle) -> None:
    scored = oracle.move.scored[1]
    (reasons,) = scored.reasons(len(scored.signals))
    assert details["score"] == pytest.approx(scored.table.at[0, "score"], abs=1e-9)
    told = {one["signal"]: one for one in details["signals"]}
    assert list(told) == list(dict.fromkeys([*(one.signal for one in reasons), *told]))
    assert len(told) == len(scored.signals)
    for reason in reasons:
        line = told[reason.signal]
        assert line["points"] == pytest.approx(reason.points, abs=1e-9)
        assert (line["value"], line["sentence"]) == (reason.value, reason.sentence)
    points = sum(line["points"] for line in told.values())
    assert details["baseline"] + points == pytest.approx(details["score"], abs=1e-9)
    # The page says the same five reasons at once, before anything was computed.
    stored = panel.account(account_id).json()["reasons"]
    assert [one["sentence"] for one in stored] == [one.sentence for one in reasons[:5]]


def test_its_own_past_is_what_was_known_then(scored, account_id, details) -> None:
    told = {one["signal"]: one["past"] for one in details["signals"]}
    uses, tickets = (f"'{scored.data}/{name}.parquet'" for name in ("usage_events", "tickets"))
    compared = 0
    for back in (30, 90):
        day = date.fromisoformat(details["as_of"]) - timedelta(days=back)
        for signal, query in (
            (
                "usage_28d",
                f"select sum(quantity) from {uses} where account_id = $1 and occurred_at < $2"
                " and occurred_at >= $2::date - 28",
            ),
            (
                "tickets_opened_90d",
                f"select count(*) from {tickets} where account_id = $1 and opened_at < $2"
                " and opened_at >= $2::date - 90",
            ),
        ):
            ((counted,),) = duckdb.execute(query, [account_id, day]).fetchall()
            assert told[signal][day.isoformat()] == (counted or 0)
            compared += counted or 0
    assert compared > 0


def test_the_move_is_that_of_explain_since(details, oracle) -> None:
    known, told = json.loads(json.dumps(oracle.to_dict())), details["move"]
    assert told["from"] == known["from"]
    assert told["change"] == pytest.approx(known["change"], abs=1e-9)
    assert told["totals"] == pytest.approx(known["totals"], abs=1e-9)
    changes = [[part["change"] for part in move["parts"]] for move in (told, known)]
    assert changes[0] == changes[1]


def test_ratings_are_those_of_the_year_before_with_their_rubric(panel, scored, account_id, details):
    rows = duckdb.execute(
        f"select rated_at::date, rater, dimension, rating from '{scored.data}/ratings.parquet'"
        " where account_id = ? and rated_at < ? and rated_at >= ?::date - 365"
        " order by rated_at desc limit 12",
        [account_id, details["as_of"], details["as_of"]],
    ).fetchall()
    assert rows
    told = [
        (one["rated_on"], one["rater"], one["dimension"], one["level"])
        for one in details["ratings"]
    ]
    assert sorted(told) == sorted((str(day), *rest) for day, *rest in rows)


def test_history_is_what_was_issued(panel, scored, account_id) -> None:
    rows = scored.sql(
        "select as_of, score, band, model_version from scores where account_id = ? order by as_of",
        account_id,
    )
    told = panel.account(account_id, "/history").json()
    shown = [
        (one["as_of"], one["score"], one["band"], one["model_version"]) for one in told["scores"]
    ]
    assert shown == [(str(day), *rest) for day, *rest in rows]
    assert told["model_changes"] == []
    trend = page_of(panel, account_id, "/trend")
    table = trend.table("Issued scores")
    assert [row[1] for row in table.rows] == [written(score) for _, score, *_ in reversed(rows)]
    assert trend.tags["svg"] == 1


def test_the_page_adds_up_from_the_typical_account_to_the_score(panel, account_id) -> None:
    told = panel.account(account_id).json()
    table = page_of(panel, account_id).table("Points of each group")
    amounts = [float(row[1].replace("−", "-")) for row in table.rows]
    assert amounts[0] == pytest.approx(told["baseline_score"], abs=0.06)
    assert amounts[-1] == pytest.approx(told["score"], abs=0.06)
    assert sum(amounts[:-1]) == pytest.approx(amounts[-1], abs=0.06 * len(amounts))
    shown = {row[0].strip().lower(): row[1] for row in table.rows}
    largest = max(told["groups"], key=lambda group: abs(told["groups"][group]))
    assert shown[largest] == f"{told['groups'][largest]:+.1f}".replace("-", "−")


def test_the_meaning_of_the_band_is_what_was_observed(panel, account_id) -> None:
    told = panel.account(account_id).json()
    (band,) = [one for one in panel.snapshot.model.bands if one["band"] == told["band"]]
    standing = "on watch" if told["band"] == "watch" else told["band"]
    due = " and had to decide" if panel.snapshot.model.timing else ""
    assert told["band_meaning"] == (
        f"Of 100 accounts that were {standing}{due} on dates the model had not seen,"
        f" {100 * band['observed_rate']:.0f} churned from day 14 to 44 (between"
        f" {100 * band['low']:.0f} and {100 * band['high']:.0f})"
    )
    assert told["band_meaning"] in page_of(panel, account_id).text


def test_a_model_that_foretells_nothing_is_no_ground_to_act(panel, account_id, monkeypatch) -> None:
    sentence = "Behaviour was not shown to predict churn: do not act on this score."
    for foretells in (True, False):
        contents = replace(panel.snapshot.contents, foretells=foretells)
        monkeypatch.setattr(panel.snapshot, "contents", contents)
        assert panel.account(account_id).json()["enough_evidence"] is foretells
        assert (sentence in page_of(panel, account_id).text) is not foretells


def test_every_hostile_id_has_a_page_and_none_has_a_say_in_it(played) -> None:
    for account_id in HOSTILE:
        response = played.get(f"/accounts/{quote(account_id, safe='')}")
        assert response.status_code == 200, account_id
        page = Page(response.text)
        assert "alert(" not in "".join(page.values("onload", "onclick", "src"))
        assert page.tags["script"] == 2
        assert all(src.startswith("/static/") for src in page.values("src"))
        assert "style" not in {name for _, name, _ in page.attributes}
        assert played.account(account_id).json()["account_id"] == account_id
        for part in page.values("data-part"):
            assert Page(played.ready(part).text).tags["script"] == 0
        assert played.account(account_id, "/history").json()["account_id"] == account_id
        assert len(played.account(account_id, "/history").json()["scores"]) == 1


def test_another_owner_s_account_is_as_if_it_were_not_there(panel) -> None:
    mine = panel.ids(f"owner = '{MINE}'")[0]
    other = panel.ids(f"owner <> '{MINE}'")[0]
    for start, parts in (("/accounts/", PARTS), ("/api/v1/accounts/", API_PARTS)):
        for below in parts:
            refused = panel.get(f"{start}{other}{below}", LIMITED)
            absent = panel.get(f"{start}nobody{below}", LIMITED)
            assert (refused.status_code, absent.status_code) == (404, 404)
            if start != "/accounts/":
                assert refused.json() == absent.json()
                assert refused.json()["detail"].startswith("There is no such account")
    assert panel.get(f"/accounts/{mine}", LIMITED).status_code == 200
    assert panel.account(mine, who=LIMITED).json()["attributes"]["owner"] == MINE
    assert panel.get(f"/accounts/{other}").status_code == 200


def test_nobody_is_shown_anything_without_a_name(panel, account_id) -> None:
    for path in (f"/accounts/{account_id}", f"/api/v1/accounts/{account_id}/explanation"):
        assert panel.client.get(path).status_code == 401


def test_an_account_is_computed_once_whoever_asks_and_says_so_meanwhile(panel, monkeypatch) -> None:
    begun, go = [], threading.Event()

    def slow(project: object, snapshot: object, account_id: str, *others: object) -> object:
        begun.append(account_id)
        go.wait(20)
        raise InactiveAccount("The account was not active; choose another date")

    monkeypatch.setattr(jobs, "account_details", slow)
    monkeypatch.setattr(account_pages, "DETAILS_SECONDS", 0.05)
    asked = panel.ids("account_id like 'A-0%'")[3]
    paths = [f"/accounts/{asked}/details", f"/api/v1/accounts/{asked}/explanation"] * 3
    with ThreadPoolExecutor(6) as threads:
        responses = list(threads.map(panel.get, paths))
    assert {response.status_code for response in responses} == {202}
    assert "still being worked out from the source tables" in responses[0].text
    assert responses[1].json() == {
        "state": "working",
        "sentence": account_pages.WORKING,
        "explanation": None,
    }
    go.set()
    told = panel.ready(paths[1]).json()
    assert told["state"] == "impossible"
    assert told["sentence"] == "The account was not active; choose another date"
    assert begun == [asked]


def test_the_whole_page_needs_no_script(panel, account_id, details) -> None:
    page = page_of(panel, account_id, "?whole=1")
    assert not [value for _, name, value in page.attributes if name == "data-part"]
    headings = [text for level, text in page.headings if level == 2]
    assert headings[-4:] == [
        "Why did the score move?",
        "How does the risk unfold over a year?",
        "What is every signal worth?",
        "How do people rate it?",
    ]
    assert page.ids == list(dict.fromkeys(page.ids))
    rows = [row for table in page.tables for row in table.rows]
    told = details["signals"][0]
    assert any(f"{told['points']:+.1f}".replace("-", "−") in row for row in rows)


def test_a_model_that_is_gone_leaves_names_and_says_so(panel, account_id) -> None:
    row = panel.snapshot.account(VISITOR, account_id)
    view = account_view(panel.project, row, None, panel.snapshot.run.key.as_of)
    assert view.meaning.startswith("What became of accounts like this cannot be told")
    assert [line.signal for line in view.reasons] == row["reason_signals"]
    assert view.reasons[0].sentence.startswith(f"{row['reason_signals'][0]} (")
    assert view.plays == []


def test_plays_answer_what_costs_points(panel, account_id) -> None:
    row = panel.snapshot.account(VISITOR, account_id)
    model, costly = panel.snapshot.model, "<b>Call</b>"
    groups = {signal.name: signal.group for signal in model.signals}
    stored = list(zip(row["reason_signals"], row["reason_points"], strict=True))
    plays = panel.project.settings.plays.model_copy(
        update={"groups": dict.fromkeys(groups.values(), costly)}
    )
    settings = panel.project.settings.model_copy(update={"plays": plays})
    day = panel.snapshot.run.key.as_of
    view = account_view(replace(panel.project, settings=settings), row, model, day)
    assert [line.play for line in view.reasons] == [costly if p < 0 else None for _, p in stored]
    assert view.plays == [costly]
    growth = settings.outcome.model_copy(update={"kind": "expansion"})
    settings = settings.model_copy(update={"outcome": growth})
    assert account_view(replace(panel.project, settings=settings), row, model, day).plays == []


def test_a_source_that_is_gone_is_a_sentence(played) -> None:
    account_id = played.ids("account_id like 'A-0%'")[0]
    path = f"/api/v1/accounts/{account_id}/explanation"
    # Whose accounts they are is not known either.
    assert played.get(path, LIMITED).status_code == 404
    why = "The source 'data' is neither a folder, a workbook or archive nor a DuckDB file"
    for who, reason in ((EVERYBODY, WITHHELD), (ADMIN, f"{WITHHELD}: {why}")):
        answer = played.ready(path, who).json()
        assert (answer["state"], answer["explanation"]) == ("impossible", None)
        assert answer["sentence"].startswith(reason)
        assert (why in answer["sentence"]) == (who == ADMIN)
    page = page_of(played, account_id, "?whole=1")
    assert f"This cannot be worked out now. {WITHHELD}." in page.text
    assert "Why this score?" in page.text


def test_a_store_that_cannot_be_read_is_a_sentence(played) -> None:
    account_id = played.ids("account_id like 'A-0%'")[1]
    (played.project.folder / "scores.duckdb").write_bytes(b"no store")
    sentence = "Earlier scores cannot be read just now"
    for who, start in ((EVERYBODY, f"{sentence}."), (ADMIN, f"{sentence}: The score store '")):
        refused = played.account(account_id, "/history", who)
        assert refused.status_code == 503
        assert refused.json()["detail"].startswith(start)
    assert f"{sentence}." in page_of(played, account_id, "/trend").text
    # What was issued is still told.
    assert played.account(account_id).status_code == 200


def test_the_api_is_described(panel) -> None:
    told = panel.get("/api/openapi.json").json()
    path = told["paths"]["/api/v1/accounts/{account_id}/explanation"]["get"]
    assert set(path["responses"]) >= {"200", "202", "404"}
    assert "/accounts/{account_id}" not in told["paths"]
