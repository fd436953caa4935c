"""Every signal against plain SQL, and every label row by row; neither shares code with us."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.build import build_features, signals_of
from features.builders.settings import OwnSignal, SignalsSettings
from features.catalog import GROUPS, Signal, groups_of
from features.errors import SettingsError
from features.outcomes.labels import OutcomeSettings
from features.tables.company import Company
from tests.costly import costly
from tests.features.sql_oracle import FOLDER, SqlOracle

Row = dict[str, Any]
Layout = dict[str, dict[str, str]]
DATES = (date(2024, 3, 1), date(2024, 4, 1))
# The oracle of adoption knows these two key features too.
KEY_FEATURE = "Übung 'x'; --"
RUBRIC = {"A": {"5": "Calls us first", "1": "Does not call back"}, KEY_FEATURE: {"3": "Fair"}}
SIGNALS = SignalsSettings(key_features=("a", KEY_FEATURE), rubric=RUBRIC)
PROFILE = SignalsSettings(groups_off=tuple(group for group in GROUPS if group != "profile"))
# The columns of snapshots, in groups that have signals of their own too.
OWN = {"own_number": OwnSignal(group="adoption"), "own_text": OwnSignal(group="profile")}
# What is built from the full world is built by one worker.
TOGETHER = pytest.mark.xdist_group("full world")
NO_CHURN = pd.DataFrame(
    {"account_id": ["Z"], "churned_at": pd.to_datetime(["2024-01-05"]).astype("datetime64[us]")}
)


def known_rows(world: Any, table: str, own: str, account: str, day: datetime) -> list[Row]:
    found = []
    for row in world.rows[table]:
        recorded = row.get("recorded_at") or row[own]
        if row["account_id"] == account and row[own] < day and recorded < day:
            found.append(row)
    return found


def moment_known(row: Row, column: str, day: datetime) -> datetime | None:
    value = row.get(column)
    return value if value is not None and value < day else None


def running_terms(world: Any, account: str, day: datetime) -> tuple[list[Row], datetime | None]:
    rows = known_rows(world, "subscriptions", "started_at", account, day)
    latest = max((row["started_at"] for row in rows), default=None)
    running = []
    for row in rows:
        renewal = row.get("renewal_at")
        if moment_known(row, "ended_at", day) is not None:
            continue
        if renewal is not None and row["started_at"] < latest and renewal <= latest:
            continue
        running.append(row)
    return running, latest


def churn_moments(world: Any, account: str, grace: timedelta) -> list[datetime]:
    if "churn_events" in world.columns:
        rows = world.rows["churn_events"]
        return [row["churned_at"] for row in rows if row["account_id"] == account]
    if not world.has("subscriptions", "ended_at"):
        return []
    rows = [row for row in world.rows["subscriptions"] if row["account_id"] == account]
    spans = []
    for row in rows:
        end = row["ended_at"]
        if end is None and row.get("renewal_at") is not None:
            later = [other["started_at"] for other in rows]
            later = [at for at in later if at >= row["renewal_at"] and at > row["started_at"]]
            end = min(later, default=None)
        if end is None or end >= row["started_at"]:
            spans.append((row["started_at"], end or datetime.max))
    # A moment is a churn when a term ends on it and no other carries on over the grace period.
    return [
        end
        for _, end in spans
        if end != datetime.max
        and not any(other > end and start <= end + grace for start, other in spans)
    ]


def expected_label(
    world: Any, account: Row, day: datetime, outcome: OutcomeSettings
) -> Literal["away", "gone", 0, 1]:
    """Say whether an account is away on a day, gone before its window opens, or churns in it."""
    name, created = account["account_id"], account["created_at"]
    if any(m is not None and m >= day for m in (created, account.get("recorded_at"))):
        return "away"
    running, latest = [], created
    if "subscriptions" in world.columns:
        running, latest = running_terms(world, name, day)
        if not running:
            return "away"
    if latest is None:
        return "away"
    if "churn_events" in world.columns:
        churns = known_rows(world, "churn_events", "churned_at", name, day)
        if any(row["churned_at"] > latest for row in churns):
            return "away"
    grace = timedelta(days=outcome.grace_days)
    coming = [at for at in churn_moments(world, name, grace) if at > latest]
    opens = day + timedelta(days=outcome.lead_days)
    if any(at < opens for at in coming):
        return "gone"
    return int(any(at < opens + timedelta(days=outcome.horizon_days) for at in coming))


def days_to_loss(world: Any, account: Row, day: datetime, outcome: OutcomeSettings) -> float | None:
    """Count the days from a date to the next churn there is, if any."""
    name, latest = account["account_id"], account["created_at"]
    if "subscriptions" in world.columns:
        _, latest = running_terms(world, name, day)
    grace = timedelta(days=outcome.grace_days)
    coming = [at for at in churn_moments(world, name, grace) if latest and at > latest]
    return (min(coming) - day) / timedelta(days=1) if coming else None


@pytest.fixture(scope="session")
def layout(full_world: Any) -> Layout:
    """Return every column there may be: the oracle adds ``recorded_at`` itself."""
    return {
        table: {name: kind for name, kind in columns.items() if name != "recorded_at"}
        for table, columns in full_world.columns.items()
    }


def expected_signals(
    oracle: SqlOracle, signals: tuple[Signal, ...], account: str, day: datetime, lead: int
) -> Row:
    known: Row = {}
    for group in (*groups_of(signals), "snapshots"):
        known |= oracle.signals(group, account, day, lead)
    return {signal.name: known[signal.name] for signal in signals}


def recomputed(
    world: Any,
    layout: Layout,
    company: Company,
    chosen: SignalsSettings,
    outcome: OutcomeSettings,
) -> Iterator[tuple[str, date, Row, Any]]:
    """Yield account, day, signals and label wherever an account is there."""
    oracle = SqlOracle(world.rows, layout)
    signals = signals_of(company, chosen)
    for account in world.rows["accounts"]:
        for day in DATES:
            midnight = datetime(day.year, day.month, day.day)
            label = expected_label(world, account, midnight, outcome)
            if label != "away":
                name = account["account_id"]
                known = expected_signals(oracle, signals, name, midnight, outcome.lead_days)
                yield name, day, known, label


def settings_of(world: Any) -> SignalsSettings:
    return SIGNALS.model_copy(update={"own": OWN}) if "snapshots" in world.columns else SIGNALS


def same(actual: Any, expected: Any) -> bool:
    if expected is None:
        return actual is None or (isinstance(actual, float) and math.isnan(actual))
    if isinstance(expected, str):
        return bool(actual == expected)
    return math.isclose(actual, expected, rel_tol=1e-9, abs_tol=1e-9)


def assert_equal(frame: pd.DataFrame, expected: dict[tuple[str, date], Row]) -> None:
    rows = {
        (row.pop("account_id"), row.pop("observation_date").date()): row
        for row in frame.to_dict("records")
    }
    assert list(rows) == sorted(expected, key=lambda key: (key[1], key[0]))
    for key, wanted in expected.items():
        assert set(rows[key]) == set(wanted)
        wrong = {n: (rows[key][n], v) for n, v in wanted.items() if not same(rows[key][n], v)}
        assert not wrong, (key, wrong)


# Each world's queries take seconds to plan and its accounts next to nothing.
@pytest.mark.slow
@costly(3)
@given(data=st.data(), lead=st.sampled_from((0, 7)))
def test_every_signal_equals_the_plain_recomputation(
    data: st.DataObject,
    lead: int,
    worlds: st.SearchStrategy[Any],
    layout: Layout,
    company_of_world: Callable[[Any], Company],
) -> None:
    world = data.draw(worlds)
    outcome = OutcomeSettings(lead_days=lead)
    company = company_of_world(world)
    chosen = settings_of(world)
    expected = {
        (account, day): signals
        for account, day, signals, _ in recomputed(world, layout, company, chosen, outcome)
    }
    assert_equal(build_features(company, DATES, outcome, chosen, labelled=False), expected)


@pytest.mark.slow
@costly(6)
@given(data=st.data(), lead=st.sampled_from((0, 7)), grace=st.sampled_from((0, 7)))
def test_every_label_equals_the_plain_recomputation(
    data: st.DataObject,
    lead: int,
    grace: int,
    worlds: st.SearchStrategy[Any],
    layout: Layout,
    company_of_world: Callable[[Any], Company],
) -> None:
    world = data.draw(worlds)
    outcome = OutcomeSettings(lead_days=lead, grace_days=grace)
    company = company_of_world(world)
    accounts = {account["account_id"]: account for account in world.rows["accounts"]}
    expected = {
        (account, day): signals
        | {
            "happened": label,
            "account_age_days": signals["tenure_days"],
            "days_to_loss": days_to_loss(
                world, accounts[account], datetime(day.year, day.month, day.day), outcome
            ),
        }
        for account, day, signals, label in recomputed(world, layout, company, PROFILE, outcome)
        if label != "gone"
    }
    assert_equal(build_features(company, DATES, outcome, PROFILE, labelled=True), expected)


def test_every_group_has_an_oracle() -> None:
    assert {file.stem for file in FOLDER.glob("*.sql")} == {*GROUPS, "snapshots"}


@dataclass(frozen=True)
class Built:
    """The full world, and its feature table without labels and with them."""

    company: Company
    chosen: SignalsSettings
    plain: pd.DataFrame
    labelled: pd.DataFrame


@pytest.fixture(scope="module")
def full(full_world: Any, full_company: Company) -> Built:
    company, chosen = full_company, settings_of(full_world)
    plain, labelled = (
        build_features(company, DATES, OutcomeSettings(), chosen, labelled=labelled)
        for labelled in (False, True)
    )
    return Built(company, chosen, plain, labelled)


@TOGETHER
def test_every_signal_takes_a_value_in_a_full_world(full: Built) -> None:
    frame = full.labelled
    names = [signal.name for signal in signals_of(full.company, full.chosen)]
    assert [name for name in names if frame[name].nunique() < 2] == []
    assert set(frame.happened) == {0, 1}
    assert frame.dtypes[names].map(str).isin(["float64", "object"]).all()


def test_an_attribute_that_reads_like_another_signal_is_told_apart(
    company_of: Callable[..., Company],
) -> None:
    moment = [datetime(2024, 1, 1)]
    accounts = {"account_id": ["A"], "created_at": moment, "tickets opened": ["x"]}
    tables = {
        "accounts": pd.DataFrame(accounts),
        "tickets": pd.DataFrame({"account_id": ["A"], "opened_at": moment}),
        "churn_events": NO_CHURN,
    }
    mapping = {"accounts": {"attributes": ["tickets opened"]}, "tickets": {}, "churn_events": {}}
    labels = {s.name: s.label for s in signals_of(company_of(tables, mapping), SignalsSettings())}
    assert labels["tickets_opened"] == "Tickets opened (tickets_opened)"
    assert labels["tickets_opened_90d"] == "Tickets opened (tickets_opened_90d)"
    assert labels["tickets_opened_30d"] == "Tickets opened, lately"


@TOGETHER
def test_labelled_rows_have_the_signals_of_plain_ones(full: Built) -> None:
    keys = ["account_id", "observation_date"]
    names = [*keys, *(signal.name for signal in signals_of(full.company, full.chosen))]
    kept = full.plain.merge(full.labelled[keys])
    assert 100 < len(kept) == len(full.labelled) < len(full.plain)
    pd.testing.assert_frame_equal(full.labelled[names], kept[names])


@TOGETHER
def test_one_account_is_built_as_among_all_others(full: Built) -> None:
    name = full.plain.account_id[0]
    alone = build_features(
        full.company, DATES, OutcomeSettings(), full.chosen, labelled=False, account_id=name
    )
    wanted = full.plain[full.plain.account_id == name].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, wanted)


@TOGETHER
def test_progress_is_told_of_each_step_once(full_company: Company) -> None:
    told: list[Any] = []
    off = SignalsSettings(groups_off=tuple(group for group in GROUPS if group != "profile"))
    frame = build_features(
        full_company,
        DATES,
        OutcomeSettings(),
        off,
        labelled=False,
        progress=lambda *step: told.append(step),
    )
    assert told == [
        ("finding active accounts", 1, 3),
        ("building profile signals", 2, 3),
        ("collecting the feature table", 3, 3),
    ]
    assert {"tenure_days", "plan", "seats", "mrr", "industry"} < set(frame.columns)
    assert "usage_28d" not in frame.columns


@pytest.mark.parametrize("attribute", ["happened", "Observation Date", "usage 28d", "Industry!"])
def test_an_attribute_may_not_take_the_name_of_another_column(
    attribute: str, company_of: Callable[..., Company]
) -> None:
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": [datetime(2023, 1, 1)]})
    accounts = accounts.assign(industry="x", **{attribute: "y"})
    usage_events = pd.DataFrame({"account_id": ["A"], "occurred_at": [datetime(2024, 1, 1)]})
    company = company_of(
        {"accounts": accounts, "usage_events": usage_events, "churn_events": NO_CHURN},
        {
            "accounts": {"attributes": list(dict.fromkeys(["industry", attribute]))},
            "usage_events": {},
            "churn_events": {},
        },
    )
    name = attribute.lower().replace(" ", "_").strip("!")
    with pytest.raises(SettingsError) as caught:
        signals_of(company, SignalsSettings())
    assert str(caught.value) == (
        f"Each column of the feature table needs a name of its own, and '{name}' would be there"
        " twice; rename the attribute, the column of snapshots or the signal of your own builder"
        " that takes it"
    )
