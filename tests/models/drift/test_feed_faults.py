"""Faults planted one by one, and behaviour that must not be taken for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.catalog import Signal
from features.tables.last_rows import Freshness
from models.drift.feed_faults import (
    Fault,
    SecondLook,
    Suspects,
    feed_faults,
    feed_suspects,
)
from models.drift.reference import Reference, fit_reference, frame_histograms, nonzero_quantiles

AS_OF = date(2025, 11, 1)
SIGNALS = (
    Signal("usage_28d", "usage", "count", "higher", "Usage", 28, "{value} uses"),
    Signal("balance", "payments", "money", "lower", "Due", 180, "{value} due"),
    Signal("overdue", "payments", "count", "lower", "Overdue", None, "{value} overdue"),
    Signal("region", "profile", "category", "none", "Region", None, "In {value}"),
)


def rows(accounts: int = 400, dates: int = 6, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size = accounts * dates
    return pd.DataFrame(
        {
            "account_id": np.tile(np.arange(accounts), dates),
            "observation_date": np.repeat(
                pd.date_range("2025-01-01", periods=dates, freq="MS"), accounts
            ),
            "segment": rng.choice(["large", "small"], size),
            "usage_28d": np.floor(np.exp(rng.normal(3, 1, size))),
            "balance": np.where(rng.random(size) < 0.4, rng.exponential(5, size), 0.0),
            "overdue": rng.poisson(0.6, size).astype(float),
            "region": rng.choice(["Americas", "EMEA", "apac"], size, p=[0.5, 0.3, 0.2]),
        }
    )


@pytest.fixture(scope="module")
def reference() -> Reference:
    frame = rows()
    return fit_reference(frame, SIGNALS, frame["segment"])


@pytest.fixture
def now() -> pd.DataFrame:
    return rows(dates=1, seed=1)


def faults(
    reference: Reference,
    frame: pd.DataFrame,
    tables: tuple[Freshness, ...] = (),
    signals: Sequence[Signal] = SIGNALS,
) -> tuple[Fault, ...]:
    current = frame_histograms(reference, frame, frame["segment"])
    found = feed_suspects(reference, current)
    masks = [np.ones(len(frame), dtype=bool)] + [
        (frame["segment"] == segment).to_numpy() for segment in reference.segments[1:]
    ]
    look = SecondLook(
        {
            n: np.array([nonzero_quantiles(frame[n].to_numpy(float)[m]) for m in masks])
            for n in found.numbers
        },
        {n: {str(k): int(v) for k, v in frame[n].value_counts().items()} for n in found.names},
    )
    return feed_faults(reference, current, signals, look, tables)


def test_the_same_company_has_no_fault(reference: Reference, now: pd.DataFrame) -> None:
    assert faults(reference, now) == ()
    assert not feed_suspects(reference, frame_histograms(reference, now, now["segment"]))


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (60, "60 times"),
        (100, "100 times"),
        (1000, "1000 times"),
        (1 / 12, "1/12 of"),
        (1 / 60, "1/60 of"),
        (37, "about 3"),
    ],
)
@pytest.mark.parametrize("name", ["usage_28d", "balance"])
def test_a_unit_that_changes_is_named_with_its_factor(
    reference: Reference, now: pd.DataFrame, factor: float, said: str, name: str
) -> None:
    now[name] *= factor
    [fault] = faults(reference, now)
    assert (fault.kind, fault.signals) == ("changed-unit", (name,))
    assert fault.factor == pytest.approx(factor, rel=0.15)
    assert fault.sentence.startswith(f"Signal '{name}' is {said}")
    assert fault.sentence.endswith("or convert the column.")


@pytest.mark.parametrize("unit", ["days", "change"])
def test_what_has_no_unit_of_its_own_cannot_change_it(
    reference: Reference, now: pd.DataFrame, unit: str
) -> None:
    late = now.assign(balance=now["balance"] * 4.35)
    [fault] = faults(reference, late)
    assert fault.kind == "changed-unit"
    signals = [replace(one, unit=unit) if one.name == "balance" else one for one in SIGNALS]
    assert faults(reference, late, signals=signals) == ()


def test_the_sentence_of_a_unit_is_whole(reference: Reference, now: pd.DataFrame) -> None:
    [fault] = faults(reference, now.assign(usage_28d=now["usage_28d"] * 60))
    assert fault.sentence == (
        "Signal 'usage_28d' is 60 times what it was, for all accounts alike: its unit changed; "
        "set it right in table 'usage_events', or convert the column."
    )
    assert fault.to_dict()["since"] is None


def test_a_collapse_in_one_segment_is_behaviour(reference: Reference, now: pd.DataFrame) -> None:
    for left in (0.35, 0.1, 0.02):
        small = now["segment"] == "small"
        collapsed = now.assign(usage_28d=now["usage_28d"].where(~small, now["usage_28d"] * left))
        assert faults(reference, collapsed) == ()


def test_a_payment_crisis_is_behaviour(reference: Reference, now: pd.DataFrame) -> None:
    rng = np.random.default_rng(2)
    late = np.where(rng.random(len(now)) < 0.8, rng.exponential(30, len(now)), 0.0)
    assert faults(reference, now.assign(balance=late, overdue=now["overdue"] + 1)) == ()


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_group_that_stops_is_named(reference: Reference, now: pd.DataFrame, value: float) -> None:
    [fault] = faults(reference, now.assign(balance=value, overdue=value))
    assert (fault.kind, fault.table, fault.signals) == (
        "stopped-signal",
        "invoices",
        ("balance", "overdue"),
    )
    assert fault.sentence == (
        "All accounts now have the same value of signals 'balance', 'overdue': table 'invoices', "
        "or a column of it, has stopped; repair its feed and load what is missing."
    )


def test_a_table_that_stops_is_named_once_with_its_day(
    reference: Reference, now: pd.DataFrame
) -> None:
    late = Freshness("invoices", date(2025, 9, 20), 4.0, AS_OF)
    fine = Freshness("usage_events", date(2025, 10, 31), 1.0, AS_OF)
    found = faults(reference, now.assign(overdue=0.0), (late, fine))
    assert [fault.kind for fault in found] == ["stopped-table"]
    assert found[0].since == date(2025, 9, 20)
    assert found[0].sentence == (
        "Table 'invoices' has no row since 2025-09-20, 42 days before 2025-11-01, and never was "
        "without rows for more than 4 days: repair its feed and load the days that are missing."
    )


@pytest.mark.parametrize(
    ("lag", "gap", "stopped"),
    [(1, 1, False), (3, 1, False), (4, 1, True), (60, 31, False), (64, 31, True)],
)
def test_rows_are_overdue_by_their_own_gaps(lag: int, gap: float, stopped: bool) -> None:
    newest = date.fromordinal(AS_OF.toordinal() - lag)
    assert Freshness("referrals", newest, gap, AS_OF).has_stopped == stopped


def test_a_table_without_rows_is_said(reference: Reference, now: pd.DataFrame) -> None:
    [fault] = faults(reference, now, (Freshness("surveys", None, 0.0, AS_OF),))
    assert fault.sentence == "Table 'surveys' has no row before 2025-11-01: repair its feed."


def test_names_spelled_otherwise_are_paired(reference: Reference, now: pd.DataFrame) -> None:
    [fault] = faults(reference, now.assign(region=now["region"].str.upper()))
    assert fault.kind == "renamed-levels"
    assert fault.sentence == (
        "The names of signal 'region' are spelled otherwise, 'Americas' is now 'AMERICAS', 'apac' "
        "is now 'APAC': write them in table 'accounts' as before, or map them back."
    )


def test_names_of_another_language_are_paired_by_their_share(
    reference: Reference, now: pd.DataFrame
) -> None:
    other = {"Americas": "米州", "EMEA": "<script>", "apac": "x" * 300}
    [fault] = faults(reference, now.assign(region=now["region"].map(other)))
    assert "'Americas' is now '米州', 'EMEA' is now '<script>'" in fault.sentence
    assert len(fault.sentence) < 350


def test_a_name_that_grows_is_behaviour(reference: Reference, now: pd.DataFrame) -> None:
    rng = np.random.default_rng(5)
    moved = now["region"].where(rng.random(len(now)) < 0.5, "LATAM")
    assert faults(reference, now.assign(region=moved)) == ()


def test_no_accounts_and_an_absent_column_are_faults(
    reference: Reference, now: pd.DataFrame
) -> None:
    [fault] = faults(reference, now.iloc[:0])
    assert fault.kind == "no-rows"
    assert fault.sentence.startswith("No account is active on this date, though the champion")
    [fault] = faults(reference, now.drop(columns="usage_28d"))
    assert fault.sentence == (
        "Signal 'usage_28d' is no longer built, though the champion reads it: map the column of "
        "table 'usage_events' it comes from again."
    )


def test_one_account_and_infinities_are_no_traceback(
    reference: Reference, now: pd.DataFrame
) -> None:
    assert faults(reference, now.iloc[:1]) == ()
    assert faults(reference, now.assign(usage_28d=np.inf)) != ()
    assert bool(Suspects((), ())) is False
