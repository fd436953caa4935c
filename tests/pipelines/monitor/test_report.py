"""The drift report: what it says is what the check found, whatever segments are called."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from features.outcomes.settings import WORDS
from models.registry.checks import MonitorRecord
from pipelines.monitor.report import drift_html
from pipelines.monitor.words import headline, since_words
from pipelines.reports.figures.drift import bin_labels
from pipelines.reports.segments import segment_words
from pipelines.reports.terminal.console import plain
from pipelines.reports.wording import count, percent
from tests.pipelines.checked_by_hand import HOSTILE, broken, checked, retrained
from tests.pipelines.reports.page import Page

CHURN = WORDS["churn"]


def page_of(one) -> Page:
    return Page(drift_html(one, CHURN))


@pytest.fixture(scope="module")
def page() -> Page:
    return page_of(checked())


def test_what_moved_is_what_was_noticed(page) -> None:
    one = checked()
    assert one.decision.status in ("watch", "retrain")
    rows = page.table("What moved, what matters").rows
    found = sorted(one.noticed, key=lambda drift: -drift.impact)
    assert len(rows) == len(found)
    for row, drift in zip(rows, found, strict=True):
        segment = plain(segment_words(drift.segment, "all accounts"), 300)
        assert row[1] == segment
        moved = drift.movement
        assert row[5:] == [f"{moved.psi:.2f}", f"{moved.psi_expected:.2f}"]
        assert row[3] == "1 January to 1 February 2026"
        whole = drift.name in ("score", "segment")
        assert row[4] == ("all of it" if whole else percent(drift.weight))
    # Usage fell in one segment, and a survey was answered by fewer.
    usage = next(row for row in rows if row[0] == "Usage volume, 28 days")
    assert usage[1:3] == [plain(HOSTILE[0]), "much lower"]
    asked = next(row for row in rows if row[0] == "NPS")
    assert re.fullmatch(r"not known for \d\d\u202f% of accounts, formerly \d\d\u202f%", asked[2])


def test_figures_hold_the_shares_that_were_counted(page) -> None:
    one = checked()
    drift = max(one.noticed, key=lambda each: each.impact)
    counts = one.kept.reference.counts[drift.name]
    place = one.kept.reference.segments.index(drift.segment)
    before, now = counts.table[place].sum(axis=0), one.findings.current.tables[drift.name][place]
    html = drift_html(one, CHURN)
    for number, label in enumerate(bin_labels(counts.bins)):
        if before[number] or now[number]:
            was, is_now = 100 * before[number] / before.sum(), 100 * now[number] / now.sum()
            assert f"{label}: {was:.0f} % before, {is_now:.0f} % now" in html
    names = {each.name for each in one.noticed}
    drawn = re.findall(r'<title id="moved-\d-title">', html)
    assert len(drawn) == min(len(names - {"segment"}), 6)


def test_outcomes_and_feeds_are_told(page) -> None:
    findings = checked().findings
    rows = page.table("Outcomes of 1 January 2026").by_name
    for one in findings.matured:
        name = plain(segment_words(one.segment, "all accounts"), 300)
        assert rows[name]["Rows"] == count(one.rows)
        assert rows[name]["Churn"] == count(one.positives)
        assert rows[name]["Expected"] == percent(one.expected_rate)
        assert percent(one.observed_rate) in rows[name]["Observed"]
        assert rows[name]["Slope"] == f"{one.recalibration.slope.value:.2f}"
    feeds = page.table("Newest row of each table").by_name
    assert feeds["usage_events"]["State"] == "flows"
    assert feeds["usage_events"]["Days before"] == "1 day"
    assert feeds[plain(HOSTILE[0])]["State"] == "stopped"
    assert feeds[plain(HOSTILE[0])]["Newest row"] == "3 November 2025"
    assert feeds["surveys"]["Newest row"] == "no row"
    assert "2 tables have stopped." in page.text
    checks = page.table("Checks, the newest first").rows
    assert [row[0] for row in checks] == ["1 March 2026", "1 February 2026", "1 January 2026"]


def test_a_quiet_date_says_so() -> None:
    one = checked(moved=False)
    assert one.decision.status == "ok"
    page = page_of(one)
    assert page.headings[0] == (1, "Nothing to do: what the model reads looks as it did")
    assert "Nothing that matters moved further than chance and season move it." in page.text
    assert "This is the first check of this model." in page.text


def test_faults_come_first_and_each_is_named() -> None:
    page = page_of(broken())
    assert page.headings[0][1] == (
        "Repair the data first: a table has stopped (usage_events), and 4 more"
    )
    sections = [text for level, text in page.headings if level == 2]
    assert sections.index("What to repair") < sections.index("What moved")
    rows = page.table("Faults of the data feeds").rows
    assert [row[0] for row in rows] == [
        "a table has stopped",
        "a column is gone",
        "a signal stands still",
        "a unit has changed",
        "names are spelled otherwise",
    ]
    assert [row[2] for row in rows] == ["not known", *["1 February 2026"] * 4]
    assert "No outcome of a date after the training is known yet." in page.text


def test_what_came_of_retraining() -> None:
    promoted, kept = page_of(retrained(promoted=True)), page_of(retrained(promoted=False))
    assert promoted.headings[0][1] == "Retrained: version 5 took the place of 4"
    assert "'healthscore rollback' undoes it" in promoted.text
    assert promoted.table("Accounts in another band").rows == [["healthy", "watch", "31"]]
    assert kept.headings[0][1] == "Retrained, and version 4 stays: the new model was not promoted"
    assert kept.table("Checks, the newest first").rows[0][4] == "version 5 not promoted"
    one = retrained(promoted=False)
    nothing = replace(one, retrained=replace(one.retrained, challenger=None))
    assert headline(nothing) == "Version 4 stays: nothing new to judge another model on"
    assert since_words(None) == "not known"


@pytest.mark.parametrize("make", [checked, broken, lambda: retrained(promoted=True)])
def test_nobodys_words_are_markup(make) -> None:
    one = make()
    record = replace(one.record, run_id=HOSTILE[0], model_version=HOSTILE[2], status=HOSTILE[0])
    assert isinstance(record, MonitorRecord)
    hurt = replace(one, outcome=HOSTILE[0], source=HOSTILE[1], record=record)
    html = drift_html(hurt, CHURN)
    page = Page(html)
    assert not page.tags["script"]
    assert not page.tags["b"]
    assert "\u202e" not in html
    assert "alert(1)" in page.text
    assert len(page.ids) == len(set(page.ids))
    assert not page.values("src")
    assert all(link.startswith("#") for link in page.values("href"))
    linked = {link[1:] for link in page.values("href")}
    assert linked <= set(page.ids)
