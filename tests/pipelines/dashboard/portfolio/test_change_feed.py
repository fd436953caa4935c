"""The change feed, asked as a program that writes scores elsewhere does."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from pipelines.store.opening import open_store
from tests.pipelines.dashboard.served import (
    Browser,
    Served,
    company,
    issue_scores,
    served,
    users_of,
)

NOVEMBER, DECEMBER, JANUARY = date(2024, 11, 1), date(2024, 12, 1), date(2025, 1, 1)
PATH = "/api/v1/changes"


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Served]:
    """Scores of three dates, on which 30, 40 and 25 accounts were active."""
    project = company(tmp_path_factory.mktemp("feed") / "company", 40)
    issue_scores(project, 30, seed=5, day=NOVEMBER)
    issue_scores(project, 40, seed=6, day=DECEMBER)
    issue_scores(project, 25, seed=7, day=JANUARY)
    users_of(project)
    with served(project) as found:
        yield found


def rows_of(running: Served, day: date) -> dict[str, dict[str, Any]]:
    with open_store(running.panel.project, read_only=True) as store:
        (run,) = [one for one in store.runs("main") if one.key.as_of == day]
        return {row["account_id"]: row for row in store.scores(run).read_all().to_pylist()}


def told(browser: Browser, since: str, size: int = 7) -> tuple[dict[str, Any], list[Any], str]:
    """Ask to the end: all changes by account, the answers, and the cursor for the next time."""
    answers: list[Any] = []
    changes: dict[str, Any] = {}
    while True:
        answer = browser.get(PATH, params={"since": since, "size": size}).json()
        answers.append(answer)
        for one in answer["changes"]:
            assert one["account_id"] not in changes
            changes[one["account_id"]] = one
        since = answer["cursor"]
        if not answer["more"]:
            return changes, answers, since


def written(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def test_everything_then_nothing_then_what_changed(running) -> None:
    browser = running.browser("eve")
    changes, answers, cursor = told(browser, "")
    assert changes.keys() == rows_of(running, JANUARY).keys()
    assert {one["kind"] for one in changes.values()} == {"new"}
    assert all(len(answer["changes"]) == 7 for answer in answers[:-1])
    again, answers, same = told(browser, cursor)
    assert (again, same, answers[0]["since"]) == ({}, cursor, answers[0]["until"])
    since_december, answers, _ = told(browser, "2024-12-15")
    assert answers[0]["since"]["as_of"] == "2024-12-01"
    before, after = rows_of(running, DECEMBER), rows_of(running, JANUARY)
    assert {one for one, row in since_december.items() if row["kind"] == "gone"} == (
        before.keys() - after.keys()
    )
    for account, row in since_december.items():
        assert row["score"] == after.get(account, {"score": None})["score"]
        assert row["score_before"] == before[account]["score"]


def test_what_was_begun_before_newer_runs_were_issued_is_told_to_its_end(running) -> None:
    browser, november = running.browser("eve"), ["2024-11-01", "1", 1]
    whole, answers, cursor = told(browser, written(None, november, None))
    assert whole.keys() == rows_of(running, NOVEMBER).keys()
    assert {answer["until"]["as_of"] for answer in answers} == {"2024-11-01"}
    third = answers[2]["changes"][-1]["account_id"]
    rest, _, same = told(browser, written(None, november, third), size=50)
    assert same == cursor
    assert list(rest) == list(whole)[21:]
    _, answers, _ = told(browser, cursor)
    assert [answers[0][end]["as_of"] for end in ("since", "until")] == ["2024-11-01", "2025-01-01"]


def test_what_was_before_the_store_is_said(running) -> None:
    answer = running.browser("eve").get(PATH, params={"since": "2020-01-01"}).json()
    assert answer["since"] is None
    assert answer["note"] == (
        "The first scores were issued for 1 November 2024, after 1 January 2020: every account of"
        " the newest run is told as new"
    )


def test_a_limited_visitor_is_told_of_their_own_alone(running) -> None:
    everything, _, _ = told(running.browser("eve"), "2024-12-01")
    own, _, _ = told(running.browser("ann"), "2024-12-01", size=2)
    expected = {one: row for one, row in everything.items() if row["owner"] == "Ann Lee"}
    assert own == expected
    # Those that are no longer scored have an owner too.
    assert {row["kind"] for row in own.values()} == {"changed", "gone"}


def test_a_cursor_of_somebody_else_tells_nothing_more(running) -> None:
    theirs = running.browser("eve").get(PATH, params={"size": 3}).json()["cursor"]
    rest, _, _ = told(running.browser("ann"), theirs)
    assert {row["owner"] for row in rest.values()} == {"Ann Lee"}


@pytest.mark.parametrize(
    "since",
    [
        "yesterday",
        "2024-13-01",
        "%00",
        written(1, 2),
        written(["2025-01-01", "1", 1], None, "A"),
        written(None, ["2025-01-01", "1", 1], 7),
        written(None, ["2025-01-01", "1", 1], "\ud800"),
        written({"a": 1}, None, None),
        written([1, 2, 3], None, None),
        base64.urlsafe_b64encode(b"[" * 2000).decode(),
        "=" * 40,
    ],
)
def test_what_is_no_cursor_is_refused(running, since) -> None:
    answer = running.browser("eve").get(PATH, params={"since": since})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("since is the cursor of the last answer, a date")


def test_a_run_that_is_not_there_is_told(running) -> None:
    cursor = written(["2025-01-01", "9", 1], None, None)
    answer = running.browser("eve").get(PATH, params={"since": cursor})
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("The store has no run of 2025-01-01 by that model")
