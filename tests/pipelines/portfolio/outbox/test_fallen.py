"""Alerts of bands: who fell, told once on each way, whatever the other side does."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta

import pytest

from features.errors import SettingsError
from pipelines.portfolio.outbox.book import opened_book
from pipelines.portfolio.outbox.fallen import alert_of_bands, fallen_since
from pipelines.portfolio.outbox.ledger import opened_ledger
from pipelines.project.delivery import http
from pipelines.project.project import load_project
from pipelines.project.records.calls import call_book, call_entry
from pipelines.store.runs import now
from tests.pipelines.dashboard.served import DAY, HOSTILE, HOSTILE_IDS, company, issue_scores

BEFORE = date(2024, 12, 1)
WRITE = "import sys, json; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read() + b'\\n')"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = company(tmp_path_factory.mktemp("fallen") / "company")
    issue_scores(made, 200, seed=5, day=BEFORE)
    issue_scores(made, 190)
    return made


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch) -> None:
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.0)


def telling(project, tmp_path, **more):
    """The same company with a ledger of its own, and a file that takes what is told."""
    given = {
        "command": ["python3", "-c", WRITE, str(tmp_path / "told.jsonl")],
        "bands": ["at-risk"],
        **more,
    }
    alert = project.settings.alert.model_validate(given)
    ledger = str(tmp_path / "digests.jsonl")
    digest = project.settings.digest.model_copy(update={"ledger": ledger})
    settings = project.settings.model_copy(update={"alert": alert, "digest": digest})
    return replace(project, settings=settings)


def told(tmp_path):
    file = tmp_path / "told.jsonl"
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def fell_by_hand(project, band):
    """Who is in a band and was in a better one, read from the panel's copy by plain Python."""
    order = ("at-risk", "watch", "healthy")
    with opened_book(project) as book:
        rows = book.ask("select account_id, band, band_before, stake from accounts")
    fell = [
        row
        for row in rows
        if row["band"] == band
        and row["band_before"] is not None
        and order.index(row["band_before"]) > order.index(band)
    ]
    fell.sort(key=lambda row: (row["stake"] is None, -(row["stake"] or 0), row["account_id"]))
    return [row["account_id"] for row in fell]


def test_who_fell_is_told_once_and_nobody_else(project, tmp_path) -> None:
    ready = telling(project, tmp_path, bands=["at-risk", "watch"])
    first = alert_of_bands(ready, DAY)
    assert [(one.way, one.became) for one in first.sent] == [("command", "sent")]
    assert first.said == ["Alert by command: sent"]
    (message,) = told(tmp_path)
    at_risk, watch = fell_by_hand(project, "at-risk"), fell_by_hand(project, "watch")
    fell = [*at_risk, *watch]
    assert {one["account_id"] for one in message["accounts"]} <= set(fell)
    assert len(message["accounts"]) + message["left_out"] == len(fell) > 5
    assert message["accounts"][0]["band"] == "at-risk"
    assert f"{len(at_risk)} accounts fell into at-risk, ARR " in message["sentence"]
    assert f"{len(watch)} accounts fell into watch" in message["sentence"]
    # The company names the end of its data: the past on purpose.
    assert message["outdated"] is None
    again = alert_of_bands(ready, DAY)
    assert [one.became for one in again.sent] == ["sent before"]
    assert len(told(tmp_path)) == 1


def test_nothing_is_told_where_no_band_is_named_or_newer_scores_are_there(
    project, tmp_path
) -> None:
    assert alert_of_bands(telling(project, tmp_path, bands=[]), DAY).sent == []
    early = alert_of_bands(telling(project, tmp_path), BEFORE)
    assert early.sent == []
    assert early.said == ["Nobody was told of bands: scores of 1 January 2025 are newer"]
    assert not (tmp_path / "told.jsonl").exists()


