"""What each outcome means, by hand; settings and tables that do not fit it; wrong labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from features.build import build_features
from features.builders.settings import SignalsSettings
from features.catalog import GROUPS, Signal
from features.errors import DataError, SettingsError
from features.outcomes.labels import (
    days_to_label,
    declared_for,
    matured_dates,
    why_no_date,
    why_no_row,
)
from features.outcomes.settings import AdoptionTarget, OutcomeSettings
from features.tables.company import Company

CompanyOf = Callable[..., Company]
MARCH = date(2024, 3, 1)
END = date(2024, 8, 1)
NO_SIGNALS = SignalsSettings(groups_off=tuple(group for group in GROUPS if group != "profile"))
Term = tuple[str, str | None, float | None]


def dated(rows: Sequence[tuple[Any, ...]], *columns: str) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=["account_id", *columns])
    times = [column for column in columns if column.endswith("_at")]
    return frame.assign(**{name: pd.to_datetime(frame[name], format="ISO8601") for name in times})


def accounts(*names: str) -> pd.DataFrame:
    return dated([(name, "2023-01-01") for name in names], "created_at")


def labels_of(company: Company, outcome: OutcomeSettings, day: date = MARCH) -> dict[str, int]:
    frame = build_features(company, [day], outcome, NO_SIGNALS, labelled=True)
    return dict(zip(frame.account_id, frame.happened, strict=True))


# The observation is on 1 March, the window opens on the 15th and closes on 14 April.
REVENUE: list[tuple[list[Term], int | None, int | None]] = [
    ([("2023-01-01", None, 100)], 0, 0),
    # Exactly a tenth counts, less does not.
    ([("2023-01-01", "2024-04-01", 100), ("2024-04-01", None, 90)], 1, 0),
    ([("2023-01-01", "2024-04-01", 100), ("2024-04-01", None, 90.01)], 0, 0),
    ([("2023-01-01", "2024-04-01", 100), ("2024-04-01", None, 110)], 0, 1),
    ([("2023-01-01", "2024-04-01", 100), ("2024-04-01", None, 109.99)], 0, 0),
    # Sums that rounding moves: 3 x 0.1 is not 0.3.
    ([("2023-01-01", None, 0.1), ("2023-02-01", None, 0.1), ("2024-04-01", None, 0.02)], 0, 1),
    # The sum over subscriptions counts: one is swapped for another, one is added, one dropped.
    (
        [
            ("2023-01-01", None, 50),
            ("2023-01-01", "2024-04-01", 50),
            ("2024-04-01", None, 50),
        ],
        0,
        0,
    ),
    ([("2023-01-01", None, 50), ("2024-04-01", None, 5)], 0, 1),
    ([("2023-01-01", None, 50), ("2023-01-01", "2024-04-01", 6)], 1, 0),
    # A dip that is made good within the window cost nothing.
    (
        [
            ("2023-01-01", "2024-03-20", 100),
            ("2024-03-20", "2024-04-01", 10),
            ("2024-04-01", None, 100),
        ],
        0,
        0,
    ),
    # Changed in the lead time: nobody could have acted on the score.
    ([("2023-01-01", "2024-03-10", 100), ("2024-03-10", None, 150)], 0, None),
    ([("2023-01-01", "2024-03-10", 100), ("2024-03-10", None, 50)], None, 0),
    # Half of it in the lead time is not the whole: the window brings the rest.
    (
        [
            ("2023-01-01", "2024-03-10", 100),
            ("2024-03-10", "2024-04-01", 105),
            ("2024-04-01", None, 110),
        ],
        0,
        1,
    ),
    # The last moment of the window, and the one after it.
    ([("2023-01-01", None, 100), ("2024-04-13 23:59:59", None, 100)], 0, 1),
    ([("2023-01-01", None, 100), ("2024-04-14", None, 100)], 0, 0),
    # Gone within the window: not expanded, and nothing to say about contraction.
    ([("2023-01-01", "2024-04-01", 100)], None, 0),
    # Gone before it opens: nothing to foretell.
    ([("2023-01-01", "2024-03-05", 100)], None, None),
    # An MRR that nobody knows, on either day or of one subscription of two.
    ([("2023-01-01", None, None)], None, None),
    ([("2023-01-01", "2024-04-01", 100), ("2024-04-01", None, None)], None, None),
    ([("2023-01-01", None, 100), ("2023-01-01", None, None)], None, None),
    # Who paid nothing cannot lose any of it; the first payment is an expansion.
    ([("2023-01-01", None, 0)], 0, 0),
    ([("2023-01-01", "2024-04-01", 0), ("2024-04-01", None, 1)], 0, 1),
    ([("2023-01-01", "2024-04-01", 1), ("2024-04-01", None, 0)], 1, 0),
]
# A churn event ends revenue although no subscription has ended.
EVENTS = {"2024-04-01": (None, 0), "2024-03-05": (None, None), "2024-05-01": (0, 0)}


def test_revenue_changes_by_hand(company_of: CompanyOf) -> None:
    terms = [
        (f"case {number}", *term, None)
        for number, (given, _, _) in enumerate(REVENUE)
        for term in given
    ]
    terms += [(churned, "2023-01-01", None, 100, None) for churned in EVENTS]
    # On 1 March 100 were known of this one and 150 were paid: nothing changed in the window.
    terms += [
        ("late", "2023-01-01", None, 100, None),
        ("late", "2024-02-01", None, 50, "2024-03-20"),
    ]
    expected = {f"case {number}": (down, up) for number, (_, down, up) in enumerate(REVENUE)}
    expected |= {**EVENTS, "late": (0, 0)}
    tables = {
        "accounts": accounts(*expected),
        "subscriptions": dated(terms, "started_at", "ended_at", "mrr", "recorded_at"),
        "churn_events": dated([(churned, churned) for churned in EVENTS], "churned_at"),
    }
    company = company_of(tables, known_until=END)
    found = [
        labels_of(company, OutcomeSettings(kind=kind, lead_days=14, horizon_days=30))
        for kind in ("contraction", "expansion")
    ]
    assert {name: (found[0].get(name), found[1].get(name)) for name in expected} == expected


TARGET = AdoptionTarget(measure="events", at_least=3)
USES: list[tuple[list[str], int | None]] = [
    (["2024-03-15", "2024-04-01", "2024-04-13 23:59:59"], 1),
    (["2024-03-14 23:59:59", "2024-04-01", "2024-04-13"], 0),
    (["2024-03-15", "2024-04-01", "2024-04-14"], 0),
    # Reached in the 30 days before the observation: no candidate; 31 days are long ago.
    (["2024-01-31", "2024-02-10", "2024-02-29", *["2024-04-01"] * 3], None),
    (["2024-01-30 23:59:59", "2024-02-10", "2024-02-29", *["2024-04-01"] * 3], 1),
    (["2024-02-10", "2024-02-29", "2024-03-01", *["2024-04-01"] * 3], 1),
]


def used(*given: list[str]) -> dict[str, pd.DataFrame]:
    names = [f"case {number}" for number in range(len(given) or 1)]
    uses = [(name, day) for name, days in zip(names, given, strict=False) for day in days]
    return {
        "accounts": accounts(*names),
        "subscriptions": dated([(name, "2023-01-01") for name in names], "started_at"),
        "usage_events": dated([(names[0], "2023-06-01"), *uses], "occurred_at"),
    }


def test_a_target_is_reached_within_the_window(company_of: CompanyOf) -> None:
    company = company_of(used(*(days for days, _ in USES)), known_until=END)
    outcome = OutcomeSettings(kind="adoption", lead_days=14, horizon_days=30, target=TARGET)
    found = labels_of(company, outcome)
    assert [found.get(f"case {number}") for number in range(len(USES))] == [
        expected for _, expected in USES
    ]


def test_the_first_dates_of_adoption_see_the_window_before(company_of: CompanyOf) -> None:
    company = company_of(used(), known_until=date(2024, 3, 1))
    outcome = OutcomeSettings(kind="adoption", horizon_days=90, target=TARGET, grace_days=200)
    # Uses are on record from 1 June; a churn is certain 200 days later, the target after 90.
    assert matured_dates(company, outcome)[:1] == []
    outcome = outcome.model_copy(update={"grace_days": 7})
    assert days_to_label(company, outcome) == 90
    assert matured_dates(company, outcome) == [date(2023, month, 1) for month in (9, 10, 11, 12)]


def test_directions_are_declared_for_bad_outcomes_alone() -> None:
    signal = Signal("tickets", "support", "count", "lower", "Tickets", 28, "{value}")
    for settings, declared in (
        ({"kind": "churn"}, "lower"),
        ({"kind": "contraction"}, "lower"),
        ({"kind": "expansion"}, "none"),
        ({"kind": "adoption", "target": TARGET}, "none"),
        ({"kind": "label"}, "lower"),
        ({"kind": "label", "good": True}, "none"),
    ):
        outcome = OutcomeSettings(**settings)
        assert [each.healthy for each in declared_for([signal], outcome)] == [declared]
        assert outcome.is_good == (declared == "none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "adoption"}, 'kind = "adoption" needs a target; write one such as target ='),
        ({"target": TARGET}, "target belongs to kind = \"adoption\" and the kind is 'churn'"),
        (
            {"kind": "expansion", "good": False},
            "good belongs to kind = \"label\" and the kind is 'expansion', which is good news",
        ),
        ({"change_share": 0.2}, "change_share belongs to contraction, expansion and renewal"),
        (
            {"kind": "contraction", "change_share": 1.5},
            "change_share must not be above 1 for a contraction, as nobody loses more than the"
            " whole, and is 1.5",
        ),
        ({"kind": "adoption", "target": {"at_least": 0}}, "greater than or equal to 1"),
        (
            {"kind": "adoption", "target": {"measure": "features", "at_least": 1, "feature": "x"}},
            "counts features and names one, 'x'; leave the feature out",
        ),
    ],
)
def test_settings_that_contradict_each_other(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        OutcomeSettings(**settings)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"kind": "expansion"},
            "The outcome expansion is read from column mrr of table subscriptions, which is not"
            " mapped; map it under [tables.subscriptions] or choose another outcome",
        ),
        ({"kind": "label"}, "The outcome label is read from table labels, which is not mapped;"),
        (
            {"kind": "adoption", "target": {"measure": "users", "at_least": 2}},
            "read from column user_id of table usage_events, which is not mapped",
        ),
        (
            {"kind": "adoption", "target": {"at_least": 2, "feature": "raport"}},
            "The target's feature 'raport' was never used; did you mean 'report'?",
        ),
        (
            {"kind": "adoption", "target": {"at_least": 2, "feature": "\x1b[2J" + "x" * 99}},
            "was never used; correct the target's feature",
        ),
    ],
)
def test_an_outcome_the_tables_do_not_tell_of(
    settings: dict[str, Any], message: str, company_of: CompanyOf
) -> None:
    tables = used()
    tables["usage_events"] = tables["usage_events"].assign(feature="report")
    company = company_of(tables, known_until=END)
    outcome = OutcomeSettings(**settings)
    with pytest.raises(SettingsError) as caught:
        matured_dates(company, outcome)
    assert message in str(caught.value)
    with pytest.raises(SettingsError):
        labels_of(company, outcome)


def labels(*rows: tuple[Any, ...], beside: bool = False) -> dict[str, pd.DataFrame]:
    tables = {"accounts": accounts("A", "B"), "labels": dated(rows, "observed_at", "happened")}
    if beside:
        rows = (("A", "2023-01-01", "2024-01-01"), ("B", "2023-01-01", None))
        tables["subscriptions"] = dated(rows, "started_at", "ended_at")
    return tables


def test_labels_are_known_on_their_own_dates(company_of: CompanyOf) -> None:
    rows = [
        ("A", "2024-02-01", 1),
        ("B", "2024-02-01 09:00", 0),
        ("A", "2024-04-01", 0),
        ("A", "2024-04-01 10:00", 0),
        ("B", "2024-05-01", None),
        ("A", "2024-09-01", 1),
    ]
    outcome = OutcomeSettings(kind="label", horizon_days=90)
    company = company_of(labels(*rows), known_until=END)
    assert matured_dates(company, outcome) == [date(2024, 2, 1), date(2024, 4, 1)]
    assert days_to_label(company, outcome) == 90
    assert "1 labels hold nothing and teach nothing" in company.quality["labels"].problems
    days = matured_dates(company, outcome)
    frame = build_features(company, days, outcome, NO_SIGNALS, labelled=True)
    assert frame[["account_id", "happened"]].to_numpy().tolist() == [["A", 1], ["B", 0], ["A", 0]]
    chosen = OutcomeSettings(kind="label", dates=(date(2024, 4, 1), date(2024, 3, 1)))
    assert matured_dates(company, chosen) == [date(2024, 4, 1)]
    later = OutcomeSettings(kind="label", first_observation=date(2024, 3, 1))
    assert matured_dates(company, later) == [date(2024, 4, 1)]


def test_a_label_of_an_account_that_was_not_there_teaches_nothing(company_of: CompanyOf) -> None:
    rows = [("A", "2024-02-01", 1), ("B", "2024-02-01", 0)]
    company = company_of(labels(*rows, beside=True), known_until=END)
    outcome = OutcomeSettings(kind="label")
    frame = build_features(company, [date(2024, 2, 1)], outcome, NO_SIGNALS, labelled=True)
    assert frame.account_id.tolist() == ["B"]
    # Churn is still read from the subscriptions.
    churns = labels_of(company, OutcomeSettings(), date(2023, 12, 15))
    assert churns == {"A": 1, "B": 0}


def test_labels_do_not_prolong_the_data(company_of: CompanyOf) -> None:
    company = company_of(labels(("A", "2025-01-01", 1), beside=True))
    assert company.data_end == date(2023, 1, 2)
    outcome = OutcomeSettings(kind="label")
    assert matured_dates(company, outcome) == []
    assert why_no_date(company, outcome, "outcomes.renewal") == (
        f"No label can be learnt from: the data run from {company.data_start} to 2023-01-02, and"
        " none of 1 labels has a value of happened and an observed_at that [outcomes.renewal] asks"
        " for within them; correct [tables.labels] or the dates"
    )
    assert why_no_row(company, outcome, [MARCH, END]) == (
        "No account with a label was active on its date among the 2 observation dates from"
        " 2024-03-01 to 2024-08-01; check account_id and observed_at under [tables.labels]"
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([2, 1, 0], "1 value holds something else, such as '2"),
        ([0.5, -1.0, 1.0], "2 values hold something else, such as '-1.0', '0.5'"),
        (["maybe", "yes", "no"], "1 value holds something else, such as 'maybe'"),
        (["'; drop table labels --", "a", "b", "c", "d"], "'a', 'b';"),
        (["x" * 5000, "1", "1"], f"'{'x' * 60}'"),
    ],
)
@pytest.mark.parametrize("is_dated", [True, False])
def test_wrong_labels_are_refused(
    values: list[Any], said: str, is_dated: bool, company_of: CompanyOf
) -> None:
    frame = pd.DataFrame({"account_id": [f"{n}" for n in range(len(values))], "happened": values})
    if is_dated:
        frame = frame.assign(observed_at=datetime(2024, 2, 1))
    with pytest.raises(DataError) as caught:
        company_of({"accounts": accounts("0", "1"), "labels": frame})
    assert str(caught.value).startswith(
        "Column happened of table 'labels' must hold 0 or 1, yes or no, or nothing where it is not"
        " known, and "
    )
    assert said in str(caught.value)
    assert str(caught.value).endswith("; correct [tables.labels] or the data")
    assert len(str(caught.value)) < 400


def test_labels_that_disagree_are_refused(company_of: CompanyOf) -> None:
    rows = [
        (name, f"2024-02-01 0{hour}:00", value)
        for name in ("A", "B", "C", "D")
        for hour, value in ((0, 1), (5, 0), (6, None))
    ]
    with pytest.raises(DataError) as caught:
        company_of(labels(*rows))
    assert str(caught.value) == (
        "Table 'labels' must hold one label for an account and a day and disagrees about 'A' on"
        " 2024-02-01, 'B' on 2024-02-01, 'C' on 2024-02-01 and 1 more; remove the wrong ones"
    )


def test_labels_beside_dates_must_have_their_own(company_of: CompanyOf) -> None:
    tables = labels(("A", "2024-02-01", 1), beside=True)
    tables["labels"] = tables["labels"].drop(columns="observed_at")
    with pytest.raises(DataError) as caught:
        company_of(tables)
    assert str(caught.value) == (
        "Table 'labels' holds labels without observed_at, and beside subscriptions or churn_events"
        " a label must name its observation date; map [tables.labels] observed_at or take one of"
        " the tables out"
    )


def test_a_snapshot_without_dates_tells_of_nothing_but_its_labels(company_of: CompanyOf) -> None:
    frame = pd.DataFrame({"account_id": ["A", "B"], "happened": [1, 0]})
    company = company_of({"accounts": accounts("A", "B"), "labels": frame})
    for kind in ("churn", "label"):
        found = labels_of(company, OutcomeSettings(kind=kind), company.data_end)
        assert found == {"A": 1, "B": 0}
    with pytest.raises(SettingsError, match="read from rows with dates, and nothing here has one"):
        matured_dates(company, OutcomeSettings(kind="expansion"))
