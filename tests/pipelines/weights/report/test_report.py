from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from pipelines.reports.wording import count, money, percent, score
from pipelines.weights.report.report import weights_html
from pipelines.weights.rows import FULL_MODEL, RECOMMENDED, TODAY
from tests.pipelines.reports.page import Page
from tests.pipelines.reports.told_company import HOSTILE, LONG, RTL, told_company

pytestmark = pytest.mark.xdist_group("weights_report")
FETCHES = ("src", "srcset", "action", "data", "poster", "background", "onload", "onerror")


def _seen(text: str) -> str:
    """What is left of somebody's text on a page: one line of what prints."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@pytest.fixture(scope="module")
def large_page(large_html) -> Page:
    return Page(large_html)


@pytest.fixture(scope="module")
def good_page() -> Page:
    return Page(weights_html(told_company(kind="expansion", arr=False)))


@pytest.fixture(scope="module")
def silent_page() -> Page:
    return Page(weights_html(told_company(foretells=False)))


@pytest.fixture(scope="module")
def single_page() -> Page:
    return Page(weights_html(told_company(("only",))))


def test_every_weight_is_told_as_it_was_recommended(recommended, page):
    for segment in recommended.segments:
        name = "All accounts" if segment == "all" else segment
        told = page.table(f"Weights in percent: {name}").by_name
        advice = recommended.advice[segment]
        assert len(told) == len(advice.advice)
        for line in advice.advice:
            row = told[line.measure]
            assert row["What to do"].lower() == line.verdict
            assert row["Today"] == score(line.today)
            assert row["New"] == score(line.recommended)
            if line.why != "no data":
                numbers = [float(each) for each in re.findall(r"\d+", row["Outcomes point to"])]
                assert numbers[0] == pytest.approx(line.low, abs=0.5)
                assert numbers[-1] == pytest.approx(line.high, abs=0.5)
                worst, best = line.extremes.worst, line.extremes.best
                rates = [percent(end["observed_rate"]) for end in (worst, best)]
                assert f"({rates[0]} against {rates[1]})" in row["Why"]
            else:
                assert row["Why"] == "No data: no table tells of it, so it moves no score."


def test_the_first_page_lists_every_change_and_what_it_brings(recommended, page):
    told = page.table("today → recommended").by_name
    assert [next(iter(told)).startswith("All accounts"), *list(told)[1:]] == [
        True,
        *recommended.segments[1:],
    ]
    for name, segment in zip(told, recommended.segments, strict=True):
        row, advice = told[name], recommended.advice[segment]
        changes = row["What to change"]
        assert advice.changes
        for line in advice.advice:
            change = f"{line.measure} {score(line.today)} → {score(line.recommended)} ("
            assert (change in changes) == (line.verdict != "keep")
        kept = sum(line.verdict == "keep" for line in advice.advice)
        assert ("as they are" in changes) == (kept > 1)
        effect = recommended.effects[segment]
        assert row["Red in time"].startswith(f"+{effect.more.value:,.0f} (")


def test_the_effect_is_told_in_accounts_and_in_money(recommended, page):
    effect = recommended.effects["all"]
    assert f"{count(effect.caught_today)} → {count(effect.caught)}" in page.text
    assert f"of {count(effect.happened)}: between" in page.text
    assert f"+{money(effect.more_arr.value)}" in page.text
    assert (
        f"of {money(effect.arr)}: between +{money(effect.more_arr.low)} and"
        f" +{money(effect.more_arr.high)}"
    ) in page.text
    own = [one for name, one in recommended.advice.items() if name != "all" and one.changes]
    changed = f"Change weights in {len(own)} of 3 segments"
    if len(own) == 3:
        changed = "Change weights in all 3 segments"
    assert page.headings[0] == (
        1,
        f"{changed}: of the {count(effect.cases)} that churned on the replayed dates,"
        f" {count(effect.cases_caught)} instead of {count(effect.cases_caught_today)} would have"
        f" been red in time{_red_words(effect)}",
    )


def _red_words(effect):
    now, today = percent(effect.flagged), percent(effect.flagged_today)
    if now == today:
        return f", with as many accounts red as today ({now})"
    return f", with {now} of accounts red instead of {today}"


def test_bands_are_told_by_the_rate_that_was_observed(recommended, page):
    told = page.table("Health bands").by_name
    for band in recommended.evidence.bands:
        row = told[band["band"]]
        assert row["Observed churn"] == percent(band["observed_rate"])
        assert row["Likely range"] == f"between {percent(band['low'])} and {percent(band['high'])}"
        assert row["Rows"] == count(band["rows"])


def test_the_replay_is_told_as_it_was_measured(recommended, page):
    told = page.table("Pairs ranked right (AUC)").by_name
    table = recommended.replayed.table.set_index(["segment", "contender"])
    names = {
        TODAY: "Today's weights",
        RECOMMENDED: "Recommended weights",
        FULL_MODEL: "Health score",
    }
    for contender, name in names.items():
        row = table.loc["all", contender]
        assert told[name]["Seen red"].split(" (")[0] == percent(row["caught"], 0)
        assert told[name]["Pairs ranked right"].split(" (")[0] == percent(row["auc"])
        assert told[name]["Red 90 days before"].split(" (")[0] == percent(row["early"], 0)
        assert told[name]["First tenth"].startswith(f"{row['top_decile_lift']:.1f} (")
        assert told[name]["Green"] == percent(row["green"])
    by_segment = page.table("Share that was red in time").by_name
    moves = recommended.replayed.moves.set_index(["segment", "contender"])
    moved = page.table("whose colour the recommended weights change").by_name
    for segment in recommended.segments[1:]:
        shown = by_segment[segment]["Recommended weights"]
        assert shown.startswith(percent(table.loc[(segment, RECOMMENDED), "caught"], 0))
        row = moves.loc[segment, RECOMMENDED]
        assert moved[segment]["Turn red"] == f"{count(row['to_red'])} ({money(row['to_red_arr'])})"
    cuts = page.table("turns red and green").by_name
    for contender, cut in recommended.replayed.cuts.items():
        assert cuts[names[contender]]["Red below"] == score(cut.red_below)


def test_the_evidence_is_told_as_it_was_found(recommended, page):
    evidence = recommended.evidence
    foretold = page.table("Expected and observed rate of churn").by_name
    for segment, metrics in evidence.segment_metrics.items():
        assert foretold[segment]["Observed"] == percent(metrics.observed_rate)
    methods = page.table("Every method on the same later dates").by_name
    assert methods["Healthscore"]["Pairs ranked right"] == "83.0\u202f% (81.0 to 85.0\u202f%)"
    assert methods[HOSTILE[0]]["Against ours"] == "worse than ours"
    lead = page.table("Scores some days before").by_name
    for row in evidence.lead[evidence.lead["events"] > 0].to_dict("records"):
        shown = lead[f"{row['days_before']} days"][
            "At-risk (90 % interval)".replace(" %", "\u202f%")
        ]
        assert shown.startswith(percent(row["at_risk"], 0))
    audit = page.table("Errors by group").rows
    assert len(audit) == len(evidence.audit)
    assert any(HOSTILE[0] in row[0] for row in audit)
    directions = page.table("Signals that point the other way")
    assert directions.rows[0][2:5] == ["higher is healthy", "lower was healthy", "No"]
    assert "1 the other way" in page.text
    assert "What customers do tells more than what we think of them" in page.text
    assert (
        f"{HOSTILE[0]} tells more than {HOSTILE[1]}: 64.0\u202f% of the pairs of accounts ranked"
        " right against 60.0\u202f%."
    ) in page.text
    quality = page.table("What was read").by_name
    assert quality["accounts"]["Dates"] == "1 January 2024 to 2 March 2025"
    assert quality[LONG]["Dates"] == "no dates"
    versions = page.table("What this report was made with").by_name
    assert versions["Training run"]["Version"] == "0123456789abcdef"


def test_points_are_told_range_by_range(recommended, page):
    told = page.table("Points per behaviour").by_name
    assert len(told) == len(recommended.behaviours)
    for one in recommended.behaviours:
        row = told[one.signal.label]
        assert row["At most"] == str(one.most)
        for behaviour in one.behaviours:
            points = "1 point" if behaviour.points == 1 else f"{behaviour.points} points"
            assert (
                f"{points}, {percent(behaviour.observed_rate)}" in row["Points, and rate of churn"]
            )


def test_a_page_runs_nothing_and_fetches_nothing(large_html, large_page):
    assert "script" not in large_page.tags
    assert not large_page.values(*FETCHES)
    assert not [name for _, name, _ in large_page.attributes if name.startswith("on")]
    links = large_page.values("href", "xlink:href")
    assert links
    assert all(link.startswith("#") for link in links)
    assert "url(#" in large_html
    assert not re.search(r"url\((?!#)", large_html)
    assert "@import" not in large_html


def test_names_are_text_wherever_they_stand(large, large_html, large_page):
    for name in HOSTILE:
        assert large_page.text.count(_seen(name)) > 10
    assert large_page.tags["img"] == 0
    assert "{{ 7 * 7 }}" in large_page.text
    # A mark that turns the direction of writing would turn that of the page.
    assert "\u202e" in RTL
    assert "\u202e" not in large_html
    assert large_page.tags["bdi"] > 200
    assert set(large_page.table("today → recommended").by_name) >= {_seen(name) for name in HOSTILE}


def test_ids_are_unique_and_links_lead_somewhere(large_page):
    assert len(set(large_page.ids)) == len(large_page.ids)
    known = set(large_page.ids)
    assert {link[1:] for link in large_page.values("href")} <= known
    for reference in large_page.values("aria-labelledby", "aria-describedby"):
        assert set(reference.split()) <= known


def test_headings_descend_in_order_and_the_contents_name_them(large_page):
    levels = [level for level, _ in large_page.headings]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    linked = {link[1:] for _, name, link in large_page.attributes if name == "href"}
    titled = {
        value for tag, name, value in large_page.attributes if name == "id" and tag in {"h2", "h3"}
    }
    assert titled - linked == {"effect", "contents-title", "warnings"}


def test_every_figure_can_be_read_out(large_page):
    assert large_page.tags["svg"] == large_page.tags["desc"] > 12
    images = [value for tag, name, value in large_page.attributes if (tag, name) == ("svg", "role")]
    assert images == ["img"] * large_page.tags["svg"]


def test_tables_name_their_rows_and_columns(large_page):
    assert all(table.caption and table.headings and table.rows for table in large_page.tables)
    scopes = [value for tag, name, value in large_page.attributes if name == "scope"]
    assert len(scopes) == large_page.tags["th"]
    assert set(scopes) == {"col", "row"}
    assert all(len(row) == len(table.headings) for table in large_page.tables for row in table.rows)


def test_twelve_segments_and_nine_measures_are_a_small_page(large_html):
    assert len(large_html.encode()) < 1_000_000


@pytest.mark.parametrize("company", ["large", "good", "silent", "single"])
def test_what_is_not_known_is_said_in_words(company, request):
    text = request.getfixturevalue(f"{company}_page").text
    assert not re.search(r"\b(nan|None|inf|Undefined|NaT)\b", text)


def test_without_arr_accounts_are_counted(recommended):
    page = Page(weights_html(told_company(arr=False)))
    assert "ARR" not in page.text
    effect = recommended.effects["all"]
    assert f"{count(effect.caught_today)} → {count(effect.caught)}" in page.text


def test_good_news_is_told_in_its_own_words(good_page):
    page = good_page
    assert " of accounts green instead of " in page.headings[0][1]
    assert "that expanded on the replayed dates" in page.headings[0][1]
    assert "churn" not in page.text
    assert "There is nothing to warn of: expansion is good news." in page.text
    assert set(page.table("Health bands").by_name) == {"likely", "possible", "unlikely"}
    assert "accounts in the best fifth expanded" in page.text.lower()
    assert "Red 90 days before" not in page.text


def test_not_enough_evidence_is_said_plainly(recommended, silent_page):
    page = silent_page
    assert page.headings[0][1] == (
        "Keep every weight: there is not enough evidence yet that what accounts do predicts churn"
    )
    rows = page.table("today → recommended").rows
    assert len(rows) == len(recommended.segments)
    assert all(
        row[1:] == ["Keep all: not enough evidence to change one", "no change"] for row in rows
    )
    assert "What it brings" not in page.text
    assert "add up points" not in page.text


def test_a_single_segment_is_told_once(single_page):
    page = single_page
    rows = page.table("Weights in percent: All accounts").rows
    assert len(rows) == 4
    assert "only" not in [row[0] for table in page.tables for row in table.rows]
    assert page.headings[0][1].startswith("Change ")
    assert " of the 4 weights: " in page.headings[0][1]


def test_assumed_weights_and_other_outcomes_are_called_so(recommended, page):
    assert "No weights are configured" not in page.text
    assert "Outcome: " not in page.text
    changed = replace(recommended, is_assumed=True, outcome=HOSTILE[0])
    text = Page(weights_html(changed)).text
    assert "No weights are configured" in text
    assert f"Outcome: {HOSTILE[0]}." in text


def test_what_speaks_against_acting_is_on_the_first_page(large, large_page):
    first = large_page.text.index("Before you act")
    assert first < large_page.text.index("Contents")
    assert f"A table is named {large.measures[0].name}." in large_page.text


def test_evidence_that_is_not_there_is_said_to_be_missing(recommended):
    evidence = recommended.evidence
    bare = replace(
        evidence,
        lead=evidence.lead.iloc[:0],
        directions=evidence.directions.iloc[:0],
        carriers=evidence.carriers.iloc[:0],
        audit=evidence.audit.iloc[:0],
        calibration={},
        ratings=None,
        referrals_vs_nps=[],
        backtest=None,
        quality=[],
        notes=[],
    )
    page = Page(weights_html(replace(recommended, evidence=bare, behaviours=[], warnings=[])))
    for sentence in (
        "No backtest was logged",
        "It cannot be shown: no outcome on a day of its own had a score before.",
        "Nothing was audited",
        "0 tables were read",
        "No signal moves the model's estimate.",
        "No signal has a declared healthy direction.",
        "There are no ratings by people to judge.",
        "There is neither a referral nor a survey to compare.",
    ):
        assert sentence in page.text
    assert "What is not shown" not in page.text
    assert "Before you act" not in page.text