def test_who_was_told_lately_and_who_is_snoozed_is_not_told(project, tmp_path) -> None:
    shutil.copytree(project.folder, tmp_path / "company")
    copied = load_project(tmp_path / "company" / project.path.name)
    fell = fell_by_hand(copied, "at-risk")
    until = now().date() + timedelta(days=9)
    snoozed = call_entry(fell[0], "snoozed", by="ben", moment=now(), until=until)
    called = call_entry(fell[1], "called", by="ben", moment=now())
    call_book(copied.folder).record([snoozed, called])
    with opened_book(copied) as book:
        listed = [one.account_id for one in fallen_since(copied, book, ["at-risk"]).accounts]
    assert listed == fell[1:]
    ready = telling(copied, tmp_path)
    alert_of_bands(ready, DAY)
    # Back to where they were, and down again: a week later, and 32 days later.
    issue_scores(copied, seed=5, day=date(2025, 1, 8))
    alert_of_bands(ready, date(2025, 1, 8))
    heard = [{one["account_id"] for one in message["accounts"]} for message in told(tmp_path)]
    issue_scores(copied, 190, day=date(2025, 1, 15))
    (soon,) = alert_of_bands(ready, date(2025, 1, 15)).sent
    assert soon.became == "nothing new"
    issue_scores(copied, seed=5, day=date(2025, 2, 1))
    issue_scores(copied, 190, day=date(2025, 2, 2))
    (later,) = alert_of_bands(ready, date(2025, 2, 2)).sent
    assert later.became == "sent"
    assert {one["account_id"] for one in told(tmp_path)[-1]["accounts"]} == heard[0]


def test_what_failed_is_tried_again_and_what_may_have_arrived_is_not(project, tmp_path) -> None:
    fails = telling(project, tmp_path, command=["sh", "-c", "exit 3"], retries=1)
    failed = alert_of_bands(fails, DAY)
    assert [one.became for one in failed.sent] == ["failed"]
    (said,) = failed.warnings
    assert said.startswith("The alert was not delivered: its command was tried 2 times and ended")
    hangs = telling(
        project, tmp_path, command=["sh", "-c", "sleep 30"], timeout_seconds=0.3, retries=3
    )
    late = alert_of_bands(hangs, DAY)
    assert [one.became for one in late.sent] == ["uncertain"]
    # It was tried once: a second try could be a second message.
    assert "was tried once and did not" in late.warnings[0]
    after = alert_of_bands(telling(project, tmp_path), DAY)
    assert [one.became for one in after.sent] == ["uncertain"]
    assert after.warnings == [
        "an earlier run was stopped while it sent this by command, so it may have arrived; it is"
        " not sent again; look there"
    ]
    assert not (tmp_path / "told.jsonl").exists()


def test_a_ledger_that_is_held_is_a_warning(project, tmp_path) -> None:
    with opened_ledger(tmp_path / "digests.jsonl"):
        alerted = alert_of_bands(telling(project, tmp_path), DAY)
    assert alerted.sent == []
    (said,) = alerted.warnings
    assert said.startswith("Accounts that fell into a band were not told: The ledger of digests")


def test_hostile_names_are_text_in_the_message(project) -> None:
    with opened_book(project) as book:
        alert = fallen_since(project, book, ["at-risk"])
    names = [*filter(None, HOSTILE.values()), *HOSTILE_IDS.values(), "<!channel> <http://x|y>"]
    names += ["@here\x1b[31m"]
    for start in range(0, len(names), 10):
        accounts = [
            replace(alert.accounts[0], name=name, owner=name) for name in names[start : start + 10]
        ]
        message = replace(alert, accounts=accounts).to_dict()
        assert not set(message["text"]) & {"<", ">", "\x1b", "\u202e"}
        assert len(message["text"].splitlines()) <= 2 + 10
        json.dumps(message, allow_nan=False)


def test_bands_without_anybody_to_tell_are_refused(project, tmp_path) -> None:
    for text, said in (
        ('bands = ["at-risk"]', "bands are told to a webhook or a command, and there is neither"),
        ('command = ["x"]\nbands = ["red"]', "'at-risk', 'watch', 'likely' or 'possible', found"),
    ):
        path = tmp_path / "healthscore.toml"
        path.write_text(f"{project.path.read_text('utf-8')}[alert]\n{text}\n", encoding="utf-8")
        with pytest.raises(SettingsError) as refused:
            load_project(path)
        assert said in str(refused.value)
