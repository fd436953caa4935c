"""The portfolio report against sums in SQL, and earlier forecasts against what happened."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta

import duckdb
import pandas as pd
import pytest

from features.errors import RegistryError, SettingsError, StoreError
from models.measures.offset_spread import offset_spread
from models.registry.versions import version_record
from models.training.splits import left_alone
from pipelines.commands.portfolio import portfolio as command
from pipelines.portfolio.data import portfolio_report
from pipelines.portfolio.matured import MOST_RUNS, _thinned, matured_forecasts
from pipelines.portfolio.report import portfolio_html
from pipelines.portfolio.screen import show_report
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.reports.page_file import write_page
from pipelines.reports.terminal.console import plain_console
from pipelines.store.issued import issued_run
from pipelines.store.opening import open_store

DAY, EARLIER = date(2025, 7, 1), date(2025, 3, 15)
OPENS, CLOSES = timedelta(days=14), timedelta(days=44)


@pytest.fixture(scope="module")
def project(scored):
    return load_project(scored.config)


@pytest.fixture(scope="module")
def report(project):
    return portfolio_report(project, calls=4)


@pytest.fixture(scope="module")
def record(project):
    return version_record(project.registry_folder, "healthscore", "1")


@pytest.fixture(scope="module")
def looked_back(project, record):
    """Forecasts of a model that, for all that is on record, was taught until early winter."""
    with open_store(project, read_only=True) as store, open_company(project) as company:
        run = issued_run(store, "main")
        early = replace(record, taught_until=date(2024, 12, 1))
        return matured_forecasts(project, store, company, run, early)


def test_the_newest_run_is_shown_with_its_sums(scored, report) -> None:
    told = report.to_dict()
    ((accounts, expected, arr, stake),) = scored.sql(
        "select count(*), sum(probability), sum(12 * mrr), sum(12 * mrr * probability)"
        " from scores where as_of = ?",
        DAY,
    )
    assert (told["as_of"], told["model_version"], told["revision"]) == ("2025-07-01", "1", 1)
    assert told["window"] == ["2025-07-15", "2025-08-14"]
    assert told["accounts"] == accounts
    assert told["arr"] == pytest.approx(arr)
    assert told["expected_accounts"]["expected"] == pytest.approx(expected)
    assert told["expected_arr"]["expected"] == pytest.approx(stake)
    for said in (told["expected_accounts"], told["expected_arr"]):
        assert 0 <= said["low"] < said["expected"] < said["high"]
    assert len(told["calls"]) == 4
    assert json.loads(json.dumps(told)) == told


def test_the_record_is_that_of_the_training(scored, record) -> None:
    training = json.loads(scored.logged("training.json").read_text(encoding="utf-8"))
    assert record.taught_until.isoformat() == training["counts"]["last_date"]
    rows = pd.read_parquet(scored.logged("holdout.parquet"))
    rows = rows[left_alone(rows)]
    columns = [rows[n] for n in ("happened", "probability", "account_id", "observation_date")]
    assert record.spread == pytest.approx(offset_spread(*columns))


def test_scores_of_a_model_that_knew_what_happened_are_no_forecasts(report) -> None:
    assert all(not one.issued for one in report.matured)
    (note,) = [note for note in report.notes if "no forecasts" in note]
    assert note == (
        f"Scores of '{EARLIER}' are no forecasts and are left out: their models may have been"
        " taught with what happened after those dates"
    )


def test_an_issued_forecast_is_judged_by_what_the_tables_say(scored, looked_back) -> None:
    (found,) = [one for one in looked_back[0] if one.issued]
    churned = f"(select account_id, churned_at from '{scored.data}/churn_events.parquet')"
    with duckdb.connect(str(scored.store), read_only=True) as connection:
        rows = connection.execute(
            "select probability, 12 * mrr, (select min(churned_at) from"
            f" {churned} c where c.account_id = s.account_id and churned_at >= ?)"
            " from scores s where as_of = ?",
            [EARLIER, EARLIER],
        ).fetchall()
    known = [row for row in rows if row[2] is None or row[2].date() >= EARLIER + OPENS]
    gone = [row for row in known if row[2] is not None and row[2].date() < EARLIER + CLOSES]
    assert (found.as_of, found.model_version) == (EARLIER, "1")
    assert (found.accounts, found.unknown) == (len(known), len(rows) - len(known))
    assert found.happened == len(gone)
    assert found.arr_happened == pytest.approx(sum(row[1] for row in gone))
    assert found.forecast.expected == pytest.approx(sum(row[0] for row in known))
    assert found.arr_forecast.expected == pytest.approx(sum(row[0] * row[1] for row in known))


def test_dates_of_the_hold_out_stand_in(scored, looked_back) -> None:
    rows = pd.read_parquet(scored.logged("holdout.parquet"))
    rows = rows[left_alone(rows)]
    tested = {one.as_of: one for one in looked_back[0] if not one.issued}
    assert sorted(tested) == sorted({moment.date() for moment in rows["observation_date"]})
    for day, one in tested.items():
        own = rows[rows["observation_date"] == pd.Timestamp(day)]
        mrr = dict(
            duckdb.sql(
                f"select account_id, sum(mrr) from '{scored.data}/subscriptions.parquet'"
                f" where started_at < date '{day}' and (ended_at is null or ended_at >= date"
                f" '{day}') group by 1"
            ).fetchall()
        )
        arr = 12 * own["account_id"].map(mrr).fillna(0.0)
        assert (one.accounts, one.unknown, one.happened) == (len(own), 0, own["happened"].sum())
        assert one.forecast.expected == pytest.approx(own["probability"].sum())
        assert one.arr_forecast.expected == pytest.approx((own["probability"] * arr).sum())
        assert one.arr_happened == pytest.approx((own["happened"] * arr).sum())
        assert one.held == (round(one.forecast.low) <= one.happened <= round(one.forecast.high))
    assert [one.as_of for one in looked_back[0]] == sorted(one.as_of for one in looked_back[0])


def test_a_model_from_before_hold_outs_were_kept_says_so(project, record) -> None:
    with open_store(project, read_only=True) as store, open_company(project) as company:
        run = issued_run(store, "main")
        bare = replace(record, holdout=None)
        found, notes = matured_forecasts(project, store, company, run, bare)
    assert found == []
    assert notes[-1] == (
        "Model version 1 was registered without the rows it was judged on, so earlier dates cannot"
        " be shown for it; models trained from now on keep them"
    )


def test_many_runs_are_thinned_to_the_last_of_each_month() -> None:
    days = [date(2020, 1, 1) + timedelta(days=7 * week) for week in range(200)]
    notes: list[str] = []
    kept = list(_thinned(dict.fromkeys(days), notes))
    assert len(kept) == MOST_RUNS
    last = {(day.year, day.month): day for day in days}
    assert kept == list(last.values())[-MOST_RUNS:]
    assert notes == [
        "Of 200 dates whose outcome is known, the last of each month is shown, and at most 24"
    ]
    assert list(_thinned(dict.fromkeys(days[:MOST_RUNS]), notes)) == days[:MOST_RUNS]


@pytest.mark.parametrize(
    ("asked", "error", "sentence"),
    [
        ({"as_of": date(2020, 1, 1)}, StoreError, "No run as of 2020-01-01 was issued"),
        ({"model_version": "9"}, StoreError, "No run model version 9 was issued"),
    ],
)
def test_runs_that_are_not_there(project, asked, error, sentence) -> None:
    with pytest.raises(error, match=sentence):
        portfolio_report(project, **asked)


def test_a_version_that_is_not_there(project) -> None:
    with pytest.raises(
        RegistryError, match="Version '77' of 'healthscore' has no record of its training"
    ):
        version_record(project.registry_folder, "healthscore", "77")


def test_the_command_writes_a_page_of_the_run_that_is_asked_for(scored, tmp_path, capsys) -> None:
    file = tmp_path / "page.html"
    asked = {"as_of": datetime(2025, 3, 15), "model_version": "1", "calls": 2}
    command(config=scored.config, out=file, as_json=True, **asked)
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["as_of"], len(told["calls"])) == (str(file), "2025-03-15", 2)
    text = file.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "Scores of 15 March 2025" in text


def test_pages_are_written_on_paper_too(report, tmp_path) -> None:
    write_page(portfolio_html(report), tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_the_terminal_shows_what_the_page_shows(report, capsys) -> None:
    call = replace(report.portfolio.calls[0], play="\x1b[31mcall")
    played = replace(report, portfolio=replace(report.portfolio, calls=[call]))
    show_report(plain_console(), played)
    printed = capsys.readouterr().out
    assert "ARR is expected to be lost by 13 August 2025" in printed
    assert "[31mcall" in printed
    assert "\x1b[31mcall" not in printed
    for one in report.matured:
        assert f"{one.as_of}     tested" in printed


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("page.docx", "A page is written as .html or .pdf, and '.*page.docx' ends in '.docx'"),
        ("none/page.html", "The folder '.*none' of --out does not exist"),
    ],
)
def test_pages_that_cannot_be_written(scored, tmp_path, name, sentence) -> None:
    with pytest.raises(SettingsError, match=sentence):
        command(config=scored.config, out=tmp_path / name)
