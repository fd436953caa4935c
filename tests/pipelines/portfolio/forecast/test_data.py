"""The forecast against sums in SQL, earlier ones against what came, and each way it is told."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import duckdb
import openpyxl
import pytest

from features.errors import EvidenceError, SettingsError
from models.registry.models import Registry
from models.scoring.timing.retention.settings import ForecastSettings
from pipelines.portfolio.forecast.data import retention_report
from pipelines.portfolio.forecast.fiscal import periods_after
from pipelines.portfolio.forecast.foretelling import foretell
from pipelines.portfolio.forecast.history import read_past
from pipelines.portfolio.forecast.matured import held_quarters
from pipelines.portfolio.forecast.report import default_file, forecast_html
from pipelines.portfolio.forecast.screen import show_forecast
from pipelines.portfolio.forecast.words import headline
from pipelines.portfolio.forecast.workbook import write_workbook
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.reports.terminal.console import plain_console
from pipelines.store.issued import issued_run
from pipelines.store.opening import open_store
from tests.pipelines.reports.page import Page

DAY, EARLIER = date(2025, 7, 1), date(2025, 3, 15)
HOSTILE = [
    "<script>alert(1)</script>",
    '=HYPERLINK("http://x","y")',
    "\u202eRTL",
    "<r><t>rich</t></r>",
    "L" * 300,
]


@pytest.fixture(scope="module")
def project(scored):
    return load_project(scored.config)


@pytest.fixture(scope="module")
def report(project):
    return retention_report(project)


@pytest.fixture(scope="module")
def attacked(report):
    """The same with names that are an attack on whoever prints them."""
    parts = [replace(report.segments[0], name=text) for text in HOSTILE]
    week = report.weeks[0]
    first = [
        replace(week.first[0], account_id=text, name=name)
        for text, name in zip(HOSTILE, [*HOSTILE[:4], None], strict=True)
    ]
    return replace(
        report,
        segments=parts,
        owners=parts,
        weeks=[replace(week, first=first)],
        model_version=HOSTILE[0],
        outcome_name=HOSTILE[0],
        notes=HOSTILE,
    )


@pytest.fixture(scope="module")
def bare(report):
    """The same where no MRR is known, nothing renews and nobody has an owner."""

    def poor(part: Any) -> Any:
        periods = [
            replace(
                one,
                money={},
                retention=replace(one.retention, gross=None, net=None),
                renewal_rate=None,
            )
            for one in part.periods
        ]
        whole = replace(part.whole, gross=None, net=None)
        return replace(part, arr=None, periods=periods, whole=whole)

    segments = [poor(part) for part in report.segments]
    return replace(report, whole=poor(report.whole), segments=segments, owners=[], weeks=[])


def test_the_book_is_that_of_the_issued_run(scored, report) -> None:
    ((accounts, arr),) = scored.sql(
        "select count(*), sum(12 * mrr) from scores where as_of = ?", DAY
    )
    told = report.to_dict()
    assert (told["as_of"], told["model_version"], told["revision"]) == ("2025-07-01", "1", 1)
    assert told["book"]["accounts"] == accounts
    assert told["book"]["arr"] == pytest.approx(arr)
    assert [each["period"] for each in told["book"]["periods"]] == [
        *("Q3 FY2025", "Q4 FY2025", "Q1 FY2026", "Q2 FY2026")
    ]
    assert sum(part["accounts"] for part in told["segments"]) == accounts
    assert sum(part["arr"] for part in told["segments"]) == pytest.approx(arr)
    assert json.loads(json.dumps(told)) == told


def test_the_waterfall_runs_on_from_period_to_period(report) -> None:
    opening = report.whole.arr
    for one in report.whole.periods:
        money = {name: each.expected for name, each in one.money.items()}
        assert money["opening"] == pytest.approx(opening)
        moved = money["opening"] - money["lost"] - money["smaller"] + money["larger"]
        assert money["closing"] == pytest.approx(moved)
        opening = money["closing"]
        for kept in (one.retention.gross, one.retention.net, one.retention.accounts):
            assert 0 <= kept.low <= kept.expected <= kept.high
        assert one.retention.gross.high <= 1
        assert one.retention.gross.expected <= one.retention.net.expected + 1e-9
        assert one.renewal_rate.expected <= one.retention.gross.expected
    assert report.whole.whole.net.expected == pytest.approx(opening / report.whole.arr)


def test_renewals_are_those_of_the_tables(scored, report) -> None:
    until = report.periods[-1].closes
    renews = dict(
        duckdb.sql(
            f"select account_id, min(renewal_at)::date from '{scored.data}/subscriptions.parquet'"
            f" where started_at < date '{DAY}' and (ended_at is null or ended_at >= date '{DAY}')"
            f" and renewal_at >= date '{DAY}' group by 1"
        ).fetchall()
    )
    issued = {name for (name,) in scored.sql("select account_id from scores where as_of = ?", DAY)}
    expected: dict[date, int] = {}
    for account, day in renews.items():
        if account in issued and day < until:
            monday = day - timedelta(days=day.weekday())
            expected[monday] = expected.get(monday, 0) + 1
    assert {week.monday: week.accounts for week in report.weeks} == expected
    for week in report.weeks:
        assert sum(accounts for accounts, _ in week.bands.values()) == week.accounts
        assert week.arr == pytest.approx(sum(arr for _, arr in week.bands.values()))
        stakes = [one.risk * one.arr for one in week.first]
        assert stakes == sorted(stakes, reverse=True)
        assert all(0 <= (one.renews - week.monday).days < 7 for one in week.first)


def test_past_quarters_are_read_as_they_were(scored, project) -> None:
    segments = project.registry.champion().model.segments
    with open_company(project) as company:
        past = read_past(project, company, segments, None, DAY)
    newest = DAY - timedelta(days=7 + 91)
    assert past.history["day"].max() == newest.toordinal()
    own = past.history[past.history["day"] == newest.toordinal()].set_index("account_id")
    ends = newest + timedelta(days=91)
    gone = duckdb.sql(
        f"select account_id, min(churned_at)::date from '{scored.data}/churn_events.parquet'"
        f" where churned_at >= date '{newest}' group by 1"
    ).fetchall()
    lost = {account for account, day in gone if day < ends and account in own.index}
    assert set(own.index[own["lost"] == 1]) == lost
    fees = dict(
        duckdb.sql(
            f"select account_id, 12 * sum(mrr) from '{scored.data}/subscriptions.parquet'"
            f" where started_at < date '{newest}' and (ended_at is null or ended_at >= date"
            f" '{newest}') group by 1"
        ).fetchall()
    )
    assert own["arr"].to_dict() == pytest.approx({name: fees[name] for name in own.index})


def test_nothing_after_the_date_is_read(project) -> None:
    segments = project.registry.champion().model.segments
    with open_company(project) as company:
        past = read_past(project, company, segments, None, EARLIER)
    assert past.history["day"].max() + 91 + 7 <= EARLIER.toordinal()
    assert past.now["day"].unique().tolist() == [EARLIER.toordinal()]


def test_scores_of_a_model_that_knew_what_came_are_no_forecast(report) -> None:
    assert report.held == []
    (note,) = [note for note in report.notes if "no forecasts" in note]
    assert note == (
        f"Scores of '{EARLIER}' are no forecasts and are left out: their models may have been"
        " taught with what happened after those dates"
    )


def test_an_issued_forecast_is_held_against_what_came(scored, project, monkeypatch) -> None:
    record = project.registry.record("1")
    early = replace(record, taught_until=date(2024, 12, 1))
    monkeypatch.setattr(Registry, "record", lambda self, version: early)
    with open_store(project, read_only=True) as store, open_company(project) as company:
        held, notes = held_quarters(project, store, company, issued_run(store, "main"))
    assert notes == []
    (one,) = held
    assert (one.as_of, one.until, one.label) == (EARLIER, date(2025, 4, 1), "rest of Q1 FY2025")
    issued = dict(scored.sql("select account_id, mrr from scores where as_of = ?", EARLIER))
    later = dict(
        duckdb.sql(
            f"select account_id, sum(mrr) from '{scored.data}/subscriptions.parquet'"
            " where started_at < date '2025-04-01' and (ended_at is null or ended_at >= date"
            " '2025-04-01') and account_id not in (select account_id from"
            f" '{scored.data}/churn_events.parquet' where churned_at < date '2025-04-01'"
            f" and churned_at >= date '{EARLIER}') group by 1"
        ).fetchall()
    )
    opening = sum(issued.values())
    gross = sum(min(mrr, later.get(name, 0.0)) for name, mrr in issued.items()) / opening
    net = sum(later.get(name, 0.0) for name in issued) / opening
    assert one.gross_came == pytest.approx(gross)
    assert one.net_came == pytest.approx(net)
    assert one.accounts_came == pytest.approx(sum(n in later for n in issued) / len(issued))
    assert one.held == (one.gross.low <= one.gross_came <= one.gross.high)


def test_the_year_begins_when_the_configuration_says(project) -> None:
    settings = project.settings.model_copy(
        update={"forecast": ForecastSettings(fiscal_year_start=2, quarters=1)}
    )
    told = retention_report(replace(project, settings=settings))
    assert [each.label for each in told.periods] == ["rest of Q2 FY2026", "Q3 FY2026"]


def test_another_outcome_than_churn_is_refused(project) -> None:
    other = project.settings.model_copy(
        update={"outcome": project.settings.outcome.model_copy(update={"kind": "expansion"})}
    )
    with pytest.raises(SettingsError) as caught:
        retention_report(replace(project, settings=other))
    assert str(caught.value) == (
        "Retention is predicted from the risk of churn, and the outcome main is expansion; name an"
        " outcome of that kind with --outcome"
    )


def test_the_page_says_what_the_report_holds(project, report) -> None:
    page = Page(forecast_html(report))
    assert page.tags["script"] == 0
    assert page.ids == list(dict.fromkeys(page.ids))
    assert [row[0] for row in page.tables[0].rows] == [
        *(one.period.label for one in report.whole.periods),
        "All of it",
    ]
    for term in ("Gross revenue retention", "Net revenue retention", "Gross renewal rate"):
        assert f"{term}." in page.text
    assert default_file(project).name == "forecast.html"
    assert "come up for renewal by" in page.text
    # Growth is told where there is some.
    whole = report.whole.whole
    more = replace(whole.net, expected=whole.gross.expected + 0.1)
    grown = replace(report.whole, whole=replace(whole, net=more))
    assert "with growth" in headline(replace(report, whole=grown))
    flat = replace(report.whole, whole=replace(whole, net=whole.gross))
    assert "with growth" not in headline(replace(report, whole=flat))


def test_names_are_text_wherever_they_are_told(attacked, tmp_path, capsys) -> None:
    page = Page(forecast_html(attacked))
    assert page.tags["script"] == 0
    assert "alert(1)" not in "".join(page.values("src", "href", "onload"))
    show_forecast(plain_console(), attacked)
    assert "\u202e" not in capsys.readouterr().out
    file = tmp_path / "forecast.xlsx"
    write_workbook(attacked, file)
    with zipfile.ZipFile(file) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
        texts = [archive.read(name).decode() for name in sheets]
    assert len(sheets) == 6
    assert not any("<f>" in text or "hyperlink" in text.lower() for text in texts)
    names = openpyxl.load_workbook(file)["Segments"]["A"]
    assert {HOSTILE[1], f"{HOSTILE[3]} "} <= {cell.value for cell in names}
    assert {(cell.data_type, cell.number_format) for cell in names[1:]} == {("s", "@")}


def test_accounts_without_money_are_counted(bare, tmp_path) -> None:
    page = Page(forecast_html(bare))
    assert "ARR" not in page.text.replace("[tables", "")
    assert "No contract is known to renew by then." in page.text
    assert f"of {bare.whole.accounts:,} accounts are expected to stay" in page.text
    show_forecast(plain_console(), bare)
    write_workbook(bare, tmp_path / "bare.xlsx")


def test_the_command_writes_what_it_is_asked_for(scored, run, tmp_path) -> None:
    answer = run("forecast", "-c", scored.config, "--out", tmp_path / "f.xlsx", "--json").answer
    assert answer["file"] == str(tmp_path / "f.xlsx")
    assert zipfile.is_zipfile(tmp_path / "f.xlsx")
    assert answer["book"]["whole"]["gross_retention"]["low"] > 0
    wrong = run("forecast", "-c", scored.config, "--out", tmp_path / "f.doc")
    assert wrong.code == 2
    assert "A page is written as .html or .pdf or .xlsx" in wrong.err


def test_without_a_quarter_that_is_over_nothing_is_foretold(project) -> None:
    with open_company(project) as company:
        early = replace(company, data_end=company.data_start + timedelta(days=100))
        model, periods = project.registry.champion().model, periods_after(EARLIER, 1, 1)
        with open_store(project, read_only=True) as store:
            run = issued_run(store, "main", EARLIER)
            with pytest.raises(EvidenceError) as caught:
                foretell(project, store, early, run, model, None, periods)
    assert str(caught.value) == (
        f"No quarter of 91 days was over on {EARLIER}: the data begin on {company.data_start}, and"
        " rates are learnt from quarters that begin 56 days later; load a longer history"
    )
