"""What was done, said in the panel: forms, JSON, lists, files, and rights."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from urllib.parse import quote

import pytest

from pipelines.dashboard.access.tokens import made_token, tokens_file
from pipelines.store.runs import now
from tests.pipelines.dashboard.served import (
    Served,
    account_id,
    company,
    issue_scores,
    served,
    users_of,
)

NOTICE = re.compile(r'<p role="status">(\w[^<]*)</p>')
HOSTILE = '<script>alert(1)</script> =1+1 "x"'


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Served]:
    project = company(tmp_path_factory.mktemp("done") / "company", 40)
    issue_scores(project, 40)
    users_of(project)
    with served(project) as found:
        yield found


def soon(days: int = 10) -> str:
    return (now().date() + timedelta(days=days)).isoformat()


def path_of(account: str, below: str = "", api: bool = False) -> str:
    return f"{'/api/v1' if api else ''}/accounts/{quote(account, safe='')}{below}"


def test_a_click_says_what_it_came_to_once_and_is_undone_by_whoever_clicked(running) -> None:
    account, browser = account_id(7), running.browser("eve")
    before = browser.get(path_of(account)).text
    assert not NOTICE.search(before), "nothing was done yet"
    assert "data-toast hidden" in before
    key = re.search(r'name="key" value="(page-[0-9a-f]{32})"', before).group(1)
    for _ in range(2):
        assert browser.post(path_of(account, "/calls"), {"state": "called", "key": key}).is_redirect
    other = running.browser("root")
    assert not NOTICE.search(other.get("/accounts").text), "somebody else clicked"
    page = browser.get(path_of(account)).text
    assert "called" in NOTICE.search(page).group(1)
    assert f'action="{path_of(account, "/calls/undo")}"' in page
    assert not NOTICE.search(browser.get(path_of(account)).text), "it is told once"
    told = browser.get(path_of(account, "/calls", api=True)).json()
    assert [one["state"] for one in told["entries"]] == ["called"], "a double click counts once"
    undo = path_of(account, "/calls/undo")
    assert other.post(undo, {"key": key}).status_code == 422
    assert browser.post(undo, {"key": "page-" + "0" * 32}).status_code == 422
    assert browser.post(undo, {"key": key}).is_redirect
    assert "is open again" in NOTICE.search(browser.get("/").text).group(1)
    refused = browser.post(undo, {"key": key})
    assert "Only the newest entry of an account can be taken back" in refused.text
    assert browser.get(path_of(account, "/calls", api=True)).json()["state"] == "open"
    book = running.panel.calls
    assert [one.takes_back for one in book.entries() if one.account_id == account] == ["", key]
    assert not [one for one in book.counted() if one.account_id == account], "it teaches nothing"


@pytest.mark.parametrize("number", [0, 10, 12])
def test_a_call_is_ticked_off_on_the_page(running, number) -> None:
    account, browser = account_id(number), running.browser("eve")
    assert "Nothing yet: the call is open." in browser.get(path_of(account)).text
    form = {"state": "called", "play": "QBR", "result": "will stay", "note": HOSTILE}
    answer = browser.post(path_of(account, "/calls"), form)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{path_of(account)}#done"
    page = browser.get(path_of(account)).text
    assert "by eve: will stay" in page
    assert "<script>alert" not in page
    told = browser.get(path_of(account, "/calls", api=True)).json()
    assert (told["account_id"], told["state"]) == (account, "called")
    assert told["entries"][0]["note"] == HOSTILE
    (row,) = [
        one
        for one in csv.DictReader(io.StringIO(browser.get("/accounts.csv").content.decode()))
        if one["account_id"].lstrip("'") == account
    ]
    assert row["state"].startswith("called ")
    assert row["note"] == HOSTILE
    assert "What was done" in browser.get("/accounts").text


def test_a_program_says_it_once_however_often_it_sends(running) -> None:
    file, users = tokens_file(running.panel.project), running.gate.users.users()
    text, _ = made_token(
        file, users["eve"], label="x", scopes=["read", "write-state"], days=1, made_by="root"
    )
    reader, _ = made_token(file, users["eve"], label="x", scopes=["read"], days=1, made_by="root")
    browser, path = running.browser(), path_of("A-0020", "/calls", api=True)
    headers = {"authorization": f"Bearer {text}", "idempotency-key": "task 17"}
    said = {"state": "snoozed", "until": soon()}
    for _ in range(2):
        answer = browser.client.post(path, json=said, headers=headers)
        assert answer.status_code == 200
        assert answer.json()["state"] == "snoozed"
    assert len(answer.json()["entries"]) == 1
    refused = browser.client.post(path, json=said, headers={"authorization": f"Bearer {reader}"})
    assert refused.status_code == 403
    assert "lacks the scope 'write-state'" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("below", "form", "sentence"),
    [
        ("/calls", {"state": "gone"}, "A call is open, called, snoozed"),
        ("/calls", {"state": "snoozed"}, "A call is snoozed until a day after today"),
        ("/calls", {"state": "snoozed", "until": "soon"}, "A day is written like"),
        ("/override", {"band": "purple"}, "A score is overridden by"),
    ],
)
def test_what_cannot_be_is_told(running, below, form, sentence) -> None:
    answer = running.browser("eve").post(path_of("A-0021", below), form)
    assert answer.status_code == 422
    assert sentence in answer.text


def test_a_score_is_disputed_beside_it_and_stays(running) -> None:
    browser = running.browser("eve")
    account = "A-0024"
    before = browser.get(path_of(account, api=True)).json()
    band = next(one for one in ("at-risk", "watch", "healthy") if one != before["band"])
    form = {"band": band, "reason": f"they told us {HOSTILE}", "until": soon(30)}
    assert browser.post(path_of(account, "/override"), form).status_code == 303
    page = browser.get(path_of(account)).text
    assert "<strong>Disputed.</strong>" in page
    assert "<script>alert" not in page
    assert f"disputed: {band}" in browser.get(f"/accounts?q={account}").text
    assert browser.get(path_of(account, api=True)).json() == before
    told = browser.get(path_of(account, "/overrides", api=True)).json()
    assert told["standing"]["band"] == band
    assert told["standing"]["probability"] == before["probability"]
    # Ended by whoever takes it back.
    answer = browser.client.post(
        path_of(account, "/overrides", api=True),
        json={"band": ""},
        headers={"x-csrf-token": browser.token()},
    )
    assert answer.json()["standing"] is None
    assert [one["band"] for one in answer.json()["overrides"]] == [band, None]
    assert "Disputed." not in browser.get(path_of(account)).text


def test_a_limited_visitor_writes_of_their_own_alone(running) -> None:
    ann, own, foreign = running.browser("ann"), "A-0028", "A-0029"
    assert ann.post(path_of(own, "/calls"), {"state": "called"}).status_code == 303
    for below in ("/calls", "/override"):
        assert ann.post(path_of(foreign, below), {"state": "called"}).status_code == 404
    assert running.panel.calls.of(foreign) == []
    # Nobody says it without a token of a page.
    assert ann.client.post(path_of(own, "/calls"), data={"state": "called"}).status_code == 403


def test_commands_and_worklist_know_of_it(running, run) -> None:
    project = running.panel.project
    ran = run(
        *("calls", "set", "A-0030", "called", "--note", "rang twice", "--by", "ben"),
        *("-c", project.path),
    )
    assert ran.out == f"A-0030: called {date.today():%Y-%m-%d} by ben\n"
    assert "rang twice" in run("calls", "list", "A-0030", "-c", project.path).out
    assert run("calls", "list", "-c", project.path, "--json").answer["states"]["A-0030"] == "called"
    missing = run("calls", "set", "A-9999", "called", "-c", project.path)
    assert missing.code == 3
    assert missing.sentence.startswith("Account 'A-9999' is not among the scores of 2025-01-01")
    issued = running.browser("eve").get(path_of("A-0031", api=True)).json()["band"]
    band = "watch" if issued != "watch" else "healthy"
    made = run(
        *("calls", "override", "A-0031", band, "--reason", "they told us so"),
        *("--until", soon(), "-c", project.path),
    )
    assert made.out == f"A-0031: {band} instead of {issued} until {soon()}\n"
    back = run("calls", "override", "A-0031", "", "-c", project.path)
    assert back.out == f"A-0031: the override is taken back; it is {issued} as issued\n"
    # Other tests of the company may have disputed scores before.
    measured = run("calls", "measure", "-c", project.path).out
    assert re.match(r"0 overrides of [1-9]\d* can be held against what happened", measured)
    file = project.folder / "list.csv"
    run("export", file, "--worklist", "--first", "100", "-c", project.path)
    listed = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig")))
    rows = {row["account_id"]: row for row in listed}
    assert rows["A-0030"]["note"] == "rang twice"
    assert rows["A-0030"]["state"].startswith("called ")
    # The panel sees what a command wrote.
    page = running.browser("eve").get(path_of("A-0030")).text
    assert "rang twice" in page


def test_the_list_is_picked_by_the_state_of_calls(tmp_path) -> None:
    project = company(tmp_path / "company", 40)
    issue_scores(project, 40)
    users_of(project)
    with served(project) as found:
        browser = found.browser("root")
        assert "Open calls" not in browser.get("/accounts").text
        browser.post(path_of(account_id(0), "/calls"), {"state": "called"})
        browser.post(path_of(account_id(10), "/calls"), {"state": "snoozed", "until": soon()})
        browser.post(path_of(account_id(12), "/calls"), {"state": "called"})
        browser.post(path_of(account_id(12), "/calls"), {"state": "open"})

        def listed(asked: str, who: str = "root") -> set[str]:
            answer = found.browser(who).get(f"/api/v1/accounts?size=200{asked}").json()
            assert answer["total"] == len(answer["accounts"])
            return {one["account_id"] for one in answer["accounts"]}

        every = listed("")
        assert listed("&state=called") == {account_id(0)}
        assert listed("&state=snoozed") == {account_id(10)}
        assert listed("&state=open") == every - {account_id(0), account_id(10)}
        assert listed("&state=open&state=called") == every - {account_id(10)}
        assert listed("&state=") == every
        # Ann looks after accounts 0, 4, 8, ... and no filter shows her another's.
        mine = {account_id(number) for number in range(0, 40, 4)}
        assert listed("&state=open", "ann") == mine - {account_id(0)}
        assert listed("&state=snoozed", "ann") == set()
        rows = csv.DictReader(io.StringIO(browser.get("/accounts.csv?state=snoozed").text))
        assert [row["account_id"] for row in rows] == [account_id(10)]
        page = browser.get("/accounts?state=snoozed").text
        assert "1 to 1 of 1 account" in page
        assert '<span class="muted">call</span> <bdi>snoozed</bdi>' in page
        assert re.search(r'href="[^"]*state=open[^"]*">Open calls, at-risk<', page)
        refused = browser.get("/api/v1/accounts?state=done")
        assert refused.status_code == 422
        assert "Accounts are not picked by 'done'" in refused.json()["detail"]


def test_who_was_erased_is_called_by_nobody(tmp_path) -> None:
    project = company(tmp_path / "company", 40)
    issue_scores(project, 40)
    users_of(project)
    with served(project) as found:
        snapshot, browser = found.snapshots.current("main"), found.browser("root")

        def called() -> list[str]:
            calls = browser.get("/api/v1/portfolio").json()["calls"]
            return [one["account"]["account_id"] for one in calls]

        first = called()[0]
        assert "<strong>Erased.</strong>" not in browser.get(path_of(first)).text
        snapshot.contents = replace(snapshot.contents, erased=(first,))
        snapshot._results.clear()
        assert first not in called()
        assert "<strong>Erased.</strong>" in browser.get(path_of(first)).text
        # The numbers that were issued stay.
        assert browser.get("/api/v1/accounts").json()["total"] == 40
