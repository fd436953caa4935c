"""Surveys whose signals a person sees at once, and rows that do not say when they were sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd
import pytest

from features.build import signals_of
from features.builders.settings import SignalsSettings
from features.errors import DataError
from tests.features.by_hand import (
    MICROSECOND,
    MIDNIGHT,
    CompanyOf,
    ago,
    company_by_hand,
    signals_by_account,
)

Row = dict[str, Any]


def answer(days: float, score: float | None, kind: str | None = "nps", **other: object) -> Row:
    return {
        "sent_at": ago(days + 1),
        "responded_at": ago(days),
        "kind": kind,
        "score": score,
        **other,
    }


def silence(days: float) -> Row:
    return {"sent_at": ago(days), "responded_at": None, "kind": "nps", "score": None}


def test_the_last_answer_and_how_it_differs_from_those_before(company_of: CompanyOf) -> None:
    found = signals_by_account(
        company_of,
        "surveys",
        surveys={
            "falling": [answer(10, 4), answer(40, 8), answer(100, 10), answer(366, 0)],
            "one answer": [answer(365, 9)],
            "too old": [{**answer(365, 9), "responded_at": ago(365) - MICROSECOND}],
            "ties": [answer(5, 3), answer(5, 6), answer(6, 1)],
            "latest without a score": [answer(2, None), answer(9, 7)],
            "answered on the day": [answer(0, 1), answer(30, 8)],
            "recorded late": [answer(3, 1, recorded_at=MIDNIGHT), answer(30, 8)],
            "asked long ago": [{**answer(10, 5), "sent_at": ago(700)}],
            "kinds": [
                answer(1, 10, "NPS "),
                answer(2, 4.5, "CsAt"),
                answer(3, 2, "ces"),
                answer(4, 3, "CES"),
                answer(5, 99, "pulse"),
                answer(6, 98, None),
            ],
        },
    )
    names = ("nps_last", "nps_trend", "days_since_survey_answer")
    assert {account: tuple(row[name] for name in names) for account, row in found.items()} == {
        "falling": (4, -5, 10),
        "one answer": (9, None, 365),
        "too old": (None, None, 365),
        "ties": (4.5, 3.5, 5),
        "latest without a score": (7, None, 2),
        "answered on the day": (8, None, 30),
        "recorded late": (8, None, 30),
        "asked long ago": (5, None, 10),
        "kinds": (10, None, 1),
    }
    kinds = ("csat_last", "csat_trend", "ces_last", "ces_trend")
    assert [found["kinds"][name] for name in kinds] == [4.5, None, 2, -1]


def test_who_was_asked_and_has_not_answered_is_silent(company_of: CompanyOf) -> None:
    found = signals_by_account(
        company_of,
        "surveys",
        surveys={
            "half": [silence(20), answer(20, 5)],
            "answers on the day": [{**silence(20), "responded_at": MIDNIGHT, "score": 3.0}],
            "asked on the day": [silence(0)],
            "asked long ago": [silence(181)],
            "first moment": [silence(180)],
            "only answers are kept": [{**answer(5, 5), "sent_at": None}],
        },
    )
    assert {account: row["surveys_unanswered_180d"] for account, row in found.items()} == {
        "half": 0.5,
        "answers on the day": 1.0,
        "asked on the day": None,
        "asked long ago": None,
        "first moment": 1.0,
        "only answers are kept": 0.0,
    }
    assert found["only answers are kept"]["nps_last"] == 5.0
    assert found["half"]["days_since_survey_answer"] == 20.0


def test_without_sent_at_a_survey_is_known_by_its_answer(company_of: CompanyOf) -> None:
    rows: list[Row] = [
        {"responded_at": ago(5), "kind": "nps", "score": 6.0},
        {"responded_at": MIDNIGHT, "kind": "nps", "score": 1.0},
        {"responded_at": None, "kind": "nps", "score": 2.0},
    ]
    company = company_by_hand(company_of, {"surveys": {"A": rows}})
    names = {s.name for s in signals_of(company, SignalsSettings()) if s.group == "surveys"}
    assert "surveys_unanswered_180d" not in names
    found = signals_by_account(company_of, "surveys", surveys={"A": rows})["A"]
    assert (found["nps_last"], found["nps_trend"]) == (6.0, None)
    table = company.tables["surveys"].cleaned.order_by("sent_at").execute()
    assert table.sent_at.tolist() == table.responded_at.tolist() == [ago(5), MIDNIGHT]
    assert company.quality["surveys"].rows == 2
    assert company.quality["surveys"].first == ago(5)
    assert company.quality["surveys"].problems == ("1 rows without responded_at are ignored",)


def test_a_survey_without_any_time_is_ignored_and_counted(company_of: CompanyOf) -> None:
    rows = [
        silence(5),
        answer(9, 7),
        {**answer(9, 7), "sent_at": None},
        {**silence(5), "sent_at": None},
    ]
    quality = company_by_hand(company_of, {"surveys": {"A": rows}}).quality["surveys"]
    assert quality.rows == 3
    assert quality.problems == ("1 rows without sent_at or responded_at are ignored",)
    assert quality.missing == {
        "kind": 0.0,
        "responded_at": pytest.approx(1 / 3),
        "score": pytest.approx(1 / 3),
    }


def test_times_written_as_texts_stand_in_for_each_other(company_of: CompanyOf) -> None:
    created = pd.DataFrame({"account_id": ["A"], "created_at": [datetime(2022, 1, 1)]})
    surveys = pd.DataFrame(
        {
            "account_id": "A",
            "sent_at": ["2024-02-01", " ", None, "soon", ""],
            "responded_at": ["2024-02-03 04:05", "2024-02-04", "2024-02-05", "2024-02-06", None],
            "kind": "nps",
            "score": 7,
        }
    )
    churns = pd.DataFrame({"account_id": ["A"], "churned_at": [datetime(2025, 1, 1)]})
    company = company_of({"accounts": created, "churn_events": churns, "surveys": surveys})
    cleaned = company.tables["surveys"].cleaned.order_by("sent_at").execute()
    assert cleaned.sent_at.dt.day.tolist() == [1, 4, 5, 6]
    assert company.quality["surveys"].problems[0] == (
        "1 rows without sent_at or responded_at are ignored"
    )


def test_a_table_that_cannot_tell_an_answer_is_refused(company_of: CompanyOf) -> None:
    with pytest.raises(DataError) as caught:
        company_by_hand(
            company_of,
            {"surveys": {"A": [{"sent_at": ago(1), "kind": "nps", "score": 1.0}]}},
        )
    assert str(caught.value) == (
        "Table 'surveys' has no column 'responded_at', needed as surveys.responded_at; its columns"
        " are 'account_id', 'sent_at', 'kind', 'score' (set it under [tables.surveys])"
    )


def test_where_answers_alone_are_recorded_an_open_survey_says_nothing(
    company_of: CompanyOf,
) -> None:
    rows = [answer(40, 9), {**silence(3), "responded_at": MIDNIGHT, "score": 3.0}]
    company = company_by_hand(company_of, {"surveys": {"A": rows}})
    names = [signal.name for signal in signals_of(company, SignalsSettings())]
    assert "nps_last" in names
    assert "surveys_unanswered_180d" not in names
