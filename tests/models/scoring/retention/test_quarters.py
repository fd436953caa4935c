"""Renewals in a period, counted day by day as an oracle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.scoring.timing.retention.quarters import (
    AT_WILL,
    RENEWS,
    RUNS,
    Span,
    contract_kinds,
    renewals_within,
)


def counted(ahead: float, term: float, span: Span) -> int:
    """Walk from renewal to renewal."""
    day, count = ahead, 0
    for _ in range(2000):
        count += span.opens <= day < span.closes
        if not term >= 1:
            break
        day += term
    return count


@pytest.mark.parametrize("span", [Span(0, 91), Span(91, 182), Span(30, 31), Span(300, 395)])
def test_renewals_are_those_of_a_walk_through_the_days(span: Span) -> None:
    rng = np.random.default_rng(4)
    ahead = rng.integers(-40, 800, 600).astype(float)
    term = rng.choice([np.nan, 0.0, 1.0, 30.0, 31.0, 91.0, 365.0, 1095.0, 3652.0], 600)
    expected = [counted(day, length, span) for day, length in zip(ahead, term, strict=True)]
    assert renewals_within(ahead, term, span).tolist() == expected


def test_contracts_that_say_nothing_may_be_left_at_will() -> None:
    rows = pd.DataFrame(
        {
            "days_to_renewal": [np.nan, 10.0, 10.0, 10.0, 200.0, 3000.0],
            "term_days": [365.0, 30.0, 0.0, np.nan, 365.0, 3652.0],
        }
    )
    kinds = contract_kinds(rows, Span(0, 91)).tolist()
    assert kinds == [AT_WILL, AT_WILL, RENEWS, RENEWS, RUNS, RUNS]
    # Tables without any date of renewal.
    assert contract_kinds(pd.DataFrame(index=range(2)), Span(0, 91)).tolist() == [AT_WILL] * 2
