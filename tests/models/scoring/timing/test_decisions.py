"""Which rows are due, from what when losses come too late, and whether they are enough."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import Signal
from features.errors import DataError
from models.scoring.timing.decisions import Decisions, days_of, usable

DAYS = st.one_of(st.none(), st.integers(0, 4000))


@given(st.lists(st.tuples(DAYS, DAYS), max_size=20), st.integers(0, 60), st.integers(1, 400))
def test_due_is_what_a_loop_says(rows: list[tuple], lead: int, horizon: int) -> None:
    frame = pd.DataFrame(rows, columns=["days_to_renewal", "term_days"], dtype=float)
    expected = [
        ahead is None
        or lead <= ahead < lead + horizon
        or (term is not None and 0 < term <= horizon + 3)
        for ahead, term in rows
    ]
    assert Decisions(lead, lead + horizon).due(frame).tolist() == expected


def test_rows_without_contracts_are_all_due() -> None:
    assert Decisions(14, 44).due(pd.DataFrame({"x": [1, 2]})).all()


def test_terms_of_no_days_and_of_ten_years_are_read_by_their_renewal() -> None:
    rows = pd.DataFrame({"days_to_renewal": [100, 100, 10, 10], "term_days": [0, 3650, 0, 3650]})
    assert Decisions(0, 30).due(rows).tolist() == [False, False, True, True]


@pytest.mark.parametrize("wrong", ["soon", np.inf])
def test_days_that_are_no_numbers_are_refused(wrong: object) -> None:
    rows = pd.DataFrame({"days_to_renewal": pd.Series([1.0, wrong], dtype=object)})
    with pytest.raises(DataError, match=r"'days_to_renewal' must hold finite.*(soon|inf)"):
        days_of(rows, "days_to_renewal")


def decided(rates: list[float], rows: int = 400) -> pd.DataFrame:
    """Contracts that renew in each quarter of a window of 40 days, and how many were lost."""
    happened = np.concatenate([np.arange(rows) < rate * rows for rate in rates])
    ahead = np.repeat([5, 15, 25, 35], rows)
    return pd.DataFrame({"days_to_renewal": ahead, "term_days": 365, "happened": happened})


@pytest.mark.parametrize(
    ("rates", "days"),
    [
        ([0.2, 0.2, 0.2, 0.2], 0),
        ([0.2, 0.18, 0.15, 0.02], 10),
        ([0.2, 0.15, 0.05, 0.0], 20),
        ([0.2, 0.02, 0.0, 0.0], 30),
        ([0.0, 0.0, 0.0, 0.0], 0),
    ],
)
def test_late_quarters_whose_losses_come_later_are_not_due(rates: list[float], days: int) -> None:
    settled = Decisions(0, 40).settled(decided(rates))
    assert settled == Decisions(0, 40, days)
    assert settled.due(decided(rates)).sum() == 400 * (4 - days // 10)


def test_few_rows_without_a_loss_are_chance() -> None:
    assert Decisions(0, 40).settled(decided([0.2, 0.2, 0.2, 0.0], rows=10)) == Decisions(0, 40)


def test_short_terms_say_nothing_of_when_losses_come() -> None:
    rows = decided([0.2, 0.2, 0.2, 0.2])
    monthly = rows.assign(term_days=30, days_to_renewal=35, happened=False)
    assert Decisions(0, 40).settled(pd.concat([rows, monthly])) == Decisions(0, 40)


def test_what_makes_no_difference_or_is_too_little_is_not_used() -> None:
    window, rows = Decisions(0, 40), decided([0.1, 0.1, 0.1, 0.1], rows=100)
    every = np.arange(400)
    assert usable(window, rows, every, 30, 15) == (None, -1)
    later = pd.concat([rows, rows.assign(days_to_renewal=200)], ignore_index=True)
    assert usable(window, later, every, 30, 15) == (window, -1)
    assert usable(window, later, every, 41, 15) == (None, 40)
    assert usable(window, later, every[:100], 30, 15) == (None, 10)


def test_signals_of_the_calendar_are_left_out() -> None:
    names = ["usage", "renewal_due", "days_to_renewal", "lifecycle_stage", "term_days"]
    signals = [Signal(name, "profile", "days", "none", name, None, "{value}") for name in names]
    assert [s.name for s in Decisions(0, 30).signals(signals)] == ["usage", "term_days"]


def test_decisions_survive_json() -> None:
    assert Decisions.from_dict(Decisions(14, 44, 8).to_dict()) == Decisions(14, 44, 8)
