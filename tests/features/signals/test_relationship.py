"""Ratings whose signals a person sees at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from features.build import build_features, signals_of
from features.builders.settings import SignalsSettings
from features.catalog import Signal
from features.errors import SettingsError
from features.outcomes.labels import OutcomeSettings
from features.tables.company import Company

CompanyOf = Callable[..., Company]
DAY, MIDNIGHT = date(2024, 7, 1), datetime(2024, 7, 1)
LEVELS = {"5": "Meets weekly", "4": "Meets monthly, answers in a day", "1": "Gone"}
SETTINGS = SignalsSettings(rubric={"sponsor": LEVELS, "value": {"3": "Some"}})


def ago(days: float) -> datetime:
    return MIDNIGHT - timedelta(days=days)


@pytest.fixture
def company_rated(company_of: CompanyOf) -> Callable[..., Company]:
    def load(rows: list[tuple[Any, ...]]) -> Company:
        names = ["account_id", "rated_at", "rater", "dimension", "rating", "recorded_at"]
        ratings = pd.DataFrame([(*row, *(None,) * (6 - len(row))) for row in rows], columns=names)
        accounts = pd.DataFrame({"account_id": ["A", "B"], "created_at": datetime(2020, 1, 1)})
        churns = pd.DataFrame({"account_id": ["Z"], "churned_at": [datetime(2023, 1, 5)]})
        tables = {
            "accounts": accounts,
            "ratings": ratings.astype({"recorded_at": "datetime64[us]", "rating": "float64"}),
            "churn_events": churns,
        }
        return company_of(tables)

    return load


@pytest.fixture
def rated(company_rated: Callable[..., Company]) -> Callable[..., dict[str, Any]]:
    """Return a function that builds the signals of account A from ratings."""

    def build(rows: list[tuple[Any, ...]], settings: SignalsSettings = SETTINGS) -> dict[str, Any]:
        company = company_rated(rows)
        frame = build_features(company, [DAY], OutcomeSettings(), settings, labelled=False)
        return dict(frame.set_index("account_id").loc["A"])

    return build


def test_the_latest_rating_of_each_dimension_counts_whatever_its_case(rated: Any) -> None:
    found = rated(
        [
            ("A", ago(30), "x", "Sponsor ", 2),
            ("A", ago(10), "x", "SPONSOR", 4),
            ("A", ago(20.5), "x", "value", 1),
            ("A", ago(5), "x", "other", 4),
        ]
    )
    assert (found["rating_sponsor"], found["rating_value"]) == (4, 1)
    assert found["rating_overall"] == 3
    assert found["days_since_rating"] == 5


def test_ratings_of_the_same_moment_are_averaged(rated: Any) -> None:
    rows = [("A", ago(10), "x", "sponsor", 2), ("A", ago(10), "x", "sponsor", 5)]
    assert rated(rows)["rating_sponsor"] == rated(rows[::-1])["rating_sponsor"] == 3.5


def test_change_compares_with_what_stood_a_quarter_ago(rated: Any) -> None:
    rows = [
        ("A", ago(200), "x", "sponsor", 1),
        ("A", ago(90) - timedelta(microseconds=1), "x", "sponsor", 5),
        ("A", ago(90), "x", "sponsor", 4),
        ("A", ago(3), "x", "sponsor", 2),
        ("A", ago(3), "x", "value", 5),
    ]
    assert rated(rows)["rating_change_90d"] == -3
    assert pd.isna(rated(rows[2:])["rating_change_90d"])


def test_ratings_not_known_yet_or_a_year_old_do_not_count(rated: Any) -> None:
    found = rated(
        [
            ("A", MIDNIGHT, "x", "sponsor", 5),
            ("A", ago(4), "x", "sponsor", 5, MIDNIGHT),
            ("A", ago(365) - timedelta(microseconds=1), "x", "sponsor", 5),
            ("A", ago(365), "x", "value", 2),
        ]
    )
    assert pd.isna(found["rating_sponsor"])
    assert found["rating_value"] == found["rating_overall"] == 2
    assert found["days_since_rating"] == 365


def test_an_account_never_rated_is_unknown(rated: Any) -> None:
    found = rated([("B", ago(3), "x", "sponsor", 4)])
    assert found.pop("days_since_rating") == 365
    unknown = {name: value for name, value in found.items() if name.startswith("rating")}
    assert len(unknown) == 5
    assert pd.isna(list(unknown.values())).all()


def test_ratings_without_rater_dimension_or_level_are_left_out(rated: Any) -> None:
    found = rated(
        [
            ("A", ago(3), None, "sponsor", 4),
            ("A", ago(3), "x", None, 4),
            ("A", ago(3), "x", "sponsor", None),
        ]
    )
    assert pd.isna(found["rating_overall"])


def test_disagreement_needs_two_raters_of_one_dimension(rated: Any) -> None:
    one = [("A", ago(9), "x", "sponsor", 1), ("A", ago(3), "x", "sponsor", 5)]
    assert pd.isna(rated([*one, ("A", ago(3), "y", "value", 5)])["rating_disagreement"])
    two = [("A", ago(9), "x", "sponsor", 1), ("A", ago(3), "y", "sponsor", 4)]
    assert rated(two)["rating_disagreement"] == 3


def test_a_lenient_raters_levels_are_brought_down(rated: Any) -> None:
    """Forty accounts, each rated twice by a strict and a lenient manager, two levels apart."""
    rows = []
    for number in range(40):
        account, level = f"other {number}", 2 + number % 2
        for age in (10, 20):
            noise = 0.5 if (number + age // 10) % 2 else -0.5
            rows.append((account, ago(age), "strict", "sponsor", level + noise))
            rows.append((account, ago(age), "lenient", "sponsor", level + 2 + noise))
    found = rated([*rows, ("A", ago(2), "lenient", "sponsor", 5)])
    assert found["rating_sponsor"] == pytest.approx(4, abs=0.05)


def test_the_text_of_levels_travels_with_the_signal(company_rated: Any) -> None:
    signals = signals_of(company_rated([("A", ago(3), "x", "sponsor", 4)]), SETTINGS)
    (sponsor,) = (signal for signal in signals if signal.name == "rating_sponsor")
    assert sponsor.levels == (("1", "Gone"), ("4", LEVELS["4"]), ("5", "Meets weekly"))
    assert Signal.from_dict(sponsor.to_dict()) == sponsor
    old = {name: value for name, value in sponsor.to_dict().items() if name != "levels"}
    assert Signal.from_dict(old).levels == ()


@pytest.mark.parametrize("words", [("Value!", "value"), ("Overall", "x"), ("change 90d", "x")])
def test_dimensions_that_read_like_another_signal_are_refused(
    words: tuple[str, str], company_rated: Any
) -> None:
    company = company_rated([("A", ago(3), "x", "sponsor", 4)])
    settings = SignalsSettings(rubric={word: {"1": "text"} for word in words})
    with pytest.raises(SettingsError) as caught:
        signals_of(company, settings)
    named = "value" if "value" in words else words[0]
    assert str(caught.value) == (
        f"[signals.rubric] needs names that differ in letters or digits, and {named!r} reads like"
        " another signal; rename the dimension"
    )


def test_levels_are_named_by_their_number() -> None:
    with pytest.raises(ValidationError) as caught:
        SignalsSettings(rubric={"sponsor": {"five": "Meets weekly"}})
    assert caught.value.errors()[0]["msg"] == (
        "Value error, [signals.rubric.sponsor] must name levels by their number and has 'five';"
        ' write for example 5 = "Meets weekly"'
    )
