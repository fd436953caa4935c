"""The forecast page and its answer: those of the command, for whoever sees the whole book."""

from __future__ import annotations

import threading
from datetime import date

import pytest

from features.errors import DataError
from pipelines.dashboard.access.notes import WITHHELD
from pipelines.dashboard.portfolio import forecast_jobs, forecast_pages
from pipelines.portfolio.forecast.data import retention_report
from pipelines.portfolio.forecast.words import share
from tests.pipelines.dashboard.opened_panel import ADMIN, EVERYBODY, LIMITED, opened_panel
from tests.pipelines.reports.page import Page

pytestmark = pytest.mark.xdist_group("panel")


@pytest.fixture(scope="module")
def panel(scored):
    with opened_panel(scored.config) as opened:
        yield opened


@pytest.fixture(scope="module")
def answer(panel):
    return panel.ready("/api/v1/forecast").json()


def test_the_answer_is_that_of_the_command(panel, answer) -> None:
    report = retention_report(panel.project, as_of=date(2025, 7, 1))
    assert (answer["state"], answer["sentence"]) == ("ready", None)
    assert answer["forecast"] == report.to_dict()
    page = Page(panel.get("/forecast").text)
    first = report.whole.periods[0]
    assert page.tables[0].rows[0][:2] == [first.period.label, share(first.retention.gross)]
    assert page.tags["desc"] == 2
    # A page of the panel allows no styles within it.
    assert "style" not in {name for _, name, _ in page.attributes}
    assert page.ids == list(dict.fromkeys(page.ids))


def test_who_sees_some_accounts_sees_no_forecast_of_all(panel) -> None:
    for path in ("/forecast", "/api/v1/forecast"):
        assert panel.get(path, LIMITED).status_code == 403
    assert 'href="/forecast' not in panel.get("/", LIMITED).text
    assert 'href="/forecast' in panel.get("/", EVERYBODY).text


def test_tables_that_cannot_be_read_are_a_sentence(panel, monkeypatch) -> None:
    def broken(*given, **options):
        raise DataError("The source '/secret' is missing")

    monkeypatch.setattr(forecast_jobs, "retention_report", broken)
    fresh = forecast_jobs.ForecastJobs(1)
    monkeypatch.setattr(panel.app.state, "forecast_jobs", fresh)
    for who, told in ((EVERYBODY, WITHHELD), (ADMIN, "The source '/secret' is missing")):
        said = panel.get("/api/v1/forecast", who).json()
        assert said["state"] == "impossible"
        assert told in said["sentence"]
        assert ("/secret" in said["sentence"]) == (who == ADMIN)
        assert told in Page(panel.get("/forecast", who).text).text
    fresh.close()


def test_a_forecast_that_takes_long_holds_nobody(panel, monkeypatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(forecast_jobs, "retention_report", lambda *given, **options: go.wait(20))
    monkeypatch.setattr(forecast_pages, "SECONDS", 0.05)
    fresh = forecast_jobs.ForecastJobs(1)
    monkeypatch.setattr(panel.app.state, "forecast_jobs", fresh)
    said = panel.get("/api/v1/forecast")
    assert (said.status_code, said.json()["state"]) == (202, "working")
    assert "being worked out" in Page(panel.get("/forecast").text).text
    go.set()
    fresh.close()
