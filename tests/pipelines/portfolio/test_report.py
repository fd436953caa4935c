"""The portfolio page: what it says is what the report holds, whatever accounts are called."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from itertools import pairwise

import pytest

from features.outcomes.settings import OutcomeSettings
from pipelines.portfolio.data import portfolio_report
from pipelines.portfolio.report import default_file, portfolio_html
from pipelines.project.project import load_project
from pipelines.reports.segments import segment_words
from pipelines.reports.terminal.console import plain
from pipelines.reports.wording import count, money, percent, short_day
from tests.pipelines.reports.page import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = ["<script>alert(1)</script>", '=HYPERLINK("http://x","y")', "\u202eRTL עברית", "L" * 300]


@pytest.fixture(scope="module")
def report(scored):
    return portfolio_report(load_project(scored.config), calls=6)


@pytest.fixture(scope="module")
def attacked(report):
    """The same with names, segments and plays that are an attack on whoever prints them."""
    summed = report.portfolio
    calls = [
        replace(call, account_id=text, name=name, segment=text, play=text, sentences=[text])
        for call, text, name in zip(summed.calls, HOSTILE, [*HOSTILE[:3], None], strict=False)
    ]
    segments = [replace(summed.segments[0], name=text) for text in HOSTILE]
    hurt = replace(summed, calls=calls, segments=segments, model_version=HOSTILE[0])
    return replace(report, portfolio=hurt, has_plays=True, outcome_name=HOSTILE[0])


@pytest.fixture(scope="module")
def bare(report):
    """The same where no MRR is known and nothing has matured."""
    summed = report.portfolio

    def poor(band):
        return replace(band, arr=None)

    def without(part):
        return replace(part, bands=[poor(band) for band in part.bands], expected_arr=None)

    counted = replace(
        summed,
        bands=[poor(band) for band in summed.bands],
        segments=[without(part) for part in summed.segments],
        sizes=[],
        arr=None,
        expected_arr=None,
        calls=[replace(call, arr=None) for call in summed.calls],
    )
    return replace(report, portfolio=counted, arr=None, matured=[])


def growing(report):
    """The same as good news."""
    names = dict(
        zip(("at-risk", "watch", "healthy"), ("likely", "possible", "unlikely"), strict=True)
    )

    def renamed(bands):
        return [replace(band, band=names[band.band]) for band in bands]

    summed = report.portfolio
    good = replace(
        summed,
        outcome=OutcomeSettings(kind="expansion"),
        bands=renamed(summed.bands),
        segments=[replace(part, bands=renamed(part.bands)) for part in summed.segments],
        sizes=[replace(part, bands=renamed(part.bands)) for part in summed.sizes],
        calls=[replace(call, band=names[call.band]) for call in summed.calls],
    )
    return replace(report, portfolio=good)


def test_figures_are_those_of_the_report(report) -> None:
    page, summed = Page(portfolio_html(report)), report.portfolio
    assert page.headings[0] == (
        1,
        f"About {money(report.arr.expected)} of {money(summed.arr)} ARR is expected to be lost by"
        " 13 August 2025",
    )
    for text in (
        f"between {money(report.arr.low)} and {money(report.arr.high)}",
        f"{percent(report.arr.expected / summed.arr)} of the ARR",
        f"between {count(report.accounts.low)} and {count(report.accounts.high)}, of"
        f" {summed.accounts}",
    ):
        assert text in page.text
    bands = page.table("Accounts by band").by_name
    observed = f"Observed churn {'at decisions' if summed.at_decisions else 'before'}"
    for band in summed.bands:
        row = bands[band.band]
        assert row["Accounts"] == count(band.accounts)
        assert row["ARR"] == money(band.arr)
        assert row[observed] == percent(band.observed["observed_rate"])
    segments = page.table("The book by segment").by_name
    captioned = (one for one in page.tables if one.caption.startswith("Accounts, and their ARR"))
    by_band = next(captioned).by_name
    for part in summed.segments:
        called = plain(segment_words(part.name))
        row = segments[called]
        assert row["ARR"] == money(part.arr)
        assert row["Expected loss"] == money(part.expected_arr)
        assert row["Share of ARR"] == percent(part.arr / summed.arr)
        for band in part.bands:
            inside = f" ({money(band.arr)})" if band.accounts else ""
            assert by_band[called][band.band] == f"{count(band.accounts)}{inside}"
        assert row["Share of it"] == percent(part.expected_arr / summed.expected_arr)
    assert len(page.table("The book by size").rows) == len(summed.sizes)


def test_calls_come_in_order_with_reasons(report) -> None:
    table = Page(portfolio_html(report)).table("Expected loss, the largest first")
    assert len(table.rows) == 6
    for cells, call in zip(table.rows, report.portfolio.calls, strict=True):
        row = dict(zip(table.headings, cells, strict=True))
        assert call.account_id in " ".join(row["Account"].split())
        assert (row["ARR"], row["Expected loss"]) == (money(call.arr), money(call.stake))
        why = cells[-1].replace("\u202f", " ")
        assert all(sentence.replace("\u202f", " ") in why for sentence in call.sentences)
        renews = "not known" if call.renewal is None else short_day(call.renewal)
        assert row.get("Renews", "not known") == renews


def test_plays_are_shown_where_they_are_mapped(report, attacked) -> None:
    assert "write your plays under [plays]" in Page(portfolio_html(report)).text
    page = Page(portfolio_html(attacked))
    assert "write your plays" not in page.text
    assert "→ <script>alert(1)</script>" in page.text


def test_earlier_forecasts_are_told(report) -> None:
    page = Page(portfolio_html(report))
    held = sum(one.within for one in report.matured)
    known = len(report.matured)
    assert f"On {held} of {known} earlier dates what happened lay within the interval" in page.text
    table = page.table("against what happened")
    assert [row[4].split(",")[0] for row in table.rows] == [
        count(one.happened) for one in report.matured
    ]
    assert [row[6].split(",")[0] for row in table.rows] == [
        money(one.arr_happened) for one in report.matured
    ]


@pytest.mark.parametrize("kind", ["report", "attacked", "bare", "good"])
def test_every_page_holds_together(kind, request) -> None:
    made = (
        growing(request.getfixturevalue("report"))
        if kind == "good"
        else request.getfixturevalue(kind)
    )
    html = portfolio_html(made)
    page = Page(html)
    assert page.tags["script"] == 0
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", html)
    assert len(page.ids) == len(set(page.ids))
    links = [value for value in page.values("href") if value.startswith("#")]
    assert links
    assert {link[1:] for link in links} <= set(page.ids)
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(html) < 1_000_000
    assert not any(name.startswith("on") for _, name, _ in page.attributes)


def test_counts_stand_in_for_money_and_that_is_said_once(bare) -> None:
    page = Page(portfolio_html(replace(bare, notes=["No MRR is mapped"])))
    assert "accounts are expected to churn by 13 August 2025" in page.headings[0][1]
    assert page.text.count("No MRR is mapped") == 1
    assert "Expected loss" not in page.text
    headings = page.table("Chance of churn, the largest first").headings
    assert "Chance of churn" in headings
    assert "ARR" not in headings
    assert "No earlier forecast has an outcome that is known yet" in page.text


def test_good_news_is_not_called_a_loss(report) -> None:
    page = Page(portfolio_html(growing(report)))
    assert re.match(r"Accounts with about .* ARR are expected to expand by", page.headings[0][1])
    assert (2, "Where is most to be won?") in page.headings
    assert not re.search(r"\bloss\b|\blost\b|\bchurn", page.text)


def test_without_evidence_the_headline_warns(report) -> None:
    page = Page(portfolio_html(replace(report, foretells=False)))
    assert page.headings[0][1] == (
        "Behaviour was not shown to predict churn: do not act on these scores"
    )
    assert "Not enough evidence." in page.text


def test_further_outcomes_have_a_file_of_their_own(scored) -> None:
    project = load_project(scored.config)
    assert default_file(project) == scored.folder / "portfolio.html"
    assert default_file(replace(project, outcome_name="growth")).name == "portfolio-growth.html"


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the system")
def test_pages_open_everywhere(report, attacked, tmp_path) -> None:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    files = [tmp_path / "portfolio.html", tmp_path / "hostile.html"]
    for file, made in zip(files, (report, attacked), strict=True):
        file.write_text(portfolio_html(made), encoding="utf-8")
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for file in files:
            for width, media, scheme in (
                (1280, "screen", "light"),
                (1280, "screen", "dark"),
                (390, "screen", "light"),
                (794, "print", "light"),
            ):
                page = browser.new_page(viewport={"width": width, "height": 900})
                page.on("console", lambda message: said.append(message.text))
                page.on("pageerror", lambda error: said.append(str(error)))
                page.emulate_media(media=media, color_scheme=scheme)
                page.goto(file.as_uri())
                wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert wider <= 0, (file.name, width, media)
                if media == "screen":
                    found = Axe().run(page).response["violations"]
                    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []
                page.close()
        browser.close()
    assert said == []
